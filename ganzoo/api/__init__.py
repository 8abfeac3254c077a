"""The functions of ``import ganzoo``: train, resume, list, create."""
