"""Why: a build must be able to fail on what the doctor says, and every training leaves a page that tells how it went.

In: `chainrule doctor`, `chainrule train --doctor`, `chainrule compare`. Out: exit codes, JSON, cards, files.
"""

import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from chainrule import cli
from chainrule.cli import doctor_report
from chainrule.cli.doctor_report import command_line
from chainrule.cli.options import TrainOptions
from chainrule.doctor.trials.repair import RepairAttempt, RepairResult
from chainrule.doctor.vocabulary.catalogue import SYMPTOMS
from chainrule.doctor.vocabulary.records import Finding, Fix, Report
from chainrule.doctor.vocabulary.thresholds import USUAL


@pytest.fixture(autouse=True)
def _inside_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def chainrule(capsys):
    """Runs the command line in this process; gives exit code, standard output, standard error."""

    def call(*arguments):
        with np.errstate(all="ignore"):
            code = cli.run([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


def small(source="iris", *options):
    return (source, "--hidden", 8, "--engine", "reference", *options)


SICK = small("breast_cancer", "--lr", 1e-6, "--epochs", 10)
"""Ten epochs at a thousandth of a useful rate: 130 steps that hardly move a weight."""


def test_a_sick_training_has_exit_code_one_and_names_the_cause(chainrule):
    code, out, _ = chainrule("doctor", *SICK, "--json")
    assert code == 1
    assert out.count("\n") == 1
    told = json.loads(out)
    assert told["verdict"] == "ill"
    first = told["findings"][0]
    assert first["symptom"] == "learning-rate-too-low"
    assert first["confirmed"] is True
    assert first["fix"]["line"].startswith("--lr ")
    assert {finding["symptom"] for finding in told["findings"]} <= set(SYMPTOMS)


@pytest.mark.slow
def test_what_could_not_be_looked_at_is_told(chainrule):
    _, out, _ = chainrule("doctor", *small("iris", "--lr", 0.02, "--epochs", 10))
    assert "skipped loss-metric-disagreement: needs at least twenty epochs" in out


def test_a_sound_training_has_exit_code_zero_and_leaves_a_page(chainrule):
    code, out, _ = chainrule("doctor", *small("iris", "--lr", 0.02, "--epochs", 60, "--out", "page.html"))
    assert code == 0, out
    assert out.startswith("doctor: healthy")
    text = Path("page.html").read_text()
    assert "✓ healthy" in text
    assert "setosa" in text
    assert {path.name for path in Path().iterdir()} == {"page.html"}


@pytest.mark.slow
def test_a_silenced_symptom_is_not_told(chainrule):
    suppress = ("--suppress", "learning-rate-too-low=a demonstration = wanted")
    told = json.loads(chainrule("train", *SICK, "--json", *suppress, "--out", "run")[1])
    assert "learning-rate-too-low" not in told["doctor"]["findings"]
    suppressed = json.loads(Path("run/doctor.json").read_text())["suppressed"]
    assert suppressed == {"learning-rate-too-low": "a demonstration = wanted"}
    assert "Suppressed: learning-rate-too-low (a demonstration = wanted)" in Path("run/report.html").read_text()
    assert "learning-rate-too-low" in json.loads(chainrule("train", *SICK, "--json")[1])["doctor"]["findings"]


@pytest.mark.slow
def test_fix_says_the_line_that_is_better(chainrule):
    code, out, _ = chainrule("doctor", *small("iris", "--lr", 1e-5, "--epochs", 30, "--fix", "--json"))
    told = json.loads(out)
    words = told["line"].split()
    assert words[:3] == ["chainrule", "train", "iris"]
    assert float(words[words.index("--lr") + 1]) >= 1e-4
    assert told["tried"]
    assert code == (0 if told["verdict"] == "healthy" else 1)


@pytest.mark.slow
def test_two_causes_that_hide_one_another_are_told_and_mended(chainrule):
    two = ("digits", "--lr", 1e-7, "--alpha", 3, "--epochs", 20)
    code, out, _ = chainrule("doctor", *two, "--out", "page.html")
    assert code == 1
    assert "no-penalty beside the other remedies: reduces the error by" in Path("page.html").read_text()
    trials = [line.split("trial", 1)[1].strip().split("; ") for line in out.splitlines() if line.startswith("  trial")]
    assert [words[0] for words in trials] == ["confirmed", "confirmed"]
    assert [words[1].split(":")[0] for words in trials] == [
        "no-penalty beside the other remedies",
        "usual-rate beside the other remedies",
    ]
    assert any(words.startswith("no-penalty: ") for words in trials[0])
    assert "Raise the learning rate.  --lr 0.001" in out
    line = json.loads(chainrule("doctor", *two, "--fix", "--json")[1])["line"]
    assert "--alpha" not in line
    assert "1e-07" not in line


@pytest.mark.slow
def test_a_run_folder_is_examined_with_its_own_settings_and_those_typed_now(chainrule):
    chainrule("train", *SICK, "--out", "run")
    before = {path: path.read_bytes() for path in Path("run").iterdir()}
    code, out, _ = chainrule("doctor", "run", "--out", "page.html")
    assert code == 1
    assert out.startswith("doctor: problem found: The learning rate 1e-06 is too low")
    for words in ("measured", "usual", "fix", "--lr ", "trial", "learning-rate-too-low"):
        assert words in out
    code, out, _ = chainrule("doctor", "run", "--lr", 0.01, "--json")
    assert code == 0, out
    assert {path: path.read_bytes() for path in Path("run").iterdir()} == before


@pytest.mark.parametrize(
    "text", ["{}", "[]", "no json", '{"options": {"source": "iris", "hiden": 3}}', '{"options": 3}']
)
def test_a_folder_of_something_else_is_refused(chainrule, text):
    Path("run").mkdir()
    Path("run/config.json").write_text(text)
    code, out, err = chainrule("doctor", "run")
    assert (code, out) == (2, "")
    assert err.startswith("error: run/config.json: the file must be a run's settings")
    assert err.count("\n") == 1


def test_every_training_is_watched_and_leaves_its_report(chainrule):
    code, out, _ = chainrule("train", *small("iris", "--lr", 0.02, "--epochs", 20, "--out", "run"))
    assert code == 0
    assert "doctor: healthy" in out
    told = json.loads(Path("run/doctor.json").read_text())
    assert told["verdict"] == "healthy"
    assert any("Monitoring only" in note for note in told["notes"])
    text = Path("run/report.html").read_text()
    for part in ("Learning curves", "Gradient flow", "Update-to-weight ratios", "Confusion matrix", "Calibration"):
        assert part in text


def test_a_watched_training_is_the_training_that_nobody_watches(chainrule):
    chainrule("train", *small("iris", "--epochs", 8, "--doctor", "off", "--out", "off"))
    chainrule("train", *small("iris", "--epochs", 8, "--doctor", "watch", "--out", "watch"))
    assert Path("off/model.safetensors").read_bytes() == Path("watch/model.safetensors").read_bytes()
    assert {p.name for p in Path("watch").iterdir()} - {p.name for p in Path("off").iterdir()} == {"doctor.json"}
    assert "Gradient flow" not in Path("off/report.html").read_text()


def test_watching_shows_a_card_where_a_training_did_not_work(chainrule):
    code, out, _ = chainrule("train", *small("iris", "--lr", 1e-7, "--epochs", 20, "--out", "run"))
    assert code == 0
    assert "doctor: problem found: " in out
    assert "Run `chainrule doctor run` to test remedies." in out
    _, out, _ = chainrule("train", *small("iris", "--lr", 1e-7, "--epochs", 20, "--json"))
    assert json.loads(out)["doctor"]["verdict"] == "ill"


def test_cards_come_during_the_run_once_and_never_with_json(chainrule, monkeypatch):
    """With looks at every epoch a rate that moves nothing shows long before the end."""
    monkeypatch.setattr("chainrule.doctor.monitor.USUAL", replace(USUAL, overhead=1e9))
    arguments = ("train", *small("iris", "--lr", 1e-7, "--epochs", 20))
    code, out, err = chainrule(*arguments)
    assert code == 0
    assert "doctor, epoch " in err
    assert (out + err).count("  fix ") <= 3
    told = [symptom for symptom in SYMPTOMS for line in err.splitlines() if line.endswith(f"  {symptom}")]
    assert "learning-rate-too-low" in told
    assert len(set(told)) == len(told)
    assert not any(line.endswith(f"  {symptom}") for symptom in told for line in out.splitlines())
    assert "doctor: problem found: " in out
    code, out, err = chainrule(*arguments, "--json")
    assert (code, err, out.count("\n")) == (0, "", 1)


def test_the_doctor_may_be_off(chainrule, monkeypatch):
    monkeypatch.setattr("chainrule.cli.training.DoctorMonitor", lambda *_, **__: pytest.fail("it looked"))
    code, out, _ = chainrule("train", *small("iris", "--epochs", 2, "--doctor", "off"))
    assert code == 0
    assert "doctor" not in out


@pytest.mark.slow
def test_advise_tries_remedies(chainrule):
    chainrule("train", *SICK, "--doctor", "advise", "--out", "run")
    first = json.loads(Path("run/doctor.json").read_text())["findings"][0]
    assert first["symptom"] == "learning-rate-too-low"
    assert [trial for trial in first["trials"] if trial["helped"]]
    assert "Trial “" in Path("run/report.html").read_text()


@pytest.mark.slow
def test_fix_trains_again_and_keeps_the_better_model(chainrule):
    arguments = small("iris", "--lr", 1e-5, "--epochs", 30, "--json")
    ill = json.loads(chainrule("train", *arguments, "--doctor", "off")[1])
    mended = json.loads(chainrule("train", *arguments, "--doctor", "fix", "--out", "run")[1])
    assert mended["test"]["accuracy"] > ill["test"]["accuracy"] + 0.1
    settings = json.loads(Path("run/config.json").read_text())["settings"]
    assert settings["learning_rate_init"] >= 1e-4
    assert any("kept" in note for note in json.loads(Path("run/doctor.json").read_text())["notes"])


@pytest.mark.parametrize(
    ("module", "command"), [("doctor", ["doctor", "--fix"]), ("training", ["train", "--doctor", "fix", "--out", "run"])]
)
def test_what_contradicts_the_targets_of_a_healthy_network_is_repaired(chainrule, monkeypatch, module, command):
    found = Finding("wrong-loss", "info", "The loss", "", "", "", fix=Fix("", remedy="matching-loss"))
    attempt = RepairAttempt("wrong-loss", "matching-loss", (0.1,), (0.1,), False, "made it worse")

    def examined(problem, **_):
        return Report("healthy", (found,), problem)

    monkeypatch.setattr(import_module(f"chainrule.cli.{module}"), "examine_problem", examined)
    monkeypatch.setattr(doctor_report, "repair", lambda problem, report: RepairResult(problem, (attempt,)))
    code, out, _ = chainrule(command[0], *small("iris", "--epochs", 2), *command[1:], "--json")
    assert code == 0
    told = json.loads(out if module == "doctor" else Path("run/doctor.json").read_text())
    assert [note for note in told["notes"] if note.startswith("matching-loss against wrong-loss")]


def test_a_diverged_training_is_ill(chainrule):
    code, out, _ = chainrule("train", *small("diabetes", "--optimizer", "sgd", "--lr", 1e30, "--epochs", 3, "--json"))
    assert code == 1
    told = json.loads(out)
    assert told["doctor"]["verdict"] == "ill"
    assert {"nan-loss", "learning-rate-too-high"} & set(told["doctor"]["findings"])


def test_a_run_that_goes_on_is_watched_from_there(chainrule):
    arguments = ("train", *small("iris", "--epochs", 6, "--checkpoint", "kept"))
    assert chainrule(*arguments, "--out", "first")[0] == 0
    assert chainrule(*arguments, "--out", "second")[0] == 0
    assert Path("first/model.safetensors").read_bytes() == Path("second/model.safetensors").read_bytes()
    assert json.loads(Path("second/doctor.json").read_text())["verdict"] in ("healthy", "ill")


def test_hostile_labels_stay_text_in_the_report(chainrule):
    rows = [f"{i % 2}.{i},{i},{'<script>1</script>' if i % 2 else 'b'}" for i in range(40)]
    Path("table.csv").write_text("<b>u</b>,v,kind\n" + "\n".join(rows) + "\n")
    assert chainrule("train", *small("table.csv", "--target", "kind", "--epochs", 2, "--out", "run"))[0] == 0
    text = Path("run/report.html").read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text


@pytest.mark.slow
def test_compare_shows_what_differs_and_what_came_of_it(chainrule):
    for name, alpha in (("one", 0.0), ("two", 0.5)):
        chainrule("train", *small("iris", "--epochs", 3, "--alpha", alpha, "--out", name))
    code, out, _ = chainrule("compare", "one", "two", "--out", "page.html")
    assert code == 0
    assert [line.split() for line in out.splitlines() if line.split()[:1] == ["alpha"]] == [["alpha", "0", "0.5"]]
    assert "max_iter" not in out
    assert "Validation loss" in Path("page.html").read_text()
    told = json.loads(chainrule("compare", "one", "two", "--json")[1])
    assert told["settings"] == {"alpha": [0.0, 0.5]}
    results = [json.loads(Path(name, "config.json").read_text())["result"]["test"]["loss"] for name in ("one", "two")]
    assert told["effects"][0]["figures"]["test loss"] == pytest.approx(results[1] - results[0])


def test_compare_of_a_damaged_run_is_refused(chainrule):
    for name in ("one", "two"):
        Path(name).mkdir()
        Path(name, "config.json").write_text('{"settings": {}, "result": {}}')
    Path("two/run.jsonl").write_text("{broken\n")
    code, out, err = chainrule("compare", "one", "two")
    assert (code, out) == (2, "")
    assert err.startswith("error: two/run.jsonl: line 1: the text must be JSON")


def test_the_line_is_what_was_asked():
    options = TrainOptions(target="a b", lr="0.01", batch_norm=True, patience="0")
    assert (
        command_line("x.csv", options)
        == "chainrule train x.csv --target 'a b' --batch-norm --lr 0.01 --patience 0 --preset plain"
    )
