"""Metrics and the feature extractors they use."""
