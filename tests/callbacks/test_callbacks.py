"""Why: what plugs into a run must see every epoch once, close what it opens, and stop the run only when it says so.

In: short runs. Out: files, calls and records held against the run's own epochs.
"""

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from chainrule import Dense, Net, NetClassifier, NetRegressor
from chainrule.callbacks import MLflowLogger, TensorBoardLogger, function
from chainrule.callbacks.optional import optional
from chainrule.callbacks.scikit_learn import ScikitLearnCallbacks
from chainrule.callbacks.tensorboard import scalars
from chainrule.engines import Rows
from chainrule.errors import InvalidValueError, MissingError
from chainrule.nn.losses import MeanSquaredError
from chainrule.nn.step import Recipe
from chainrule.train import Monitor, Stop, StopReason, TrainConfig, TrainingProblem, train

EPOCHS = 4


def run(*monitors, validated=True, learning_rate=0.05):
    X = np.linspace(-1, 1, 12)[:, None]
    recipe = Recipe(Net(1, [Dense(1)]), MeanSquaredError(), batch_size=4)
    rows = Rows.of(recipe, X, 3 * X)
    config, held_out = TrainConfig(EPOCHS, learning_rate), rows if validated else None
    return train(TrainingProblem(recipe, rows, config, held_out, "reference"), monitors)


def test_a_function_sees_every_epoch_once():
    seen = []
    ended = run(function(lambda epoch: seen.append((epoch.number, epoch.train_loss))))
    assert seen == [(epoch.number, epoch.train_loss) for epoch in ended.epochs]
    assert len(seen) == EPOCHS
    assert ended.stop == Stop(StopReason.COMPLETED)


def test_a_function_stops_with_its_reason_and_weights_can_be_read():
    weights = []

    @function
    def enough(epoch):
        weights.append(epoch.state().w.copy())
        return "good enough" if epoch.number == 2 else None

    ended = run(enough)
    assert (len(ended.epochs), str(ended.stop)) == (2, "good enough")
    np.testing.assert_array_equal(weights[-1], ended.state.w)
    assert not np.array_equal(weights[0], weights[1])


def test_a_function_that_answers_otherwise_is_refused():
    with pytest.raises(
        InvalidValueError, match=r"^function: call must be a function that returns a text or None, got True\."
    ):
        run(function(lambda epoch: True))
    with pytest.raises(InvalidValueError, match=r"^function: call must be a function of the epoch, got 3\.$"):
        function(3)


@pytest.mark.parametrize(
    ("logger", "package"),
    [(TensorBoardLogger("unused"), "tensorboard"), (MLflowLogger(), "mlflow")],
    ids=lambda x: str(x)[:8],
)
def test_a_missing_package_is_named_with_its_extra(logger, package, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)  # what Python itself does to forbid an import
    with pytest.raises(
        MissingError, match=rf"package {package} must be installed.*pip install 'chainrule\[{package}\]'"
    ):
        run(logger)
    assert list(tmp_path.iterdir()) == []


def test_an_error_inside_a_package_is_not_called_a_missing_package(tmp_path, monkeypatch):
    (tmp_path / "broken_logger.py").write_text("import not_there_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_there_at_all"):
        optional("broken_logger", "extra", "Logger")


def test_scalars_are_the_measured_figures():
    epoch = run(validated=False).epochs[-1]
    written = scalars(epoch)
    assert written["loss/train"] == epoch.train_loss
    assert written["steps/learning_rate"] == pytest.approx(0.05)
    assert not any("validation" in tag for tag in written)
    assert all(math.isfinite(value) for value in written.values())


