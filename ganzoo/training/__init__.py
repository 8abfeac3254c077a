"""Training: preparing a run, the trainer, the loop around its steps, and checkpoints."""
