"""Metrics, and the feature extractors that they use."""
