"""Provide the sixth set of hosts: tables of three earlier sets with another outcome, and new rows of toys.

The list of tables is nearly used up, so the sixth set asks the tables of the third, fourth and fifth sets for another
outcome. Their columns were seen before, as inputs; what is asked of them is new. The set is chosen by this rule, before
anything is trained on it:

- The tables are taken in the order of these sets, each as its entry there gives it: what is dropped there stays dropped.
  The former outcome becomes an input.
- The new outcome is the first column in the order of the file that qualifies. It qualifies with classes if it has 2 to 10
  values, texts or whole numbers, each in at least 25 rows; it qualifies as continuous if it is numeric and has at least 40
  different values. The former outcome, what is dropped, what names or numbers rows, and dates and years do not qualify.
- A column that repeats the new outcome is dropped: a formula of it, a coarser version of it, or one that it is a coarser
  version of, by the description or by the data.
- At least 300 rows remain once those without an outcome are gone, and at least three features. At most eight tables come
  from one package.
- The set has the first 24 tables with classes and the first 14 with a continuous outcome.

All 16 tables of the third set and the first 22 of the fourth give these 38. Neither kind runs out, and the fifth set is
not reached.

Where this leaves something open, it is read as follows. The data show that a column repeats the outcome if each of its
values, of which there are few, belongs to one class only; if it explains 98 % of the variance of a continuous outcome; or
if it splits the values of one without overlap. A column that is filled in for one class only (a few rows aside) repeats
the outcome too, and so does another indicator of the property that the outcome indicates. A column that measures a part
of the outcome stays. Constant columns stay where the earlier entry has them. The toys are drawn from a sixth stream.
"""

from __future__ import annotations

from dataclasses import replace

from bench.tables.tables import Table, Task
from doctor.fourth_hosts import FOURTH
from doctor.fresh_hosts import THIRD

SIXTH_STREAM = 577
"""The stream of random numbers of the toys of the sixth set."""

A_SIXTH_TIME = " a sixth time"
"""What the name of a toy of the sixth set ends with."""


def _other(task: Task, name: str, former: Table, target: str, drop: tuple[str, ...] = (), why: str = "") -> Table:
    """Return a table of an earlier set with another outcome, without what is dropped there and what repeats the outcome."""
    reasons = [f"As in {former.name}: {former.why}" if former.why else "", why]
    return replace(
        former, name=name, target=target, task=task, drop=(*former.drop, *drop), why=" ".join(filter(None, reasons))
    )


def _values(name: str, former: Table, target: str, drop: tuple[str, ...] = (), why: str = "") -> Table:
    """Return a table with another, continuous outcome."""
    return _other("regression", name, former, target, drop, why)


def _classes(name: str, former: Table, target: str, drop: tuple[str, ...] = (), why: str = "") -> Table:
    """Return a table with another outcome that has classes."""
    return _other("classification", name, former, target, drop, why)


SIXTH_REGRESSION = (
    _values(
        "italian_housing_price",
        THIRD["budget_italy"],
        "phouse",
        drop=("pfood", "pmisc", "year"),
        why="The year explains 99.98 % of the outcome's variance; pfood and pmisc are indices of the same inflation.",
    ),
    _values("british_income", THIRD["budget_uk"], "income"),
    _values("canadian_schooling", THIRD["slid"], "education"),
    _values(
        "payments_to_income",
        THIRD["mortgages"],
        "pirat",
        why="hirat, the part for housing, stays: its correlation with the outcome is 0.78.",
    ),
    _values("capital_letters", THIRD["spam7"], "crl.tot"),
    _values(
        "medicaid_age",
        FOURTH["medicaid_visits"],
        "age",
        drop=("program",),
        why="program is ssi from an age of 65 on, and afdc below.",
    ),
    _values("grinnell_area", FOURTH["grinnell_houses"], "SquareFeet"),
    _values("gestation_days", FOURTH["birth_ounces"], "gestation"),
    _values("happiness_age", FOURTH["happiness"], "age"),
    _values("work_experience", FOURTH["beauty_wages"], "exper"),
    _values("father_age", FOURTH["birth_grams"], "fage"),
    _values(
        "beach_price",
        FOURTH["fishing_mode"],
        "pbeach",
        drop=("ppier",),
        why="ppier equals the outcome.",
    ),
    _values("gas_heating_cost", FOURTH["heating_system"], "ic.gc"),
    _values("well_arsenic", FOURTH["unsafe_wells"], "arsenic"),
)
"""The tables with a continuous outcome, in the order of the earlier sets."""

SIXTH_CLASSIFICATION = (
    _classes("third_child", THIRD["fertility"], "morekids"),
    _classes("elderly_health", THIRD["elderly_visits"], "health"),
    _classes("newborn_sex", THIRD["births"], "Sex"),
    _classes("nearby_college", THIRD["close_college"], "nearc4"),
    _classes(
        "smoker_sex",
        THIRD["smokers"],
        "sex",
        drop=("birthcontrol", "pregnancies"),
        why="birthcontrol and pregnancies are known of women only.",
    ),
    _classes("earlier_heart_attack", THIRD["heart_attacks"], "premi"),
    _classes("car_buyer_college", THIRD["car_choice"], "college"),
    _classes("urban_attempts", THIRD["suicide_attempts"], "Urban"),
    _classes(
        "canadian_province",
        THIRD["abortion_views"],
        "province",
        drop=("population", "weight"),
        why="population is the province's; each weight belongs to one province.",
    ),
    _classes("religion_member", THIRD["poverty_views"], "religion"),
    _classes(
        "black_legislator",
        THIRD["legislators"],
        "leg_black",
        drop=("nonblacknonwhite",),
        why="nonblacknonwhite is another indicator of the same property.",
    ),
    _classes("spouse_gender", FOURTH["affairs"], "gender"),
    _classes(
        "article_journal",
        FOURTH["citations"],
        "journal",
        drop=("volume",),
        why="Each volume belongs to one journal.",
    ),
    _classes("lake_quality", FOURTH["lake_visits"], "quality"),
    _classes("belgian_occupation", FOURTH["tobacco_share"], "occupation"),
    _classes("galton_gender", FOURTH["galton_heights"], "gender"),
    _classes("mouse_sex", FOURTH["mice_weights"], "sex"),
    _classes(
        "arabidopsis_region",
        FOURTH["total_fruits"],
        "reg",
        drop=("popu", "gen"),
        why="Each population and each genotype belongs to one region.",
    ),
    _classes(
        "mature_mother",
        FOURTH["us_births"],
        "mature",
        drop=("mage",),
        why="The outcome says whether mage is at least 35.",
    ),
    _classes("student_sex", FOURTH["first_year_grades"], "sex"),
    _classes("school_type", FOURTH["school_index"], "schooltype"),
    _classes(
        "resume_gender",
        FOURTH["resume_calls"],
        "gender",
        drop=("name",),
        why="Each first name belongs to one gender.",
    ),
    _classes("workplace_ban", FOURTH["smoke_bans"], "ban"),
    _classes("park_recreation", FOURTH["kakadu"], "recparks"),
)
"""The tables with classes, in the order of the earlier sets."""

SIXTH: dict[str, Table] = {table.name: table for table in (*SIXTH_REGRESSION, *SIXTH_CLASSIFICATION)}
"""The tables of the sixth set by name."""
