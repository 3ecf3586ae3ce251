"""Why: the course of the learning rate is exactly as stated. In: times within a run. Out: hand values, optax, continuity."""

import math

import numpy as np
import optax
import pytest
from registry import SCHEDULE_SAMPLES, flat, name

from chainrule.errors import InvalidValueError
from chainrule.nn.schedules import (
    ConstantSchedule,
    Cosine,
    CosineLog,
    CosineRestarts,
    Exponential,
    FlatCosine,
    InverseTimeDecay,
    OneCycle,
    Plateau,
    ReduceOnPlateau,
    Step,
    WarmUp,
    plateau_rule,
)

TIMES = np.linspace(0.0, 20.0, 81)


@pytest.mark.parametrize("schedule", flat(SCHEDULE_SAMPLES), ids=name)
def test_factors_are_shares_of_the_base_rate(schedule):
    factors = [schedule.factor(float(e), 20.0) for e in TIMES]
    assert all(type(factor) is float for factor in factors)
    assert all(0.0 <= factor <= 1.0 for factor in factors)


@pytest.mark.parametrize(
    ("schedule", "e", "factor"),
    [
        (ConstantSchedule(), 7.0, 1.0),
        (Step(every=2.0, drop=0.5), 1.999, 1.0),
        (Step(every=2.0, drop=0.5), 2.0, 0.5),
        (Step(every=2.0, drop=0.5), 7.5, 0.125),
        (Exponential(k=math.log(2.0)), 3.0, 0.125),
        (InverseTimeDecay(k=0.5), 6.0, 0.25),
        (Cosine(), 0.0, 1.0),
        (Cosine(), 5.0, 0.5),
        (Cosine(end=0.2), 10.0, 0.2),
        (Cosine(end=0.2), 10.0 * 2 / 3, 0.2 + 0.8 * 0.25),  # cos(2π/3) = -1/2
        (Cosine(), 12.0, 0.0),
        (CosineLog(), 0.0, 0.0),
        (CosineLog(cycles=1), 10.0 * (math.sqrt(2.0) - 1.0), 1.0),  # log₂ √2 = 1/2
        (CosineLog(cycles=1), 10.0, 0.0),
        (CosineLog(cycles=2), 10.0 / 3, 0.0),  # log₂(1 + 3/3) = 1: the second cycle starts
        (CosineLog(cycles=2), 10.0 / 3 * (math.sqrt(8.0) - 1.0), 1.0),
        (CosineLog(cycles=2), 10.0 / 3 * (2.0**0.25 - 1.0), 0.5),
        (CosineLog(), 12.0, 0.0),
        (FlatCosine(), 0.0, 1.0),
        (FlatCosine(), 5.0, 1.0),
        (FlatCosine(), 7.5, 0.5),
        (FlatCosine(), 10.0, 0.0),
        (FlatCosine(), 12.0, 0.0),
        (FlatCosine(flat=0.0), 10.0 / 3, 0.75),  # cos(π/3) = 1/2
        (FlatCosine(flat=0.8), 9.0, 0.5),
        (CosineRestarts(cycle=2.0, growth=2.0), 1.0, 0.5),
        (CosineRestarts(cycle=2.0, growth=2.0), 2.0, 1.0),
        (CosineRestarts(cycle=2.0, growth=2.0), 4.0, 0.5),  # the second cycle runs from 2 to 6
        (CosineRestarts(cycle=2.0, growth=2.0), 6.0, 1.0),
        (CosineRestarts(cycle=2.0, growth=1.0, end=0.5), 9.0, 0.75),
        (WarmUp(epochs=4.0, start=0.2), 0.0, 0.2),
        (WarmUp(epochs=4.0, start=0.2), 2.0, 0.6),
        (WarmUp(epochs=4.0, start=0.2), 4.0, 1.0),
        (WarmUp(epochs=4.0, after=Cosine()), 7.0, 0.5),  # halfway through the six epochs that are left
        (WarmUp(epochs=4.0, after=Cosine()), 10.0, 0.0),
        (OneCycle(warmup_fraction=0.2, div_factor=5.0, final_div_factor=20.0), 0.0, 0.2),
        (OneCycle(warmup_fraction=0.2, div_factor=5.0, final_div_factor=20.0), 1.0, 0.6),
        (OneCycle(warmup_fraction=0.2, div_factor=5.0, final_div_factor=20.0), 2.0, 1.0),
        (OneCycle(warmup_fraction=0.2, div_factor=5.0, final_div_factor=20.0), 6.0, 0.505),
        (OneCycle(warmup_fraction=0.2, div_factor=5.0, final_div_factor=20.0), 10.0, 0.01),
        (OneCycle(warmup_fraction=0.2, div_factor=5.0, final_div_factor=20.0), 11.0, 0.01),
        (ReduceOnPlateau(), 5.0, 1.0),
    ],
    ids=str,
)
def test_hand_values_in_a_run_of_ten_epochs(schedule, e, factor):
    assert schedule.factor(e, 10.0) == pytest.approx(factor, rel=1e-14, abs=1e-15)


