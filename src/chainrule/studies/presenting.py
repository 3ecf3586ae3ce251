"""Why: what a study found is read as a sentence, checked in a table and believed from a picture; all three are one page.

In: studies and their results. Out: plain data for JSON, figures as files, one self-contained HTML page.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chainrule.io import write_atomically
from chainrule.report.page.html import Section, page
from chainrule.report.svg.markup import Html, tag
from chainrule.studies.papers import PAPERS
from chainrule.studies.study import Conclusion, Results, Setting, Study

_VERDICTS: Mapping[bool | None, str] = {True: "holds here", False: "not shown here", None: "measured"}


def plain(study: Study, results: Results) -> dict[str, Any]:
    """Claim, sentence, whether it holds, table and every figure by arm and seed, as plain data."""
    figures = {arm: {str(seed): record for seed, record in by.items()} for arm, by in results.records.items()}
    return {"claim": study.claim, "source": study.source, **asdict(study.conclude(results)), "figures": figures}


def write(studies: Sequence[Study], results: Mapping[str, Results], setting: Setting, folder: Path) -> Path:
    """Write every figure as PNG and SVG into the folder, and index.html with all of it; the page's path."""
    sections = []
    for study in studies:
        pictures = {caption: _pictures(figure) for caption, figure in study.draw(results[study.name]).items()}
        for i, kinds in enumerate(pictures.values(), 1):
            name = study.name if len(pictures) == 1 else f"{study.name}-{i}"
            for kind, data in kinds.items():
                write_atomically(folder / f"{name}.{kind}", data)
        sections.append(_section(study, study.conclude(results[study.name]), pictures))
    seeds = f"{setting.seeds} seeds" if setting.seeds > 1 else "one seed"
    foot = f"{setting.data}{', quick' if setting.quick else ''}, {seeds}. ± is Student's 95 % interval over the seeds."
    path = folder / "index.html"
    write_atomically(path, page(_title(studies), sections, _overview(studies, results), foot).encode())
    return path


def _title(studies: Sequence[Study]) -> str:
    """The study's own title, or whose claims are on the page where there are several."""
    if len(studies) == 1:
        return studies[0].title
    papers = [study.name in PAPERS for study in studies]
    whose = "Papers'" if all(papers) else "The lecture's and papers'" if any(papers) else "The lecture's"
    return f"{whose} claims as experiments"


def _overview(studies: Sequence[Study], results: Mapping[str, Results]) -> Html | None:
    """The list of what was found, where there is more than one study."""
    if len(studies) == 1:
        return None
    verdicts = [_VERDICTS[study.conclude(results[study.name]).holds] for study in studies]
    rows = [(study.title, verdict) for study, verdict in zip(studies, verdicts, strict=True)]
    return _table(("study", "its claim"), rows)


def _section(study: Study, found: Conclusion, pictures: Mapping[str, Mapping[str, bytes]]) -> Section:
    body = tag(
        "div",
        tag("p", tag("strong", f"Claim ({study.source}): "), study.claim),
        tag("p", tag("strong", f"Found ({_VERDICTS[found.holds]}): "), found.sentence),
        *(_figure(caption, kinds["svg"]) for caption, kinds in pictures.items()),
        _table(found.header, found.rows),
    )
    return Section(study.title, body, study.reading)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    head = tag("tr", *(tag("th", title) for title in header))
    return tag(
        "div",
        tag(
            "table", tag("thead", head), tag("tbody", *(tag("tr", *(tag("td", cell) for cell in row)) for row in rows))
        ),
        style="overflow-x:auto",
    )


def _figure(caption: str, svg: bytes) -> Html:
    source = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
    picture = tag("img", src=source, alt=caption, style="max-width:100%;background:#fff")
    return tag("figure", picture, tag("figcaption", caption))


def _pictures(figure: Any) -> Mapping[str, bytes]:
    """The figure as the bytes of a PNG and of an SVG file; the same figure has the same bytes."""
    import matplotlib as mpl

    kinds = {"png": io.BytesIO(), "svg": io.BytesIO()}
    with mpl.rc_context({"svg.hashsalt": "chainrule"}):
        for kind, buffer in kinds.items():
            figure.savefig(buffer, format=kind, dpi=130, metadata={"Date": None} if kind == "svg" else None)
    return {kind: buffer.getvalue() for kind, buffer in kinds.items()}
