"""Why: packs and models of tables come as files too, with more parts in which a file can be wrong.

In: packs and models of tables, whole and forged with a right checksum. Out: equal answers to the bit; `FormatError` in one
line, and nothing else.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pack_cases import pack_of, plain_table_model, regression_pack, table, table_model, three_classes
from safetensors import safe_open
from safetensors.numpy import save

from chainrule.data.row_sketch import RowSketch
from chainrule.data.transform_plain import transform_to_plain
from chainrule.errors import FormatError
from chainrule.io import load_model, model_file, save_model
from chainrule.nn.losses import Quantile
from chainrule.pack import Pack
from chainrule.table_model import TableModel

ROWS = table().drop("y")


def round_trip(model, folder):
    save_model(model, folder / "model.safetensors")
    return load_model(folder / "model.safetensors")


def answers(model):
    """All that a model says about the rows of the table, as one comparable value."""
    X = ROWS if isinstance(model, TableModel) else table_model().schema.encode("people", ROWS)
    arrays = [model.logits(X), model.predict(X)]
    arrays += [] if model.classes is None else [model.probabilities(X), model.classes]
    return [(a.dtype.str, a.tobytes()) for a in arrays]


PACKS = {
    "two classes": pack_of,
    "temperature": lambda: pack_of(temperature=1.75),
    "float64": lambda: pack_of(dtype="float64"),
    "text": three_classes,
    "whole numbers": lambda: three_classes([-5, 0, 2**63 - 1]),
    "floats": lambda: three_classes([0.5, 1.0, 1e300]),
    "booleans": lambda: pack_of(classes=(False, True)),
    "values with limits": regression_pack,
    "quantiles": lambda: pack_of(Quantile((0.1, 0.5, 0.9)), outputs=3),
    "with hashes of its rows": lambda: replace(pack_of(), trained_on=RowSketch.of(np.arange(12.0).reshape(6, 2))),
}


@pytest.mark.parametrize("case", PACKS)
def test_packs_answer_alike_after_a_round_trip(tmp_path, case):
    pack = PACKS[case]()
    again = round_trip(pack, tmp_path)
    assert isinstance(again, Pack)
    assert answers(again) == answers(pack)
    same = ("loss", "feature_names", "target_name", "temperature", "limits")
    assert [getattr(again, name) for name in same] == [getattr(pack, name) for name in same]
    assert [(m.net, m.transform, m.weight) for m in again.members] == [
        (m.net, m.transform, m.weight) for m in pack.members
    ]
    for ours, theirs in zip(again.transforms, pack.transforms, strict=True):
        assert transform_to_plain(ours) == transform_to_plain(theirs)
        np.testing.assert_array_equal(ours.nodes, theirs.nodes)
    if pack.trained_on is not None:
        np.testing.assert_array_equal(again.trained_on.hashes, pack.trained_on.hashes)


@pytest.mark.parametrize("make", [table_model, plain_table_model, lambda: table_model(regression_pack())])
def test_models_of_tables_answer_alike_after_a_round_trip(tmp_path, make):
    model = make()
    again = round_trip(model, tmp_path)
    assert isinstance(again, TableModel)
    assert again.schema == model.schema
    assert answers(again) == answers(model)


@pytest.mark.parametrize("make", [pack_of, regression_pack, table_model, plain_table_model])
def test_two_writes_and_a_copy_are_equal_byte_for_byte(tmp_path, make):
    save_model(make(), tmp_path / "a")
    save_model(make(), tmp_path / "b")
    save_model(load_model(tmp_path / "a"), tmp_path / "c")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()


def parts_of(model):
    header, tensors = model_file._parts(model)
    return json.loads(json.dumps({"format": 1, "version": "0", **header})), dict(tensors)


def forged(path, header, tensors):
    """Write a file of any header and tensors with the right checksum, as a forger would; return what is read."""
    tensors = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    text = json.dumps({**header, "sha256": model_file._digest(header, tensors)})
    path.write_bytes(save(tensors, metadata={"chainrule": text}))
    return load_model(path)


def put(*keys, value):
    def change(header, tensors):
        for key in keys[:-1]:
            header = header[key]
        header[keys[-1]] = value

    return change


def without(*keys):
    def change(header, tensors):
        for key in keys[:-1]:
            header = header[key]
        del header[keys[-1]]

    return change


def tensor(name, edit):
    def change(header, tensors):
        changed = edit(np.array(tensors[name])) if name in tensors else edit(None)
        if changed is None:
            del tensors[name]
        else:
            tensors[name] = changed

    return change


def at(*place, value):
    def edit(array):
        array[place] = value
        return array

    return edit


FORGED = {
    "weight of nothing": (put("members", 0, "weight", value=0.0), "must be in (0, 1], got 0.0."),
    "weight below zero": (put("members", 0, "weight", value=-0.5), "must be in (0, 1], got -0.5."),
    "weight above one": (put("members", 0, "weight", value=1.5), "must be in (0, 1], got 1.5."),
    "weight as text": (put("members", 0, "weight", value="0.75"), "must be in (0, 1], got '0.75'."),
    "weights that sum to less": (put("members", 0, "weight", value=0.5), "weights of members must sum to 1."),
    "transform too high": (put("members", 0, "transform", value=2), "must be from 0 to 1, got 2."),
    "transform below zero": (put("members", 0, "transform", value=-1), "must be from 0 to 1, got -1."),
    "transform true": (put("members", 0, "transform", value=True), "must be from 0 to 1, got True."),
    "transform of another member": (put("members", 0, "transform", value=10**30), "must be from 0 to 1"),
    "no members": (put("members", value=[]), "members must be a list of 1 to 10000 entries."),
    "members that are a number": (put("members", value=3), "members must be a list of 1 to 10000 entries."),
    "too many members": (put("members", value=[0] * 10_001), "members must be a list of 1 to 10000 entries."),
    "a member that is a number": (put("members", 0, value=3), "members must have a net, a transform and a weight."),
    "a member with more": (put("members", 0, "x", value=3), "members must have a net, a transform and a weight."),
    "a member without a network": (without("members", 0, "net"), "members must have a net, a transform and a weight."),
    "network that is a loss": (put("members", 1, "net", value={"type": "Poisson"}), "members[1].net must be one of"),
    "network of another width": (put("members", 0, "net", "inputs", value=5), "must be"),
    "fewer members than tensors": (put("members", value=[None]), "unknown ['buffers.1', 'w.1']."),
    "huge embedding": (
        put("members", 0, "net", "layers", 0, "branches", 0, 1, "frequencies", value=10**15),
        "must be",
    ),
    "endless embedding": (
        put("members", 0, "net", "layers", 0, "branches", 0, 1, "frequencies", value=10**400),
        "must be",
    ),
    "huge number of codes": (
        put("members", 0, "net", "layers", 0, "branches", 2, 1, "sizes", value=[10**15]),
        "tensor 'w.0' must be",
    ),
    "huge network": (put("members", 0, "net", "layers", 1, "units", value=10**15), "tensor 'w.0' must be"),
    "outputs that differ": (put("members", 0, "net", "layers", 3, "units", value=2), "must be"),
    "no transforms": (put("transforms", value=[]), "transforms must be a list of 1 to 10000 entries."),
    "transforms as text": (put("transforms", value="ab"), "transforms must be a list of 1 to 10000 entries."),
    "a transform that is a number": (put("transforms", 0, value=1), "transforms must be objects with float64 nodes."),
    "unknown method": (put("transforms", 0, "method", value="rank"), "transforms must hold a method"),
    "method that is a list": (put("transforms", 0, "method", value=[]), "transforms must hold a method"),
    "a transform with more": (put("transforms", 0, "x", value=[]), "transforms must hold a method"),
    "a transform without gaps": (without("transforms", 0, "gaps"), "transforms must hold a method"),
    "numbers that are text": (put("transforms", 0, "numbers", value="abcdefg"), "transforms must hold a method"),
    "number beyond the columns": (put("transforms", 0, "numbers", 0, value=99), "transforms must hold a method"),
    "number below zero": (put("transforms", 0, "numbers", 0, value=-1), "transforms must hold a method"),
    "one number twice": (put("transforms", 0, "numbers", 0, value=1), "transforms must hold a method"),
    "gap that is no number": (put("transforms", 0, "gaps", value=[2]), "transforms must hold a method"),
    "code below zero": (put("transforms", 0, "one_hot", 0, 1, value=[-1, 2]), "transforms must hold a method"),
    "code without end": (put("transforms", 0, "one_hot", 0, 1, value=[10**400]), "transforms must hold a method"),
    "huge size": (put("transforms", 0, "codes", 0, 1, value=10**400), "transforms must hold a method"),
    "codes that are no pairs": (put("transforms", 0, "codes", value=[[1, 2, 3]]), "transforms must hold a method"),
    "one-hot that is a number": (put("transforms", 0, "one_hot", value=3), "transforms must hold a method"),
    "nodes that are not finite": (tensor("nodes.0", at(0, 0, 0, value=np.nan)), "nodes of a transform must be finite"),
    "nodes without end": (tensor("nodes.0", at(0, 0, -1, value=np.inf)), "nodes of a transform must be finite"),
    "nodes that do not ascend": (tensor("nodes.0", at(0, 0, 0, value=1e9)), "nodes of a transform must ascend."),
    "images that do not ascend": (tensor("nodes.0", at(1, 0, 0, value=1e9)), "nodes of a transform must ascend."),
    "nodes for fewer numbers": (tensor("nodes.0", lambda a: a[:, 1:]), "two rows for each number."),
    "nodes of another shape": (tensor("nodes.0", lambda a: a[0]), "two rows for each number."),
    "nodes of nothing": (tensor("nodes.0", lambda a: a[:, :, :0]), "two rows for each number."),
    "nodes in float32": (tensor("nodes.0", lambda a: a.astype("float32")), "must be objects with float64 nodes."),
    "too many robust nodes": (tensor("nodes.1", lambda a: a.repeat(2, axis=2)), "a median and a factor"),
    "no nodes": (tensor("nodes.1", lambda a: None), "got missing ['nodes.1'], unknown []."),
    "no weights": (tensor("w.1", lambda a: None), "got missing ['w.1'], unknown []."),
    "no statistics": (tensor("buffers.0", lambda a: None), "got missing ['buffers.0'], unknown []."),
    "one tensor more": (tensor("w.2", lambda a: np.zeros(1)), "got missing [], unknown ['w.2']."),
    "weights too short": (tensor("w.0", lambda a: a[1:]), "tensor 'w.0' must be"),
    "weights not finite": (tensor("w.0", at(0, value=np.nan)), "tensor 'w.0' must be"),
    "weights of another type": (tensor("w.1", lambda a: a.astype("float64")), "'w.1' must be float32 as w.0 is"),
    "names too few": (put("feature_names", value=["a"]), "transforms must hold a method"),
    "names that are no list": (put("feature_names", value=7), "transforms must hold a method"),
    "unknown key": (put("limit", value=3), "the header has an unknown key 'limit'. Did you mean 'limits'?"),
    "limits of classes": (put("limits", value=[0.0, 1.0]), "limits must be left out with classes."),
    "loss of values": (put("loss", value={"type": "MeanSquaredError"}), "classes must be null with MeanSquaredError."),
    "loss of more outputs": (
        put("loss", value={"type": "MultiSoftmaxCrossEntropy", "sizes": [2, 3]}),
        "net must be of 5 outputs, the sum of (2, 3), got 1 outputs.",
    ),
    "a temperature of nothing": (put("temperature", value=0.0), "temperature must be a number above 0, got 0.0."),
    "hashes that are floats": (tensor("rows", lambda a: np.zeros(3)), "tensor 'rows' must be 1 to 4096 uint64 numbers"),
    "no hashes": (tensor("rows", lambda a: np.zeros(0, "uint64")), "tensor 'rows' must be 1 to 4096 uint64 numbers"),
    "too many hashes": (tensor("rows", lambda a: np.arange(4097, dtype="uint64")), "must be 1 to 4096 uint64 numbers"),
    "hashes in no order": (tensor("rows", lambda a: np.array([2, 1], "uint64")), "tensor 'rows' must ascend."),
}


@pytest.mark.parametrize("case", FORGED)
def test_forged_packs_are_refused_in_one_line(tmp_path, case):
    change, sentence = FORGED[case]
    assert_refused(tmp_path, pack_of(), change, sentence)


def assert_refused(folder, model, change, sentence):
    header, tensors = parts_of(model)
    change(header, tensors)
    with pytest.raises(FormatError) as raised:
        forged(folder / "m", header, tensors)
    assert sentence in str(raised.value)
    assert str(raised.value).startswith("m: ")
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 500


def test_numbers_beyond_a_float_are_refused(tmp_path):
    header, tensors = parts_of(pack_of(temperature=1.5))
    text = json.dumps({**header, "sha256": ""}).replace('"temperature": 1.5', '"temperature": 1e999')
    (tmp_path / "m").write_bytes(save(tensors, metadata={"chainrule": text}))
    with pytest.raises(FormatError, match="the text must be JSON, got: the number 1e999"):
        load_model(tmp_path / "m")


LIMITS = {
    "in the wrong order": ([2.0, 1.0], "limits must be in order, got [2.0, 1.0]."),
    "one": ([2.0], "limits must be two numbers, got [2.0]."),
    "as text": (["a", "b"], "limits must be two numbers, got ['a', 'b']."),
    "true": ([False, True], "limits must be two numbers, got [False, True]."),
    "nothing": (None, "limits must be two numbers, got None."),
}


@pytest.mark.parametrize("case", LIMITS)
def test_forged_limits_are_refused(tmp_path, case):
    value, sentence = LIMITS[case]
    assert_refused(tmp_path, regression_pack(), put("limits", value=value), sentence)


SCHEMAS = {
    "nothing": (put("schema", value=None), "schema: must have exactly the fields"),
    "a column less": (
        lambda header, tensors: header["schema"]["columns"].pop(0),
        "columns of the schema must be those",
    ),
    "a column that is not used": (put("schema", "columns", 0, "used", value=False), "columns of the schema must be"),
    "another name": (put("schema", "columns", 0, "name", value="edge"), "columns of the schema must be those"),
    "one name twice": (put("schema", "columns", 0, "name", value="income"), "columns must have distinct names."),
    "unknown kind": (put("schema", "columns", 0, "kind", value="os.system"), "kind must be one of"),
    "a huge number of codes": (put("schema", "columns", 3, "hashed", value=10**12), "must be"),
    "a scale of nothing": (put("schema", "columns", 0, "numbers", 0, "scale", value=0.0), "scales must be positive"),
    "columns that are a number": (put("schema", "columns", value=3), "columns has a value of the wrong type, 3."),
}


@pytest.mark.parametrize("make", [table_model, plain_table_model])
@pytest.mark.parametrize("case", SCHEMAS)
def test_schemas_that_do_not_fit_are_refused(tmp_path, case, make):
    change, sentence = SCHEMAS[case]
    assert_refused(tmp_path, make(), change, sentence)


def test_a_schema_without_a_model_and_a_model_in_a_model_are_refused(tmp_path):
    header, tensors = parts_of(table_model())
    without("members")(header, tensors)
    with pytest.raises(FormatError, match=r"unknown key 'transforms'|must hold all parts"):
        forged(tmp_path / "m", header, tensors)


def places(plain, path=()):
    """Every place of a header."""
    yield path
    if isinstance(plain, dict):
        for key, value in plain.items():
            yield from places(value, (*path, key))
    if isinstance(plain, list):
        for i, value in enumerate(plain[:3]):
            yield from places(value, (*path, i))


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, 2**63, -1, 0, 1e308, -1e308, 5e-324])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "net", "weight", "numbers", "method", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
MODELS = {name: make() for name, make in (("pack", table_model), ("plain", plain_table_model))}
PLACES = {name: [p for p in places(parts_of(model)[0]) if p] for name, model in MODELS.items()}


@pytest.mark.parametrize("which", MODELS)
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_value_in_any_place_of_the_header_is_refused_or_makes_a_model_that_works(tmp_path_factory, which, data):
    path = tmp_path_factory.getbasetemp() / "m"
    header, tensors = parts_of(MODELS[which])
    put(*data.draw(st.sampled_from(PLACES[which])), value=data.draw(PLAIN))(header, tensors)
    try:
        model = forged(path, header, tensors)
    except FormatError:
        return
    with np.errstate(all="ignore"):
        assert len(model.predict(ROWS[:2])) == 2


def test_the_file_of_a_pack_is_plain_safetensors(tmp_path):
    save_model(table_model(), tmp_path / "m")
    with safe_open(tmp_path / "m", "np") as file:
        header = json.loads(file.metadata()["chainrule"])
        assert sorted(file.keys()) == ["buffers.0", "buffers.1", "nodes.0", "nodes.1", "w.0", "w.1"]
    assert [member["weight"] for member in header["members"]] == [0.75, 0.25]
    assert header["schema"]["columns"][0]["name"] == "age"


@pytest.mark.parametrize("figure", ["center", "lowest"])
def test_a_whole_number_too_large_for_a_column_is_refused(tmp_path, figure):
    header, tensors = parts_of(MODELS["plain"])
    put("schema", "columns", 1, "numbers", 0, figure, value=10**400)(header, tensors)
    with pytest.raises(FormatError, match="ranges and counts must be numbers that training could find"):
        forged(tmp_path / "m", header, tensors)
