"""Why: a paper's study must be free to contradict the paper: its sentence and verdict come from records, whatever they say.

In: recorded results on MNIST, and the same with figures turned round; small networks. Out: sentences, verdicts, figures.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from chainrule.nn.layers import Context, Dense
from chainrule.nn.losses import SoftmaxCrossEntropy, mean_loss
from chainrule.nn.multilayer import mlp
from chainrule.nn.optimizers import SGD, Adam
from chainrule.nn.step import Recipe
from chainrule.random import Stream
from chainrule.studies import PAPERS, STUDIES, Results, StudyConfig, run
from chainrule.studies.common import Subset, error
from chainrule.studies.papers import glorot2010, he2015, ioffe2015
from chainrule.studies.papers.common import best_rate, followed, images
from chainrule.studies.presenting import plain, write
from chainrule.train import TrainConfig, fit

RECORDED = json.loads((Path(__file__).parents[1] / "records" / "papers.json").read_text())
Change = Callable[[Results], Results]


def recorded(name: str) -> Results:
    return Results({arm: {int(s): r for s, r in by.items()} for arm, by in RECORDED[name].items()})


def swapped(a: str, b: str) -> Change:
    """The results with the records of two arms exchanged."""
    return lambda results: Results({arm: results.records[{a: b, b: a}.get(arm, arm)] for arm in results.arms})


def given(value: object, figure: str, *arms: str) -> Change:
    """The results with a figure of these arms (of all, if none are named) set to a value, for every seed."""

    def change(results: Results) -> Results:
        return Results(
            {
                arm: {s: {**r, figure: value} if not arms or arm in arms else r for s, r in by_seed.items()}
                for arm, by_seed in results.records.items()
            }
        )

    return change


def each(*changes: Change) -> Change:
    """One change after another."""

    def change(results: Results) -> Results:
        for one in changes:
            results = one(results)
        return results

    return change


SUPPORTING: Mapping[str, Change] = {
    "glorot2010": each(
        given([0.5, 0.45, 0.4, 0.4, 0.4], "activations", "normalized"),
        given([0.5, 0.2, 0.1, 0.05, 0.03], "activations", "customary"),
        given([0.2, 0.2, 0.2, 0.25, 0.25], "gradients", "normalized"),
        given([0.01, 0.02, 0.05, 0.1, 0.2], "gradients", "customary"),
    ),
    "ioffe2015": each(
        given([0.05, 0.03, 0.03, 0.02], "test_errors", "batch norm"),
        given([0.5, 0.1, 0.05, 0.03], "test_errors", "without"),
        given(0.02, "test_error", "batch norm"),
        given(0.03, "test_error", "without"),
        given([100, 200, 300, 400], "steps"),
    ),
    "srivastava2014": each(
        given(0.016, "test_error", "no dropout"),
        given(0.0125, "test_error", "dropout"),
        given(0.0106, "test_error", "dropout, max-norm"),
    ),
    "kingma2015": each(
        given([0.5, 0.2], "train_loss"),
        given([0.4, 0.1], "train_loss", "Adam"),
    ),
    "he2015": each(
        given([1.0, 0.1], "train_loss"),
        given([2.0, 0.1], "train_loss", "Xavier, 22 layers"),
        given([2.3, 2.3], "train_loss", "Xavier, 30 layers"),
    ),
    "accurate": each(
        given(0.012, "validation_error", "three layers"),
        given(0.011, "validation_error", "two layers"),
        given(0.012, "test_error"),
        given(0.010, "test_error", "two layers, every row"),
    ),
}
"""What figures like the papers' own would be."""

CONTRARY: Mapping[str, Change] = {
    "glorot2010": swapped("normalized", "customary"),
    "ioffe2015": swapped("batch norm", "without"),
    "srivastava2014": swapped("no dropout", "dropout"),
    "kingma2015": swapped("Adam", "AdaGrad"),
    "he2015": swapped("He, 30 layers", "Xavier, 30 layers"),
    "accurate": given(0.009, "validation_error", "three layers"),
}


