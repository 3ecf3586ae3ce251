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

from bench.tables.tables import Table
from doctor.fourth_hosts import FOURTH
from doctor.fresh_hosts import THIRD
from doctor.other_outcomes import asked_for_classes, asked_for_values

SIXTH_STREAM = 577
"""The stream of random numbers of the toys of the sixth set."""

A_SIXTH_TIME = " a sixth time"
"""What the name of a toy of the sixth set ends with."""

SIXTH_REGRESSION = (
    asked_for_values(
        "italian_housing_price",
        THIRD["budget_italy"],
        "phouse",
        drop=("pfood", "pmisc", "year"),
        why="The year explains 99.98 % of the outcome's variance; pfood and pmisc are indices of the same inflation.",
    ),
    asked_for_values("british_income", THIRD["budget_uk"], "income"),
    asked_for_values("canadian_schooling", THIRD["slid"], "education"),
    asked_for_values(
        "payments_to_income",
        THIRD["mortgages"],
        "pirat",
        why="hirat, the part for housing, stays: its correlation with the outcome is 0.78.",
    ),
    asked_for_values("capital_letters", THIRD["spam7"], "crl.tot"),
    asked_for_values(
        "medicaid_age",
        FOURTH["medicaid_visits"],
        "age",
        drop=("program",),
        why="program is ssi from an age of 65 on, and afdc below.",
    ),
    asked_for_values("grinnell_area", FOURTH["grinnell_houses"], "SquareFeet"),
    asked_for_values("gestation_days", FOURTH["birth_ounces"], "gestation"),
    asked_for_values("happiness_age", FOURTH["happiness"], "age"),
    asked_for_values("work_experience", FOURTH["beauty_wages"], "exper"),
    asked_for_values("father_age", FOURTH["birth_grams"], "fage"),
    asked_for_values(
        "beach_price",
        FOURTH["fishing_mode"],
        "pbeach",
        drop=("ppier",),
        why="ppier equals the outcome.",
    ),
    asked_for_values("gas_heating_cost", FOURTH["heating_system"], "ic.gc"),
    asked_for_values("well_arsenic", FOURTH["unsafe_wells"], "arsenic"),
)
"""The tables with a continuous outcome, in the order of the earlier sets."""

SIXTH_CLASSIFICATION = (
    asked_for_classes("third_child", THIRD["fertility"], "morekids"),
    asked_for_classes("elderly_health", THIRD["elderly_visits"], "health"),
    asked_for_classes("newborn_sex", THIRD["births"], "Sex"),
    asked_for_classes("nearby_college", THIRD["close_college"], "nearc4"),
    asked_for_classes(
        "smoker_sex",
        THIRD["smokers"],
        "sex",
        drop=("birthcontrol", "pregnancies"),
        why="birthcontrol and pregnancies are known of women only.",
    ),
    asked_for_classes("earlier_heart_attack", THIRD["heart_attacks"], "premi"),
    asked_for_classes("car_buyer_college", THIRD["car_choice"], "college"),
    asked_for_classes("urban_attempts", THIRD["suicide_attempts"], "Urban"),
    asked_for_classes(
        "canadian_province",
        THIRD["abortion_views"],
        "province",
        drop=("population", "weight"),
        why="population is the province's; each weight belongs to one province.",
    ),
    asked_for_classes("religion_member", THIRD["poverty_views"], "religion"),
    asked_for_classes(
        "black_legislator",
        THIRD["legislators"],
        "leg_black",
        drop=("nonblacknonwhite",),
        why="nonblacknonwhite is another indicator of the same property.",
    ),
    asked_for_classes("spouse_gender", FOURTH["affairs"], "gender"),
    asked_for_classes(
        "article_journal",
        FOURTH["citations"],
        "journal",
        drop=("volume",),
        why="Each volume belongs to one journal.",
    ),
    asked_for_classes("lake_quality", FOURTH["lake_visits"], "quality"),
    asked_for_classes("belgian_occupation", FOURTH["tobacco_share"], "occupation"),
    asked_for_classes("galton_gender", FOURTH["galton_heights"], "gender"),
    asked_for_classes("mouse_sex", FOURTH["mice_weights"], "sex"),
    asked_for_classes(
        "arabidopsis_region",
        FOURTH["total_fruits"],
        "reg",
        drop=("popu", "gen"),
        why="Each population and each genotype belongs to one region.",
    ),
    asked_for_classes(
        "mature_mother",
        FOURTH["us_births"],
        "mature",
        drop=("mage",),
        why="The outcome says whether mage is at least 35.",
    ),
    asked_for_classes("student_sex", FOURTH["first_year_grades"], "sex"),
    asked_for_classes("school_type", FOURTH["school_index"], "schooltype"),
    asked_for_classes(
        "resume_gender",
        FOURTH["resume_calls"],
        "gender",
        drop=("name",),
        why="Each first name belongs to one gender.",
    ),
    asked_for_classes("workplace_ban", FOURTH["smoke_bans"], "ban"),
    asked_for_classes("park_recreation", FOURTH["kakadu"], "recparks"),
)
"""The tables with classes, in the order of the earlier sets."""

SIXTH: dict[str, Table] = {table.name: table for table in (*SIXTH_REGRESSION, *SIXTH_CLASSIFICATION)}
"""The tables of the sixth set by name."""
