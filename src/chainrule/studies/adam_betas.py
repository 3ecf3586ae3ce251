"""Two settings of Adam on noisy circles, as the lecture compares them: its usual betas against shorter memories.

In: a pair of betas, one seed. Out: the cost of every epoch of the lecture's network on the lecture's circles.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.data import load
from chainrule.nn.losses import BinaryCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.nn.optimizers import Adam
from chainrule.studies import drawing
from chainrule.studies.common import quick_or_full
from chainrule.studies.statistics import Criterion, below, difference, estimate
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig
from chainrule.train import fit

_BETAS = {"β₁ = 0.9, β₂ = 0.999": (0.9, 0.999), "β₁ = 0.8, β₂ = 0.99": (0.8, 0.99)}
_ROWS, _LEARNED = 300, 0.1


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {name: {"beta1": beta1, "beta2": beta2} for name, (beta1, beta2) in _BETAS.items()}


def _run(cell: Cell) -> dict[str, Any]:
    data = load("circles", seed=42)
    rule = Adam(beta1=cell.options["beta1"], beta2=cell.options["beta2"])
    epochs = quick_or_full(cell.config, 250, 500)
    run = fit(
        mlp(2, (16, 8), 1),
        data.X[:_ROWS],
        (data.y[:_ROWS] == np.unique(data.y)[1]).astype(float),
        loss=BinaryCrossEntropy(),
        optimizer=rule,
        learning_rate=0.01,
        epochs=epochs,
        batch_size="full",
        seed=cell.seed,
    )
    costs = [epoch.train_loss for epoch in run]
    return {"cost": [float(f"{cost:.4g}") for cost in costs[::5]], "first": costs[0], "last": costs[-1]}


def _criteria(results: Results) -> tuple[Criterion, ...]:
    early = 50
    return (
        *(below(arm, "cost after 500 epochs", results.values(arm, "last"), _LEARNED) for arm in results.arms),
        *(
            below(arm, f"cost after {early} epochs", results.values(arm, "cost")[:, early // 5], _LEARNED, shown=False)
            for arm in results.arms
        ),
    )


def _conclude(results: Results) -> Conclusion:
    usual, shorter = results.arms
    last = {arm: estimate(results.values(arm, "last")) for arm in results.arms}
    gain = difference(results.values(shorter, "last"), results.values(usual, "last"))
    learned = all((results.values(arm, "last") < _LEARNED).all() for arm in results.arms)
    lower = "lower" if gain.mean < 0 else "higher"
    noise = "" if gain.sure else ", within seed noise"
    sentence = (
        f"{'Both settings' if learned else 'Not both settings'} of Adam bring the cost below {_LEARNED:g}: it ends at "
        f"{last[usual].text(2)} with {usual} and at {last[shorter].text(2)} with {shorter}. The shorter memory ends {lower} "
        f"(difference {gain.text(2)}{noise})."
    )
    header, table = results.table(first_cost=("first", 1, ""), last_cost=("last", 1, ""))
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    costs = {arm: results.values(arm, "cost") for arm in results.arms}
    at = 1 + 5 * np.arange(next(iter(costs.values())).shape[1])
    return {"Cost by epoch": [drawing.curves("Training cost on circles", costs, at, y_log=True, y_name="cost")]}


STUDY = Study(
    name="adam-betas",
    title="Two Adams on circles",
    claim="Adam learns the circles both with β₁ = 0.9, β₂ = 0.999 and with β₁ = 0.8, β₂ = 0.99.",
    source="lecture 12, 7.6; [kingma2015]",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="A 2-16-8-1 network, 300 points, full batch, a rate of 0.01. The seed sets the initial weights.",
)
