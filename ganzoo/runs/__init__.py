"""Run folders: their files, metrics, scores and the command that reproduces them."""
