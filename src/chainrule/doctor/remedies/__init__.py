"""Change one thing about a training problem: its settings, its architecture, its rows."""
