"""The words between a page's server and the processes that train for it."""

PAUSE, STEP, CONTINUE, STOP = "pause", "step", "continue", "stop"
"""What a run may be told."""
FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"
"""How it may end."""
THREADS = "GANZOO_WATCH_THREADS"
"""The variable of the environment that says how many threads a process has."""
