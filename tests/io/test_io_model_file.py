"""Why: a model read back must answer to the bit as the one that was written, whatever it is made of.

In: models of every layer, loss, activation, kind of label and type. Out: equal parts and equal predictions; atomic writes.
"""

import itertools
import json
import os
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from registry import ACTIVATION_SAMPLES, INITIALIZER_SAMPLES, LAYER_SAMPLES, LOSS_SAMPLES, fitted, flat, name
from safetensors import safe_open
from safetensors.numpy import load_file, save
from sklearn.datasets import load_iris

from chainrule import Activation, BatchNorm, Dense, Dropout, LayerNorm, Net, NetClassifier, NetRegressor
from chainrule.data import Standardizer
from chainrule.errors import ChainruleError, FormatError, InvalidValueError, MissingError
from chainrule.io import files, load_model, model_file, save_model, write_atomically
from chainrule.model import Model
from chainrule.nn.losses import BinaryCrossEntropy, MeanSquaredError, MultiSoftmaxCrossEntropy, SoftmaxCrossEntropy


def model_of(layers, loss, dtype="float32", labels=None, inputs=3, scaled=False, names=None, target="kind"):
    """A model with random numbers in every place."""
    rng = np.random.default_rng(0)
    net = Net(inputs, layers)
    buffers = (np.abs(rng.normal(size=net.buffers.size)) + 0.5).astype(dtype)
    scaler = Standardizer(rng.normal(size=inputs), rng.random(inputs) + 0.5)
    targets = Standardizer(rng.normal(size=net.outputs), rng.random(net.outputs) + 0.5) if scaled else None
    classes = None
    if isinstance(loss, MultiSoftmaxCrossEntropy):
        classes = tuple(np.arange(size) for size in loss.sizes)
    elif loss.targets.are_classes:
        classes = np.arange(max(net.outputs, 2)) if labels is None else np.array(labels)
    w = rng.normal(size=net.size).astype(dtype)
    return Model(net, loss, w, buffers, scaler, targets, classes, tuple(names or "abcdefgh"[:inputs]), target)


def assert_same(model, other, rows=7):
    """Equal in every part, and in every answer to the bit."""
    assert (other.net, other.loss, other.feature_names, other.target_name) == (
        model.net,
        model.loss,
        model.feature_names,
        model.target_name,
    )
    pairs = [(model.w, other.w), (model.buffers, other.buffers)]
    pairs += [(model.inputs.mean, other.inputs.mean), (model.inputs.scale, other.inputs.scale)]
    assert (model.targets is None) == (other.targets is None)
    if model.targets is not None:
        pairs += [(model.targets.mean, other.targets.mean), (model.targets.scale, other.targets.scale)]
    X = np.random.default_rng(1).normal(size=(rows, model.net.inputs))
    pairs += [(model.logits(X), other.logits(X)), (model.predict(X), other.predict(X))]
    assert (model.classes is None) == (other.classes is None)
    if model.classes is not None:
        known = [classes if isinstance(classes, tuple) else (classes,) for classes in (model.classes, other.classes)]
        pairs += [*zip(*known, strict=True), (model.probabilities(X), other.probabilities(X))]
    for a, b in pairs:
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def round_trip(model, folder):
    save_model(model, folder / "model.safetensors")
    return load_model(folder / "model.safetensors")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sample", flat(LOSS_SAMPLES), ids=name)
def test_every_loss(tmp_path, sample, dtype):
    model = model_of([Dense(4), Activation("tanh"), Dense(3)], sample.loss, dtype)
    if isinstance(sample.loss, BinaryCrossEntropy):
        model = model_of([Dense(4), Activation("tanh"), Dense(1)], sample.loss, dtype)
    assert_same(model, round_trip(model, tmp_path))


@pytest.mark.parametrize("layer", flat(LAYER_SAMPLES), ids=str)
def test_every_layer(tmp_path, layer):
    model = model_of([Dense(4), fitted(layer, 4), Dense(3)], SoftmaxCrossEntropy(label_smoothing=0.1))
    assert_same(model, round_trip(model, tmp_path))


@pytest.mark.parametrize("function", [*ACTIVATION_SAMPLES, *flat(ACTIVATION_SAMPLES)], ids=str)
def test_every_activation_by_name_and_as_a_piece(tmp_path, function):
    model = model_of([Dense(4), Activation(function), Dense(1)], MeanSquaredError())
    assert_same(model, round_trip(model, tmp_path))


@pytest.mark.parametrize("rule", [*INITIALIZER_SAMPLES, *flat(INITIALIZER_SAMPLES)], ids=str)
def test_every_initializer(tmp_path, rule):
    model = model_of([Dense(4, initializer=rule), Dense(1)], MeanSquaredError())
    assert_same(model, round_trip(model, tmp_path))


