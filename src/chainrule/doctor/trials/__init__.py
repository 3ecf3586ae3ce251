"""Run paired experiments: the same training with one thing changed, scored on the same rows."""
