"""Training a GAN: the trainer, the loop around it and its checkpoints."""
