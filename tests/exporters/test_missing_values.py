"""Why: a value that means a missing cell must mean it in every exported file too.

In: models of a table whose codes are named. Out: the answers of every format for rows with codes, beside the model's.
"""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from chainrule import TableRegressor, cli
from chainrule.data.table import ReadOptions, describe
from chainrule.data.table.schema_plain import schema_to_plain
from chainrule.errors import InvalidValueError
from chainrule.exporters.lower import lower
from chainrule.exporters.registry import FORMATS, ExportOptions, exporter
from chainrule.io import load_model
from chainrule.report import matplotlib

N = 90
MISSING = "size=-999,size=77.7,kind=?x,kind=-1,when=1900-01-01,big=-1"
START = dt.datetime(2020, 1, 1)


def table():
    rng = np.random.default_rng(0)
    size, kind = rng.normal(size=N), rng.choice(["u", "v"], N).astype(object)
    when = [START + dt.timedelta(days=int(each)) for each in rng.integers(0, 900, N)]
    big = (rng.random(N) < 0.5).astype(int)
    y = size + (kind == "u") + rng.normal(size=N)
    size[:6], size[6:9], kind[3:9], kind[9:12], big[20:30] = -999.0, 77.7, "?x", "-1", -1
    when[5:12] = [dt.datetime(1900, 1, 1)] * 7
    return pl.DataFrame({"size": size, "kind": kind.tolist(), "when": when, "big": big, "y": y})


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("missing")
    table().write_parquet(folder / "t.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(matplotlib, "png", lambda figure: b"")
        line = ["train", "t.parquet", "--target", "y", "--missing", MISSING, "--preset", "plain", "--epochs", "5"]
        assert cli.run([*line, "--doctor", "off", "--out", "run"]) == 0
    missing = {"size": [-999, 77.7], "kind": ["?x", -1], "when": ["1900-01-01"], "big": -1}
    pack = TableRegressor(missing=missing, seconds=None, preset={"members": 2}, random_state=0)
    pack.fit(table().drop("y"), table()["y"].to_numpy())
    return {"plain": load_model(folder / "run" / "model.safetensors"), "pack": pack.model_}


@pytest.mark.parametrize("kind", ["plain", "pack"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_takes_the_values_for_gaps(models, name, kind):
    model = models[kind]
    plan = lower(model)
    chosen, options = exporter(name), ExportOptions()
    assert list(chosen.faults(plan, options)) == []
    rows = table().drop("y").to_dicts()
    ran = chosen.run(chosen.write(plan, options), plan, options, rows)
    if ran is None:
        pytest.skip(f"{chosen.runtime} is not installed")
    expected = model.predict(rows)
    assert np.allclose(ran.answers.numbers[:, 0], expected, rtol=1e-5, atol=1e-5)
    gaps = [{**row, "size": None} if row["size"] in (-999.0, 77.7) else row for row in rows]
    assert np.allclose(model.predict(gaps), expected, rtol=1e-6)
    other = [{**row, "size": -998.0} if row["size"] == -999.0 else row for row in rows]
    assert abs(model.predict(other) - expected).max() > 1e-3


WRITTEN = {
    "a unit": ("{:.0f} kg", "-999 kg", ["-999 kg", "-999", "-999.0", -999, -999.0]),
    "a decimal comma": ("{:.2f}", "9,9", ["9,9", "9,90", "9.9", 9.9]),
    "both, and thousands": ("{:.2f} kg", "-9.999,5 kg", ["-9.999,5 kg", "-9999,50", "-9999.5", -9999.5]),
}


@pytest.fixture(scope="module", params=WRITTEN)
def written(request):
    """Return a model of a column of texts that are numbers, spellings of its value, and another cell."""
    form, value, same = WRITTEN[request.param]
    rng = np.random.default_rng(0)
    x = rng.normal(50, 20, N)
    cells = [form.format(each).replace(".", ",") for each in x]
    cells[:4] = [value] * 4
    frame = pl.DataFrame({"x": cells, "z": rng.normal(size=N)})
    model = TableRegressor(missing={"x": value}, seconds=None, preset={"members": 1}, random_state=0)
    return model.fit(frame, x + rng.normal(size=N)).model_, same, cells[9]


@pytest.mark.parametrize("name", FORMATS)
def test_a_value_written_as_its_column_is_the_same_number_in_every_format(written, name):
    model, same, other = written
    rows = [{"x": cell, "z": 0.5} for cell in (*same, None, other)]
    expected = model.predict(rows)
    alone = [model.predict([row])[0] for row in rows]
    assert np.allclose(alone, expected, rtol=1e-6)
    assert len(set(alone[:-1])) == 1
    assert alone[-1] != alone[0]
    plan = lower(model)
    typed = [{"x": same[-1], "z": 0.5}, *rows[-2:]]
    ran = exporter(name).run(exporter(name).write(plan, ExportOptions()), plan, ExportOptions(), typed)
    if ran is None:
        pytest.skip(f"{exporter(name).runtime} is not installed")
    assert np.allclose(ran.answers.numbers[:, 0], expected[-3:], rtol=1e-5)


def test_a_text_of_words_says_that_no_file_knows_its_values():
    words = [f"word{i} and word{i % 7} of {i}" for i in range(80)] + ["nothing was said here"] * 3
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"said": words, "x": rng.normal(size=83)})
    pack = TableRegressor(missing={"said": "nothing was said here"}, seconds=None, preset={"members": 1})
    pack.fit(frame, rng.normal(size=83))
    assert pack.schema_.columns[0].kind == "text"
    row = {"said": "nothing was said here", "x": 1.0}
    assert pack.predict(row)[0] == pack.predict({**row, "said": None})[0]
    with pytest.raises(InvalidValueError, match="missing value of column 'said' must be left out"):
        lower(pack.model_)
    plain = describe("t", frame, None, ReadOptions(missing={"said": words[-1]}))
    assert schema_to_plain(plain)["columns"][0]["missing"] == (words[-1],)