LABELS = [
    [-(2**63), 0, 2**63 - 1],
    [-1, 5, 7],
    ["", "a b", "Ω ✓"],
    ['"', "\\", "{"],
    [0.5, 1.0, 1e300],
]


@pytest.mark.parametrize("labels", LABELS, ids=str)
def test_every_kind_of_label(tmp_path, labels):
    model = model_of([Dense(3)], SoftmaxCrossEntropy(), labels=sorted(labels))
    assert_same(model, round_trip(model, tmp_path))


def test_two_classes_as_booleans(tmp_path):
    model = model_of([Dense(1)], BinaryCrossEntropy(), labels=[False, True])
    assert_same(model, round_trip(model, tmp_path))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.uint32])
def test_small_whole_numbers_come_back_as_int64(tmp_path, dtype):
    model = model_of([Dense(3)], SoftmaxCrossEntropy(), labels=np.array([1, 2, 250 % 128], dtype))
    again = round_trip(model, tmp_path)
    assert again.classes.dtype == np.int64
    assert again.classes.tolist() == model.classes.tolist()


def test_labels_that_a_file_cannot_hold_are_refused(tmp_path):
    wide = np.array([0, 1, 2**64 - 1], np.uint64)
    for labels in ([b"a", b"b", b"c"], np.array(["2020", "2021", "2022"], "datetime64[Y]"), wide):
        model = model_of([Dense(3)], SoftmaxCrossEntropy(), labels=np.array(labels))
        with pytest.raises(InvalidValueError, match="classes must be"):
            save_model(model, tmp_path / "model.safetensors")
        assert list(tmp_path.iterdir()) == []


def test_object_text_comes_back_as_text(tmp_path):
    model = model_of([Dense(3)], SoftmaxCrossEntropy(), labels=np.array(["a", "b", "c"], object))
    again = round_trip(model, tmp_path)
    assert again.classes.dtype.kind == "U"
    assert again.classes.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("outputs", [1, 3])
def test_scaled_targets(tmp_path, outputs):
    model = model_of([Dense(outputs)], MeanSquaredError(), scaled=True)
    assert_same(model, round_trip(model, tmp_path))


def test_names_of_any_kind_and_number(tmp_path):
    names = [f'column ✓ "{i}" {"x" * 40}' for i in range(30_000)]
    model = model_of([Dense(1)], MeanSquaredError(), inputs=len(names), names=names, target="=1+1\n")
    save_model(model, tmp_path / "wide.safetensors")
    again = load_model(tmp_path / "wide.safetensors")
    assert again.feature_names == tuple(names)
    assert again.target_name == "=1+1\n"