def test_papers_are_no_part_of_the_lectures_studies() -> None:
    assert not set(PAPERS) & set(STUDIES)
    assert set(PAPERS) == set(RECORDED) == set(CONTRARY)


@pytest.mark.parametrize("name", PAPERS)
def test_records_make_a_sentence_a_table_and_a_page(name: str, tmp_path: Path) -> None:
    study, results = PAPERS[name], recorded(name)
    found = study.conclude(results)
    assert found.sentence.endswith(".")
    assert all(len(row) == len(found.header) for row in found.rows)
    assert list(results.arms) == list(study.arms(StudyConfig("mnist")))
    page = write([study], {name: results}, StudyConfig("mnist"), tmp_path).read_text()
    assert found.sentence.split(" ")[0] in page
    assert not re.search(r"""(src|href)=["']http""", page)
    json.dumps(plain(study, results))


@pytest.mark.parametrize("name", PAPERS)
def test_figures_as_in_the_paper_hold_and_contrary_ones_do_not(name: str) -> None:
    study, like = PAPERS[name], SUPPORTING[name](recorded(name))
    found, contrary = study.conclude(like), study.conclude(CONTRARY[name](like))
    assert found.holds
    assert not contrary.holds
    assert found.sentence != contrary.sentence


def test_the_validation_rows_choose_and_not_the_test_rows() -> None:
    like = SUPPORTING["accurate"](recorded("accurate"))
    tempting = given(0.005, "test_error", "three layers", "three layers, every row")(like)
    assert PAPERS["accurate"].conclude(tempting).sentence == PAPERS["accurate"].conclude(like).sentence


def test_an_accurate_network_that_takes_too_long_does_not_hold() -> None:
    like = SUPPORTING["accurate"](recorded("accurate"))
    slow = PAPERS["accurate"].conclude(given(1201.0, "cpu_seconds", "two layers, every row")(like))
    assert not slow.holds
    assert "reaches the goal of 1.1 %" in slow.sentence
    assert "beyond the 1200" in slow.sentence


def test_the_choice_then_learns_from_every_row() -> None:
    arms = PAPERS["accurate"].arms(StudyConfig("mnist"))
    for name, options in arms.items():
        if not name.endswith(", every row"):
            assert round(60000 * options["held_out"]) == 10000
            assert arms[f"{name}, every row"] == {**options, "held_out": 0.0}


def test_max_norm_that_does_nothing_is_said_to_do_nothing() -> None:
    like = SUPPORTING["srivastava2014"](recorded("srivastava2014"))
    same = given(0.0125, "test_error", "dropout, max-norm")(like)
    assert "does not change" in PAPERS["srivastava2014"].conclude(same).sentence


def test_accuracy_is_reached_at_a_step_or_never() -> None:
    results = Results({"a": {0: {"test_errors": [0.5, 0.1, 0.2], "steps": [10, 20, 30]}}})
    assert ioffe2015.reached(results, "a", 0.85) == 20
    assert ioffe2015.reached(results, "a", 0.95) == math.inf


@pytest.mark.parametrize(("losses", "epoch"), [([2.3, 1.1, 0.3], 2), ([2.3, 2.3, 1.2], math.inf)])
def test_half_the_loss_of_guessing_is_learning(losses: list[float], epoch: float) -> None:
    results = Results({"a": {0: {"train_loss": losses, "classes": 10}}})
    assert he2015.awake(results, "a") == epoch


def test_the_customary_rule_keeps_a_third_of_the_variance() -> None:
    n = 400
    W = glorot2010.Customary().draw(Stream.from_seed(0), n, n)
    assert np.abs(W).max() <= 1 / math.sqrt(n)
    # 160,000 draws: the variance has a relative standard error of sqrt(0.8 / 160,000), 0.22 %.
    assert W.var() * n == pytest.approx(1 / 3, rel=0.01)


