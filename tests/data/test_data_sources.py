"""Why: any source must load alike or say what is wrong. In: names, files, folders. Out: passes or messages."""

import gzip
import hashlib
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

import chainrule.data
from chainrule.data import BUILTIN, Dataset, features_of, load, load_idx, mnist, read_idx
from chainrule.data.download import MIRRORS, MNIST, fetch
from chainrule.data.idx import FILES, cache_folder
from chainrule.data.table import read_file
from chainrule.errors import FormatError, InvalidValueError, MissingError

DATA = os.environ.get("CHAINRULE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="CHAINRULE_DATA is not set")

SHAPES = {
    "digits": (1797, 64),
    "circles": (300, 2),
    "moons": (300, 2),
    "blobs": (300, 2),
    "spirals": (300, 2),
    "iris": (150, 4),
    "wine": (178, 13),
    "breast_cancer": (569, 30),
    "diabetes": (442, 10),
}


def idx_bytes(array, code=0x08):
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, code, array.ndim]) + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture
def idx_folder(tmp_path):
    rng = np.random.default_rng(0)
    for file, n in zip(FILES, (6, 6, 4, 4), strict=True):
        images = "images" in file
        array = rng.integers(0, 256, (n, 3, 2), np.uint8) if images else np.arange(n, dtype=np.uint8) % 2
        (tmp_path / file).write_bytes(idx_bytes(array))
    return tmp_path


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "a.npz", **arrays)
        return tmp_path / "a.npz"

    return write


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    def refuse(*arguments, **options):
        raise urllib.error.URLError("network is unreachable")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.delenv("CHAINRULE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_import_costs_only_numpy():
    package = str(Path(chainrule.data.__file__).parents[1])
    code = f"""
import sys, types
parent = sys.modules["chainrule"] = types.ModuleType("chainrule")  # leaves the other packages out
parent.__path__ = [{package!r}]
import chainrule.data
print({{"polars", "sklearn", "scipy", "urllib.request", "pandas"}} & sys.modules.keys())
"""
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert answer.stdout == "set()\n"


@pytest.mark.parametrize("name", SHAPES)
def test_built_in_sets(name):
    data = load(name)
    assert (data.name, data.X.shape, data.X.dtype) == (name, SHAPES[name], np.float64)
    assert data.task == ("regression" if name == "diabetes" else "classification")
    assert data.test is None


def test_every_built_in_set_is_tested():
    assert set(BUILTIN) == {*SHAPES, "mnist"}


@pytest.mark.parametrize("name", ["circles", "moons", "blobs", "spirals"])
def test_drawn_sets_follow_the_seed(name):
    np.testing.assert_array_equal(load(name, seed=3).X, load(name, seed=3).X)
    assert not np.array_equal(load(name, seed=3).X, load(name, seed=2**33).X)


def test_circles_are_those_of_the_lecture():
    from sklearn.datasets import make_circles

    X, y = make_circles(n_samples=300, noise=0.15, factor=0.3, random_state=5)
    np.testing.assert_array_equal(load("circles", seed=5).X, X)
    np.testing.assert_array_equal(load("circles", seed=5).y, y)


def test_digits_are_images_and_iris_has_words():
    digits = load("digits")
    assert digits.image_shape == (8, 8)
    assert digits.shared_unit
    assert np.unique(load("iris").y).tolist() == ["setosa", "versicolor", "virginica"]


def test_built_in_set_with_another_task():
    assert load("digits", task="regression").y.dtype == np.float64
    assert load("diabetes", task="classification").y.tolist() == load("diabetes").y.tolist()
    with pytest.raises(InvalidValueError, match="iris: target must be numeric for regression, got 'setosa'"):
        load("iris", task="regression")


def test_unknown_name():
    with pytest.raises(InvalidValueError, match=r"source must be .*, got 'digit'. Did you mean 'digits'\?"):
        load("digit")
    with pytest.raises(InvalidValueError, match="Known: blobs, breast_cancer, circles"):
        load("qqqqqq")


@pytest.mark.parametrize("source", ["absent.csv", "./absent", "/absent/folder"])
def test_missing_path(source):
    with pytest.raises(MissingError, match=f"an existing file or folder, got '{source}'"):
        load(source)


def test_file_of_another_kind(tmp_path):
    (tmp_path / "a.docx").write_bytes(b"")
    with pytest.raises(FormatError, match=r"source must be a .csv, .tsv, .* or .xlsx table .* a folder of IDX files"):
        load(tmp_path / "a.docx", "y")


def test_target_where_there_is_nothing_to_choose():
    with pytest.raises(InvalidValueError, match="digits: target must be left out, got 'y'"):
        load("digits", "y")


def test_npz(npz):
    data = load(npz(X=np.arange(6).reshape(3, 2), y=np.array([0.5, 1, 2])))
    assert (data.task, data.feature_names, data.X.dtype) == ("regression", ("x0", "x1"), np.float64)
    assert load(npz(x=np.eye(2), y=np.array([[b"no"], [b"yes"]]))).y.tolist() == ["no", "yes"]


def test_npz_with_images_and_test_rows(npz):
    images = np.zeros((4, 2, 3), np.uint8)
    y = np.array([0, 1, 0, 1])
    data = load(npz(x_train=images, y_train=y, x_test=images[:1], y_test=y[:1]), task="regression")
    assert (data.image_shape, data.shared_unit, data.X.dtype) == ((2, 3), True, np.float32)
    assert data.test.X.shape == (1, 6)


@pytest.mark.parametrize(
    ("arrays", "part"),
    [
        ({"X": np.eye(2)}, "arrays must be X and y, or X_train"),
        ({"X": np.eye(2), "y": np.arange(3)}, r"y must be of shape \(2,\), one value per row of X, got \(3,\)"),
        ({"X": np.ones(3), "y": np.arange(3)}, r"X must be of shape \(n, d\)"),
        ({"X": np.array([["a"], ["b"]]), "y": np.arange(2)}, "X must be numeric, got an array of <U1"),
        ({"X": np.array([[1, 2], [3, np.nan]]), "y": np.arange(2)}, "got nan at row 1, column 1"),
        ({"X": np.eye(2), "y": np.array([0.5, np.inf])}, "target must be finite, got inf at row 1 "),
        ({"X": np.eye(2), "y": np.zeros(2, int)}, "at least two classes"),
    ],
)
def test_npz_that_cannot_be_learned_from(npz, arrays, part):
    with pytest.raises(InvalidValueError, match=part):
        load(npz(**arrays))


def test_npz_damaged_or_pickled(npz, tmp_path):
    with pytest.raises(FormatError, match=r"a\.npz: the file must be a readable .npz"):
        load(npz(X=np.array([{}]), y=np.arange(1)))
    content = npz(X=np.eye(9), y=np.arange(9)).read_bytes()
    for damaged in (b"", b"PK", content[:-30], content[:200] + b"?" * 50 + content[250:]):
        (tmp_path / "b.npz").write_bytes(damaged)
        with pytest.raises(FormatError):
            load(tmp_path / "b.npz")
    np.save(tmp_path / "c.npy", np.eye(2))
    (tmp_path / "c.npy").rename(tmp_path / "c.npz")
    with pytest.raises(FormatError):
        load(tmp_path / "c.npz")


def test_features_of_sources_without_named_columns(npz, idx_folder):
    assert features_of(npz(X=np.eye(2)), ("a", "b")).shape == (2, 2)
    assert features_of("digits", [f"f{i}" for i in range(64)]).shape == (1797, 64)
    assert features_of(idx_folder, list("abcdef")).shape == (6, 6)
    with pytest.raises(InvalidValueError, match=r"X must be of shape \(n, 3\)"):
        features_of(npz(X=np.eye(2)), ("a", "b", "c"))
    with pytest.raises(InvalidValueError, match="X, the rows to predict"):
        features_of(npz(y=np.eye(2)), ("a", "b"))
    with pytest.raises(MissingError):
        features_of("absent.npz", ("a",))


@pytest.mark.parametrize(("code", "dtype"), [(8, "u1"), (9, "i1"), (11, "i2"), (12, "i4"), (13, "f4"), (14, "f8")])
def test_idx_types(tmp_path, code, dtype):
    array = np.arange(6, dtype=dtype).reshape(2, 3)
    (tmp_path / "a").write_bytes(gzip.compress(idx_bytes(array, code)))
    got = read_idx(tmp_path / "a")
    np.testing.assert_array_equal(got, array)
    assert got.dtype == np.dtype(dtype)


GOOD_IDX = idx_bytes(np.arange(6, dtype=np.uint8))


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "IDX, starting with two zero bytes"),
        (b"PK34", "IDX, starting with two zero bytes"),
        (b"\0\0\x07\x01\0\0\0\0", "type code must be one of"),
        (GOOD_IDX[:-1], "must be 14 bytes long, got 13"),
        (GOOD_IDX + b"1", "must be 14 bytes long, got 15"),
        (GOOD_IDX[:6], "the sizes must be 1 numbers above 0"),
        (gzip.compress(GOOD_IDX, mtime=0)[:-9], "intact gzip"),
        (b"\x1f\x8b" + b"?" * 20, "intact gzip"),
    ],
)
def test_damaged_idx(tmp_path, content, part):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(FormatError, match=part):
        read_idx(tmp_path / "a")


