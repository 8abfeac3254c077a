"""A run that takes a moment."""

TINY = {
    "steps": 4,
    "batch_size": 8,
    "log_every": 2,
    "sample_every": 2,
    "checkpoint_every": 2,
    "device": "cpu",
}
