"""Why: a few bytes may ask for gigabytes. In: nothing. Out: files that do, of each kind, and files that only seem to."""

import gzip
import io
import json
import struct
import zipfile

import numpy as np
import polars as pl
from untrusted.readers import xlsx


def npy(shape, descr="'<f8'", body=b"", order="False"):
    """An array's file whose header may promise anything."""
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


def zipped(entries, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return buffer.getvalue()


def gzip_of_zeros(megabytes, start=b""):
    return gzip.compress(start) + gzip.compress(b"0\n" * (1 << 19), mtime=0) * megabytes


def idx(dimensions, code=8, body=b""):
    return bytes([0, 0, code, len(dimensions)]) + b"".join(struct.pack(">I", d) for d in dimensions) + body


def parquet_of_constants(rows, columns=1):
    buffer = io.BytesIO()
    pl.DataFrame({f"c{j}": pl.repeat(0, rows, eager=True) for j in range(columns)}).write_parquet(buffer)
    return buffer.getvalue()


def wide(columns, rows=3):
    return (",".join(["a"] * columns) + "\n" + (",".join(["1"] * columns) + "\n") * rows).encode()


def pair(X, y):
    """An .npz file of two arrays' files."""
    return zipped([("X.npy", X), ("y.npy", y)])


ONE = npy("(3,)")


def lying_zip():
    """An archive whose directory says that an entry is short, though it unpacks to 60 MB."""
    data = bytearray(
        zipped([("X.npy", npy("(7500000,)", body=bytes(60_000_000))), ("y.npy", npy("(1,)", body=bytes(8)))])
    )
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(mark)
        data[at + place : at + place + 4] = struct.pack("<I", 1000)
    return bytes(data)


def far_cell():
    """A workbook with one cell in the last corner of a sheet, 16,384 columns by 1,048,576 rows away from the first."""
    data = xlsx([["a", "y"], ["1", "2"]])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = [(name, archive.read(name)) for name in archive.namelist()]
    corner = b'<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>x</t></is></c></row></sheetData>'
    return zipped([(name, text.replace(b"</sheetData>", corner)) for name, text in entries])


def header(text, body=b""):
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(raw)) + raw + body


