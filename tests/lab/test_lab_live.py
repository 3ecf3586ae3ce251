"""Why: a training in the lab is the training of `train`, stopped and continued wherever the page wants.

In: problems of classes and values, native and reference. Out: the same bits as `train` and the estimators; snapshots that
continue exactly; frames whose figures are right; recipes there and back.
"""

import json
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("starlette", reason="starlette is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

from lab_cases import Caller, lab, rows, subject

from chainrule import NetClassifier, NetRegressor, mlp
from chainrule.data import Standardizer
from chainrule.lab.commands import Lab
from chainrule.lab.figures import blocks_of, histogram
from chainrule.lab.live import LiveTraining
from chainrule.lab.recipe import HiddenLayer, LabRecipe
from chainrule.lab.room import MOST_TRAININGS, Mailbox, Room
from chainrule.lab.runs import RunRequest, Runs
from chainrule.lab.wire import message, parsed
from chainrule.train import train

RECIPES = {
    "plain": {},
    "deep": {"hidden": [{"units": 7, "activation": "tanh"}, {"units": 5, "activation": "sigmoid"}]},
    "norm and dropout": {"hidden": [{"units": 7, "batch_norm": True}, {"units": 5, "dropout": 0.2}]},
    "no hidden layer": {"hidden": []},
    "momentum": {"optimizer": {"kind": "sgd_momentum", "learning_rate": 0.1, "mu": 0.8}, "alpha": 0.01, "l1": 0.001},
    "full batch": {"batch_size": "full", "seed": 3},
}


def recipe(of, **change):
    return LabRecipe.of({**of.recipe.plain(), **change})


def live(name="iris", engine="auto", **change):
    of = subject(name, engine=engine)
    return LiveTraining(of.problem_of(recipe(of, **change)))


def equal(one, other):
    """Check whether two states have the same bits."""
    vectors = (
        one.optimizer_state[name].tobytes() == other.optimizer_state[name].tobytes() for name in one.optimizer_state
    )
    return one.w.tobytes() == other.w.tobytes() and one.buffers.tobytes() == other.buffers.tobytes() and all(vectors)


@pytest.mark.parametrize("engine", ["auto", "reference"])
@pytest.mark.parametrize("name", RECIPES)
def test_steps_in_any_pieces_are_those_of_train(name, engine):
    one = live(engine=engine, **RECIPES[name])
    run = train(replace(one.problem, config=replace(one.problem.config, epochs=4)))
    left = one.steps_to(4)
    for piece in (1, 2, 3, left):
        left -= one.run(min(piece, left), measured=piece % 2 == 0)
    assert left == 0
    assert one.epoch == 4
    assert equal(one.session.state, run.state)
    kept = one.run_record()
    assert [replace(e, seconds=0.0) for e in kept.epochs] == [replace(e, seconds=0.0) for e in run.epochs]
    assert str(kept.stop) == "paused after epoch 4"


@pytest.mark.parametrize("engine", ["auto", "reference"])
@pytest.mark.parametrize("name", RECIPES)
def test_a_snapshot_continues_bit_for_bit_in_another_training(name, engine):
    one = live(engine=engine, **RECIPES[name])
    one.run(one.steps_to(2) + (0 if name == "full batch" else 1))
    data = message(*one.save())
    one.run(one.steps_to(3))
    other = live(engine=engine, **RECIPES[name])
    other.load(*parsed(data))
    assert message(*other.save()) == data
    other.run(other.steps_to(3))
    assert equal(one.session.state, other.session.state)
    assert [e.train_loss for e in one.epochs] == [e.train_loss for e in other.epochs]
    shown = [{k: v for k, v in each.frame().items() if k not in ("seconds", "layers")} for each in (one, other)]
    assert shown[0] == shown[1]


def test_a_snapshot_of_another_batch_or_optimizer_begins_at_an_epoch():
    one = live()
    one.run(one.steps_to(2) + 1)
    other = live(batch_size="full", optimizer={"kind": "sgd", "learning_rate": 0.1})
    other.load(*one.save())
    assert (other.epoch, other.step) == (3, 3)
    assert other.session.state.w.tobytes() == one.session.state.w.tobytes()


@pytest.mark.parametrize("name", ["binary", "multiclass", "regression"])
def test_rows_of_the_page_train_as_an_estimator_does(name):
    caller = Caller(Lab(Room(None)))
    classes = {"binary": 2, "multiclass": 3, "regression": 0}[name]
    header, arrays = rows(classes=classes)
    plain = {"task": name, "hidden": [{"units": 6, "activation": "tanh"}], "batch_size": 16, "seed": 5}
    plain["optimizer"] = {"kind": "adam", "learning_rate": 0.02}
    info, _ = caller.ask("open", {"recipe": plain, **header}, **arrays)
    frame = caller.stream("run", {"session": info["session"], "epochs": 3})[-1]
    X, y = arrays["X"], arrays["y"] if not classes else arrays["y"].astype(int)
    kind = NetClassifier if classes else NetRegressor
    options = {"activation": "tanh", "learning_rate_init": 0.02, "batch_size": 16, "max_iter": 3, "random_state": 5}
    model = kind((6,), n_iter_no_change=None, dtype="float32", **options).fit(X[:50], y[:50])
    session = caller.lab.room.get(info["session"])
    assert session.live.session.state.w.tobytes() == model.model_.w.tobytes()
    assert frame["loss"] == model.epochs_[-1].train_loss
    found = caller.ask("outputs", {"session": info["session"]}, X=X[50:])[1]["outputs"]
    expected = model.predict_proba(X[50:]) if classes else model.predict(X[50:])[:, None]
    assert np.allclose(found, expected[:, -1:] if name == "binary" else expected, atol=1e-6)
    assert frame["score"] == pytest.approx(
        model.epochs_[-1].train_score if classes else 1 - model.epochs_[-1].train_score ** 2 / session.live._variance[0]
    )


def test_every_figure_of_a_frame_is_a_number_or_missing():
    one = live(hidden=[{"units": 6}, {"units": 4, "activation": "tanh", "batch_norm": True, "dropout": 0.1}])
    before = one.frame()
    assert before["step"] == 0
    assert [layer["update_ratio"] for layer in before["layers"]] == [None] * 3
    one.run(5, measured=True)
    frame = one.frame()
    assert (frame["epoch"], frame["step"], frame["layers_step"]) == (5 // one.per_epoch, 5, 5)
    assert [(layer["name"], layer["kind"], layer["units"]) for layer in frame["layers"]] == [
        ("hidden 1", "relu", 6),
        ("hidden 2", "tanh", 4),
        ("output", "linear", 3),
    ]
    for layer in frame["layers"]:
        assert len(layer["histogram"]["edges"]) == 21
        assert sum(layer["histogram"]["counts"]) == min(256, len(one.problem.rows)) * layer["units"]
        assert layer["gradient_norm"] > 0
        assert 0 < layer["update_ratio"] < 1
    assert frame["layers"][0]["dead"] is not None
    assert frame["layers"][1]["saturated"] is not None
    assert frame["layers"][2]["dead"] is frame["layers"][2]["saturated"] is None
    json.dumps(frame, allow_nan=False)


def test_the_last_step_is_measured_exactly():
    one, other = live(), live()
    one.run(4)
    before = one.session.state.w
    one.run(1)
    moved = np.linalg.norm((one.session.state.w - before).astype(float)[: 4 * 8 + 8])
    other.run(5, measured=True)
    layer = other.frame()["layers"][0]
    assert layer["update_ratio"] == pytest.approx(moved / layer["weight_norm"], rel=1e-6)


def test_dead_units_are_found():
    one = live()
    state = one.session.state
    w = state.w.copy()
    w[32:36] = -100.0  # the biases of half of the units
    one.session.load(replace(state, w=w))
    one._layers_step = -1
    assert one.frame()["layers"][0]["dead"] == 0.5


@pytest.mark.parametrize("A", [np.zeros(5), np.full(5, 1e300), np.array([np.nan, 1.0]), np.array([-1e308, 1e308])])
def test_a_histogram_is_always_drawable(A):
    found = histogram(A)
    assert np.isfinite(found["edges"]).all()
    assert np.diff(found["edges"]).min() >= 0
    assert len(found["counts"]) == 20


def test_a_training_that_breaks_says_so_and_stops():
    one = live("diabetes", optimizer={"kind": "sgd", "learning_rate": 1e5})
    one.run(one.steps_to(50))
    frame = one.frame()
    assert frame["over"]
    assert not frame["finite"]
    assert one.run(5) == 0
    json.dumps(message(frame)[4:].decode("latin-1"))
    assert one.run_record().diverged


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", "plateau", "step", "exponential"])
def test_schedules_are_those_of_train(schedule):
    of = subject(schedule=schedule, max_iter=6)
    one = LiveTraining(of.problem_of(recipe(of)))
    run = train(one.problem)
    one.run(one.steps_to(3))
    other = LiveTraining(of.problem_of(recipe(of)))
    other.load(*one.save())
    other.run(other.steps_to(3))
    assert equal(other.session.state, run.state)
    assert (other.limit == 6) == (schedule != "plateau")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_the_same_there_and_back(name):
    of = subject()
    one = recipe(of, **RECIPES[name])
    assert LabRecipe.of(json.loads(json.dumps(one.plain()))) == one


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("widths", [(), (4,), (4, 3)])
def test_a_network_of_like_layers_is_that_of_mlp(norm, dropout, widths):
    of = subject()
    layers = [{"units": n, "batch_norm": norm, "dropout": dropout} for n in widths]
    net = of.problem_of(recipe(of, hidden=layers)).recipe.net
    assert net == mlp(4, widths, 3, norm="batch" if norm and widths else None, dropout=dropout)


def test_blocks_cover_all_layers():
    net = mlp(3, [4, 5], 2, norm="batch", dropout=0.1)
    found = blocks_of(net)
    assert [(b.affine, b.before, b.last, b.end) for b in found] == [(0, 1, 2, 4), (4, 5, 6, 8), (8, 8, 8, 9)]


@pytest.mark.parametrize("name", ["iris", "breast_cancer", "diabetes"])
@pytest.mark.parametrize("hidden", [[{"units": 5}], [{"units": 5, "activation": "tanh", "batch_norm": True}], []])
def test_gradients_agree_with_differences_and_rows_with_the_network(name, hidden):
    caller = Caller(lab(subject(name)))
    number = caller.opened(hidden=hidden)
    caller.stream("run", {"session": number, "epochs": 2})
    found, _ = caller.ask("check", {"session": number, "rows": 8})
    assert found["worst"] < 1e-5
    assert {(each["name"], each["parameter"]) for each in found["layers"]} >= {
        ("output", "W"),
        ("output", "b"),
        ("X", "X"),
    }
    header, arrays = caller.ask("table")
    row, _ = caller.ask("row", {"session": number, "row": 3})
    shown_row = arrays["X"][arrays["train"][3]]
    outputs = caller.ask("outputs", {"session": number}, X=shown_row[None])[1]["outputs"][0]
    few = {"X": shown_row[None, [1]], "base": shown_row}
    assert (caller.ask("outputs", {"session": number, "columns": [1]}, **few)[1]["outputs"][0] == outputs).all()
    session = caller.lab.room.get(number)
    loss = session.live.problem.recipe.loss
    target = session.subject.problem.target
    shown = loss.predict(np, np.array([row["layers"][-1]["Z"]]))
    shown = shown if target.scaling is None else target.scaling.undo(shown)
    assert np.allclose(shown[0], outputs, rtol=1e-4, atol=1e-5)
    if header["classes"]:
        assert row["target"] == arrays["y"][arrays["train"][3]]
    assert [layer["shape"][1] for layer in row["layers"]] == [
        *(layer["units"] for layer in hidden),
        len(row["layers"][-1]["Z"]),
    ]


def test_the_sample_of_a_large_table_is_small_and_says_so():
    of = subject()
    X = np.random.default_rng(0).normal(size=(30_000, 4))
    large = replace(of, train=(X, np.repeat(of.train[1][:1], 30_000)))
    header, arrays = large.table()
    assert header["sampled"]
    assert header["rows"]["train"] == 30_000
    assert header["drawn"] == len(arrays["X"]) <= 5000
    assert len(arrays["validation"]) >= 1
    assert not of.table()[0]["sampled"]
    wide = replace(of, train=(np.zeros((2000, 10_000), np.float32), np.repeat(of.train[1][:1], 2000)))
    assert len(wide.drawn()) <= 110


def test_curves_lose_no_point_to_a_slow_reader():
    box = Mailbox(lambda: None)
    for k in range(10):
        box.post({"step": k}, [[k, 0.5, None, None, None]])
    found = box.take()
    assert found["step"] == 9
    assert [point[0] for point in found["epochs"]] == list(range(10))
    assert box.take() is None
    for k in range(50_000):
        box.post({"step": k}, [[k, 0.5, None, None, None]])
    assert len(box.take()["epochs"]) <= 2000


def test_frames_carry_every_epoch_and_the_last_is_whole():
    caller = Caller()
    number = caller.opened()
    frames = caller.stream("run", {"session": number, "epochs": 60})
    assert [point[0] for frame in frames for point in frame["epochs"]] == list(range(1, 61))
    assert frames[-1]["epoch"] == 60
    assert frames[-1]["layers_step"] == frames[-1]["step"]
    quiet = caller.stream("run", {"session": number, "epochs": 2, "watched": False})
    assert len(quiet) == 1
    assert quiet[0]["epoch"] == 62


STOPPED = {
    "a stop that overtakes its run": [("stop", 3), ("run", 3)],
    "a stop of a later run": [("stop", 9), ("run", 3)],
    "a stop between the request and its thread": [("begin", None), ("stop", None)],
    "a stop of all that have begun": [("begin", None), ("begin", None), ("stop", None)],
    "the end of the training": [("end", None), ("run", 3)],
}


@pytest.mark.parametrize("kind", STOPPED)
def test_a_stop_is_never_lost(kind):
    runs = Runs()
    begun = []
    for act, number in STOPPED[kind]:
        if act in ("begin", "run"):
            begun.append(runs.begin(number))
        else:
            runs.end() if act == "end" else runs.stop(number)
    assert all(runs.stopped(number) for number in begun)
    assert runs.stopped(runs.begin()) == (kind in ("the end of the training", "a stop of a later run"))
    began = time.perf_counter()
    runs.wait(begun[-1], began + 5)
    assert time.perf_counter() - began < 4


def test_a_stop_that_arrives_before_its_run_leaves_the_next_one_alone():
    caller = Caller()
    number = caller.opened()
    caller.ask("stop", {"session": number, "run": 1})
    frames = caller.stream("run", {"session": number, "run": 1, "epochs": 100_000})
    assert [frame["step"] for frame in frames] == [0]
    assert len(frames[0]["layers"]) == 2
    assert caller.stream("run", {"session": number, "run": 2, "epochs": 3})[-1]["epoch"] == 3
    caller.ask("stop", {"session": number})
    assert caller.stream("run", {"session": number, "epochs": 1})[-1]["epoch"] == 4
    for wrong in ({"run": 0}, {"run": 1.5}, {"run": "1"}, {"pace": -1}, {"pace": 10**6}, {"pace": [1]}):
        assert caller.fault("run", {"session": number, "epochs": 1, **wrong})[0] == 400


def test_a_stop_ends_with_a_whole_frame_of_the_step_it_stopped_at():
    session = _session()
    box = Mailbox(lambda: None)
    asked = RunRequest(session.runs.begin(), 10**6)
    thread = threading.Thread(target=session.train, args=(asked, box, threading.Event()))
    thread.start()
    while session.live.step < 50:
        time.sleep(0.001)
    session.runs.stop()
    thread.join(30)
    frame = box.take()
    assert (frame["step"], frame["layers_step"]) == (session.live.step,) * 2
    w = session.live.session.state.w
    other = LiveTraining(session.live.problem)
    other.run(frame["step"] - 1)
    moved = w - other.session.state.w
    other.run(1)
    assert other.session.state.w.tobytes() == w.tobytes()
    layer = frame["layers"][0]
    assert layer["update_ratio"] * layer["weight_norm"] == pytest.approx(
        np.linalg.norm(moved[:40].astype(float)), rel=1e-5
    )


def _session():
    caller = Caller()
    return caller.lab.room.get(caller.opened())


def test_an_epoch_takes_its_pace_and_a_stop_does_not_wait_for_it():
    session = _session()
    box = Mailbox(lambda: None)
    began = time.perf_counter()
    session.train(RunRequest(session.runs.begin(), session.live.steps_to(5), pace=0.05), box, threading.Event())
    assert time.perf_counter() - began >= 4 * 0.05
    assert box.take()["epoch"] == 5
    asked = RunRequest(session.runs.begin(), session.live.steps_to(5), pace=60)
    thread = threading.Thread(target=session.train, args=(asked, box, threading.Event()))
    thread.start()
    while session.live.epoch < 6:
        time.sleep(0.001)
    session.runs.stop()
    thread.join(30)
    assert not thread.is_alive()
    assert session.live.epoch < 8


def test_a_frame_that_replaces_another_keeps_its_layers():
    box = Mailbox(lambda: None)
    box.post({"step": 1, "layers": ["old"], "layers_step": 1}, [])
    box.post({"step": 2}, [[1, 0.5, None, None, None]])
    assert box.take() == {"step": 2, "layers": ["old"], "layers_step": 1, "epochs": [[1, 0.5, None, None, None]]}
    box.post({"step": 3}, [])
    assert box.take() == {"step": 3, "epochs": []}


def test_a_remedy_branches_from_here_or_from_the_start():
    caller = Caller(lab(subject(learning_rate_init=1e-4)))
    number = caller.opened()
    caller.stream("run", {"session": number, "epochs": 3})
    here, _ = caller.ask("apply", {"session": number, "remedy": "rate*10"})
    assert here["recipe"]["optimizer"]["learning_rate"] == pytest.approx(1e-3)
    assert caller.ask("frame", {"session": here["session"]})[0]["epoch"] == 3
    start, _ = caller.ask("apply", {"session": number, "remedy": "rate*10", "from": "start"})
    assert caller.ask("frame", {"session": start["session"]})[0]["epoch"] == 0
    wide, _ = caller.ask("apply", {"session": number, "remedy": "larger-network"})
    assert caller.ask("frame", {"session": wide["session"]})[0]["epoch"] == 0
    assert wide["recipe"]["hidden"][0]["units"] == 32
    normed, _ = caller.ask("apply", {"session": number, "remedy": "batch-norm"})
    assert normed["recipe"]["hidden"][0]["batch_norm"]
    assert caller.ask("frame", {"session": number})[0]["epoch"] == 3
    for wrong in ("no-such", "no-dropout", 5, None):
        assert caller.fault("apply", {"session": number, "remedy": wrong})[0] == 400


def test_trials_are_seen_while_they_run():
    caller = Caller(lab(subject(learning_rate_init=1e-5)))
    number = caller.opened()
    assert caller.stream("examine", {"session": number})[-1]["error"].startswith(
        "lab: a training must have one whole epoch"
    )
    caller.stream("run", {"session": number, "epochs": 5})
    events = caller.stream("examine", {"session": number, "seconds": 20})
    points = [event for event in events if event["event"] == "point"]
    report = events[-1]
    assert report["verdict"] == "ill"
    assert {point["remedy"] for point in points} >= {"rate*10"}
    assert all(point["epoch"] >= 1 for point in points)
    first = report["findings"][0]
    assert first["lines"]["Measured"]
    assert any(trial["helped"] for trial in first["trials"])


def test_too_many_trainings_make_room():
    caller = Caller()
    first = caller.opened()
    for _ in range(MOST_TRAININGS):
        last = caller.opened()
    assert len(caller.lab.room.sessions) == MOST_TRAININGS
    assert caller.fault("frame", {"session": first}) == (404, "lab: this training must be open. Reload the page.")
    assert caller.ask("frame", {"session": last})[0]["step"] == 0


def test_another_seed_splits_the_table_anew():
    made = []

    def reseed(seed):
        made.append(seed)
        return subject(seed=seed)

    caller = Caller(lab(replace(subject(), reseed=reseed)))
    for seed in (0, 4, 4, 0):
        caller.opened(seed=seed)
    assert made == [4]


def test_a_standardizer_of_the_rows_is_pythons():
    header, arrays = rows(classes=0)
    caller = Caller(Lab(Room(None)))
    info, _ = caller.ask("open", {"recipe": {"task": "regression", "hidden": []}, **header}, **arrays)
    inputs = caller.lab.room.get(info["session"]).live.problem.inputs
    assert inputs.mean.tolist() == Standardizer.fit(arrays["X"][:50], hold_constant=True).mean.tolist()


def test_hidden_layers_are_read_with_their_defaults():
    found = LabRecipe.of({"task": "binary", "hidden": [{"units": 3}]})
    assert found.hidden == (HiddenLayer(3),)
    assert found.plain()["optimizer"]["kind"] == "adam"


def test_outputs_do_not_hold_the_training_up(monkeypatch):
    caller = Caller(lab(subject()))
    number = caller.opened()
    session = caller.lab.room.get(number)
    free = []
    answered = LiveTraining.outputs

    def outputs(self, X, state):
        free.append(not session.turn._lock.locked())
        session.live.run(3)
        return answered(self, X, state)

    monkeypatch.setattr(LiveTraining, "outputs", outputs)
    X = caller.ask("table")[1]["X"][:5]
    before = answered(session.live, X, session.live.session.state)
    found = caller.ask("outputs", {"session": number}, X=X)[1]["outputs"]
    assert free == [True]
    assert (found == before).all()
    assert not (answered(session.live, X, session.live.session.state) == before).all()
