"""Provide the seventh set of hosts: more tables of earlier sets with another outcome, and new rows of toys.

The seventh set goes on where the sixth stops: the rest of the fourth set, then the fifth, then the fresh hosts, each table
in the order of its set and as its entry there gives it. It is chosen before anything is trained on it. The new outcome,
the columns that are dropped for it and the rows and features that remain follow the rule in `sixth_hosts.py`, as it is read
there, with other bounds: the set has the first 36 tables that qualify, whatever their outcome, but at most 14 with a
continuous one. At most eight tables come from one package, counted within the seventh set.

All of the last 10 tables of the fourth set, all 20 of the fifth and the first 6 of the fresh hosts qualify: 26 with
classes and 10 with a continuous outcome. No package gives more than seven.

Where this leaves something open, it is read as follows. Truth values are classes. A former outcome that repeats the new one
is dropped like any other column (`leaf_apex`). If columns that count parts of a whole give the outcome together, all are
dropped, and so is their sum. That each value of a column belongs to one class allows for a few rows, as of a weight that is
trimmed. A column that tells some rows' class for sure and leaves others open stays, and so does a vote by which most
members of a party are known. The toys are drawn from a seventh stream.
"""

from __future__ import annotations

from bench.tables.tables import Table
from doctor.fifth_hosts import FIFTH
from doctor.fourth_hosts import FOURTH
from doctor.fresh_hosts import FRESH
from doctor.other_outcomes import asked_for_classes, asked_for_values

SEVENTH_STREAM = 677
"""The stream of random numbers of the toys of the seventh set."""

A_SEVENTH_TIME = " a seventh time"
"""What the name of a toy of the seventh set ends with."""

SEVENTH_REGRESSION = (
    asked_for_values("farmer_age", FOURTH["crop_insurance"], "age"),
    asked_for_values("clinic_distance", FOURTH["hiv_results"], "distvct"),
    asked_for_values("windsor_lots", FIFTH["windsor_houses"], "lotsize"),
    asked_for_values("husband_hours", FIFTH["wives_at_work"], "hhours"),
    asked_for_values("nonlabor_income", FIFTH["swiss_labor"], "income"),
    asked_for_values("car_commute_cost", FIFTH["commuting_mode"], "cost.car"),
    asked_for_values("pima_glucose", FIFTH["pima"], "glu"),
    asked_for_values(
        "nucleus_radius",
        FIFTH["breast_masses"],
        "x.radius_mean",
        drop=("x.perimeter_mean", "x.area_mean"),
        why="Perimeter and root of the area explain 99.6 and 99.9 % of the outcome's variance; the worst radius, perimeter "
        "and area stay, as they explain 94 % or less.",
    ),
    asked_for_values("earner_age", FRESH["cps1"], "age"),
    asked_for_values("spanish_spending", FRESH["budget_food"], "totexp"),
)
"""The tables with a continuous outcome, in the order of the earlier sets."""

SEVENTH_CLASSIFICATION = (
    asked_for_classes("child_of_two", FOURTH["immunizations"], "kid2p"),
    asked_for_classes(
        "unknown_applicant",
        FOURTH["grants"],
        "num_unk",
        drop=("num_ci", "num_dr", "num_ea", "num_eci", "num_hv", "num_ps", "num_sr", "num_sci", "num_people"),
        why="num_people is the sum of all num_ columns, and the outcome is 1 where the others are 0, and only there.",
    ),
    asked_for_classes(
        "leaf_apex", FOURTH["leaves"], "apex", drop=("species",), why="Each species belongs to one apex."
    ),
    asked_for_classes("smoking_survey_gender", FOURTH["uk_smokers"], "gender"),
    asked_for_classes("college_degree", FOURTH["political_information"], "collegeDegree"),
    asked_for_classes(
        "norwegian_region",
        FOURTH["eu_vote"],
        "region",
        drop=("dweight", "pspwght"),
        why="Each weight belongs to one region, but for one row of dweight and the weight at which pspwght is trimmed.",
    ),
    asked_for_classes("passenger_class", FOURTH["titanic"], "pclass"),
    asked_for_classes(
        "last_mailing",
        FOURTH["charity"],
        "resplast",
        why="weekslast stays: 13 of its 17 values belong to one class, but 48 % of the rows have one of the others.",
    ),
    asked_for_classes("district_grades", FIFTH["district_scores"], "grades"),
    asked_for_classes("doctoral_gender", FIFTH["doctoral_articles"], "gender"),
    asked_for_classes("visitor_gender", FIFTH["park_visits"], "gender"),
    asked_for_classes("australian_state", FIFTH["science_attitudes"], "State"),
    asked_for_classes("corn_site", FIFTH["corn_yields"], "site"),
    asked_for_classes("foreign_language", FIFTH["calculus_levels"], "language"),
    asked_for_classes("first_bid", FIFTH["natural_park"], "bid1"),
    asked_for_classes("card_student", FIFTH["card_default"], "student"),
    asked_for_classes("health_act_party", FIFTH["health_act_votes"], "Party"),
    asked_for_classes("account_sex", FIFTH["overdrawn_accounts"], "Sex"),
    asked_for_classes("insurance_vote_party", FIFTH["insurance_votes"], "Party"),
    asked_for_classes("volunteer_sex", FIFTH["volunteers"], "sex"),
    asked_for_classes("appeal_merit", FIFTH["refugee_appeals"], "rater"),
    asked_for_classes("april_payments", FIFTH["late_payments"], "LateApril"),
    asked_for_classes("pupil_gender", FRESH["college_distance"], "gender"),
    asked_for_classes("patient_gender", FRESH["doctor_visits"], "gender"),
    asked_for_classes("heart_procedure", FRESH["azpro"], "procedure"),
    asked_for_classes("hmo_member", FRESH["medpar"], "hmo"),
)
"""The tables with classes, in the order of the earlier sets."""

SEVENTH: dict[str, Table] = {table.name: table for table in (*SEVENTH_REGRESSION, *SEVENTH_CLASSIFICATION)}
"""The tables of the seventh set by name."""
