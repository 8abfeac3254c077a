"""Model cards: the README of a model, and text that people may edit around it."""
