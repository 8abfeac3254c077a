"""The words that the page's server and its training processes exchange."""

PAUSE, STEP, CONTINUE, STOP = "pause", "step", "continue", "stop"
"""Commands to a run."""
FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"
"""How a run ended."""
MAX_TRAINING = 2
"""The most runs that train at once, each in a process with its share of the threads."""
