"""Tests of the check: a file that answers otherwise is refused, and nothing of it is written."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from export_models import draw_model
from pack_cases import pack_of, plain_table_model, table_model

import chainrule
from chainrule import NetClassifier, NetRegressor, TableClassifier
from chainrule.errors import InvalidValueError, MissingError, WriteError
from chainrule.exporters import registry
from chainrule.exporters.check import checked_rows, differences
from chainrule.exporters.draw import draw_rows
from chainrule.exporters.evaluate import rounding, run
from chainrule.exporters.exporting import identifier
from chainrule.exporters.lower import lower
from chainrule.exporters.numpy_source import NumpyExporter
from chainrule.exporters.registry import FORMATS, Ran, exporter
from chainrule.nn.activations import ReLU
from chainrule.nn.layers import Activation, Dense, Dropout, Parallel, ParametricActivation
from chainrule.nn.losses import MeanSquaredError
from chainrule.nn.net import Net


class Wrong(NumpyExporter):
    """A format whose files answer otherwise than the model, by a change of its answers."""

    def __init__(self, change):
        self.change = change

    def run(self, files, plan, options, rows):
        ran = super().run(files, plan, options, rows)
        return Ran(self.change(ran.answers), ran.seconds)


def moved(by):
    return lambda answers: replace(answers, numbers=answers.numbers + by)


def one_wrong_label(answers):
    labels = answers.labels[0].copy()
    labels[0] = 2 if labels[0] == 0 else 0
    return replace(answers, labels=(labels,))


CHANGES = {
    "a little off": moved(3e-5),
    "far off": moved(0.5),
    "not a number": moved(np.nan),
    "infinite": moved(np.inf),
    "another class": one_wrong_label,
    "one column too many": lambda a: replace(a, numbers=np.hstack([a.numbers, a.numbers])),
    "classes of another type": lambda a: replace(a, labels=tuple(label.astype("U") for label in a.labels)),
    "one row off": lambda a: replace(a, numbers=a.numbers + 0.01 * (np.arange(len(a.numbers)) == 7)[:, None]),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("task", ["classes", "binary"])
def test_a_file_that_answers_otherwise_is_not_written(tmp_path, monkeypatch, change, task):
    monkeypatch.setattr("chainrule.exporters.exporting.exporter", lambda name: Wrong(CHANGES[change]))
    model = draw_model(3, "matrix", task)
    model = replace(model, classes=np.arange(len(model.classes)) * 2)
    with pytest.raises(
        InvalidValueError, match=r"the numpy file must answer as the model does, got .*Nothing was written"
    ):
        chainrule.export(model, tmp_path / "model.py", "numpy")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("task", ["values", "quantiles", "labels", "several"])
def test_values_that_are_off_are_refused_too(tmp_path, monkeypatch, task):
    monkeypatch.setattr("chainrule.exporters.exporting.exporter", lambda name: Wrong(moved(0.1)))
    with pytest.raises(InvalidValueError, match="instead of"):
        chainrule.export(draw_model(3, "matrix", task), tmp_path / "model.py", "numpy")


def test_an_older_file_stays_where_a_new_one_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "model.py"
    path.write_text("older")
    monkeypatch.setattr("chainrule.exporters.exporting.exporter", lambda name: Wrong(moved(0.5)))
    with pytest.raises(InvalidValueError):
        chainrule.export(draw_model(3), path, "numpy")
    assert path.read_text() == "older"


def test_of_two_files_none_is_left_where_one_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr("chainrule.exporters.torch_module.find_spec", lambda name: None)
    (tmp_path / "model.py").mkdir()
    with pytest.raises(InvalidValueError, match="It is a folder"):
        chainrule.export(draw_model(0), tmp_path / "model.py", "torch")
    assert [path.name for path in tmp_path.iterdir()] == ["model.py"]


def test_equal_probabilities_may_go_either_way(tmp_path, monkeypatch):
    def turned(answers):
        return replace(answers, labels=(np.full_like(answers.labels[0], "b"),))

    model = draw_model(3, "matrix", "binary")
    model = replace(model, w=np.zeros_like(model.w), classes=np.array(["a", "b"]), temperature=1.0, others=())
    monkeypatch.setattr("chainrule.exporters.exporting.exporter", lambda name: Wrong(turned))
    done = chainrule.export(model, tmp_path / "model.py", "numpy")
    assert done.check.ties == done.check.rows
    assert "rows have two classes of equal probability" in str(done)


def test_rows_in_which_large_terms_cancel_are_uncertain_and_others_are_not(rng):
    w = np.array([1e6, -1e6, 0.0], np.float32)
    net = Net(2, [Dense(1)])
    one = chainrule.data.Standardizer.identity(2)
    model = chainrule.model.Model(net, MeanSquaredError(), w, np.zeros(0, np.float32), one, None, None, ("a", "b"), "y")
    plan = lower(model)
    rows = np.array([[1.0, 1.0 + 1e-7], [0.0, 0.0]])
    far = rounding(plan, rows)[:, 0]
    assert far[0] > 0.05
    assert far[1] < 1e-12


def test_differences_are_relative_above_one():
    assert differences(np.array([[1.1, 110.0, 0.1]]), np.array([[1.0, 100.0, 0.2]])).round(9).tolist() == [
        [0.1, 0.1, 0.1]
    ]
    assert differences(np.array([np.nan]), np.array([0.0])).tolist() == [np.inf]


@pytest.mark.parametrize("make", [table_model, plain_table_model, pack_of, lambda: draw_model(0, "matrix")])
def test_drawn_rows_reach_the_edges(make):
    plan = lower(make())
    rows = draw_rows(plan, 400, 0)
    assert len(rows) == 400
    if isinstance(rows, np.ndarray):
        assert np.array_equal(rows, draw_rows(plan, 400, 0), equal_nan=True)
        assert (rows == 0.0).any()
    else:
        assert rows == draw_rows(plan, 400, 0)
        for name in rows[0]:
            assert any(row[name] in (None, "") for row in rows), name
        assert any(row["job"] == "never seen" for row in rows)
        assert any(isinstance(row["job"], str) and row["job"] != row["job"].strip() for row in rows)
    found, answers = checked_rows(make(), plan, 100)
    assert np.isfinite(answers.numbers).all()
    assert len(found) > 50
    assert np.isfinite(run(plan, found).numbers).all()


@dataclass(frozen=True)
class OwnLayer(Dropout):
    """A layer of the user's own."""


