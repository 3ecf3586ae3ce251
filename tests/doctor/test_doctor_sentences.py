"""What findings say of extreme trainings: every figure in a sentence is finite, and no share is absurd.

In: traces with nan, inf, no rows, one epoch, huge and tiny losses. Out: the sentences of every rule on a training.
"""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from doctor_traces import epochs, problem, reading, trace

from chainrule.doctor.rules import training
from chainrule.doctor.vocabulary.records import NotApplicable
from chainrule.nn.optimizers import AdamW
from chainrule.nn.penalties import ClipNorm, Penalty
from chainrule.nn.schedules import Exponential
from chainrule.train.records import diverged

NAN, INF = math.nan, math.inf
ABSURD = re.compile(r"\bnan\b|\binf\b|-\s?\d[\d.]* %|\d{7,}|\b0 epochs without")

CURVES = {
    "one epoch": [0.6],
    "two epochs": [0.69, 0.5],
    "it explodes": [0.69, 1e12, 1e150],
    "it explodes late": [*np.geomspace(0.6, 0.1, 20), 1e6, 1e12, 1e18],
    "all huge": [1e300] * 12,
    "all tiny": [1e-300] * 12,
    "zeros": [0.0] * 12,
    "negative": [-1e13 * i for i in range(12)],
    "from below zero to above": [-0.5, -0.2, 0.1, 0.4, 0.9, 1.5, 2.0, 2.5, 3.0, 4.0],
    "nan at once": [NAN],
    "nan at the end": [0.6, 0.5, NAN],
    "inf at the end": [0.6, 0.5, INF],
    "nan throughout": [NAN] * 12,
    "zigzag": [1e8, 1e-8] * 10,
    "a rise from nearly nothing": [*[1e-12] * 20, 1.0, 2.0],
}

SETTINGS = {
    "plain": {},
    "penalty": {"penalty": Penalty(l1=1e30, l2=1e30)},
    "clip": {"clip": ClipNorm(1e-30)},
    "decay": {"optimizer": AdamW(weight_decay=1e9)},
    "schedule": {"schedule": Exponential(k=0.01)},
    "one row a batch": {"batch_size": 1},
    "all rows a batch": {"batch_size": 200},
}


def figure_of(name):
    return {"huge": 1e200, "inf": INF, "nan": NAN, "zero": 0.0}[name]


def traces(given, losses):
    """The same curve without and with early stopping, with usual and with extreme figures of layers."""
    last = losses[-1]
    end = diverged(len(losses)) if not math.isfinite(last) else None
    for name in ("huge", "inf", "nan", "zero"):
        value = figure_of(name)
        wild = dict.fromkeys(("weight_norm", "gradient_norm", "update_ratio", "gradient_rms", "drift"), value)
        for shown in ({}, {"_0": wild, "_2": wild, "_4": wild}):
            readings = [
                reading(given, e, losses[max(e - 1, 0)], penalty_ratio=value, **shown) for e in (0, 1, len(losses))
            ]
            for planned in (0, 10 * len(losses)):
                for norms in ((), (value, 1.0)):
                    seen = trace(given, losses, readings, norms=norms, stopped=end, steps=[last, 1.0])
                    yield replace(seen, planned=planned, kept=1 if planned else 0)
    held = replace(trace(given, losses, stopped=end, readings=readings), epochs=epochs(losses, [NAN] * len(losses)))
    yield replace(held, planned=1000)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("losses", CURVES.values(), ids=CURVES)
def test_every_sentence_about_an_extreme_training_can_be_read(losses, settings):
    given = problem(**settings)
    for seen in traces(given, losses):
        for rule in training.RULES:
            try:
                with np.errstate(all="ignore"):
                    finding = rule.check(given, seen)
            except NotApplicable:
                continue
            if finding is not None:
                said = " ".join([finding.title, finding.meaning, finding.measured, finding.usual, finding.fix.text])
                assert not ABSURD.search(said), (finding.symptom, ABSURD.search(said), said)
                assert len(str(finding)) < 900


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_validation_rows_break_no_sentence(n):
    given = problem()
    given = replace(given, validation=given.validation[:n])
    for losses in CURVES.values():
        readings = [reading(given, e, losses[max(e - 1, 0)]) for e in (0, len(losses))]
        seen = replace(trace(given, losses, readings), kept=1)
        for rule in training.RULES:
            try:
                finding = rule.check(given, seen)
            except NotApplicable:
                continue
            assert finding is None or not ABSURD.search(finding.measured), finding
