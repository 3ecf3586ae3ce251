"""Why: a study's sentence must come from its figures: recorded results give one, contrary results must give another.

In: recorded results of all studies on digits, and the same with figures turned round. Out: sentences, verdicts, pictures.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainrule.cli import run as command
from chainrule.studies import STUDIES, Cell, Conclusion, Results, Study, StudyConfig, run
from chainrule.studies.presenting import plain, write
from chainrule.studies.statistics import above, at_least, at_most, below, difference, estimate

RECORDED = json.loads((Path(__file__).parents[1] / "records" / "studies.json").read_text())


def recorded(name: str) -> Results:
    return Results({arm: {int(s): r for s, r in by.items()} for arm, by in RECORDED[name].items()})


def swapped(a: str, b: str) -> Callable[[Results], Results]:
    """The results with the records of two arms exchanged."""
    return lambda results: Results({arm: results.records[{a: b, b: a}.get(arm, arm)] for arm in results.arms})


def moved(figure: str, by: float, *arms: str) -> Callable[[Results], Results]:
    """The results with a figure of these arms moved by so much."""

    def change(results: Results) -> Results:
        return Results(
            {
                arm: {s: {**r, figure: r[figure] + by} if arm in arms else r for s, r in by_seed.items()}
                for arm, by_seed in results.records.items()
            }
        )

    return change


def renamed(**names: str) -> Callable[[Results], Results]:
    """The results with figures of all arms under one another's names."""
    return lambda results: Results(
        {
            arm: {s: {names.get(key, key): value for key, value in r.items()} for s, r in by_seed.items()}
            for arm, by_seed in results.records.items()
        }
    )


CONTRARY: Mapping[str, Callable[[Results], Results]] = {
    "batch-norm": moved("test_error", 0.9, "12 layers, batch norm"),
    "optimizers": swapped("Adam", "descent"),
    "dropout": moved("test_error", -0.05, "dropout 0.5, 100 rows"),
    "range-test": renamed(
        tenth_rate="valley_rate", valley_rate="tenth_rate", tenth_loss="valley_loss", valley_loss="tenth_loss"
    ),
    "depth": swapped("10 sigmoid", "10 sigmoid + batch norm"),
    "transfer": moved("test_error", 0.3, "scratch, 100 rows"),
    "schedules": moved("last_validation_loss", 0.5, "constant"),
    "clipping": swapped("no clipping", "norm 10"),
    "softmax": swapped("softmax, 128 units", "softmax, no hidden layer"),
    "random-search": swapped("grid", "random"),
    "initialization": swapped("He", "normal 0.01"),
    "activations": swapped("relu", "sigmoid"),
    "input-scaling": swapped("unit 30, raw", "unit 30, standardized"),
    "batch-size": swapped("8 rows", "128 rows"),
    "momentum": swapped("descent, κ = 1000", "classical, κ = 1000"),
    "basic-advanced": moved("test_error", -0.2, "all classes, advanced"),
    "linear-collapse": swapped("6 linear layers", "3 relu layers"),
    "symmetry": swapped("zeros", "random (Xavier)"),
    "caching": moved("equal", -1.0, "1 input in 8"),
    "saturation": swapped("sigmoid", "relu"),
    "ten-layers": swapped("weights of 1.5", "weights of 0.5"),
    "cost-curves": swapped("all rows", "8 rows"),
    "descent-paths": swapped("batch: all rows", "stochastic: 1 row"),
    "adam-betas": moved("last", 0.5, "β₁ = 0.8, β₂ = 0.99"),
    "lecture-network": moved("test_accuracy", -0.2, "advanced"),
    "noisy-labels": moved("test_error", 0.3, "dropout 0.5, wrong labels"),
    "rate-decades": swapped("Adam, the suggestion", "Adam, ten times it"),
    "pretraining": moved("test_error", 0.3, "fine-tuned, 20 rows"),
    "annealing": swapped("constant, batches of 8", "cosine, batches of 8"),
    "batch-of-one": swapped("1 row", "all rows"),
    "equal-rates": swapped("descent, just below the limit", "mean of gradients, just below the limit"),
    "unequal-widths": swapped("a funnel, Xavier", "a funnel, Glorot"),
}


@pytest.mark.parametrize("name", STUDIES)
def test_the_sentence_comes_from_the_figures(name: str) -> None:
    study, results = STUDIES[name], recorded(name)
    found, contrary = study.conclude(results), study.conclude(CONTRARY[name](results))
    assert found.sentence.endswith(".")
    assert found.sentence != contrary.sentence
    assert all(len(row) == len(found.header) for row in found.rows)


