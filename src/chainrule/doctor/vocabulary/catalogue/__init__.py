"""Provide the catalogue: every symptom and every remedy, once, with all its properties.

Rules, trials, diagnosis, monitoring, the command line and the documentation read what they need from here, so that a new
symptom or remedy is added in one place.

In: nothing. Out: `SYMPTOMS` in the order of root causes and `REMEDIES` in the order of the causes that they correct.
"""

from collections.abc import Mapping
from dataclasses import replace

from chainrule.doctor.vocabulary.catalogue import remedies, symptoms_data, symptoms_training
from chainrule.doctor.vocabulary.catalogue.records import (
    FROM_PROBLEM,
    Area,
    Cost,
    Fallback,
    Kind,
    Remedy,
    Symptom,
)

__all__ = [
    "ADD_BIAS",
    "FROM_PROBLEM",
    "MATCHING_LOSS",
    "NAN_LOSS",
    "NOISE",
    "NO_VALIDATION",
    "OUTPUT_LOSS_MISMATCH",
    "OVERFITTING",
    "REMEDIES",
    "SCREENING",
    "SMALLER_NETWORK",
    "STATISTICS_LEAKAGE",
    "SUSPICIOUS_VALIDATION",
    "SYMPTOMS",
    "TOO_LITTLE_DATA",
    "UNDERFITTING",
    "USUAL_RATE",
    "Area",
    "Cost",
    "Fallback",
    "Kind",
    "Remedy",
    "Symptom",
    "find_remedy",
]

SYMPTOMS: Mapping[str, Symptom] = {
    symptom.name: replace(symptom, rank=rank)
    for rank, symptom in enumerate((*symptoms_data.ENTRIES, *symptoms_training.ENTRIES))
}
"""Every symptom by name, in the order of root causes: an earlier one explains a later one."""

REMEDIES: Mapping[str, Remedy] = {remedy.name: remedy for remedy in remedies.ENTRIES}
"""Every remedy by name."""

SCREENING: tuple[Remedy, ...] = tuple(remedy for remedy in REMEDIES.values() if remedy.screens_for)
"""What is tested if a training went badly and no suspicion was confirmed."""

NAN_LOSS = "nan-loss"
NOISE = "noise"
NO_VALIDATION = "no-validation"
OUTPUT_LOSS_MISMATCH = "output-loss-mismatch"
OVERFITTING = "overfitting"
STATISTICS_LEAKAGE = "statistics-leakage"
SUSPICIOUS_VALIDATION = "suspicious-validation"
TOO_LITTLE_DATA = "too-little-data"
UNDERFITTING = "underfitting"
"""Symptoms that code outside the rules must name."""

ADD_BIAS = "add-bias"
MATCHING_LOSS = "matching-loss"
SMALLER_NETWORK = "smaller-network"
USUAL_RATE = "usual-rate"
"""Remedies that code outside the catalogue must name."""


def find_remedy(name: str) -> Remedy:
    """Return a remedy by name; one without any property for a trial of something else, such as all rows."""
    return REMEDIES.get(name, Remedy(name, ""))
