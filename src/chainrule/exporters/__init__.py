"""Trained models for other places: one inference plan, and writers that walk it."""
