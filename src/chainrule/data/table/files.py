"""Which files are tables, by the ends of their names.

In: a path. Out: its ending in small letters, or None.
"""

from __future__ import annotations

from pathlib import Path

TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".dat", ".data")
"""Endings of tables in text."""

ENDINGS = (*TEXT_ENDINGS, ".parquet", ".xlsx")
"""Endings of tables; each may be followed by .gz."""

ALLOWED = "a .csv, .tsv, .txt, .dat, .data, .parquet or .xlsx table (each also .gz)"
"""The same for messages."""


_SPREADSHEETS = (".xls", ".xlsb", ".xlsm", ".ods", ".numbers")
"""Endings of workbooks that are not read."""


def save_as(path: Path) -> str:
    """Return what to do with a workbook of another kind than .xlsx, "" for any other file.

    >>> save_as(Path("old.XLS"))
    'A .xls workbook is not read: save it as .xlsx or .csv in a spreadsheet program.'
    """
    ending = path.suffix.lower()
    known = ending in _SPREADSHEETS
    return f"A {ending} workbook is not read: save it as .xlsx or .csv in a spreadsheet program." if known else ""


def table_ending(path: Path) -> str | None:
    """Return the ending of a table's file in small letters and without .gz, None for another file.

    >>> table_ending(Path("a/T.CSV.gz")), table_ending(Path("model.npz"))
    ('.csv', None)
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] == [".gz"]:
        suffixes.pop()
    return suffixes[-1] if suffixes and suffixes[-1] in ENDINGS else None
