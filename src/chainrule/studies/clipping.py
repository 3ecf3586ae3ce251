"""Does clipping stabilize training? It is tried on a network that explodes.

In: rows of one seed, a deep network with too large first weights. Out: which runs diverge, losses, gradient norms.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chainrule.nn.initializers import Normal
from chainrule.nn.layers import Activation, Dense, Layer
from chainrule.nn.net import Net
from chainrule.nn.optimizers import SGD
from chainrule.nn.penalties import ClipNorm
from chainrule.studies import drawing
from chainrule.studies.common import quick_or_full, rows, trained
from chainrule.studies.statistics import Criterion, below, difference, estimate, paired
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_TOP = 10.0
"""The largest loss that is drawn; guessing among ten classes costs 2.3."""

_LIMITS: Mapping[str, float | None] = {"no clipping": None, "norm 100": 100.0, "norm 10": 10.0, "norm 1": 1.0}


_TAME = ", He's weights"
"""Arms whose network does not explode, beside those that do."""


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    large = {name: {"limit": limit, "weights": "large"} for name, limit in _LIMITS.items()}
    tame = {f"{name}{_TAME}": {"limit": _LIMITS[name], "weights": "he"} for name in ("no clipping", "norm 10")}
    return large | tame


def _run(cell: Cell) -> dict[str, Any]:
    split = rows(cell.config, cell.seed)
    layers: list[Layer] = []
    for _ in range(8):
        layers += [
            Dense(64, initializer=Normal(sigma=0.3) if cell.options["weights"] == "large" else "he"),
            Activation("relu"),
        ]
    net = Net(split.inputs, [*layers, Dense(split.classes)])
    limit = cell.options["limit"]
    record, _ = trained(
        split,
        net,
        seed=cell.seed,
        epochs=quick_or_full(cell.config, 15, 20),
        optimizer=SGD(),
        rate=0.1,
        clip=None if limit is None else ClipNorm(limit),
    )
    record["train_loss"] = [min(loss, 1e6) for loss in record["train_loss"]]
    return {
        **record,
        "first_norm": record["gradient_norm"][0],
        "failed": float(record["diverged"] or record["test_error"] > 0.8),
    }


def _criteria(results: Results) -> tuple[Criterion, ...]:
    test = {arm: results.values(arm, "test_error") for arm in results.arms}
    figure = "test error, clipped at norm 10 minus not clipped"
    return (
        below("too large weights", figure, paired(test["norm 10"], test["no clipping"]), unit="points"),
        below(
            "He's weights",
            figure,
            paired(test[f"norm 10{_TAME}"], test[f"no clipping{_TAME}"]),
            unit="points",
            shown=False,
        ),
    )


def _conclude(results: Results) -> Conclusion:
    failed = {arm: int(results.values(arm, "failed").sum()) for arm in _LIMITS}
    seeds = len(results.of_arm("no clipping"))
    clipped = {arm: estimate(results.values(arm, "test_error")).mean for arm in _LIMITS if arm != "no clipping"}
    best = min(clipped, key=lambda arm: clipped[arm])
    saved = failed["no clipping"] - failed[best]
    plain = estimate(results.values("no clipping", "test_error")).mean
    tame = difference(
        results.values(f"norm 10{_TAME}", "test_error"), results.values(f"no clipping{_TAME}", "test_error")
    )
    verb = "saves" if saved > 0 else "saves none of"
    sentence = (
        f"Without clipping {failed['no clipping']} of {seeds} runs fail (mean test error {100 * plain:.3g} %). Clipping "
        f"at {best} {verb} {f'{saved} of them' if saved > 0 else 'them'}, with a mean test error "
        f"of {100 * clipped[best]:.3g} %. With He's weights, where nothing explodes, clipping at norm 10 changes the test "
        f"error by {tame.text(2, 100)} points."
    )
    header, table = results.table(
        failed=("failed", 100, "%"), test_error=("test_error", 100, "%"), first_gradient_norm=("first_norm", 1, "")
    )
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    exploding = Results({arm: results.records[arm] for arm in _LIMITS})
    note = f"A larger loss is drawn at {_TOP:g}: a run that diverges ends there, after its first epoch."
    return {
        "A network that explodes, and the same with clipped gradients": drawing.loss_and_error(
            exploding, most=_TOP, note=note
        )
    }


STUDY = Study(
    name="clipping",
    title="Gradient clipping on a network that explodes, and on one that does not",
    claim="Clipping the norm of the gradient stabilizes a training that fails without it.",
    source="lecture 12, exercise 8; [pascanu2013]",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading=(
        "Eight hidden layers whose initial weights are nearly twice as large as He's. Failed runs diverged or learned "
        "nothing."
    ),
)
