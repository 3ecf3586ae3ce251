"""A table with every kind of column, in every form that files and frames have. Out: paths and frames with equal cells."""

import gzip
import io
import zipfile
from xml.sax.saxutils import escape

import numpy as np
import polars as pl


def mixed_frame(n=120, seed=0):
    """Return a frame with a column of every kind, some with gaps; no float needs more than four digits."""
    rng = np.random.default_rng(seed)

    def gaps(values, share=0.1):
        return [None if rng.random() < share else value for value in values]

    return pl.DataFrame(
        {
            "id": list(range(1, n + 1)),
            "age": rng.integers(18, 90, n),
            "income": gaps((rng.normal(size=n) * 1000).round(2).tolist()),
            "job": gaps(rng.choice(["clerk", "smith", "boss of all"], n).tolist()),
            "member": gaps((rng.random(n) < 0.5).tolist()),
            "day": [
                f"2021-{m:02d}-{d:02d}" for m, d in zip(rng.integers(1, 13, n), rng.integers(1, 28, n), strict=True)
            ],
            "code": [f"{k:03d}" for k in rng.integers(0, 9, n)],
            "always": ["x"] * n,
            "twin": pl.Series(range(n)),
            "remark": [
                f"the {a} of the {b} met {i}" for i, (a, b) in enumerate(rng.choice(["cat", "dog", "cow"], (n, 2)))
            ],
            "y": rng.choice(["no", "yes"], n),
        }
    ).with_columns(pl.col("day").str.to_date(), twin=pl.col("age"))


def csv_text(frame, separator=",", decimal=".", gap="", header=True):
    """Return a frame as text with a separator, a decimal mark and a mark for gaps."""

    def cell(value):
        if value is None:
            return gap
        text = str(value).replace(".", decimal) if isinstance(value, float) else str(value)
        quoted = separator in text or '"' in text or "\n" in text
        return '"' + text.replace('"', '""') + '"' if quoted else text

    rows = ([list(frame.columns)] if header else []) + [list(row) for row in frame.iter_rows()]
    return "".join(separator.join(cell(value) for value in row) + "\n" for row in rows)


def xlsx_bytes(frame):
    """Return a frame as a minimal workbook: numbers as numbers, booleans as booleans, all else as texts."""

    def cell(value):
        if value is None:
            return "<c/>"
        if isinstance(value, bool):
            return f'<c t="b"><v>{int(value)}</v></c>'
        if isinstance(value, int | float):
            return f"<c><v>{value!r}</v></c>"
        return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(str(value))}</t></is></c>'

    rows = [frame.columns, *frame.iter_rows()]
    sheet = "".join(f"<row>{''.join(cell(value) for value in row)}</row>" for row in rows)
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    types = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    files = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{types}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{types}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{relations}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{relations}"><sheets>'
        '<sheet name="Sheet1" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{relations}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{sheet}</sheetData></worksheet>',
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def write_all(folder, frame):
    """Write a frame to a file of every kind; return the paths."""
    text = csv_text(frame)
    contents = {
        "t.csv": text.encode(),
        "T.CSV": text.encode("utf-8-sig"),
        "t.tsv": csv_text(frame, "\t", gap="NA").encode(),
        "t.txt": csv_text(frame, "|", gap="?").encode("utf-16"),
        "t.dat": csv_text(frame, ";", ",").encode(),
        "t.data": text.encode("utf-16-le"),
        "t.csv.gz": gzip.compress(text.encode(), mtime=0),
        "t.xlsx": xlsx_bytes(frame),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    frame.write_parquet(folder / "t.parquet")
    return [*(folder / name for name in contents), folder / "t.parquet"]
