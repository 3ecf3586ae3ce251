"""Tests of the plan: it computes what the model computes."""

import os

import numpy as np
import pytest
from export_models import draw_model

from chainrule.exporters.answers import model_answers
from chainrule.exporters.draw import draw_rows, kept
from chainrule.exporters.evaluate import rounding, run
from chainrule.exporters.lower import lower

SEEDS = int(os.environ.get("CHAINRULE_EXPORT_SEEDS", "72"))


def check_seed(seed):
    """Compare the plan of a drawn model with the model's own predictions."""
    model = draw_model(seed)
    plan = lower(model)
    rows = draw_rows(plan, 200, seed)
    mine = run(plan, rows)
    sane = (np.abs(mine.numbers) < 1e30).all(axis=1)
    assert sane.sum() > 100
    rows = kept(rows, sane)
    mine, theirs = run(plan, rows), model_answers(model, plan, rows)
    assert mine.numbers.shape == theirs.numbers.shape
    allowed = 2e-6 * np.maximum(1.0, np.abs(theirs.numbers)) + rounding(plan, rows)
    far = np.abs(mine.numbers - theirs.numbers) - allowed
    assert far.max() <= 0, (seed, float(far.max()), np.unravel_index(far.argmax(), far.shape))
    for ours, other in zip(mine.labels, theirs.labels, strict=True):
        assert ours.shape == other.shape
        assert ours.dtype.kind == other.dtype.kind
        assert (ours != other).mean() < 0.02


@pytest.mark.parametrize("seed", range(24))
def test_a_plan_computes_what_its_model_computes(seed):
    check_seed(seed)


@pytest.mark.slow
def test_many_plans_compute_what_their_models_compute():
    for seed in range(24, SEEDS):
        check_seed(seed)