def test_idx_folder(idx_folder):
    (idx_folder / FILES[1]).rename(idx_folder / "train-labels.idx1-ubyte")
    data = load(str(idx_folder))
    assert (data.X.shape, data.X.dtype, data.y.dtype) == ((6, 6), np.float32, np.int64)
    assert (data.image_shape, data.shared_unit, data.name) == ((3, 2), True, idx_folder.name)
    assert data.feature_names[3] == "pixel_1_1"
    assert data.test.X.shape == (4, 6)
    assert load(idx_folder, task="regression").test.task == "regression"


def test_idx_folder_with_faults(idx_folder):
    labels = idx_bytes(np.arange(5, dtype=np.uint8))
    (idx_folder / FILES[1]).write_bytes(labels)
    with pytest.raises(FormatError, match=r"images .* with whole-number labels .*, got \(\(6, 3, 2\), \(5,\)\)"):
        load_idx(idx_folder)
    (idx_folder / FILES[1]).unlink()
    (idx_folder / FILES[2]).unlink()
    with pytest.raises(MissingError, match="got no train-labels-idx1-ubyte and no t10k-images-idx3-ubyte"):
        mnist(idx_folder)


def test_mnist_is_found_in_the_named_folder_or_the_cache(idx_folder, no_network, monkeypatch):
    monkeypatch.setenv("CHAINRULE_DATA", str(idx_folder))
    assert mnist().X.shape == (6, 6)
    sub = idx_folder / "mnist"
    sub.mkdir()
    for file in FILES:
        (idx_folder / file).rename(sub / file)
    assert load("mnist").name == "mnist"
    monkeypatch.delenv("CHAINRULE_DATA")
    cache_folder().parent.mkdir(parents=True)
    sub.rename(cache_folder())
    assert mnist().X.shape == (6, 6)


