"""Why: a model file comes from anywhere; a damaged or hostile one must be refused, run no code and cost no memory.

In: every single-byte flip and every truncation of a small file, forged headers with a right checksum. Out: `FormatError`,
and nothing else.
"""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

import chainrule
from chainrule import Activation, BatchNorm, Dense, Net
from chainrule.data import Standardizer
from chainrule.errors import FormatError
from chainrule.io import load_model, model_file, save_model
from chainrule.model import Model
from chainrule.nn.losses import MeanSquaredError, SoftmaxCrossEntropy

REFUSED = "must be a chainrule model"


def small(loss=None, labels=("a", "b", "c")):
    """A model of three classes, or with a loss for amounts one with scaled targets."""
    rng = np.random.default_rng(0)
    net = Net(2, [Dense(2), BatchNorm(), Activation("tanh"), Dense(3)])
    w, buffers = rng.normal(size=net.size).astype("float32"), rng.random(net.buffers.size).astype("float32")
    scaler, targets = Standardizer(rng.normal(size=2), rng.random(2) + 0.5), None
    if loss is not None:
        targets = Standardizer(rng.normal(size=3), rng.random(3) + 0.5)
    classes = None if loss is not None else np.array(labels)
    return Model(net, loss or SoftmaxCrossEntropy(), w, buffers, scaler, targets, classes, ("u", "v"), "kind")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a small model file."""
    path = tmp_path_factory.mktemp("whole") / "model.safetensors"
    save_model(small(), path)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def parts(model):
    """All that a model says, as one comparable value."""
    arrays = (model.w, model.buffers, model.inputs.mean, model.inputs.scale, model.classes)
    return model.net, model.loss, model.feature_names, model.target_name, *((a.dtype.str, a.tobytes()) for a in arrays)


def loaded(path, data):
    """The model's parts, or None where the bytes are refused; nothing but `FormatError` may come."""
    path.write_bytes(data)
    try:
        return parts(load_model(path))
    except FormatError:
        return None


def test_every_single_bit_flip_is_refused_or_harmless(path, whole):
    original, harmless = loaded(path, whole), []
    assert original is not None
    for place in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            outcome = loaded(path, bytes(flipped))
            assert outcome in (None, original), (place, bit)
            harmless += [place] if outcome is not None else []
    # JSON reads 1E-05 as 1e-05; nothing else may pass
    assert {whole[place : place + 4] for place in harmless} == {b"e-05"}


@pytest.mark.slow
def test_every_byte_of_the_header_replaced_by_characters_that_json_knows(path, whole):
    original = loaded(path, whole)
    for place in range(8 + struct.unpack("<Q", whole[:8])[0]):
        for character in b' "\\,:}0\n':
            changed = bytearray(whole)
            changed[place] = character
            assert loaded(path, bytes(changed)) in (None, original), (place, chr(character))


def test_every_truncation_is_refused(path, whole):
    for length in range(len(whole)):
        assert loaded(path, whole[:length]) is None, length


@pytest.mark.parametrize("tail", [b"\0", b" ", b"x" * 1000])
def test_appended_bytes_are_refused(path, whole, tail):
    assert loaded(path, whole + tail) is None


def test_swapped_halves_of_two_models_are_refused(path, whole):
    save_model(small(labels=("a", "b", "d")), path)
    other = path.read_bytes()
    assert len(other) == len(whole)
    start = 8 + struct.unpack("<Q", whole[:8])[0]
    assert loaded(path, whole[:start] + other[start:]) is not None, "equal numbers"
    weights = bytearray(other)
    weights[-1] ^= 0x10
    assert loaded(path, whole[:start] + bytes(weights[start:])) is None


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(tmp_path_factory, data):
    assert loaded(tmp_path_factory.getbasetemp() / "model.safetensors", data) is None


def header_file(text, body=b""):
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(raw)) + raw + body