FLIPS = sorted(set(STUDIES) - {"activations"})


@pytest.mark.parametrize("name", FLIPS)
def test_a_contrary_result_turns_the_verdict(name: str) -> None:
    study, results = STUDIES[name], recorded(name)
    assert study.conclude(results).holds != study.conclude(CONTRARY[name](results)).holds


def test_relu_wins_only_where_it_wins() -> None:
    study, results = STUDIES["activations"], recorded("activations")
    better = moved("test_error", 0.5, "identity")(results)
    assert study.conclude(better).holds
    assert not study.conclude(CONTRARY["activations"](better)).holds


def test_a_suggestion_is_near_only_where_it_is_near() -> None:
    study, results = STUDIES["range-test"], recorded("range-test")
    exact = Results(
        {
            arm: {s: {**r, "tenth_rate": r["best_rate"], "tenth_loss": r["best_loss"]} for s, r in by.items()}
            for arm, by in results.records.items()
        }
    )
    assert study.conclude(exact).holds
    far = renamed(tenth_rate="valley_rate", valley_rate="tenth_rate")(results)
    assert "is not near" in study.conclude(far).sentence


TOYS = (
    "annealing",
    "saturation",
    "ten-layers",
    "cost-curves",
    "descent-paths",
    "adam-betas",
    "lecture-network",
    "equal-rates",
    "unequal-widths",
)


@pytest.mark.parametrize("name", TOYS)
def test_the_lectures_pictures_are_run_and_drawn(name: str, tmp_path: Path) -> None:
    study, config = STUDIES[name], StudyConfig(seeds=1, quick=True)
    results = run([study], config, tmp_path, workers=1)[name]
    assert study.conclude(results).holds is not None
    page = write([study], {name: results}, config, tmp_path).read_text()
    assert page.count("<svg") == len(list(tmp_path.glob("*.svg"))) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_every_study_draws_its_records(name: str, tmp_path: Path) -> None:
    results = recorded(name)
    page = write([STUDIES[name]], {name: results}, StudyConfig(), tmp_path).read_text()
    assert page.count("<svg") == len(list(tmp_path.glob("*.svg")))
    assert "<img" not in page
    assert not re.search(r"""(src|href)=["']http""", page)
    assert list(tmp_path.glob("*.svg"))
    json.dumps(plain(STUDIES[name], results))


def test_a_page_of_several_lists_what_was_found(tmp_path: Path) -> None:
    names = ("symmetry", "transfer")
    page = write([STUDIES[n] for n in names], {n: recorded(n) for n in names}, StudyConfig(), tmp_path).read_text()
    assert "holds here" in page
    assert "not shown here" in page


def _counted(folder: Path) -> Study:
    """A study whose cells leave a file each, to count them by."""

    def one(cell: Cell) -> dict[str, Any]:
        (folder / f"{cell.arm}-{cell.seed}-{len(list(folder.iterdir()))}").touch()
        return {"figure": cell.seed + cell.options["add"]}

    return Study(
        name="counted",
        title="Counted",
        claim="",
        source="",
        arms=lambda config: {"a": {"add": 0}, "b": {"add": 10}},
        run=one,
        conclude=lambda results: Conclusion("", None, (), ()),
        draw=lambda results: {},
    )


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Study, Path]:
    done = tmp_path / "done"
    done.mkdir()
    study = _counted(done)
    monkeypatch.setattr("chainrule.studies.STUDIES", {"counted": study})
    return study, done


def test_the_same_call_goes_on(counted: tuple[Study, Path], tmp_path: Path) -> None:
    study, done = counted
    first = run([study], StudyConfig(seeds=2), tmp_path / "out", workers=1)["counted"]
    assert first.values("b", "figure").tolist() == [10, 11]
    journal = tmp_path / "out" / "records.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:3]) + lines[3][:7])
    again = run([study], StudyConfig(seeds=2), tmp_path / "out", workers=1)["counted"]
    assert again.arms == first.arms
    assert again.values("b", "figure").tolist() == [10, 11]
    assert len(list(done.iterdir())) == 5
    assert len(journal.read_text().splitlines()) == 4


def test_another_size_is_another_cell(counted: tuple[Study, Path], tmp_path: Path) -> None:
    study, done = counted
    for quick in (False, True):
        run([study], StudyConfig(seeds=1, quick=quick), tmp_path / "out", workers=1)
    assert len(list(done.iterdir())) == 4


