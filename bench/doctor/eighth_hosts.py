"""Provide the eighth set of hosts: tables of the fresh hosts and of the halves with another outcome, and new rows of toys.

The eighth set continues where the seventh stops: the rest of the fresh hosts, then the tables of the halves, each in the
order of its list and as its entry there gives it. It is chosen before anything is trained on it. The new outcome, the
columns that are dropped for it and the rows and features that remain follow the rule in `sixth_hosts.py`, as it is read
there and in `seventh_hosts.py`, with other bounds: the set has the first 34 tables that qualify, whatever their outcome,
but at most 14 with a continuous one; at most eight come from one package, counted within the eighth set. Passed over are
tables with more than 40,000 rows or 100 columns, and those that need a download or the folder CHAINRULE_DATA.

All of the last 18 fresh hosts and 16 tables of the halves are in the set: 20 with classes and 14 with a continuous
outcome, and `email`, the last but one in the list, is the 34th. gss_wages, inst_eval, flights and mpls_stops have too many
rows; california and adult need the folder. The 14 continuous outcomes are reached with check_times, so that 12 later tables
whose first column that qualifies is continuous are passed over: saratoga, cps1988, wage, mlc_churn, credit, lending_club,
attrition, cells, hpc, taxi, health_insurance and caravan. Eight tables come from modeldata, and none is passed over for
that alone.

Where this leaves something open, it is read as follows. A week counts as a date (`WeekofPurchase`), a time of day does not.
A number that a description calls a code qualifies as a number unless the entry lists it among the categories, so that the
first column that qualifies in caravan is its type of customer. A column by which the split of an entry forms groups and
which no method sees does not qualify. Each value of an average of a school, of which there are 65, belongs to one kind of
school, so it is dropped like a weight. What gives the outcome only together with another column stays, unless both count
parts of a whole; so does what recurs with a person or family. The toys are drawn from an eighth stream.
"""

from __future__ import annotations

from bench.tables.tables import TABLES, Table
from doctor.fresh_hosts import FRESH
from doctor.other_outcomes import asked_for_classes, asked_for_values

EIGHTH_STREAM = 777
"""The stream of random numbers of the toys of the eighth set."""

AN_EIGHTH_TIME = " an eighth time"
"""What the name of a toy of the eighth set ends with."""

EIGHTH_REGRESSION = (
    asked_for_values("company_sales", FRESH["forbes2000"], "sales"),
    asked_for_values("quake_latitude", FRESH["quakes"], "lat"),
    asked_for_values("applicant_age", FRESH["credit_card"], "age"),
    asked_for_values(
        "vapor_density",
        FRESH["dengue"],
        "humid",
        drop=("humid90",),
        why="humid90 explains 98.6 % of the outcome's variance; the other columns of the climate explain 77 % or less.",
    ),
    asked_for_values(
        "state_unemployment",
        FRESH["benefits"],
        "stateur",
        why="state and yrdispl stay: the 502 pairs of them give the outcome, but neither does alone.",
    ),
    asked_for_values("gunnel_minute", FRESH["gunnels"], "Time"),
    asked_for_values(
        "pitch_speed",
        FRESH["kershaw"],
        "StartSpeed",
        drop=("EndSpeed",),
        why="EndSpeed explains 98.3 % of the outcome's variance; PitchType stays, as it explains 96.1 %.",
    ),
    asked_for_values("voter_age", FRESH["beps"], "age"),
    asked_for_values("lot_frontage", TABLES["ames"], "Lot_Frontage"),
    asked_for_values("booking_lead_time", TABLES["hotel_rates"], "lead_time"),
    asked_for_values("order_hour", TABLES["deliveries"], "hour"),
    asked_for_values("cement_content", TABLES["concrete"], "cement"),
    asked_for_values(
        "austin_rides",
        TABLES["chicago"],
        "Austin",
        why="The other stations stay: the nearest of them, Oak_Park, explains 97.1 % of the outcome's variance.",
    ),
    asked_for_values("suggested_packages", TABLES["check_times"], "suggests"),
)
"""The tables with a continuous outcome, in the order of the lists."""

EIGHTH_CLASSIFICATION = (
    asked_for_classes("computer_speed", FRESH["computers"], "speed"),
    asked_for_classes("multi_grade_class", FRESH["nlschools"], "COMB"),
    asked_for_classes("chemistry_gender", FRESH["chem97"], "gender"),
    asked_for_classes(
        "school_gender",
        FRESH["exam"],
        "schgend",
        drop=("schavg", "type"),
        why="type is a coarser version of the outcome; each of the 65 values of schavg belongs to one class.",
    ),
    asked_for_classes("bypass_procedure", FRESH["azcabgptca"], "procedure"),
    asked_for_classes("elderly_injury", FRESH["head_injury"], "age.65"),
    asked_for_classes(
        "juice_store",
        FRESH["orange_juice"],
        "StoreID",
        drop=("Store7", "STORE"),
        why="STORE is the outcome with 0 for 7, and Store7 a coarser version of it.",
    ),
    asked_for_classes("placement_gender", FRESH["math_placement"], "Gender"),
    asked_for_classes("arrest_color", FRESH["arrests"], "colour"),
    asked_for_classes("chilean_region", FRESH["chile"], "region"),
    asked_for_classes("borrower_home", TABLES["loans"], "homeownership"),
    asked_for_classes(
        "insurance_site",
        TABLES["rand_hie"],
        "site",
        why="ghindx stays, though all rows of one site lack it: 4 to 6 % of the others' lack it too.",
    ),
    asked_for_classes(
        "german_schooling",
        TABLES["rwm5yr"],
        "edlevel",
        drop=("educ", "edlevel1", "edlevel2", "edlevel3", "edlevel4"),
        why="edlevel1 to edlevel4 indicate the classes; each of the 19 values of educ belongs to one class.",
    ),
    asked_for_classes(
        "school_grade",
        TABLES["star"],
        "gr",
        drop=("yrs", "tch"),
        why="yrs is the outcome as a number; each teacher belongs to one grade.",
    ),
    asked_for_classes("customer_gender", TABLES["telco"], "female"),
    asked_for_classes("developer_country", TABLES["stackoverflow"], "Country"),
    asked_for_classes("crash_speed", TABLES["nass_cds"], "dvcat"),
    asked_for_classes("pupil_survey_gender", TABLES["yrbss"], "gender"),
    asked_for_classes("rodent_sex", TABLES["species"], "sex"),
    asked_for_classes("several_recipients", TABLES["email"], "to_multiple"),
)
"""The tables with classes, in the order of the lists."""

EIGHTH: dict[str, Table] = {table.name: table for table in (*EIGHTH_REGRESSION, *EIGHTH_CLASSIFICATION)}
"""The tables of the eighth set by name."""
