"""Why: all readers of files are attacked alike. In: nothing. Out: a table: honest files, mutants, how they are read."""

import io
import json
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from pack_cases import plain_table_model, regression_pack, table_model
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors
from untrusted.mutation import gzipped, json_text, mutated, reshaped, rezipped

from chainrule import Activation, BatchNorm, Dense, Net
from chainrule.data import Standardizer, load, load_idx
from chainrule.data.idx import FILES
from chainrule.io import load_model, model_file, save_model
from chainrule.model import Model
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.search.results import RungScore
from chainrule.search.store import opened
from chainrule.tabular import presets
from chainrule.train.checkpoint import FolderCheckpointer, _canonical, _digest

CSV = "size,color,y\n" + "".join(f"{k / 7:.3f},{('red', 'green', 'blue')[k % 3]},{'ab'[k % 2]}\n" for k in range(9))
DATES = "when,price,y\n" + "".join(f'2024-0{k % 9 + 1}-1{k % 9},"{k * 37 % 101} €",{k % 2}\n' for k in range(12))


@dataclass(frozen=True)
class Reader:
    """One kind of file.

    `honest` writes files into a folder and returns the one that is attacked; `mutant` returns its new bytes; `read` reads
    it; `apart` says that a process of its own reads it, which takes long.
    """

    name: str
    honest: Callable[[Path], Path]
    mutant: Callable[[bytes, object], bytes]
    read: Callable[[Path], object]
    apart: bool = False


def _file(name, data):
    def write(folder):
        path = folder / name
        path.write_bytes(data() if callable(data) else data)
        return path

    return write


def _table(path):
    return load(path, "y")


def _npz():
    buffer = io.BytesIO()
    X = np.arange(24, dtype=np.float32).reshape(8, 3)
    np.savez(buffer, X_train=X, y_train=np.arange(8) % 2, X_test=X[:4], y_test=np.array([0, 1, 1, 0]))
    return buffer.getvalue()


def _idx(array):
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    code = 0x0D if array.dtype == np.float32 else 8
    return bytes([0, 0, code, array.ndim]) + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


def _idx_folder(folder):
    labels = np.arange(6, dtype=np.uint8) % 2
    images = np.arange(36, dtype=np.float32).reshape(6, 3, 2)
    for file in FILES:
        (folder / file).write_bytes(_idx(labels if "labels" in file else images))
    return folder / FILES[0]


def _idx_folder_gz(folder):
    plain = _idx_folder(folder)
    path = plain.with_name(f"{plain.name}.gz")
    plain.rename(path)
    return path


def _parquet():
    buffer = io.BytesIO()
    pl.read_csv(CSV.encode()).write_parquet(buffer)
    return buffer.getvalue()


def xlsx(rows):
    """A small workbook, made by hand as the package needs no writer of workbooks."""
    import zipfile

    cells = "".join(
        "<row>" + "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in row) + "</row>" for row in rows
    )
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    sheet = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    files = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        f'<Default Extension="xml" ContentType="{sheet}.sheet.main+xml"/>'
        f'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        '<sheet name="one" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>',
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def _small_model():
    rng = np.random.default_rng(0)
    net = Net(2, [Dense(2), BatchNorm(), Activation("tanh"), Dense(3)])
    w = rng.normal(size=net.size).astype("float32")
    return Model(
        *(net, SoftmaxCrossEntropy(), w, rng.random(net.buffers.size).astype("float32")),
        *(Standardizer(rng.normal(size=2), rng.random(2) + 0.5), None, np.array(["a", "b", "c"]), ("u", "v"), "kind"),
    )


def _model(make):
    def write(folder):
        path = folder / "model.safetensors"
        save_model(make(), path)
        return path

    return write


def forged(data, draw):
    """A model file with parts changed and, like a forger's, the right checksum; or a mutant of the bytes."""
    if draw.random() < 0.3:
        return mutated(data, draw)
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["chainrule"])
    tensors = dict(load_tensors(data))
    if draw.random() < 0.2:
        name = draw.choice(sorted(tensors))
        tensors[name] = draw.choice(
            (
                *(
                    np.zeros(0, "float32"),
                    np.full_like(tensors[name], 1),
                    tensors[name].astype("float16"),
                    tensors[name][:1],
                ),
                *(tensors[name].reshape(1, -1), np.full(tensors[name].shape, np.nan), np.zeros(10_000, "int32")),
            )
        )
        tensors[name] = np.ascontiguousarray(tensors[name])
    header.pop("sha256")
    header = reshaped(header, draw)
    if isinstance(header, dict):
        header["sha256"] = _safe_digest(header, tensors)
    return save_tensors(tensors, metadata={"chainrule": json_text(header, draw)})


def _safe_digest(header, tensors):
    return model_file._digest({key: value for key, value in header.items() if key != "sha256"}, tensors)


def _predicts(path):
    model = load_model(path)
    if isinstance(model, Model):
        model.predict(np.zeros((2, model.net.inputs)))
    return model


def _checkpoint(folder):
    from test_checkpoint import run

    run(folder, every=0.0)
    manifests = sorted(folder.glob("snapshot-*.json"))
    for path in manifests[:-1]:
        path.unlink()
        path.with_suffix(".safetensors").unlink()
    return manifests[-1]