def test_cells_run_in_processes(tmp_path: Path) -> None:
    told: list[int] = []
    study = STUDIES["input-scaling"]
    results = run([study], StudyConfig(seeds=2, quick=True), tmp_path, 2, lambda cell, done, of: told.append(done))
    assert told == list(range(1, 17))
    assert study.conclude(results["input-scaling"]).holds


def test_intervals_are_students() -> None:
    found = estimate(np.array([1.0, 2.0, 4.0, np.nan]))
    assert found.mean == pytest.approx(7 / 3)
    assert found.half == pytest.approx(4.302653 * 1.5275252 / np.sqrt(3), rel=1e-6)
    assert not difference(np.array([1.0, 2.0, 3.0]), np.array([1.1, 1.8, 3.1])).sure
    assert difference(np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.4, 2.5])).sure
    assert estimate(np.array([])).text() == "nan"


def test_the_command_runs_a_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["study", "input-scaling", "--quick", "--seeds", "2", "--workers", "1", "--out", str(tmp_path), "--json"]
    assert command(line) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["studies"]["input-scaling"]["holds"] is True
    assert Path(told["page"]).is_file()
    assert command(line[:-1]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert re.search(r"Standardized inputs.*: holds here Claim: ", printed)


def test_the_command_lists_and_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["study", "list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in STUDIES)
    assert command(["study", "dropuot", "--seeds", "0"]) == 2
    err = capsys.readouterr().err
    assert "Did you mean 'dropout'?" in err
    assert "--seeds" in err


@pytest.mark.parametrize("name", STUDIES)
def test_every_verdict_follows_from_intervals(name: str) -> None:
    found = STUDIES[name].conclude(recorded(name))
    counted = [each for each in found.criteria if each.shown]
    assert counted
    assert found.holds == all(each.met for each in counted)
    assert all(np.isfinite(each.interval.half) for each in counted)


@pytest.mark.parametrize("name", STUDIES)
def test_every_claim_stands_beside_a_setting_in_which_it_fails(name: str) -> None:
    found = STUDIES[name].conclude(recorded(name))
    assert any(not each.met for each in found.criteria if not each.shown)


def test_a_criterion_asks_for_the_whole_interval() -> None:
    values = np.array([1.0, 2.0, 3.0])
    assert below("here", "figure", values, 4.5).met
    assert not below("here", "figure", values, 4.4).met
    assert above("here", "figure", values, -0.5).met
    assert not above("here", "figure", values, -0.4).met
    assert at_most("here", "figure", values, 3.0).met
    assert not at_least("here", "figure", values, 1.5).met
    assert below("here", "figure", values / 100, unit="points").measured == "2 ± 2.5 points"
    assert above("here", "figure", np.array([2.0, 8.0]), unit="times").measured.startswith("4 times (")


def test_one_seed_and_endless_values_decide_nothing() -> None:
    assert not below("here", "figure", np.array([-5.0])).met
    assert "one seed" in below("here", "figure", np.array([-5.0])).measured
    assert not above("here", "figure", np.array([5.0, np.inf]), unit="times").met
    assert above("here", "figure", np.array([5.0, np.inf]), unit="times").measured == "not finite"


def test_criteria_are_printed_beside_the_verdict_and_stand_on_the_page(tmp_path: Path) -> None:
    results = recorded("noisy-labels")
    page = write([STUDIES["noisy-labels"]], {"noisy-labels": results}, StudyConfig(), tmp_path).read_text()
    told = plain(STUDIES["noisy-labels"], results)["criteria"]
    assert [row["met"] for row in told] == ["yes", "no"]
    assert all(cell in page for row in told for cell in row.values())
    assert "beside it: 200 rows, right labels" in page


MEASURED = Path(__file__).parents[2] / "docs" / "measured" / "studies.md"


def rows_of(name: str) -> list[str]:
    """The rows of the page's table of a study, as its records give them."""
    found = STUDIES[name].conclude(recorded(name))
    return [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in found.criteria_table()[1]]


@pytest.mark.skipif(not MEASURED.exists(), reason="the documentation is not there")
@pytest.mark.parametrize("name", STUDIES)
def test_the_page_of_criteria_says_what_the_records_give(name: str) -> None:
    section = MEASURED.read_text("utf-8").partition(f"## {STUDIES[name].title}\n")[2].partition("\n## ")[0]
    assert f"`chainrule study {name}`" in section
    assert STUDIES[name].claim in section
    verdict = "holds here" if STUDIES[name].conclude(recorded(name)).holds else "not shown here"
    assert f"**{verdict}**" in section
    assert [line for line in section.splitlines() if line.startswith("| ") and "| figure |" not in line] == rows_of(
        name
    )
