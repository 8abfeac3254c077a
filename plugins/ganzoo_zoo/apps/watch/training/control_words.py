"""The words that the page's server and its training processes exchange."""

PAUSE, STEP, CONTINUE, STOP = "pause", "step", "continue", "stop"
"""Commands to a run."""
STEP_DISCRIMINATOR, STEP_GENERATOR = "step-discriminator", "step-generator"
"""Commands to a run that pauses: one network's updates of a step."""
WALK, NEAREST = "walk", "nearest"
"""Questions to a run on images, which its process answers with pictures."""
BETWEEN = "between"
"""The phase of a step in which the discriminator is done and the generator is not."""
FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"
"""How a run ended."""
MAX_TRAINING = 2
"""The most runs that train at once, each in a process with its share of the threads."""
