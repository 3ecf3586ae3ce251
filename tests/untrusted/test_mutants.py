"""Why: a file of any content must end in what it says or in one of our errors: never in another exception or in gigabytes.

In: numbered mutants of an honest file for each reader, the same on every machine. Out: passes, or the numbers of those that
end otherwise; `python tests/untrusted/attack.py READER --show NUMBER` shows one.
"""

import pytest
from untrusted.attack import attack, in_child
from untrusted.readers import READERS

FEW = {"csv": 60, "csv of dates": 30, "tsv": 40, "csv.gz": 60, "parquet": 3, "xlsx": 3, "search store": 60}
"""Mutants in the default suite of the readers that take long."""

MANY = {"csv": 600, "csv of dates": 150, "tsv": 300, "csv.gz": 600, "parquet": 10, "xlsx": 10, "search store": 600}


@pytest.mark.parametrize("reader", READERS)
def test_mutants_are_read_or_refused(reader):
    found = attack(reader, range(FEW.get(reader, 200)))
    assert found["faults"] == []
    assert found["refused"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_more_mutants_are_read_or_refused_with_little_memory(reader):
    found = in_child(reader, 1_000, MANY.get(reader, 2_000))
    assert found["faults"] == []
    assert found["longest"] < 2.0


@pytest.mark.parametrize("reader", READERS)
def test_honest_files_are_read(reader, tmp_path):
    assert READERS[reader].read(READERS[reader].honest(tmp_path)) is not None


def test_a_reader_that_fails_is_found(monkeypatch):
    def broken(path):
        if path.read_bytes() != b"a" * 50:
            raise KeyError("x")

    from dataclasses import replace

    from untrusted import readers

    def honest(folder):
        (folder / "f").write_bytes(b"a" * 50)
        return folder / "f"

    monkeypatch.setitem(
        readers.READERS, "broken", replace(READERS["npz"], honest=honest, read=broken, mutant=lambda d, r: b"b")
    )
    assert len(attack("broken", range(3))["faults"]) == 3


def test_mutants_are_the_same_every_time(tmp_path):
    from untrusted.mutation import drawing

    data = READERS["csv"].honest(tmp_path).read_bytes()
    first = [READERS["csv"].mutant(data, drawing("csv", k)) for k in range(50)]
    assert first == [READERS["csv"].mutant(data, drawing("csv", k)) for k in range(50)]
    assert len(set(first)) > 45
