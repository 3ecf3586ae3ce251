"""Provide the fifth set of hosts: tables and rows of toys that no half, no fresh host and no earlier set uses.

After the fourth set was run, a rule about labels was corrected for what it showed. The fifth set was chosen before anything
was trained on it, by the rule of `fresh_hosts.py` as `fourth_hosts.py` reads it, with other bounds: the list is read once
more from its beginning, without any study that an earlier set uses, and gives the first fourteen tables with classes and
the first six with a continuous outcome that have 300 to 40,000 rows, at least three features, at most 100 columns, and an
outcome that their description names. An outcome has up to 20 classes; none are merged. At most five tables come from one
package. The list is short by now, so many of these tables are small.

Where this leaves something open, it was read as follows. Rows and features are counted once columns are left out and rows
without an outcome are gone. A package's tables count in the order of the list, whatever their outcome. A study counts for
the first of its tables that fits. Records of hospitals or teams that are kept year after year are one repeated study. A
sample's code that several rows share makes them repeated measures. A column that follows from the others by a rule that
the description gives is no outcome. The toys are drawn from a fifth stream.
"""

from __future__ import annotations

from bench.tables.tables import Table

FIFTH_STREAM = 477
"""The stream of random numbers of the toys of the fifth set."""

A_FIFTH_TIME = " a fifth time"
"""What the name of a toy of the fifth set ends with."""

FIFTH_REGRESSION = (
    Table(
        "district_scores",
        "AER/CASchools",
        "math",
        "regression",
        drop=("district", "school", "read"),
        why="district and school name the row; read is the other score of the same test.",
    ),
    Table("windsor_houses", "AER/HousePrices", "price", "regression"),
    Table("doctoral_articles", "AER/PhDPublications", "articles", "regression"),
    Table(
        "park_visits",
        "COUNT/loomis",
        "anvisits",
        "regression",
        drop=("income1", "income2", "income3", "income4", "travel1", "travel2", "travel3"),
        why="They are income and travel again.",
    ),
    Table(
        "science_attitudes",
        "DAAG/science",
        "like",
        "regression",
        drop=("school", "class", "Class"),
        why="Each names the row's school or class.",
    ),
    Table(
        "corn_yields",
        "DAAG/stVincent",
        "harvwt",
        "regression",
        drop=("code", "island", "id"),
        why="code and island are constant; id names the row.",
    ),
)
"""The tables with a continuous outcome, in the order of the list."""

FIFTH_CLASSIFICATION = (
    Table(
        "wives_at_work",
        "AER/PSID1976",
        "participation",
        "classification",
        drop=("hours", "wage", "repwage", "fincome", "tax", "college", "hcollege"),
        why="hours, wage and repwage are the outcome in other words; fincome and tax include the wife's earnings; the "
        "others are education and heducation again.",
    ),
    Table("swiss_labor", "AER/SwissLabor", "participation", "classification"),
    Table("calculus_levels", "Ecdat/Mathlevel", "mathlevel", "classification"),
    Table("commuting_mode", "Ecdat/Mode", "choice", "classification"),
    Table(
        "natural_park",
        "Ecdat/NaturalPark",
        "answers",
        "classification",
        drop=("bidh", "bidl"),
        why="Both are formulas of bid1.",
    ),
    Table("card_default", "ISLR/Default", "default", "classification"),
    Table("pima", "MASS/Pima.te", "type", "classification"),
    Table(
        "health_act_votes",
        "Stat2Data/AHCAvote2017",
        "AHCAvote",
        "classification",
        drop=("Dist", "Member", "Dem", "Rep", "uniChange"),
        why="Dist and Member name the row; Dem and Rep are Party again; uniChange is a formula of uni2013 and uni2015.",
    ),
    Table("overdrawn_accounts", "Stat2Data/CreditRisk", "Overdrawn", "classification"),
    Table(
        "insurance_votes",
        "Stat2Data/InsuranceVote",
        "InsVote",
        "classification",
        drop=("Dist.", "Rep", "Dem"),
        why="Dist. names the row; the others are Party again.",
    ),
    Table("volunteers", "carData/Cowles", "volunteer", "classification"),
    Table(
        "refugee_appeals",
        "carData/Greene",
        "decision",
        "classification",
        drop=("success",),
        why="success is computed with the outcome.",
    ),
    Table("late_payments", "causaldata/credit_cards", "LateSept", "classification"),
    Table("breast_masses", "dslabs/brca", "y", "classification"),
)
"""The tables with classes, in the order of the list."""

FIFTH: dict[str, Table] = {table.name: table for table in (*FIFTH_REGRESSION, *FIFTH_CLASSIFICATION)}
"""The tables of the fifth set by name."""
