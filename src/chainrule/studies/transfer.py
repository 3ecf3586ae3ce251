"""Do features learned on some classes help with few rows of other classes?

In: rows of one seed. Out: test error on the second half of the classes, by number of rows and kind of start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.nn.multilayer import mlp
from chainrule.nn.net import Net
from chainrule.nn.step import State
from chainrule.studies import drawing
from chainrule.studies.common import Split, Subset, first_state, quick_or_full, rows, trained
from chainrule.studies.statistics import Criterion, below, difference, estimate, paired
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_ROWS = (20, 50, 100, 300)


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {f"{way}, {n} rows": {"way": way, "rows": n} for way in ("scratch", "fine-tuned", "frozen") for n in _ROWS}


def _half(split: Split, classes: Array) -> Split:
    return split.each(lambda part: part.of_classes(classes), len(classes))


def inherit(net: Net, seed: int, source: Net, state: State) -> State:
    """Return the initial state of a network, its body taken from the source network."""
    fresh = first_state(net, seed)
    w = fresh.w.copy()
    given = source.parameters.views(state.w)
    last = f"{len(net.layers) - 1}."
    for name, view in net.parameters.views(w).items():
        if not name.startswith(last):
            view[...] = given[name]
    memory = {letter: np.zeros_like(w) for letter in ("m", "v")}
    return State(w, fresh.buffers, memory, 0)


def _run(cell: Cell) -> dict[str, Any]:
    split = rows(cell.config, cell.seed)
    way = cell.options["way"]
    classes = np.random.default_rng(cell.seed).permutation(split.classes)
    first, second = (np.sort(part) for part in np.array_split(classes, 2))
    lender, small = _half(split, first), _half(split, second)
    n = min(cell.options["rows"], len(small.train.y))
    small = Split(balanced(small.train, n), small.validation, small.test, small.classes, split.image_shape)
    net = mlp(split.inputs, (128, 64), len(second))
    start, learning_rate_multipliers = None, None
    if way != "scratch":
        body = mlp(split.inputs, (128, 64), len(first))
        learned = trained(lender, body, seed=cell.seed, epochs=quick_or_full(cell.config, 15, 10))[1]
        assert learned is not None
        start = inherit(net, cell.seed, body, learned)
        learning_rate_multipliers = (
            {f"{i}.*": 0.0 for i, layer in enumerate(net.layers[:-1]) if net.layer_shapes[i].parameters}
            if way == "frozen"
            else None
        )
    record, _ = trained(
        small,
        net,
        seed=cell.seed,
        epochs=60,
        batch_size=10,
        start=start,
        learning_rate_multipliers=learning_rate_multipliers,
    )
    return {"rows": n, "test_error": record["test_error"], "validation_error": record["validation_error"]}


def balanced(part: Subset, n: int) -> Subset:
    """Return n rows, as balanced between the classes as possible."""
    places = np.zeros(len(part.y), dtype=int)
    for k in np.unique(part.y):
        places[part.y == k] = np.arange((part.y == k).sum())
    i = np.sort(np.argsort(places, kind="stable")[:n])
    return Subset(part.X[i], part.y[i])


def _criteria(results: Results) -> tuple[Criterion, ...]:
    def gain(n: int) -> Array:
        return paired(*(results.values(f"{way}, {n} rows", "test_error") for way in ("fine-tuned", "scratch")))

    figure = "test error, fine-tuned minus from scratch"
    return (
        below("100 rows", figure, gain(100), unit="points"),
        below("300 rows", figure, gain(300), unit="points", shown=False),
    )


def _conclude(results: Results) -> Conclusion:
    gains = {
        n: difference(
            results.values(f"fine-tuned, {n} rows", "test_error"), results.values(f"scratch, {n} rows", "test_error")
        )
        for n in _ROWS
    }
    frozen = difference(
        results.values("frozen, 100 rows", "test_error"), results.values("scratch, 100 rows", "test_error")
    )
    few, hundred = gains[_ROWS[0]], gains[100]
    helps = "helps" if hundred.sure and hundred.mean < 0 else "does not help beyond seed noise"
    more = "more" if few.mean < gains[_ROWS[-1]].mean else "no more"
    scratch = estimate(results.values("scratch, 100 rows", "test_error")).mean
    last = gains[_ROWS[-1]]
    sentence = (
        f"With 100 rows of the new classes fine-tuning {helps}: test error {100 * (scratch + hundred.mean):.3g} % against "
        f"{100 * scratch:.3g} % from scratch (difference {hundred.text(2, 100)} points). It helps {more} with "
        f"{_ROWS[0]} rows ({few.text(2, 100)}) than with {_ROWS[-1]} ({last.text(2, 100)}). A frozen body changes the error "
        f"with 100 rows by {frozen.text(2, 100)} points."
    )
    header = ("rows", "from scratch", "fine-tuned", "frozen body")
    table = tuple(
        (
            str(n),
            *(
                estimate(results.values(f"{way}, {n} rows", "test_error")).text(3, 100, "%")
                for way in ("scratch", "fine-tuned", "frozen")
            ),
        )
        for n in _ROWS
    )
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    arms = {
        way: 100 * np.array([results.values(f"{way}, {n} rows", "test_error") for n in _ROWS]).T
        for way in ("scratch", "fine-tuned", "frozen")
    }
    axes: dict[str, Any] = {
        "x_log": True,
        "x_ticks": _ROWS,
        "x_name": "rows of the new classes",
        "y_name": "test error, %",
    }
    return {"Error by number of rows": [drawing.curves("Test error on the new classes", arms, np.array(_ROWS), **axes)]}


STUDY = Study(
    name="transfer",
    title="Transfer: from one half of the classes to the other",
    claim="A network that starts from features learned on other classes needs fewer rows than one from scratch.",
    source="lecture 12, exercise 6",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="Which classes are the source and which are new is drawn anew with every seed.",
)