BOMBS = {
    "length beyond the file": struct.pack("<Q", 2**63) + b"{}",
    "length of all bits": b"\xff" * 8 + b"{}",
    "length just beyond": struct.pack("<Q", 3) + b"{}",
    "length of nothing": struct.pack("<Q", 0) + b"{}",
    "deep lists": header_file("[" * 100_000),
    "deep balanced lists": header_file('{"__metadata__": ' + "[" * 50_000 + "]" * 50_000 + "}"),
    "deep text in the metadata": header_file('{"__metadata__": {"chainrule": "' + "[" * 100_000 + '"}}'),
    "no metadata": header_file("{}"),
    "metadata of another tool": header_file('{"__metadata__": {"format": "pt"}}'),
    "metadata that is a list": header_file('{"__metadata__": []}'),
    "entry that is no text": header_file('{"__metadata__": {"chainrule": 1}}'),
    "entry that is no object": header_file('{"__metadata__": {"chainrule": "[]"}}'),
    "entry that is nothing": header_file('{"__metadata__": {"chainrule": "null"}}'),
    "entry not a number": header_file('{"__metadata__": {"chainrule": "{\\"format\\": NaN}"}}'),
    "entry without end": header_file('{"__metadata__": {"chainrule": "{\\"format\\": Infinity}"}}'),
    "huge tensor": header_file(
        '{"w": {"dtype": "F32", "shape": [1000000000000], "data_offsets": [0, 4000000000000]}, "__metadata__": {}}'
    ),
    "overflowing tensor": header_file(
        '{"w": {"dtype": "F32", "shape": [4294967296, 4294967296, 4], "data_offsets": [0, 0]}}'
    ),
    "a pickle": b"\x80\x04\x95\x20\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
    "a zip": b"PK\x03\x04" + b"\0" * 60,
    "not UTF-8": header_file(b'{"__metadata__": {"chainrule": "\xff\xfe"}}'),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_and_foreign_files_are_refused(path, bomb):
    assert loaded(path, BOMBS[bomb]) is None


def forge(path, change=lambda header: None, model=None, tensors=None, digest=True):
    """A file with a changed header or other tensors and, like a forger's, the right checksum."""
    model = model or small()
    save_model(model, path)
    raw = path.read_bytes()
    entry = json.loads(raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]])["__metadata__"]["chainrule"]
    header = json.loads(entry)
    change(header)
    numbers = model_file._parts(model)[1] | (tensors or {})
    numbers = {name: array for name, array in numbers.items() if array is not None}
    if digest:
        rest = {key: value for key, value in header.items() if key != "sha256"}
        header["sha256"] = model_file._digest(rest, numbers)
    path.write_bytes(save(numbers, metadata={"chainrule": json.dumps(header)}))


def test_forger_without_a_change_is_believed(path):
    forge(path)
    assert parts(load_model(path)) == parts(small())


def put(*keys, value):
    """Sets an entry of a nested header."""

    def change(header):
        for key in keys[:-1]:
            header = header[key]
        header[keys[-1]] = value

    return change


def drop(key):
    return lambda header: header.pop(key)


