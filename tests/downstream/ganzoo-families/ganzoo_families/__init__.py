"""What great families of GANs need of a training, each in a small file."""
