"""Stopgap."""


def training_curve(path):
    """Stopgap."""
    return None