FORGED = {
    "newer format": (put("format", value=2), "format must be at most 1, got 2. The file is from a newer chainrule."),
    "format zero": (put("format", value=0), "format must be a whole number from 1 to 1, got 0."),
    "format in words": (put("format", value="1"), "format must be a whole number from 1 to 1, got '1'."),
    "format true": (put("format", value=True), "format must be a whole number from 1 to 1, got True."),
    "unknown key": (put("clases", value=None), "the header has an unknown key 'clases'. Did you mean 'classes'?"),
    "unknown layer": (
        put("net", "layers", 0, "type", value="Dence"),
        "net.layers[0]: type must be known, got 'Dence'",
    ),
    "layer from a module": (
        put("net", "layers", 0, "type", value="os.system"),
        "must be known, got 'os.system'",
    ),
    "unknown setting": (put("net", "layers", 0, "unit", value=3), "Dense has no setting 'unit'. Did you mean 'units'?"),
    "wrong setting": (put("net", "layers", 0, "units", value=-1), "net.layers[0]: Dense cannot be built."),
    "setting of another type": (put("net", "layers", 0, "units", value="2"), "Dense cannot be built."),
    "function that is a layer": (
        put("net", "layers", 2, "function", value={"type": "Dense", "units": 2}),
        "net.layers[2]: Activation cannot be built.",
    ),
    "function that is a number": (put("net", "layers", 2, "function", value=3), "Activation cannot be built."),
    "initializer that is a loss": (
        put("net", "layers", 0, "initializer", value={"type": "Poisson"}),
        "cannot be built.",
    ),
    "loss that is a layer": (put("loss", value={"type": "Dropout", "rate": 0.5}), "loss must be one of"),
    "loss of amounts": (put("loss", value={"type": "MeanSquaredError"}), "classes must be null with MeanSquaredError."),
    "network that is a loss": (put("net", value={"type": "Poisson"}), "net must be one of Net."),
    "network of no layers": (put("net", "layers", value=[]), "Net cannot be built."),
    "layers that are a number": (put("net", "layers", value=3), "Net cannot be built."),
    "layers that are numbers": (put("net", "layers", value=[1, 2]), "Net cannot be built."),
    "another width": (put("net", "inputs", value=5), "must be"),
    "huge network": (put("net", "layers", 0, "units", value=10**15), "tensor 'w' must be"),
    "endless network": (put("net", "layers", 0, "units", value=10**400), "tensor 'w' must be"),
    "no classes": (put("classes", value=None), "classes must be given with SoftmaxCrossEntropy."),
    "classes too few": (put("classes", "values", value=["a", "b"]), "classes must be 3 labels, got 2."),
    "classes twice": (put("classes", "values", value=["a", "b", "b"]), "classes must be distinct and in order."),
    "classes out of order": (put("classes", "values", value=["a", "c", "b"]), "classes must be distinct and in order."),
    "classes of another kind": (
        put("classes", "values", value=[1, 2, 3]),
        "classes must be a list of labels of kind str.",
    ),
    "classes of no kind": (put("classes", "kind", value="object"), "classes must be a kind and values."),
    "classes of a dtype's kind": (put("classes", "kind", value="V1000000000"), "classes must be a kind and values."),
    "classes of a kind that is a list": (put("classes", "kind", value=[]), "classes must be a kind and values."),
    "classes as text": (put("classes", "values", value="abc"), "classes must be a list of labels of kind str."),
    "classes with more": (put("classes", "more", value=1), "classes must be a kind and values."),
    "classes beyond 64 bits": (
        put("classes", value={"kind": "int64", "values": [0, 1, 2**64]}),
        "classes must be whole numbers of 64 bits.",
    ),
    "names too few": (put("feature_names", value=["u"]), "feature_names must be 2 texts."),
    "names that are a text": (put("feature_names", value="uv"), "feature_names must be 2 texts."),
    "names that are numbers": (put("feature_names", value=[1, 2]), "feature_names must be 2 texts."),
    "target name that is a number": (put("target_name", value=3), "target_name must be text, got 3."),
    "no version": (drop("version"), "got missing ['version'], unknown []."),
    "no network": (drop("net"), "got missing ['net'], unknown []."),
    "no format": (drop("format"), "got missing ['format'], unknown []."),
}


@pytest.mark.parametrize("case", FORGED)
def test_forged_headers_are_refused(path, case):
    change, sentence = FORGED[case]
    forge(path, change)
    with pytest.raises(FormatError) as raised:
        load_model(path)
    assert sentence in str(raised.value)
    assert str(raised.value).startswith("model.safetensors: ")


def test_networks_nested_too_deeply_are_refused(path):
    nested = {"type": "Dense", "units": 1}
    for _ in range(300):
        nested = {"type": "WarmUp", "after": nested}
    for depth, value in ((300, nested), (400, json.loads("[" * 400 + "]" * 400))):
        forge(path, put("net", "layers", value=[value]))
        with pytest.raises(FormatError):
            load_model(path)
        assert depth


