"""Why: loading must run nothing. In: a folder. Out: files that would run code, or reach outside, in a careless reader."""

import gzip
import io
import json
import os
import pickle
import zipfile

from untrusted.bombs import header, npy, zipped
from untrusted.mutation import drawing
from untrusted.readers import READERS


class Runs:
    """A pickle of this leaves a mark when it is loaded."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def write(folder, mark):
    """Write the corpus; return its paths."""
    pickled = pickle.dumps(Runs(mark))
    code = f"__import__('os').system('touch {mark}')"
    keras = {"class_name": "Lambda", "module": "os", "config": {"function": code}, "registered_name": "system"}
    lazy = f'!!python/object/apply:os.system ["touch {mark}"]\n'
    files = {}
    for ending in (
        ".csv",
        ".tsv",
        ".csv.gz",
        ".npz",
        ".parquet",
        ".xlsx",
        ".safetensors",
        ".json",
        ".data",
        ".xlsx.gz",
    ):
        files[f"pickle{ending}"] = pickled
        files[f"gzipped-pickle{ending}"] = gzip.compress(pickled)
        files[f"yaml{ending}"] = lazy.encode()
        files[f"python{ending}"] = f"import os\nos.system('touch {mark}')\n".encode()
        files[f"keras{ending}"] = json.dumps(keras).encode()
        files[f"onnx{ending}"] = b"\x08\x07\x12\x07pytorch" + b"../../../../etc/passwd" + pickled
    files["objects.npz"] = zipped([("X.npy", npy("(1,)", "'|O'", pickled)), ("y.npy", npy("(1,)", "'|O'", pickled))])
    files["code.npz"] = zipped([("X.npy", npy(code)), ("y.npy", npy("(1,)"))])
    files["pickled-entry.npz"] = zipped([("X", pickled), ("y", pickled), ("../../X.npy", pickled)])
    files["metadata.safetensors"] = header(
        json.dumps({"__metadata__": {"chainrule": json.dumps({"net": keras}), "x": code}})
    )
    files["link.npz"] = _with_link()
    files["link.xlsx"] = _with_link()
    paths = []
    for name, data in files.items():
        (folder / name).write_bytes(data)
        paths.append(folder / name)
    (folder / "outside.csv").symlink_to("/etc/passwd")
    return [*paths, *_mutants(folder)]


def _with_link():
    """An archive with a symbolic link and a path that leads outside."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("X.npy")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("../../../../tmp/y.npy", npy("(1,)"))
        archive.writestr("/tmp/y.npy", npy("(1,)"))
    return buffer.getvalue()


def _mutants(folder, count=8):
    for name in ("csv", "npz", "idx", "model", "pack", "preset"):
        own = folder / name
        own.mkdir()
        path = READERS[name].honest(own)
        data = path.read_bytes()
        for number in range(count):
            place = own / f"{number}{path.suffix}"
            place.write_bytes(READERS[name].mutant(data, drawing(name, number)))
            yield place
