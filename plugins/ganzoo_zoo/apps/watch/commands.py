"""The words between a page's server and the processes that train for it."""

PAUSE, STEP, CONTINUE, STOP = "pause", "step", "continue", "stop"
"""What a run may be told."""
FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"
"""How it may end."""
MAX_TRAINING = 2
"""Runs that are trained at once, each in a process with its share of the threads."""
