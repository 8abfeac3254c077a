"""Losses, a file each, computed from logits."""