pieces = st.one_of(
    st.builds(Dense, st.integers(1, 5), bias=st.booleans()),
    st.sampled_from([*(Activation(f) for f in ACTIVATION_SAMPLES), *(Activation(f) for f in flat(ACTIVATION_SAMPLES))]),
    st.builds(BatchNorm, momentum=st.floats(0, 0.99), epsilon=st.floats(1e-8, 1)),
    st.builds(LayerNorm, epsilon=st.floats(1e-8, 1)),
    st.builds(Dropout, st.floats(0, 0.99)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(pieces, max_size=6), st.sampled_from(["float32", "float64"]), st.text(max_size=20), st.booleans())
def test_any_network(tmp_path_factory, layers, dtype, target, scaled):
    folder = tmp_path_factory.mktemp("any")
    model = model_of([*layers, Dense(2)], MeanSquaredError(), dtype, scaled=scaled, target=target)
    assert_same(model, round_trip(model, folder))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_trained_estimators_answer_alike_after_a_round_trip(tmp_path, dtype):
    X, y = load_iris(return_X_y=True)
    options = {"max_iter": 3, "batch_norm": True, "dropout": 0.2, "dtype": dtype, "random_state": 0}
    classifier = NetClassifier((8,), label_smoothing=0.1, engine="reference", **options).fit(X, y.astype(str))
    regressor = NetRegressor((8,), loss="huber", engine="reference", **options).fit(X, np.c_[y, X[:, 0]])
    for estimator in (classifier, regressor):
        again = round_trip(estimator.model_, tmp_path)
        np.testing.assert_array_equal(again.predict(X), estimator.predict(X))
        assert again.feature_names == ("x0", "x1", "x2", "x3")


def test_temperature_and_further_networks(tmp_path):
    model = model_of([Dense(4), BatchNorm(), Activation("tanh"), Dense(3)], SoftmaxCrossEntropy())
    model = replace(model, temperature=1.75, others=((2.0 * model.w, model.buffers), (-model.w, 2.0 * model.buffers)))
    again = round_trip(model, tmp_path)
    assert_same(model, again)
    assert again.temperature == 1.75
    assert len(again.members) == 3
    np.testing.assert_array_equal(again.others[1][0], -model.w)


EDITS = {
    "temperature of nothing": ({"temperature": 0.0}, "temperature must be a number above 0, got 0.0."),
    "temperature in words": ({"temperature": "1"}, "temperature must be a number above 0, got '1'."),
    "no network": ({"networks": 0}, "networks must be a whole number from 1 to 10000, got 0."),
    "too many networks": ({"networks": 10**9}, "networks must be a whole number from 1 to 10000, got 1000000000."),
    "networks that are not there": ({"networks": 2}, re.escape("got missing ['buffers.1', 'w.1'], unknown [].")),
    "classes of one target": ({"classes": None}, "classes must be 2 lists of labels with 5 in all."),
    "too few classes": (
        {"classes": [{"kind": "int64", "values": [0, 1]}, {"kind": "int64", "values": [0, 1]}]},
        "classes must be 3 labels, got 2.",
    ),
    "a target without classes": ({"classes": [None, None]}, "classes must be a kind and values."),
}


@pytest.mark.parametrize(("edit", "sentence"), EDITS.values(), ids=EDITS)
def test_what_only_some_models_have_is_checked_too(tmp_path, edit, sentence):
    path, tensors = tmp_path / "model.safetensors", {}
    save_model(model_of([Dense(5)], MultiSoftmaxCrossEntropy((2, 3))), path)
    with safe_open(path, "np") as file:
        header = json.loads(file.metadata()["chainrule"]) | edit
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
    del header["sha256"]
    header["sha256"] = model_file._digest(header, tensors)
    path.write_bytes(save(tensors, metadata={"chainrule": json.dumps(header)}))
    with pytest.raises(FormatError, match=sentence):
        load_model(path)


def test_two_writes_are_equal_byte_for_byte(tmp_path):
    model = model_of([Dense(2), BatchNorm(), Dense(3)], SoftmaxCrossEntropy())
    for file in ("a", "b"):
        save_model(model, tmp_path / file)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_file_is_plain_safetensors_that_others_can_read(tmp_path):
    model = model_of([Dense(4), Dense(3)], SoftmaxCrossEntropy(), labels=["a", "b", "c"])
    save_model(model, tmp_path / "model.safetensors")
    np.testing.assert_array_equal(load_file(tmp_path / "model.safetensors")["w"], model.w)
    with safe_open(tmp_path / "model.safetensors", "np") as file:
        header = json.loads(file.metadata()["chainrule"])
    assert header["format"] == 1
    assert header["net"]["layers"][0]["units"] == 4
    assert header["loss"] == {"type": "SoftmaxCrossEntropy", "label_smoothing": 0.0}
    assert header["classes"] == {"kind": "str", "values": ["a", "b", "c"]}
    assert len(header["sha256"]) == 64


def test_missing_file_and_missing_folder(tmp_path):
    with pytest.raises(MissingError, match=r"must exist\. Train one with `chainrule train`"):
        load_model(tmp_path / "none.safetensors")
    with pytest.raises(MissingError, match="Create it first"):
        save_model(model_of([Dense(1)], MeanSquaredError()), tmp_path / "none" / "model.safetensors")
    with pytest.raises(ChainruleError, match="It is a folder"):
        save_model(model_of([Dense(1)], MeanSquaredError()), tmp_path)


@pytest.mark.parametrize("call", ["replace", "fsync", "write", "open"])
@pytest.mark.parametrize("error", [OSError("disk"), KeyboardInterrupt(), MemoryError()], ids=lambda e: type(e).__name__)
def test_failure_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call, error):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"old")

    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(files.os, call, fail)
    with pytest.raises(type(error)):
        write_atomically(path, b"new and longer")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_folder_that_cannot_be_flushed_does_not_fail_the_write(tmp_path, monkeypatch):
    flushed = itertools.count()
    real = os.fsync

    def only_files(handle):
        if next(flushed):
            raise OSError(22, "Invalid argument")
        real(handle)

    monkeypatch.setattr(files.os, "fsync", only_files)
    write_atomically(tmp_path / "file", b"whole")
    assert next(flushed) == 2
    assert (tmp_path / "file").read_bytes() == b"whole"


def test_file_is_flushed_before_it_takes_its_name(tmp_path, monkeypatch):
    order = []
    for call in ("fsync", "replace"):
        real = getattr(os, call)
        monkeypatch.setattr(files.os, call, lambda *a, real=real, call=call: (order.append(call), real(*a))[1])
    write_atomically(tmp_path / "file", b"whole")
    assert order == ["fsync", "replace", "fsync"]