def empty_tensors(count):
    entries = {f"t{k}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for k in range(count)}
    return header(json.dumps({"__metadata__": {"chainrule": "{}"}, **entries}))


ENTITIES = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><workbook>&b;</workbook>'
ZEROS = bytes(90_000_000)

BOMBS = {
    "npz of zeros": ("b.npz", lambda: pair(npy("(11250, 1000)", body=ZEROS), ONE)),
    "npz that promises 8 TB": ("b.npz", lambda: pair(npy("(1000000000000,)"), ONE)),
    "npz of overflowing sizes": (
        "b.npz",
        lambda: pair(npy("(4294967296, 4294967296, 4)"), ONE),
    ),
    "npz of large items": (
        "b.npz",
        lambda: pair(npy("(10,)", "'<U1000000000'"), ONE),
    ),
    "npz of objects": (
        "b.npz",
        lambda: pair(npy("(3,)", "'|O'", b"cos\nsystem\n"), ONE),
    ),
    "npz of deep brackets": ("b.npz", lambda: pair(npy("(" * 4000), ONE)),
    "npz of code": ("b.npz", lambda: pair(npy("__import__('os').abort()"), ONE)),
    "npz with a long header": (
        "b.npz",
        lambda: pair(npy("(" + "1," * 30_000 + ")"), ONE),
    ),
    "npz of 65 dimensions": (
        "b.npz",
        lambda: pair(npy("(" + "1," * 65 + ")", body=bytes(8)), ONE),
    ),
    "npz that lies about a size": ("b.npz", lying_zip),
    "npz of 30,000 entries": ("b.npz", lambda: zipped([(f"a{k}.npy", b"") for k in range(30_000)], zipfile.ZIP_STORED)),
    "csv.gz of zeros": ("b.csv.gz", lambda: gzip_of_zeros(400, b"a\n")),
    "csv.gz in csv.gz": ("b.csv.gz", lambda: gzip.compress(gzip_of_zeros(400, b"a\n"))),
    "csv of 150,000 columns": ("b.csv", lambda: wide(150_000)),
    "csv of 150,000 equal names in tabs": ("b.tsv", lambda: wide(150_000).replace(b",", b"\t")),
    "csv of one line of 80 MB": ("b.csv", lambda: b"a,y\n" + b"x" * 80_000_000 + b",1\n"),
    "csv of quotes without end": ("b.csv", lambda: b'a,y\n"' + b"1,2\n" * 3_000_000),
    "idx.gz of zeros": ("b", lambda: gzip.compress(idx((9, 100, 100_000), body=ZEROS))),
    "idx.gz that promises 64 GB": ("b", lambda: gzip.compress(idx((2**18, 2**18)))),
    "idx.gz with more than it promises": ("b", lambda: gzip_of_zeros(400, idx((2, 2)))),
    "idx that promises 64 GB": ("b", lambda: idx((2**18, 2**18))),
    "idx of 100 dimensions": ("b", lambda: idx((1,) * 100, body=b"x")),
    "idx of nothing by much": ("b", lambda: idx((0, 2**32 - 1, 2**32 - 1))),
    "parquet of 50 million rows": ("b.parquet", lambda: parquet_of_constants(50_000_000)),
    "parquet of 300 columns": ("b.parquet", lambda: parquet_of_constants(100_000, 300)),
    "parquet that is its marks": ("b.parquet", lambda: b"PAR1" + b"\xff" * 64 + b"PAR1"),
    "parquet.gz of zeros": ("b.parquet.gz", lambda: gzip_of_zeros(400)),
    "xlsx of zeros": ("b.xlsx", lambda: zipped([("xl/workbook.xml", ZEROS), ("xl/worksheets/sheet1.xml", b"")])),
    "xlsx with a far cell": ("b.xlsx", far_cell),
    "xlsx of entities": (
        "b.xlsx",
        lambda: zipped(
            [("xl/workbook.xml", b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><workbook>&b;</workbook>')]
        ),
    ),
    "model of 60,000 tensors": ("b.safetensors", lambda: empty_tensors(60_000)),
    "model with a header of 90 MB": (
        "b.safetensors",
        lambda: header(b'{"__metadata__": {}' + b" " * 90_000_000 + b"}"),
    ),
    "model of one huge tensor": (
        "b.safetensors",
        lambda: header('{"w": {"dtype": "F32", "shape": [1000000000000], "data_offsets": [0, 4000000000000]}}'),
    ),
    "model of deep lists": ("b.safetensors", lambda: header("[" * 5_000_000)),
    "preset of 2 MB": ("b.json", lambda: b'{"members": ' + b"1" * 2_000_000 + b"}"),
    "preset of deep lists": ("b.json", lambda: b"[" * 900_000),
}

HONEST = {
    "npz of zeros that is short": (
        "h.npz",
        lambda: zipped(
            [("X.npy", npy("(1000, 10)", body=bytes(80_000))), ("y.npy", npy("(1000,)", "'|i1'", bytes([0, 1] * 500)))]
        ),
    ),
    "npz in the order of Fortran": (
        "h.npz",
        lambda: zipped(
            [
                ("X.npy", npy("(2, 3)", body=np.arange(6.0).tobytes(), order="True")),
                ("y.npy", npy("(2,)", body=np.array([0.5, 1.5]).tobytes())),
            ]
        ),
    ),
    "one-hot csv.gz": ("h.csv.gz", lambda: gzip.compress(one_hot())),
    "wide csv": ("h.csv", lambda: wide(3_000)),
    "parquet of constants": ("h.parquet", lambda: parquet_of_constants(300_000, 3)),
    "csv.gz of two members": ("h.csv.gz", lambda: gzip.compress(b"a,y\n1,2\n") + gzip.compress(b"2,3\n3,4\n")),
    "idx.gz of zeros that is short": ("h", lambda: gzip.compress(idx((1000, 28, 28), body=bytes(784_000)))),
}


def one_hot():
    """A table that packs well: 2,000 rows of 1,000 columns with a single 1 in each."""
    rows = np.zeros((2_000, 1_000), np.uint8)
    rows[np.arange(2_000), np.random.default_rng(0).integers(0, 1_000, 2_000)] = 1
    text = "\n".join(",".join(map(str, row)) for row in rows.tolist())
    return (",".join(f"c{j}" for j in range(1_000)) + "\n" + text + "\n").encode()


def read(path):
    """Read a file by what it is."""
    from chainrule.data import load, read_idx
    from chainrule.data.table import read_file
    from chainrule.io import load_model
    from chainrule.tabular import presets

    if path.suffix == ".npz":
        return load(path)
    if path.suffix == ".safetensors":
        return load_model(path)
    if path.suffix == ".json":
        return presets.get(path)
    return read_file(path) if path.suffix else read_idx(path)