@pytest.mark.parametrize(
    ("schedule", "steepest"),
    [
        (Cosine(), math.pi / 2 / 10),
        (WarmUp(epochs=2.0, after=Cosine()), 0.5),
        (OneCycle(warmup_fraction=0.25), math.pi / 2 / 2.5),
        (Exponential(k=0.3), 0.3),
        (InverseTimeDecay(k=0.3), 0.3),
    ],
    ids=str,
)
def test_smooth_schedules_have_no_jump(schedule, steepest):
    times = np.linspace(0.0, 10.0, 10_001)
    factors = np.array([schedule.factor(e, 10.0) for e in times])
    assert np.abs(np.diff(factors)).max() <= steepest * 1e-3 * (1 + 1e-6)


ORACLES = {
    "step": (Step(every=4.0, drop=0.3), optax.exponential_decay(1.0, 4, 0.3, staircase=True)),
    "exponential": (Exponential(k=0.2), optax.exponential_decay(1.0, 1, math.exp(-0.2))),
    "cosine": (Cosine(end=0.1), optax.cosine_decay_schedule(1.0, 20, alpha=0.1)),
    "warm-up": (
        WarmUp(epochs=5.0, start=0.1, after=Cosine(end=0.05)),
        optax.warmup_cosine_decay_schedule(0.1, 1.0, 5, 20, end_value=0.05),
    ),
    # optax's final factor counts from the start value, ours from the peak
    "one cycle": (
        OneCycle(warmup_fraction=0.25, div_factor=10.0, final_div_factor=10.0),
        optax.cosine_onecycle_schedule(20, 1.0, pct_start=0.25, div_factor=10.0, final_div_factor=10.0),
    ),
    "restarts": (
        CosineRestarts(cycle=4.0, growth=2.0, end=0.1),
        optax.join_schedules([optax.cosine_decay_schedule(1.0, steps, alpha=0.1) for steps in (4, 8, 16)], [4, 12]),
    ),
}


@pytest.mark.parametrize(("schedule", "oracle"), ORACLES.values(), ids=ORACLES)
@pytest.mark.usefixtures("x64")
def test_equal_to_optax(schedule, oracle):
    ours = [schedule.factor(float(e), 20.0) for e in range(21)]
    # optax computes parts of some schedules in float32 whatever the mode
    np.testing.assert_allclose(ours, [float(oracle(e)) for e in range(21)], rtol=2e-6, atol=1e-7)


def test_each_cycle_of_cosine_log_repeats_the_one_before_at_half_the_speed():
    # with s = 1 + (2⁴ - 1) t the factor depends on log₂ s, so doubling s changes nothing
    factor = [CosineLog().factor((s - 1.0) / 15.0, 1.0) for s in np.linspace(1.0, 2.0, 21)]
    for cycle in (2.0, 4.0, 8.0):
        again = [CosineLog().factor((cycle * s - 1.0) / 15.0, 1.0) for s in np.linspace(1.0, 2.0, 21)]
        np.testing.assert_allclose(again, factor, atol=1e-12)