def _resealed(data, draw):
    if draw.random() < 0.3:
        return mutated(data, draw)
    body = json.loads(data)
    run, tensors = body.pop("run"), body.pop("tensors")
    body.pop("sha256")
    body = {**reshaped(body, draw), "run": run, "tensors": tensors}
    if "sha256" in body:
        return _canonical(body)
    return _canonical(body | {"sha256": _digest(body)})


def _load_checkpoint(path):
    run = "of nobody"
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        run = json.loads(path.read_bytes())["run"]
    return FolderCheckpointer(path.parent, run if isinstance(run, str) else "", 0.0).load()


def _preset(data, draw):
    if draw.random() < 0.3:
        return mutated(data, draw)
    return json_text(reshaped(json.loads(data), draw), draw).encode()


def _draw_preset(path):
    preset = presets.get(path)
    preset.draw(0, 0)
    return preset.rows_per_batch(1000), preset.epochs_for(1000)


_PLAIN = {"source": "iris", "space": {"width": [4, 8]}}


def _store(folder):
    with opened(folder, "print", _PLAIN) as store:
        for k in range(3):
            store.begin(k, {"width": 4 + k, "sizes": (4, 8)})
            store.reach(k, 0, RungScore(4, 0.5, 0.25, 4, 2, 0.1, ((1, 0.5),)))
        store.end(0, "complete")
        store.end(1, "pruned", "slow")
        final = {"trial": 0, "seed": 0, "validation": {"accuracy": 0.5}, "test": None, "epochs": 4, "seconds": 1.0}
        store.keep_final(0, final)
    return folder / "search.db"


def _store_mutant(data, draw):
    """A damaged database, or a whole one in which cells are changed."""
    if draw.random() < 0.5:
        return mutated(data, draw)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        database.deserialize(data[:18] + b"\1\1" + data[20:])  # (one in memory has no write-ahead log)
        table, column = draw.choice(
            (
                ("trials", "settings"),
                ("trials", "state"),
                ("trials", "reason"),
                ("rungs", "result"),
                ("finals", "result"),
                ("search", "plain"),
                ("search", "format"),
                ("search", "fingerprint"),
            )
        )
        old = database.execute(f"SELECT {column} FROM {table}").fetchone()[0]
        kind = draw.randrange(4)
        if kind == 0 and isinstance(old, str) and old.startswith("{"):
            new = json_text(reshaped(json.loads(old), draw), draw)
        elif kind == 1:
            new = draw.choice((0, -1, 2.5, b"\x00\xff", "", "\x1b[31m", "[]", "null", "x" * 5000, 2**62))
        elif kind == 2:
            statements = (
                *("DROP TABLE rungs", "DELETE FROM search", "ALTER TABLE trials RENAME COLUMN state TO status"),
                "CREATE TRIGGER t AFTER INSERT ON trials BEGIN DELETE FROM rungs; END",
                "ALTER TABLE rungs RENAME TO old; CREATE VIEW rungs AS WITH RECURSIVE r(n) AS "
                "(SELECT 0 UNION ALL SELECT n + 1 FROM r) SELECT n AS trial, 0 AS rung, '{}' AS result FROM r",
            )
            database.executescript(draw.choice(statements))
            return database.serialize()
        else:
            new = mutated(str(old).encode(), draw).decode("utf-8", "replace")
        database.execute(f"UPDATE {table} SET {column} = ?", (new,))
        return database.serialize()


def _read_store(path):
    for name in ("search.db-wal", "search.db-shm"):
        path.with_name(name).unlink(missing_ok=True)
    with opened(path.parent, "print", _PLAIN) as store:
        return store.trials(), store.finals()


def _workbook():
    return xlsx([line.split(",") for line in CSV.splitlines()])


def _table_preset():
    return json.dumps(presets.to_plain(presets.get("table"))).encode()


def _tsv():
    return CSV.replace(",", "\t").encode()


READERS = {
    reader.name: reader
    for reader in (
        Reader("csv", _file("t.csv", CSV.encode()), mutated, _table),
        Reader("csv of dates", _file("t.csv", DATES.encode()), mutated, _table),
        Reader("tsv", _file("t.tsv", _tsv), mutated, _table),
        Reader("csv.gz", _file("t.csv.gz", CSV.encode()), gzipped, _table),
        Reader("npz", _file("t.npz", _npz), rezipped, load),
        Reader("idx", _idx_folder, mutated, lambda path: load_idx(path.parent)),
        Reader("idx.gz", _idx_folder_gz, gzipped, lambda path: load_idx(path.parent)),
        Reader("parquet", _file("t.parquet", _parquet), mutated, _table, apart=True),
        Reader(
            "xlsx",
            _file("t.xlsx", lambda: xlsx([line.split(",") for line in CSV.splitlines()])),
            rezipped,
            _table,
            apart=True,
        ),
        Reader("model", _model(_small_model), forged, _predicts),
        Reader("model of a table", _model(plain_table_model), forged, load_model),
        Reader("pack", _model(table_model), forged, load_model),
        Reader("pack of values", _model(regression_pack), forged, load_model),
        Reader("checkpoint", _checkpoint, _resealed, _load_checkpoint),
        Reader(
            "preset",
            _file("p.json", lambda: json.dumps(presets.to_plain(presets.get("table"))).encode()),
            _preset,
            _draw_preset,
        ),
        Reader("search store", _store, _store_mutant, _read_store),
    )
}
