"""The application behind ``ganzoo data check``, which inspects a dataset before training."""
