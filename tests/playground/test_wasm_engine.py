"""Why: figures of the page must be those of the desktop. In: drawn problems, the engine built for a page, run by node.

Out: weights, losses and logits with the bits of the native engine for SSE4, which has the same vectors; exact resuming;
gradients that agree with central differences; one sentence for each fault.
"""

import base64
import copy
import gzip
import hashlib
import math
import os
import platform
import re

import numpy as np
import pytest
from playground.wasm_cases import ENGINE, answers, builder, drawn_case, numbers, problem_of, why_no_engine

from chainrule import NetClassifier, NetRegressor
from chainrule.engines.native import NativeEngine, extension
from chainrule.nn.layers import Context
from chainrule.nn.losses import mean_loss
from chainrule.random import Purpose, Stream

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_no_engine()), reason=why_no_engine() or "present"),
]
on_x86 = pytest.mark.skipif(
    extension() is None or platform.machine() not in ("x86_64", "AMD64"),
    reason="the same bits are promised beside the native engine for SSE4 only",
)
EPOCHS = 3


def trained(monkeypatch, case, epochs):
    """Train a case by the native engine for SSE4; return the session and the sums of each epoch."""
    monkeypatch.setenv("CHAINRULE_ISA", "v2")
    recipe, rows, _ = problem_of(case)
    session = NativeEngine(1).compile(recipe, rows)
    assert session.isa == "v2"
    first = session.state.w.copy()
    rates = np.full(len(recipe.batches(len(rows))), case["recipe"]["optimizer"]["learning_rate"])
    sums = [session.run(epoch, 0, rates) for epoch in range(epochs)]
    return recipe, rows, session, first, sums


def close(a, b, ulps=4):
    """Check whether two numbers are equal up to some units in the last place of float32."""
    return abs(a - b) <= ulps * np.spacing(np.float32(max(abs(a), abs(b))))


@on_x86
def test_200_trainings_have_the_bits_of_the_native_engine(monkeypatch, wasm):
    cases = [{**drawn_case(seed), "epochs": EPOCHS} for seed in range(200)]
    different = []
    for i, (case, found) in enumerate(zip(cases, answers("train", cases, wasm), strict=True)):
        recipe, rows, session, first, sums = trained(monkeypatch, case, EPOCHS)
        state = session.state
        vectors = [state.optimizer_state[name] for name in recipe.state_names]
        assert found["info"]["parameters"] == recipe.net.size
        assert found["state"]["step"] == state.step
        assert numbers(found["order"], "uint32").tolist() == _order(recipe, len(rows))
        same = {
            "first": found["first"] == _text(first),
            "w": found["state"]["w"] == _text(state.w),
            "buffers": found["state"]["buffers"] == _text(state.buffers),
            "moments": found["state"]["moments"] == [_text(vector) for vector in vectors],
            "Z": found["Z"] == _text(session.logits(rows.X)),
        }
        different += [(i, name) for name, equal in same.items() if not equal]
        for ours, theirs, frame in zip(sums, found["sums"], found["frames"][1:], strict=True):
            for name in ("loss", "score"):
                if math.isfinite(getattr(ours, name)):
                    assert close(theirs[name], getattr(ours, name)), (i, name)
                else:
                    assert theirs[name] is None  # as JSON has it
            assert frame["finite"] == (math.isfinite(ours.loss) and math.isfinite(ours.norm))
            if frame["finite"]:
                assert close(frame["loss"], ours.mean_loss)
    assert different == []


def _order(recipe, n):
    return Stream.from_seed(recipe.seed).fold(Purpose.SHUFFLE, 1).permutation(np, n).tolist()


