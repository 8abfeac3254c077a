"""Penalties: terms that combine with any loss and any architecture."""
