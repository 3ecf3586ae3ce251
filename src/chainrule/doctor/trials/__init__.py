"""Run paired experiments: the same training with one thing changed, judged on the same rows."""