def _text(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


@on_x86
def test_float64_differs_by_the_libraries_logarithms_alone(monkeypatch, wasm):
    cases = [{**drawn_case(seed, "float64"), "epochs": 1} for seed in range(300, 330)]
    for case, found in zip(cases, answers("train", cases, wasm), strict=True):
        _, _, session, first, _ = trained(monkeypatch, case, 1)
        np.testing.assert_array_max_ulp(numbers(found["first"], "float64"), first, 4)
        w = numbers(found["state"]["w"], "float64")
        np.testing.assert_allclose(w, session.state.w, rtol=1e-6, atol=1e-9)


@on_x86
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_an_estimator_fits_the_same_network(monkeypatch, wasm, task):
    monkeypatch.setenv("CHAINRULE_ISA", "v2")
    case = next(c for c in map(drawn_case, range(1000)) if c["recipe"]["task"] == task)
    case["data"]["train"] += case["data"]["validation"]
    case["data"]["validation"] = []
    hidden = [{"units": 12, "activation": "relu"}, {"units": 7, "activation": "relu"}]
    case["recipe"] = {"task": task, "hidden": hidden, "optimizer": {"kind": "adam", "learning_rate": 0.01}, "seed": 5}
    case["epochs"] = 4
    found = answers("train", [case], wasm)[0]
    data = case["data"]
    X = np.array(data["X"]).reshape(-1, len(data["columns"]))[data["train"]]
    y = np.array(data["y"])[data["train"]]
    kind = NetRegressor if task == "regression" else NetClassifier
    net = kind((12, 7), learning_rate_init=0.01, max_iter=4, dtype="float32", random_state=5, n_iter_no_change=None)
    net.fit(X, y if task == "regression" else y.astype(int))
    assert found["state"]["w"] == _text(net.model_.w)
    assert [frame["loss"] for frame in found["frames"][1:]] == pytest.approx(
        [e.train_loss for e in net.epochs_], rel=1e-6
    )


def test_the_engine_has_the_names_of_python(wasm):
    module = extension()
    for name, values in answers("names", None, wasm).items():
        struct = getattr(module, name) if module else None
        if struct is None:
            continue
        if name in ("FusedStage", "Phase", "TrainingSettings"):
            fields = {field for field, member in vars(struct).items() if isinstance(member, property)}
            assert fields - {"groups", "head_sizes", "quantile_levels"} == set(values)
        else:
            assert [getattr(struct, value).value for value in values] == list(range(len(values)))
            assert len(list(struct)) == len(values)


def test_a_snapshot_goes_on_bit_for_bit_and_branches(wasm):
    cases = []
    for seed in range(400, 430):
        case = {**drawn_case(seed), "steps": 7 + seed % 5, "more": 9}
        case["other"] = {"alpha": 0.01, "optimizer": {"kind": "adam", "learning_rate": 0.02}}
        cases.append(case)
    for found in answers("resume", cases, wasm):
        assert found["loaded"] == found["before"]
        assert found["again"] == found["frame"]
        assert found["states"][0] == found["states"][1]
        if found["frame"]["finite"] and found["branched"]["finite"]:  # a run ends with the epoch in which it broke
            assert found["branched"]["step"] == found["frame"]["step"]
        assert found["branched"]["learning_rate"] == 0.02


SMOOTH = {"relu": "tanh", "leaky_relu": "gelu", "exp": "sigmoid"}


def smooth(case):
    """Return the case with usual weights and activations without kinks, whose gradient differences can find."""
    case = copy.deepcopy(case)
    for layer in case["recipe"]["hidden"]:
        layer["activation"] = SMOOTH.get(layer["activation"], layer["activation"])
    case["recipe"]["optimizer"] = {"kind": "adam", "learning_rate": 0.003}
    case["recipe"]["init"] = "auto"  # tiny weights make batch norm too steep for differences
    return case


def test_the_inside_of_a_network_is_that_of_the_mathematics(wasm):
    cases = [{**smooth(drawn_case(seed)), "epochs": 2, "row": seed % 17} for seed in range(500, 540)]
    for case, found in zip(cases, answers("look", cases, wasm), strict=True):
        recipe, _, _ = problem_of(case)
        data, net = case["data"], recipe.net
        w, buffers = (numbers(found[name], "float32").astype(float) for name in ("w", "buffers"))
        assert found["few"][0] == found["few"][1]
        assert found["check"]["worst"] < 1e-6, found["check"]
        assert len(found["check"]["layers"]) == len(net.parameters.slots)
        row = found["row"]
        one = {**case, "data": {**data, "validation": [row["index"]]}}
        _, _, held = problem_of({**one, "recipe": {**one["recipe"], "dtype": "float64"}})
        traces = net.trace(w, buffers, held.X, lambda Z: mean_loss(recipe.loss, np, Z, held.Y, held.c)[1], Context(np))  # noqa: B023
        loss = mean_loss(recipe.loss, np, traces[-1].output, held.Y, held.c)[0]
        assert row["loss"] == pytest.approx(float(loss), rel=1e-6, abs=1e-9)
        assert row["x"] == pytest.approx(held.X[0].tolist())
        Z = traces[-1].output[0]
        assert row["layers"][-1]["Z"] == pytest.approx(Z.tolist(), rel=1e-6, abs=1e-8)
        active = [i for i, layer in enumerate(net.layers) if type(layer).__name__ == "Activation"]
        for i, layer in zip(active, row["layers"][:-1], strict=True):
            assert layer["A"] == pytest.approx(traces[i].output[0].tolist(), rel=1e-6, abs=1e-8)
            assert layer["dZ"] == pytest.approx(traces[i - 1].gradient[0].tolist(), rel=1e-5, abs=1e-8)
        answer = recipe.loss.predict(np, Z[None])[0] if data["classes"] else None
        if answer is not None:
            k = len(row["layers"][-1]["Z"])
            shown = found["outputs"][row["index"] * k : row["index"] * k + k]
            assert shown == pytest.approx(np.ravel(answer).tolist(), rel=1e-3, abs=1e-4)
        figures = found["frame"]["layers"]
        assert [figure["name"] for figure in figures] == [layer["name"] for layer in row["layers"]]
        assert all(sum(figure["histogram"]["counts"]) > 0 and (figure["update_ratio"] or 0) >= 0 for figure in figures)


def test_each_fault_is_one_sentence(wasm):
    good = drawn_case(1)
    faults = {
        "recipe.hidden[0].units must be a whole number from 1 to 1048576, got 0.": {"hidden": [{"units": 0}]},
        "recipe.hidden[0].activation must be one of": {"hidden": [{"units": 3, "activation": "softmax"}]},
        "recipe.hidden[0].dropout must be a number from 0 and below 1, got 1.": {
            "hidden": [{"units": 3, "dropout": 1}]
        },
        "A field of recipe.hidden[0] must be one of": {"hidden": [{"units": 3, "width": 1}]},
        "recipe.optimizer.kind must be one of": {"optimizer": {"kind": "lion"}},
        "learning_rate must be a number above 0, got 0.": {"optimizer": {"kind": "sgd", "learning_rate": 0}},
        "recipe.batch_size must be at most the number of training rows": {"batch_size": 10**6},
        "recipe.seed must be a whole number from 0": {"seed": -1},
        "recipe.init must be one of": {"init": "orthogonal"},
        "The number of parameters must be at most": {"hidden": [{"units": 2**20}] * 2},
        "recipe.task must be one of": {"task": "ranking"},
        "recipe.batch_size must be at least 2 with batch norm": {
            "batch_size": 1,
            "hidden": [{"units": 3, "batch_norm": True}],
        },
    }
    cases = [{**good, "recipe": {**good["recipe"], **fault}} for fault in faults.values()]
    for sentence, found in zip(faults, answers("refuse", cases), strict=True):
        assert re.fullmatch(r"Error: [^\n]+\.", found), found
        assert sentence in found


def test_faults_of_rows_and_calls_are_sentences_too(wasm):
    good = drawn_case(1)
    data = good["data"]
    broken = {
        "data.X in row 0, column x0, must be a finite number, got NaN.": {"X": ["NaN", *data["X"][1:]]},
        "data.X must be": {"X": data["X"][1:]},
        "data.train[0] must be the number of a row": {"train": [10**6]},
        "data.train must be at least one row": {"train": []},
    }
    cases = [{**good, "data": {**data, **fault}} for fault in broken.values()]
    calls = {
        "steps must be a whole number": ["run", {"steps": 0}],
        "epochs must be a whole number": ["run", {"epochs": 0.5}],
        "row must be a whole number": ["row", 10**6],
        "X must be": ["outputs", [1.0], 3],
        "The snapshot is not one of this trainer's.": ["load", {"state": {}}],
    }
    cases += [{**good, "calls": [call]} for call in calls.values()]
    cases += [{**good, "calls": [["close"], ["frame"]]}]
    found = answers("refuse", cases, wasm)
    for sentence, said in zip([*broken, *calls, "Open a problem first."], found, strict=True):
        assert re.fullmatch(r"Error: [^\n]+\.", str(said)), (sentence, said)
        assert sentence in said


def test_a_diverged_training_is_reported_and_none_of_its_figures_fails(wasm):
    case = drawn_case(3)
    hidden = [{"units": 5, "activation": "identity"}] * 3
    case["recipe"] |= {"optimizer": {"kind": "sgd", "learning_rate": 1e9}, "hidden": hidden}
    case["epochs"] = 5
    found = answers("train", [case], wasm)[0]
    assert found["frames"][-1]["finite"] is False


def test_the_engine_is_small_and_asks_little_of_the_page(wasm):
    content = wasm.read_bytes()
    assert len(content) < 310_000
    assert len(gzip.compress(content, 9)) < 100_000


@pytest.mark.skipif("CHAINRULE_WASM" in os.environ, reason="an engine that was built before is tested")
def test_two_builds_give_the_same_bytes(wasm, tmp_path):
    again = builder().build(tmp_path / "elsewhere")
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(wasm.read_bytes()).digest()


def test_the_page_s_engine_imports_nothing_from_elsewhere():
    for script in ENGINE.glob("*.js"):
        for source in re.findall(r'^(?:import|export)[^"]*from "([^"]+)"', script.read_text(), flags=re.MULTILINE):
            assert source.startswith("./"), (script.name, source)
        assert "http" not in script.read_text()
