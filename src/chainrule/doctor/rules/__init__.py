"""Suspect causes from the configuration, the data, checks before training, and the training itself."""
