"""Transfer from a large set to a small one: features of ten classes, then a new question with few labeled rows.

In: rows of one seed, how many have the new label, the start. Out: test error on the new question.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chainrule.arrays import Array
from chainrule.nn.multilayer import mlp
from chainrule.studies import drawing
from chainrule.studies.common import Split, Subset, quick_or_full, rows, trained
from chainrule.studies.statistics import Criterion, below, difference, estimate, paired
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig
from chainrule.studies.transfer import balanced, inherit

_ROWS = (20, 50, 100)
_LARGE = 900


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {f"{way}, {n} rows": {"way": way, "rows": n} for way in ("from scratch", "fine-tuned") for n in _ROWS}


def _asked(part: Subset) -> Subset:
    """Return rows with the new question's answer: whether the class is odd."""
    return Subset(part.X, part.y % 2)


def _run(cell: Cell) -> dict[str, Any]:
    split = rows(cell.config, cell.seed)
    large = replace(split, train=split.train.first(_LARGE))
    rest = Subset(split.train.X[_LARGE:], split.train.y[_LARGE:])
    n = cell.options["rows"]
    small = Split(_asked(balanced(rest, n)), _asked(split.validation), _asked(split.test), 2, split.image_shape)
    net = mlp(split.inputs, (64, 32), 2)
    start = None
    if cell.options["way"] == "fine-tuned":
        body = mlp(split.inputs, (64, 32), split.classes)
        learned = trained(large, body, seed=cell.seed, epochs=quick_or_full(cell.config, 15, 30))[1]
        assert learned is not None
        start = inherit(net, cell.seed, body, learned)
    record, _ = trained(small, net, seed=cell.seed, epochs=40, batch_size=10, start=start)
    return {"rows": n, "test_error": record["test_error"]}


def _criteria(results: Results) -> tuple[Criterion, ...]:
    def gain(n: int) -> Array:
        return paired(*(results.values(f"{way}, {n} rows", "test_error") for way in ("fine-tuned", "from scratch")))

    figure = "test error, pretrained minus from scratch"
    return tuple(below(f"{n} rows", figure, gain(n), unit="points", shown=n == _ROWS[0]) for n in _ROWS)


def _conclude(results: Results) -> Conclusion:
    errors = {arm: results.values(arm, "test_error") for arm in results.arms}
    gains = {n: difference(errors[f"fine-tuned, {n} rows"], errors[f"from scratch, {n} rows"]) for n in _ROWS}
    few, many = _ROWS[0], _ROWS[-1]
    helps = gains[few].sure and gains[few].mean < 0
    most = "more than" if gains[few].mean < gains[many].mean else "no more than"
    sentence = (
        f"With {few} rows of the new question a pretrained network is wrong for "
        f"{estimate(errors[f'fine-tuned, {few} rows']).text(3, 100, '%')} of the test rows and one from scratch for "
        f"{estimate(errors[f'from scratch, {few} rows']).text(3, 100, '%')} (difference {gains[few].text(2, 100)} points), "
        f"so pretraining {'helps' if helps else 'does not help beyond seed noise'}, {most} with {many} rows "
        f"({gains[many].text(2, 100)} points)."
    )
    header = ("rows", "from scratch", "fine-tuned")
    table = tuple(
        (
            str(n),
            *(estimate(errors[f"{way}, {n} rows"]).text(3, 100, "%") for way in ("from scratch", "fine-tuned")),
        )
        for n in _ROWS
    )
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    colors = {"from scratch": 0, "fine-tuned": 1}
    arms = {way: [100 * results.values(f"{way}, {n} rows", "test_error") for n in _ROWS] for way in colors}
    axes: dict[str, Any] = {"x_log": True, "x_ticks": _ROWS, "x_name": "rows", "y_name": "test error, %"}
    return {"Error by number of rows": [drawing.means("Odd or even", arms, _ROWS, colors=colors, **axes)]}


STUDY = Study(
    name="pretraining",
    title="Pretraining on a large set, fine-tuning on a small one",
    claim="A network that was pretrained on a large set needs fewer rows for a new question than one from scratch.",
    source="lecture 12, exercise 6",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading=f"Pretrained on {_LARGE} digits of ten classes; the new question is whether a digit is odd, on other rows.",
)
