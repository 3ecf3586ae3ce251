"""Why: `chainrule study` without `--data` must run papers' claims on MNIST, and its page must say whose claims they are.

In: lines of the command, with recorded results in place of runs. Out: the data that is taken; titles; refusals.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from chainrule.cli import run as command
from chainrule.studies import Results, Study, StudyConfig

RECORDS = Path(__file__).parents[1] / "records"
RECORDED = {**json.loads((RECORDS / "studies.json").read_text()), **json.loads((RECORDS / "papers.json").read_text())}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[StudyConfig]:
    """The settings that studies are run with; their results are recorded ones, and files go to `tmp_path`."""
    settings: list[StudyConfig] = []

    def recorded(studies: Sequence[Study], config: StudyConfig, folder: Path, *rest: object) -> dict[str, Results]:
        settings.append(config)
        folder.mkdir(parents=True)
        arms = {study.name: RECORDED[study.name].items() for study in studies}
        return {
            name: Results({arm: {int(s): r for s, r in by.items()} for arm, by in found})
            for name, found in arms.items()
        }

    monkeypatch.setattr("chainrule.studies.run", recorded)
    monkeypatch.chdir(tmp_path)
    return settings


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "data"),
    [
        (["ioffe2015"], "mnist"),
        (["symmetry"], "digits"),
        (["ioffe2015,he2015"], "mnist"),
        (["ioffe2015", "--data", "digits"], "digits"),
        (["symmetry", "--data", "mnist"], "mnist"),
    ],
)
def test_papers_run_on_mnist_and_the_lecture_on_digits(line: list[str], data: str, asked: list[StudyConfig]) -> None:
    assert command(["study", *line]) == 0
    assert [config.data for config in asked] == [data]
    assert Path("studies", data, "index.html").is_file()


@pytest.mark.parametrize(
    ("names", "title"),
    [
        ("ioffe2015,he2015", "Papers' claims as experiments"),
        ("symmetry,transfer", "The lecture's claims as experiments"),
        ("symmetry,he2015", "The lecture's and papers' claims as experiments"),
        ("he2015", "He et al. 2015: initial weights of very deep relu networks"),
    ],
)
def test_a_page_says_whose_claims_are_on_it(names: str, title: str, asked: list[StudyConfig]) -> None:
    assert command(["study", names, "--data", "mnist"]) == 0
    page = Path("studies/mnist/index.html").read_text()
    found = re.search("<title>(.*?)</title>", page)
    assert found is not None
    assert found[1].replace("&#x27;", "'").replace("&#39;", "'") == title


def test_studies_of_both_kinds_need_their_data_named(
    asked: list[StudyConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["study", "symmetry,he2015"]) == 2
    assert asked == []
    err = " ".join(capsys.readouterr().err.split())
    assert "--data must be given" in err
    assert "lecture's run on digits, the papers' on mnist" in err