TENSORS = {
    "not a number": ({"w": np.full(17, np.nan, "float32")}, "tensor 'w' must be"),
    "infinite": ({"buffers": np.full(4, np.inf, "float32")}, "tensor 'buffers' must be"),
    "too short": ({"w": np.zeros(3, "float32")}, "tensor 'w' must be (19,) finite float32 or float64 numbers"),
    "matrix": ({"w": np.zeros((19, 1), "float32")}, "tensor 'w' must be"),
    "half precision": ({"w": np.zeros(19, "float16"), "buffers": np.zeros(4, "float16")}, "must be"),
    "whole numbers": ({"w": np.zeros(19, "int32")}, "tensor 'w' must be"),
    "two precisions": ({"buffers": np.ones(4, "float64")}, "tensor 'buffers' must be float32 as w is, got float64."),
    "scale of zero": ({"inputs.scale": np.array([1.0, 0.0])}, "tensor 'inputs.scale' must be above 0, got 0.0."),
    "scale below zero": ({"inputs.scale": np.array([1.0, -1.0])}, "tensor 'inputs.scale' must be above 0, got -1.0."),
    "scale in float32": ({"inputs.scale": np.ones(2, "float32")}, "tensor 'inputs.scale' must be (2,) finite float64"),
    "one tensor more": ({"extra": np.zeros(1)}, "got missing [], unknown ['extra']."),
    "one tensor less": ({"w": None}, "got missing ['w'], unknown []."),
    "half of the targets": ({"targets.mean": np.zeros(3)}, "got missing ['targets.scale'], unknown []."),
}


@pytest.mark.parametrize("case", TENSORS)
def test_forged_tensors_are_refused(path, case):
    tensors, sentence = TENSORS[case]
    forge(path, tensors=tensors)
    with pytest.raises(FormatError) as raised:
        load_model(path)
    assert sentence in str(raised.value)


def test_amounts_take_no_classes(path):
    forge(path, put("classes", value={"kind": "int64", "values": [0, 1, 2]}), model=small(MeanSquaredError()))
    with pytest.raises(FormatError, match="classes must be null with MeanSquaredError"):
        load_model(path)


def test_wrong_checksum_is_named(path):
    forge(path, put("target_name", value="other"), digest=False)
    with pytest.raises(FormatError, match=r"the checksum does not match\. The file is damaged; use a copy"):
        load_model(path)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "units", "function", "kind", "values", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
PLACES = [
    *[(key,) for key in ("format", "version", "net", "loss", "classes", "feature_names", "target_name")],
    *[("net", key) for key in ("type", "inputs", "layers")],
    *[("net", "layers", i) for i in range(4)],
    *[("net", "layers", 0, key) for key in ("type", "units", "bias", "initializer")],
    *[("net", "layers", 1, key) for key in ("momentum", "epsilon")],
    ("net", "layers", 2, "function"),
    ("loss", "label_smoothing"),
    *[("classes", key) for key in ("kind", "values")],
]


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PLACES), plain)
def test_any_value_in_any_place_of_the_header_is_refused_or_makes_a_model_that_works(tmp_path_factory, place, value):
    path = tmp_path_factory.getbasetemp() / "fuzzed.safetensors"
    forge(path, put(*place, value=value))
    try:
        model = load_model(path)
    except FormatError:
        return
    assert model.predict(np.ones((2, 2))).shape == (2,)


GUARD = """
import sys
from chainrule.errors import FormatError
from chainrule.io import load_model
import numpy as np
good, *bad = sys.argv[1:]
load_model(good).predict(np.ones((2, 2)))
seen = []
sys.addaudithook(lambda event, arguments: seen.append((event, str(arguments)[:200])))
load_model(good).predict(np.ones((2, 2)))
for path in bad:
    try:
        load_model(path)
    except FormatError:
        continue
    raise SystemExit(f"{path} was loaded")
forbidden = ("import", "exec", "compile", "pickle", "os.system", "subprocess", "socket", "ctypes", "marshal")
found = [event for event in seen if event[0].startswith(forbidden)]
print(found)
print(sum(event[0] == "open" for event in seen))
"""


def test_loading_imports_compiles_unpickles_and_starts_nothing(tmp_path):
    good = tmp_path / "good.safetensors"
    save_model(small(), good)
    bad = []
    for i, case in enumerate(FORGED):
        bad.append(tmp_path / f"forged-{i}.safetensors")
        forge(bad[-1], FORGED[case][0])
    for i, data in enumerate(BOMBS.values()):
        bad.append(tmp_path / f"bomb-{i}.safetensors")
        bad[-1].write_bytes(data)
    environment = os.environ | {"PYTHONPATH": str(Path(chainrule.__file__).parent.parent)}
    command = [sys.executable, "-c", GUARD, str(good), *map(str, bad)]
    done = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found, opened = done.stdout.splitlines()
    assert found == "[]"
    assert int(opened) >= 1 + len(bad), "the hook saw the files being opened"