def events(folder):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    read = accumulator.EventAccumulator(str(folder))
    read.Reload()
    return read


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of packages that tensorboard imports
def test_tensorboard_reads_what_was_measured(tmp_path):
    pytest.importorskip("tensorboard")
    logger = TensorBoardLogger(tmp_path)
    first, second = run(logger), run(logger)
    for number, ended in ((1, first), (2, second)):
        read = events(tmp_path / f"run-{number}")
        for tag, name in (("loss/train", "train_loss"), ("rmse/validation", "validation_score")):
            points = [(kept.step, kept.tensor_proto.float_val[0]) for kept in read.Tensors(tag)]
            assert [step for step, _ in points] == [epoch.number for epoch in ended.epochs]
            np.testing.assert_allclose([x for _, x in points], [getattr(e, name) for e in ended.epochs], rtol=1e-6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # of packages that mlflow imports
def test_mlflow_keeps_what_was_measured(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path}/runs.db"
    logger = MLflowLogger("nets", "small", {"units": 1}, tracking_uri=uri)
    ended = run(logger)
    client = mlflow.MlflowClient(tracking_uri=uri)
    (kept,) = client.search_runs([client.get_experiment_by_name("nets").experiment_id])
    assert (kept.info.status, kept.info.run_name, kept.data.params) == ("FINISHED", "small", {"units": "1"})
    history = client.get_metric_history(kept.info.run_id, "train_loss")
    assert [(m.step, m.value) for m in history] == [(epoch.number, epoch.train_loss) for epoch in ended.epochs]
    with np.errstate(all="ignore"):
        run(logger, learning_rate=1e20)
    assert {each.info.status for each in client.search_runs([kept.info.experiment_id])} == {"FINISHED", "FAILED"}


@pytest.mark.parametrize(
    "monitor",
    [function(print), TensorBoardLogger("."), MLflowLogger(), ScikitLearnCallbacks()],
    ids=lambda m: type(m).__name__,
)
def test_they_have_the_three_methods_of_a_monitor(monitor):
    assert {name for name in vars(Monitor) if not name.startswith("_")} <= set(dir(monitor))


def network(make=NetClassifier, **options):
    usual = {
        "hidden_layer_sizes": (),
        "max_iter": 3,
        "learning_rate_init": 0.3,
        "random_state": 0,
        "engine": "reference",
    }
    return make(**usual | options)


@pytest.fixture
def two_classes(rng):
    X = rng.normal(size=(60, 2)).astype(np.float32)
    return X, np.where(X @ [1.0, -2.0] + 0.3 * rng.normal(size=60) > 0, "yes", "no")


class Recorder:
    """Writes down what it is told, and stops after so many epochs."""

    def __init__(self, stop_after=99):
        self.told, self.stop_after = [], stop_after

    def setup(self, estimator, context):
        self.told.append("setup")

    def teardown(self, estimator, context):
        self.told.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.told.append(f"begin {context.task_name} {context.task_id}")

    def on_fit_task_end(self, estimator, context):
        self.told.append(f"end {context.task_name} {context.task_id}")
        return context.task_name == "epoch" and context.task_id + 1 >= self.stop_after


EPOCH_BY_EPOCH = ["begin epoch 0", "end epoch 0", "begin epoch 1", "end epoch 1"]


def test_scikit_learns_callbacks_see_the_run_as_a_tree_of_tasks():
    recorder = Recorder(stop_after=2)
    ended = run(ScikitLearnCallbacks([recorder]))
    assert recorder.told == ["setup", "begin fit 0", *EPOCH_BY_EPOCH, "end fit 0", "teardown"]
    assert (len(ended.epochs), str(ended.stop)) == (2, "a callback of scikit-learn asked to stop")


def test_scikit_learns_callbacks_are_torn_down_when_the_run_fails():
    recorder = Recorder()

    def fails(epoch):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(ScikitLearnCallbacks([recorder]), function(fails))
    assert recorder.told[-2:] == ["end fit 0", "teardown"]


def test_one_monitor_serves_many_runs():
    recorder = Recorder()
    monitor = ScikitLearnCallbacks([recorder])
    run(monitor)
    first = len(recorder.told)
    run(monitor)
    assert recorder.told[first:] == recorder.told[:first]


def test_an_estimators_callbacks_see_its_fit_and_no_other_call(two_classes):
    recorder = Recorder(stop_after=2)
    fitted = network().set_callbacks(recorder).fit(*two_classes)
    assert recorder.told == ["setup", "begin fit 0", *EPOCH_BY_EPOCH, "end fit 0", "teardown"]
    assert (fitted.n_iter_, str(fitted.run_.stop)) == (2, "a callback of scikit-learn asked to stop")
    told = len(recorder.told)
    fitted.partial_fit(*two_classes)
    fitted.set_callbacks().fit(*two_classes)
    assert len(recorder.told) == told


def test_a_warm_start_is_a_fit_of_its_own(two_classes):
    recorder = Recorder()
    fitted = network(max_iter=2, warm_start=True, tol=0.0).set_callbacks(recorder).fit(*two_classes)
    first = len(recorder.told)
    fitted.fit(*two_classes)
    assert (
        recorder.told[first:]
        == recorder.told[:first]
        == ["setup", "begin fit 0", *EPOCH_BY_EPOCH, "end fit 0", "teardown"]
    )


def test_several_networks_are_tasks_of_their_own(two_classes):
    recorder = Recorder()
    network(n_networks=3, max_iter=2, tol=0.0).set_callbacks(recorder).fit(*two_classes)
    assert recorder.told[:2] == ["setup", "begin fit 0"]
    assert recorder.told[-2:] == ["end fit 0", "teardown"]
    for number in range(3):
        assert recorder.told.count(f"begin network {number}") == recorder.told.count(f"end network {number}") == 1
    assert recorder.told.count("end epoch 1") == 3


def test_callbacks_are_torn_down_when_a_fit_fails(two_classes):
    recorder = Recorder()

    def fails(epoch):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        network(callbacks=[function(fails)]).set_callbacks(recorder).fit(*two_classes)
    assert recorder.told[-1] == "teardown"
    with pytest.raises(InvalidValueError):
        network(alpha=-1.0).set_callbacks(recorder).fit(*two_classes)


@pytest.mark.parametrize(("make", "score"), [(NetClassifier, "accuracy"), (NetRegressor, "r2")])
def test_scoring_monitor_scores_every_epochs_weights(two_classes, make, score):
    X, y = two_classes
    y = y if make is NetClassifier else X[:, 0] - X[:, 1]
    monitor, kept = ScoringMonitor(scoring=score), []
    weights = np.linspace(0.0, 1.0, 60)
    keep = function(lambda epoch: kept.append(epoch.state().w.copy()))
    fitted = network(make, max_iter=5, callbacks=[keep]).set_callbacks(monitor).fit(X, y, sample_weight=weights)
    rows = monitor.get_logs().data
    scores = [row[score] for row in rows if row["task_name"] == "epoch"]
    expected = []
    for w in kept:
        fitted.model_ = replace(fitted.model_, w=w)
        expected.append(fitted.score(X, y, weights))
    assert scores == pytest.approx(expected)
    assert len(set(scores)) > 1
    assert [row[score] for row in rows if row["task_name"] == "fit"] == scores[-1:]


@pytest.mark.parametrize("n_networks", [1, 2])
def test_scikit_learns_progress_bar_is_handed_down_by_a_search(two_classes, capsys, n_networks):
    X, y = two_classes
    search = GridSearchCV(network(n_networks=n_networks), {"max_iter": [2, 3]}, cv=2)
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, y)
    assert search.best_score_ > 0.6
    shown = capsys.readouterr().out
    assert "GridSearchCV" in shown
    assert "NetClassifier" in shown


def test_a_pipeline_and_a_clone_hand_callbacks_on(two_classes):
    recorder = Recorder()
    original = network(max_iter=2).set_callbacks(recorder)
    make_pipeline(StandardScaler(), clone(original)).fit(*two_classes)
    assert recorder.told.count("end epoch 1") == 1


def test_without_scikit_learns_interface_everything_else_works():
    code = """
import sklearn.callback
del sklearn.callback.with_callbacks
from chainrule import NetClassifier
from chainrule.callbacks.scikit_learn import ScikitLearnCallbacks
from chainrule.errors import MissingError
network = NetClassifier((), max_iter=2).fit([[0.0], [1.0]], [0, 1])
print(network.n_iter_, hasattr(network, "set_callbacks"))
try:
    network.set_params(callbacks=[ScikitLearnCallbacks()]).fit([[0.0], [1.0]], [0, 1])
except MissingError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    told = "ScikitLearnCallbacks: scikit-learn must have callbacks, as version 1.9 does."
    assert done.stdout.splitlines() == ["2 False", told]
