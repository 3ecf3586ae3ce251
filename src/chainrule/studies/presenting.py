"""A study's results as a page, as SVG files and as plain data.

In: studies and their results. Out: one self-contained HTML page with sentences, tables and pictures; data for JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chainrule.io import write_atomically
from chainrule.io.files import make_folder
from chainrule.report.page.html import Section, page, section_id, table
from chainrule.report.svg.charts import document, figure
from chainrule.report.svg.frames import grid
from chainrule.report.svg.markup import Html, joined, tag
from chainrule.studies.drawing import READING
from chainrule.studies.papers import PAPERS
from chainrule.studies.study import Conclusion, Results, Study, StudyConfig

VERDICTS: Mapping[bool | None, str] = {True: "holds here", False: "not shown here", None: "measured"}
"""What a conclusion says about its claim, in words."""


def plain(study: Study, results: Results) -> dict[str, Any]:
    """Return claim, sentence, verdict, table and every value by arm and seed, as plain data.

    Parameters
    ----------
    study : Study
        The study.
    results : Results
        Its records.

    Returns
    -------
    data : dict
        Dictionaries, lists, strings and numbers.
    """
    figures = {arm: {str(seed): record for seed, record in by.items()} for arm, by in results.records.items()}
    found = study.conclude(results)
    criteria = [dict(zip(found.criteria_table()[0], row, strict=True)) for row in found.criteria_table()[1]]
    return {
        "claim": study.claim,
        "source": study.source,
        **asdict(found),
        "criteria": criteria,
        "figures": figures,
    }


def write(studies: Sequence[Study], results: Mapping[str, Results], config: StudyConfig, folder: Path) -> Path:
    """Write a page of studies, and each of their pictures as an SVG file.

    Parameters
    ----------
    studies : sequence of Study
        The studies, in the order of the page.
    results : mapping of str to Results
        Their records, by name of the study.
    config : StudyConfig
        What they were run with.
    folder : Path
        Where to write `index.html` and the pictures.

    Returns
    -------
    path : Path
        The page.
    """
    make_folder(folder, "study")
    sections = []
    for study in studies:
        pictures = study.draw(results[study.name])
        panels = [panel for group in pictures.values() for panel in group]
        for i, panel in enumerate(panels, 1):
            name = study.name if len(panels) == 1 else f"{study.name}-{i}"
            write_atomically(folder / f"{name}.svg", document(panel).encode(errors="replace"), "study")
        drawn = [joined(tag("h3", caption), grid(*map(figure, group))) for caption, group in pictures.items()]
        sections.append(_section(study, study.conclude(results[study.name]), drawn))
    seeds = f"{config.seeds} seeds" if config.seeds > 1 else "one seed"
    foot = f"{config.data}{', quick' if config.quick else ''}, {seeds}. ± is Student's 95 % interval over the seeds."
    path = folder / "index.html"
    head = joined(_overview(studies, results), tag("p", READING, class_="note"))
    text = page(_title(studies), sections, head, foot, contents=False)
    write_atomically(path, text.encode(errors="replace"), "study")
    return path


def _title(studies: Sequence[Study]) -> str:
    """Return the study's own title, or whose claims are on the page if there are several."""
    if len(studies) == 1:
        return studies[0].title
    papers = [study.name in PAPERS for study in studies]
    whose = "Papers'" if all(papers) else "The lecture's and papers'" if any(papers) else "The lecture's"
    return f"{whose} claims as experiments"


def _overview(studies: Sequence[Study], results: Mapping[str, Results]) -> Html | None:
    """Return the verdicts, with links to their studies, if there is more than one."""
    if len(studies) == 1:
        return None
    verdicts = [VERDICTS[study.conclude(results[study.name]).holds] for study in studies]
    links = [tag("a", study.title, href=f"#{section_id(i)}") for i, study in enumerate(studies, 1)]
    return table(("study", "its claim"), list(zip(links, verdicts, strict=True)))


def _section(study: Study, found: Conclusion, drawn: Sequence[Html]) -> Section:
    body = joined(
        tag("p", tag("strong", f"Claim ({study.source}): "), study.claim),
        tag("p", tag("strong", f"Found ({VERDICTS[found.holds]}): "), found.sentence),
        _criteria(found),
        *drawn,
        table(found.header, found.rows, numbers=False),
    )
    return Section(study.title, body, study.reading)


def _criteria(found: Conclusion) -> Html | None:
    """Return the table from which the verdict follows."""
    if not found.criteria:
        return None
    header, rows = found.criteria_table()
    note = 'The claim holds here if each of these is met. Rows "beside it" are another setting, and do not count.'
    return joined(tag("p", note, class_="note"), table(header, rows, numbers=False))