def test_singular_values_of_a_layer_at_rest_are_those_of_a_random_matrix() -> None:
    """Of an n x n matrix with variance 1/n the mean singular value tends to 8 / 3π (the quarter-circle law)."""
    part = Subset(np.zeros((4, 300)), np.zeros(4, np.int64))
    for name, scale in (("normalized", 1.0), ("customary", 1 / math.sqrt(3))):
        net = glorot2010.network(glorot2010._RULES[name], 300, 300, 10)
        found = glorot2010.signals(net, part, seed=0)["singular"]
        assert len(found) == 4
        # Edge effects are of the order of 1/n.
        assert found == pytest.approx([scale * 8 / (3 * math.pi)] * 4, rel=0.02)


def test_gradients_by_layer_are_those_of_the_biases_of_one_row(rng: np.random.Generator) -> None:
    """With one row, dJ/dZ of a layer is dJ/db of its Dense layer, which the network's own backward pass gives."""
    part = Subset(rng.normal(size=(1, 12)), np.array([3]))
    net = glorot2010.network(glorot2010._RULES["normalized"], 12, 8, 5)
    found = glorot2010.signals(net, part, seed=1)["gradients"]
    w, buffers = net.init(1)
    ctx = Context(np, training=True)
    Z, tape, _ = net.forward(w, buffers, part.X, ctx)
    dZ = mean_loss(SoftmaxCrossEntropy(), np, Z, part.y, np.ones(1))[1]
    g = net.parameters.views(net.backward(w, tape, dZ, ctx)[1])
    dense = [i for i, layer in enumerate(net.layers) if isinstance(layer, Dense)]
    # Both round to six digits.
    assert found == pytest.approx([float(np.std(g[f"{i}.b"])) for i in dense[:-1]], rel=1e-5)


def test_pixels_are_divided_and_nothing_is_lost() -> None:
    whole, held = images(StudyConfig(), 0), images(StudyConfig(), 0, 0.25)
    assert len(whole.validation.y) == 0
    assert len(held.train.y) + len(held.validation.y) == len(whole.train.y)
    assert np.array_equal(np.unique(whole.train.X * 16), np.arange(17))
    assert held.classes == 10


def test_followed_gives_the_errors_of_the_network_that_fit_trains() -> None:
    split = images(StudyConfig(), 0, 0.25)
    net = mlp(split.inputs, (16,), split.classes, dropout=0.2)
    recipe = Recipe(net, SoftmaxCrossEntropy(), Adam(), batch_size=32, seed=3)
    record = followed(split, recipe, TrainConfig(3, 0.01))
    part = split.train
    for epoch in fit(net, part.X, part.y, loss=SoftmaxCrossEntropy(), learning_rate=0.01, epochs=3, seed=3):
        state = epoch.state()
    # Float32 logits of two ways to run the network may differ in the last digit: at most one row changes its class.
    assert record["test_error"] == pytest.approx(error(net, state, split.test), abs=1.01 / len(split.test.y))
    assert record["validation_error"] == pytest.approx(
        error(net, state, split.validation), abs=1.01 / len(split.validation.y)
    )
    assert record["train_loss"][-1] == pytest.approx(epoch.train_loss, rel=1e-5)
    steps = math.ceil(len(part.y) / 32)
    assert record["steps"] == [steps, 2 * steps, 3 * steps]


def test_a_run_that_diverges_errs_everywhere_and_its_rate_is_not_taken() -> None:
    split = images(StudyConfig(), 0)
    recipe = Recipe(mlp(split.inputs, (16,), split.classes), SoftmaxCrossEntropy(), SGD())
    record = followed(split, recipe, TrainConfig(3, 1e30))
    assert record["diverged"]
    assert record["test_error"] == 1.0
    assert "validation_error" not in record
    assert best_rate(split, recipe, (1e-6, 0.1, 1e30), 500) == 0.1


def test_a_paper_runs_as_any_study(tmp_path: Path) -> None:
    results = run([PAPERS["ioffe2015"]], StudyConfig(seeds=1, quick=True), tmp_path, workers=1)["ioffe2015"]
    steps = results.values("without", "steps")[0]
    assert steps[-1] == pytest.approx(5000, abs=steps[0] / 2)
    found = PAPERS["ioffe2015"].conclude(results)
    assert results.values("batch norm", "test_error")[0] < 0.1
    assert f"Of {steps[-1]:.0f} steps" in found.sentence