@dataclass(frozen=True)
class OwnFunction(ReLU):
    """A function of the user's own."""


@dataclass(frozen=True)
class OwnLoss(MeanSquaredError):
    """A loss of the user's own."""


OWN = {
    "layer": ([OwnLayer(0.1)], MeanSquaredError(), "layer must be one of chainrule's own, got 'OwnLayer'"),
    "layer in a branch": ([Parallel([(4, OwnLayer(0.1))])], MeanSquaredError(), "got 'OwnLayer'"),
    "function": ([Activation(OwnFunction())], MeanSquaredError(), "function must be one of chainrule's own"),
    "function of a share": ([ParametricActivation(OwnFunction())], MeanSquaredError(), "got 'OwnFunction'"),
    "loss": ([], OwnLoss(), "loss must be one of chainrule's own, got 'OwnLoss'"),
    "function in a branch": ([Parallel([(4, Activation(OwnFunction()))])], MeanSquaredError(), "got 'OwnFunction'"),
}


@pytest.mark.parametrize("case", OWN)
@pytest.mark.parametrize("to", ["numpy", "torch"])
def test_pieces_of_ones_own_are_named_before_anything_is_written(tmp_path, case, to):
    layers, loss, sentence = OWN[case]
    net = Net(2, [Dense(4), *layers, Dense(1)])
    w, buffers = net.init(0)
    one = chainrule.data.Standardizer.identity(2)
    model = chainrule.model.Model(net, loss, w, buffers, one, None, None, ("a", "b"), "y")
    with pytest.raises(InvalidValueError, match=sentence):
        chainrule.export(model, tmp_path / "model.py", to)
    assert not list(tmp_path.iterdir())


