"""Trackers that send a run's metrics elsewhere."""
