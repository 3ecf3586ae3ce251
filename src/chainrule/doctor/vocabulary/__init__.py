"""Name what the doctor talks about: records, the catalogue of symptoms and remedies, thresholds."""
