"""Why: six published ways to judge a training, written anew from their rules, to be compared on identical traces.

In: a `Trace`. Out: diagnoses, each with the tool's own words and the symptoms of our vocabulary that they can mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from doctor.detectors import autotrainer, deepdiagnosis, deeplocalize, sagemaker, thedeepchecker, umlaut
from doctor.detectors.base import Diagnosis
from doctor.hosts import Subject
from doctor.trace import Trace


class Detector(Protocol):
    """A module with two functions."""

    def supports(self, subject: Subject) -> bool:
        """Whether the tool was made for such a network."""

    def detect(self, trace: Trace) -> list[Diagnosis]:
        """What it says, in the order in which it says it."""


DETECTORS: Mapping[str, Detector] = {
    "AutoTrainer": autotrainer,
    "DeepDiagnosis": deepdiagnosis,
    "DeepLocalize": deeplocalize,
    "UMLAUT": umlaut,
    "SageMaker": sagemaker,
    "TheDeepChecker": thedeepchecker,
}
"""The detectors by name."""