def test_estimators_are_exported_as_they_are(tmp_path):
    X = [[0.0, 1.0], [1.0, 0.5]] * 20
    given = {
        "a": NetClassifier((3,), max_iter=2, random_state=0).fit(X, ["no", "yes"] * 20),
        "b": NetRegressor((3,), max_iter=2, random_state=0).fit(X, [1.0, 2.0] * 20),
        "c": NetClassifier((3,), max_iter=2, random_state=0, n_networks=2).fit(X, [0, 1] * 20),
        "d": NetClassifier((), max_iter=2, random_state=0).fit(X, [[0, 1], [1, 1]] * 20),
    }
    for name, estimator in given.items():
        done = chainrule.export(estimator, tmp_path / f"{name}.py", "numpy")
        names = {}
        exec((tmp_path / f"{name}.py").read_text(), names)
        mine, theirs = names["predict"](X), estimator.predict(X)
        assert np.allclose(mine, theirs) if name == "b" else np.array_equal(mine, theirs)
        assert str(done).startswith(str(tmp_path / f"{name}.py"))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (NetClassifier(), "Call fit first"),
        (TableClassifier(), "Call fit first"),
        (None, "export: model must be a fitted NetClassifier"),
        ("model.safetensors", "export: model must be"),
        (object(), "export: model must be"),
        (Net(1, [Dense(1)]), "export: model must be"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path, given, sentence):
    with pytest.raises(InvalidValueError, match=sentence):
        chainrule.export(given, tmp_path / "model.py", "numpy")


def test_a_pipeline_with_other_steps_is_refused_with_the_fix(tmp_path):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(StandardScaler(), NetClassifier((), max_iter=1, random_state=0))
    pipeline.fit([[0.0], [1.0]] * 20, [0, 1] * 20)
    with pytest.raises(InvalidValueError, match="Export its last step alone and apply the others before"):
        chainrule.export(pipeline, tmp_path / "model.py", "numpy")


@pytest.mark.parametrize(
    ("path", "to", "options", "sentence"),
    [
        ("model.py", "nump", {}, "Did you mean 'numpy'"),
        ("model.txt", "numpy", {}, "path must be a name that ends with .py"),
        (".py", "numpy", {}, "path must be a name that ends with .py"),
        ("model", "torch", {}, "path must be a name that ends with .py"),
        ("model.py", "numpy", {"opset": 18}, "opset must be left out for 'numpy', got 18. It is an option of onnx."),
        ("model.py", "torch", {"int8": True}, "int8 must be left out for 'torch', got True. It is an option of c."),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, path, to, options, sentence):
    with pytest.raises(InvalidValueError, match=sentence):
        chainrule.export(draw_model(0), tmp_path / path, to, **options)
    assert not list(tmp_path.iterdir())


def test_faults_of_the_disk_are_named_and_leave_nothing(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("chainrule.io.files.os.write", full)
    with pytest.raises(WriteError, match=r"export: could not write .*No space left"):
        chainrule.export(draw_model(0), tmp_path / "model.py", "numpy")
    assert not list(tmp_path.iterdir())
    with pytest.raises(MissingError, match="must exist"):
        chainrule.export(draw_model(0), tmp_path / "nowhere" / "model.py", "numpy")


def test_the_registry_says_what_the_exporters_say():
    for name, row in FORMATS.items():
        found = exporter(name)
        assert (found.name, found.suffix, tuple(found.options)) == (name, row.suffix, row.options)
        assert registry.exporter(name) is found


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("a b", "a_b"),
        ("3d", "_3d"),
        ("float", "float_"),
        ("caf\u00e9", "caf_"),
        ("", "model"),
        ("x.y-z", "x_y_z"),
        ("int", "int_"),
    ],
)
def test_names_in_files_are_identifiers(stem, name):
    assert identifier(stem) == name
