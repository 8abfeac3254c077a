"""Scoring generators, comparing scores and finding nearest neighbours."""