def test_without_network_mnist_says_what_was_tried_and_what_to_do(no_network, monkeypatch, tmp_path):
    monkeypatch.setenv("CHAINRULE_DATA", str(tmp_path / "given"))
    with pytest.raises(MissingError) as caught:
        mnist()
    text = str(caught.value)
    for part in (tmp_path / "given" / "mnist", cache_folder(), *MIRRORS, *FILES, "network is unreachable"):
        assert str(part) in text
    assert f"into {cache_folder()}, or set CHAINRULE_DATA to their folder" in text


def test_home_cache_where_no_other_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "chainrule" / "mnist"


class Answer:
    def __init__(self, data):
        self.data = data

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def read(self):
        return self.data


def test_fetch_tries_the_next_mirror_and_keeps_only_whole_files(monkeypatch, tmp_path):
    answers = {"https://a/f": Answer(b"damaged"), "https://b/f": Answer(gzip.compress(b"whole", mtime=0))}
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: answers[url])
    files = {"f": hashlib.sha256(b"whole").hexdigest()}
    faults = fetch(files, tmp_path / "x", ("https://a/",))
    assert "https://a/f: the unpacked file must have SHA-256" in faults[0]
    assert not (tmp_path / "x").exists()
    assert fetch(files, tmp_path / "x", ("https://a/", "https://b/")) == []
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["f"]
    assert fetch(files, tmp_path / "x", ()) == []


def test_mnist_downloads_into_the_cache(no_network, idx_folder, monkeypatch):
    from chainrule.data import download

    content = {f"{file}.gz": (idx_folder / file).read_bytes() for file in FILES}
    checksums = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    monkeypatch.setattr(download, "MNIST", checksums)
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: Answer(content[url.rpartition("/")[2]]))
    assert mnist().test.X.shape == (4, 6)
    assert sorted(path.name for path in cache_folder().iterdir()) == sorted(content)


@needs_data
def test_real_mnist_and_its_checksums():
    data = load("mnist")
    assert (data.X.shape, data.test.X.shape) == ((60000, 784), (10000, 784))
    assert (data.X.max(), data.y[:5].tolist()) == (255.0, [5, 0, 4, 1, 9])
    folder = next(place for place in (Path(DATA), Path(DATA) / "mnist") if (place / next(iter(MNIST))).exists())
    for name, digest in MNIST.items():
        assert hashlib.sha256(gzip.decompress((folder / name).read_bytes())).hexdigest() == digest


def test_dataset_refuses_shapes_that_do_not_fit():
    with pytest.raises(InvalidValueError) as caught:
        Dataset("toy", np.eye(3), np.arange(2), "ranking", ("a",), "y", (2, 2))
    assert len(str(caught.value).splitlines()) == 4
    with pytest.raises(InvalidValueError, match=r"X must be of shape \(n, d\) with n and d at least 1"):
        Dataset("toy", np.ones((0, 3)), np.arange(0), "regression", ("a",), "y")
    test = Dataset("toy", np.eye(1), np.arange(1.0), "regression", ("b",), "y")
    with pytest.raises(InvalidValueError, match="test must have the feature names"):
        Dataset("toy", np.eye(1), np.arange(1.0), "regression", ("a",), "y", test=test)


@pytest.mark.parametrize("ending", [".xls", ".XLS", ".xlsb", ".xlsm", ".ods", ".numbers"])
def test_a_workbook_of_another_kind_is_refused_with_what_to_do(tmp_path, ending):
    path = tmp_path / f"old{ending}"
    path.write_bytes(b"\xd0\xcf\x11\xe0")
    for read in (load, lambda place: load(place, "y"), read_file):
        with pytest.raises(FormatError, match=f"A {ending.lower()} workbook is not read: save it as .xlsx or .csv"):
            read(path)


def test_an_old_workbook_under_another_name_is_refused_with_what_to_do(tmp_path):
    for name in ("old.csv", "old.tsv", "old.txt", "old.dat", "old.data"):
        (tmp_path / name).write_bytes(b"\xd0\xcf\x11\xe0" + bytes(100))
        with pytest.raises(FormatError, match=r"old .xls, which its name does not say. A .xls workbook is not read"):
            load(tmp_path / name, "y")
