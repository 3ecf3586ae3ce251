"""A text that is read block by block must give what the whole text gives. In: texts of every kind. Out: passes or
messages."""

import gzip

import numpy as np
import polars as pl
import pytest

from chainrule.data.table import ReadOptions, read_file
from chainrule.data.table.streaming import LARGE, is_large, read_blocks

N = 400
RNG = np.random.default_rng(0)


def lines(header, cell, separator=","):
    """Return a text of N lines whose cells come from `cell(i)`."""
    return "\n".join([header, *(separator.join(str(each) for each in cell(i)) for i in range(N))]) + "\n"


def but(value, at, other):
    """Return cells `value(i)`, but another one in line `at`."""
    return lambda i: (i, other if i == at else value(i), 0.5 * i)


REGULAR = {
    "numbers": lines("a,b", lambda i: (i * 7 % 13 - 5, RNG.normal())),
    "words": lines("a,b", lambda i: (i, "xyz"[i % 3])),
    "gaps": lines("a,b", lambda i: (i if i % 3 else "", 1.5 * i if i % 5 else "")),
    "marks of gaps": lines("a,b", lambda i: (i if i % 3 else "NA", 1.5 * i if i % 5 else "?")),
    "a mark in a column of whole numbers, late": lines("i,a,b", but(lambda i: i % 9, 390, "NaN")),
    "NaN beside fractions": lines("a,b", lambda i: (i, "nan" if i % 7 == 0 else i / 3)),
    "a word late": lines("i,a,b", but(lambda i: i % 9, 350, "many")),
    "a fraction late": lines("i,a,b", but(lambda i: i % 9, 350, 0.25)),
    "codes with leading zeros": lines("a,b", lambda i: (f"{i % 50:03d}", i)),
    "a code late": lines("i,a,b", but(lambda i: i % 9, 350, "007")),
    "a leading zero beside fractions": lines("i,a,b", but(lambda i: i / 8, 350, "007")),
    "long whole numbers": lines("a,b", lambda i: (9 * 10**18 + i, i)),
    "whole numbers too long for 64 bits": lines("a,b", lambda i: (10**20 + i, i)),
    "long whole numbers with gaps": lines("i,a,b", but(lambda i: 9 * 10**18 + i, 350, "NA")),
    "numbers beyond float64": lines("i,a,b", but(lambda i: i / 8, 350, "1e999")),
    "dates": lines("a,b", lambda i: (f"2024-{i % 12 + 1:02d}-{i % 28 + 1:02d}", i)),
    "doubtful dates": lines("a,b", lambda i: (f"{i % 12 + 1:02d}/{i % 12 + 1:02d}/2024", i)),
    "true and false": lines("a,b", lambda i: (["true", "false"][i % 2], i)),
    "currency": lines("a,b", lambda i: (f"${i}.50", i)),
    "quoted cells": lines('a,"b"', lambda i: (f'"x, {i % 4}"', f'"{i}"')),
    "cells of several lines": lines("a,b", lambda i: ('"first\nsecond"', i)),
    "semicolons": lines("a;b", lambda i: (i, i / 4), ";"),
    "tabs with names of rows": lines("a\tb", lambda i: (f"row{i}", i, i / 4), "\t"),
    "runs of spaces": lines("a  b", lambda i: (i, i / 4), "   "),
    "separators at the ends of lines": lines("a,b", lambda i: (i, i / 4, "")),
    "a column without name and cells": lines("a,,b", lambda i: (i, "", i / 4)),
    "two columns of one name": lines("a,a", lambda i: (i, i / 4)),
    "no header": lines("0,0.25", lambda i: (i, i / 4)),
    "a column of gaps": lines("a,b,c", lambda i: (i, "", i)),
    "other letters": lines("größe,b", lambda i: (i, "äöü"[i % 3])),
    "a byte order mark": "\ufeff" + lines("a,b", lambda i: (i, i / 4)),
    "line ends of Windows": lines("a,b", lambda i: (i, i / 4)).replace("\n", "\r\n"),
    "a line that names the separator": "sep=;\n" + lines("a;b", lambda i: (i, i / 4), ";"),
    "blank lines at the end": lines("a,b", lambda i: (i, i / 4)) + "\n\n",
}
"""Texts that are read block by block."""

