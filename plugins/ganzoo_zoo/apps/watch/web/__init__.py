"""The page: its server, its runs and what it may start."""