def test_reduce_on_plateau_by_hand():
    rule, plateau, seen = ReduceOnPlateau(drop=0.5, patience=2, threshold=0.1, lowest=0.3), Plateau(), []
    for loss in (10.0, 9.5, 8.9, 8.5, 8.1, 8.0, 8.0, 7.0, 7.0, 7.0):
        plateau = rule.observe(plateau, loss)
        seen.append((plateau.best, plateau.waited, plateau.factor))
    assert seen == [
        (10.0, 0, 1.0),  # the first loss is the best
        (10.0, 1, 1.0),  # 9.5 is not below 10 - 10 %
        (8.9, 0, 1.0),
        (8.9, 1, 1.0),
        (8.9, 0, 0.5),  # 8.1 is not below 8.01: the second in a row, so the rate halves and the count starts anew
        (8.0, 0, 0.5),
        (8.0, 1, 0.5),
        (7.0, 0, 0.5),
        (7.0, 1, 0.5),
        (7.0, 0, 0.3),  # a quarter would be below `lowest`
    ]


def test_reduce_on_plateau_takes_negative_losses():
    # better than -10 by 10 % is below -11, not below -9
    rule = ReduceOnPlateau(threshold=0.1, patience=5)
    assert rule.observe(Plateau(best=-10.0), -10.5).waited == 1
    assert rule.observe(Plateau(best=-10.0), -11.5).best == -11.5


def test_patience_of_one_drops_at_once():
    assert ReduceOnPlateau(patience=1).observe(Plateau(best=1.0), 1.0) == Plateau(1.0, 0, 0.1)


def test_plateau_rule_is_found_behind_a_warm_up():
    rule = ReduceOnPlateau(patience=3)
    assert plateau_rule(rule) is rule
    assert plateau_rule(WarmUp(after=WarmUp(after=rule))) is rule
    assert plateau_rule(WarmUp(after=Cosine())) is None
    assert plateau_rule(ConstantSchedule()) is None


def test_warm_up_longer_than_the_run():
    schedule = WarmUp(epochs=4.0, after=Cosine())
    assert schedule.factor(2.0, 2.0) == 0.5
    assert schedule.factor(4.0, 4.0) == 1.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Step(every=0.0), r"Step: every must be in \(0, inf\), got 0\.0\. Lengths are in epochs\."),
        (lambda: Step(drop=1.0), r"Step: drop must be in \(0, 1\), got 1\.0\. It multiplies the rate\."),
        (lambda: Exponential(k=-1.0), r"Exponential: k must be in \[0, inf\), got -1\.0"),
        (lambda: Cosine(end=1.5), r"Cosine: end must be in \[0, 1\], got 1\.5\. It is a share of the base rate\."),
        (lambda: CosineLog(cycles=1.5), r"CosineLog: cycles must be a whole number in \[1, inf\), got 1\.5"),
        (lambda: FlatCosine(flat=1.0), r"FlatCosine: flat must be in \[0, 1\), got 1\.0\. It is a share of the run"),
        (lambda: CosineRestarts(growth=0.5), r"CosineRestarts: growth must be in \[1, inf\), got 0\.5"),
        (lambda: WarmUp(epochs=0), r"WarmUp: epochs must be in \(0, inf\), got 0"),
        (lambda: WarmUp(after=3), r"WarmUp: after must be a schedule or the name of one, got 3\."),
        (lambda: OneCycle(warmup_fraction=1.0), r"OneCycle: warmup_fraction must be in \(0, 1\), got 1\.0"),
        (lambda: ReduceOnPlateau(patience=0), r"ReduceOnPlateau: patience must be a whole number in \[1, inf\), got 0"),
    ],
)
def test_wrong_settings(make, message):
    with pytest.raises(InvalidValueError, match=message):
        make()


def test_a_loss_that_is_no_number_neither_counts_nor_spoils_the_best():
    rule = ReduceOnPlateau(drop=0.5, patience=1)
    assert rule.observe(Plateau(), math.nan) == Plateau()
    assert rule.observe(Plateau(1.0, 0, 1.0), math.nan) == Plateau(1.0, 0, 1.0)