UNUSUAL = {
    "decimal commas": lines("a;b", lambda i: (f"{i},5", i), ";"),
    "a decimal comma late": lines("i;a;b", but(lambda i: i % 9, 350, "0,5"), ";"),
    "blank lines": lines("a,b", lambda i: (i, i / 4)).replace("\n7,", "\n\n7,"),
    "a stray quote": lines("i,a,b", but(lambda i: "pipe", 350, '5" pipe "x')),
    "an open quote": lines("i,a,b", but(lambda i: "pipe", 350, '"pipe')),
    "a longer line": lines("i,a,b", but(lambda i: i % 9, 350, "1,2")),
    "a shorter line": lines("i,a,b", but(lambda i: i % 9, 350, "")).replace("350,,", "350,"),
    "lines that do not all end with a separator": lines("a,b", lambda i: (i, i / 4, "" if i < 350 else 1)),
    "line ends of old Macs": lines("a,b", lambda i: (i, i / 4)).replace("\n", "\r"),
    "Windows-1252": lines("a,b", lambda i: (i, "é")).encode("cp1252"),
    "UTF-16": lines("a,b", lambda i: (i, i / 4)).encode("utf-16"),
    "nothing": "",
    "a header alone": "a,b\n",
}
"""Texts that only a look at the whole can judge."""


@pytest.fixture
def written(tmp_path):
    def write(text, name="t.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize("kind", REGULAR)
@pytest.mark.parametrize("block", [600, 1500, 10**6])
def test_blocks_give_what_the_whole_text_gives(written, kind, block):
    path = written(REGULAR[kind])
    whole = read_file(path)
    frame, facts = read_blocks(path, ReadOptions(), block, head=1000)
    assert frame.schema == whole.frame.schema
    assert frame.equals(whole.frame)
    assert facts == whole.facts


@pytest.mark.parametrize("kind", UNUSUAL)
def test_unusual_texts_are_left_to_the_reader_of_the_whole(written, kind):
    assert read_blocks(written(UNUSUAL[kind]), ReadOptions(), 600, head=1000) is None


@pytest.mark.parametrize(
    "options",
    [
        {"kinds": {"a": "category"}},
        {"kinds": {"a": "text", "b": "id"}},
        {"kinds": {"b": "number"}},
        {"header": False},
        {"separator": ";"},
        {"decimal": "."},
    ],
)
def test_what_the_user_says_counts_for_blocks_too(written, options):
    path = written(lines("a,b", lambda i: (i, i / 4)))
    whole = read_file(path, ReadOptions(**options))
    frame, facts = read_blocks(path, ReadOptions(**options), 600, head=1000)
    assert frame.equals(whole.frame)
    assert facts == whole.facts


def test_a_gzipped_text_is_unpacked_block_by_block(written):
    text = lines("a,b", lambda i: (i, "xyz"[i % 3])).encode()
    path = written(gzip.compress(text), "t.csv.gz")
    assert read_blocks(path, ReadOptions(), 600, head=1000)[0].equals(read_file(path).frame)
    assert read_blocks(written(gzip.compress(text)[:-20], "u.csv.gz"), ReadOptions(), 600, head=1000) is None


def test_large_files_are_read_in_blocks_and_small_ones_as_a_whole(written, monkeypatch):
    path = written(REGULAR["numbers"])
    assert not is_large(path)
    monkeypatch.setattr("chainrule.data.table.streaming.LARGE", 1000)
    assert is_large(path)
    assert read_file(path).frame.equals(read_blocks(path, ReadOptions())[0])
    assert LARGE > 2**20


def test_a_large_unusual_text_is_read_as_a_whole(written, monkeypatch):
    monkeypatch.setattr("chainrule.data.table.streaming.LARGE", 1000)
    file = read_file(written(UNUSUAL["decimal commas"]))
    assert file.frame["a"].dtype == pl.Float64
