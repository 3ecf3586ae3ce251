"""Why: the site's pages are a promise too: their code runs, their numbers are the code's, their links lead somewhere.

In: the pages under docs/ and the scripts beside them. Out: each page runs as one program; what is generated is whole.
"""

import ast
import base64
import inspect
import json
import re
import sys
from functools import partial
from pathlib import Path

import pytest
from replaced_commands import REPLACED

from chainrule.bench.measure import MeasureSettings
from chainrule.nn.spec import REGISTRY
from chainrule.report.explain import read_docstring
from chainrule.studies import STUDIES

DOCS = Path(__file__).parents[2] / "docs"
sys.path.append(str(DOCS / "tools"))

import equations  # noqa: E402
import notebooks  # noqa: E402
import reference  # noqa: E402
import snippets  # noqa: E402

CHAPTERS = sorted((DOCS / "learn").glob("[0-9]*.md"))
PAGES = [DOCS / "index.md", *sorted((DOCS / "learn").glob("*.md")), *sorted((DOCS / "use").glob("*.md"))]
GENERATED = [DOCS / "reference" / "symptoms.md"]
"""Pages that exist only in the built site."""
OTHER_GENERATED = [DOCS / "playground" / "index.html"]
"""What else exists only there, and pages link to."""
OTHER_PAGES = sorted({*DOCS.rglob("*.md")} - {*PAGES})
"""Most of their commands take hours (benchmarks, studies) and are replaced by shorter ones."""
MATHEMATICS = sorted((DOCS / "reference" / "mathematics").glob("*.md"))
API = sorted((DOCS / "reference" / "api").glob("*.md"))
DERIVED = {"dense": "Dense", "softmax": "SoftmaxCrossEntropy", "batch-norm": "BatchNorm", "layer-norm": "LayerNorm"}


def named(page):
    return f"{page.parent.name}/{page.stem}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_page_runs_as_one_program_and_prints_what_it_shows(page, tmp_path):
    if page.stem == "gpu":
        pytest.importorskip("jax", reason="the page is about the JAX engine")
    snippets.run(page, tmp_path, instead=REPLACED)


@pytest.mark.parametrize("page", OTHER_PAGES, ids=named)
def test_the_other_pages_run_in_a_shorter_form(page, tmp_path, monkeypatch):
    monkeypatch.setattr("chainrule.bench.measure.MeasureSettings", partial(MeasureSettings, repeats=2, seconds=0.01))
    snippets.run(page, tmp_path, instead=REPLACED)


def test_only_code_of_another_library_is_shown_and_not_run():
    for page in [*PAGES, *OTHER_PAGES]:
        text = page.read_text("utf-8")
        fences = len(re.findall(r"^ *```py", text, re.MULTILINE))
        runs = sum(cell.kind == "python" for cell in snippets.cells(text))
        assert fences - runs == text.count(snippets.OTHERS), page


def test_a_page_that_shows_something_else_fails(tmp_path):
    page = tmp_path / "wrong.md"
    page.write_text("# Wrong\n\n```python\nprint(2)\n```\n\n```text\n3\n```\n")
    with pytest.raises(AssertionError, match=r"wrong.md:4 prints\n2\nand the page says\n3"):
        snippets.run(page, tmp_path)


def test_a_page_whose_command_fails_fails(tmp_path):
    page = tmp_path / "wrong.md"
    page.write_text("```sh\n# a comment\nchainrule train nowhere.csv\n```\n")
    with pytest.raises(AssertionError, match=r"wrong.md:2 `chainrule train nowhere.csv` ends with 2: .*nowhere"):
        snippets.run(page, tmp_path)


@pytest.mark.parametrize("kind", ["sh", "bash", "console"])
@pytest.mark.parametrize("prompt", ["", "$ "])
def test_a_command_that_is_neither_run_nor_replaced_fails(tmp_path, kind, prompt):
    page = tmp_path / "wrong.md"
    page.write_text(f"```{kind}\n{prompt}rm -r everything   # no\n```\n")
    with pytest.raises(AssertionError, match=r"wrong.md:2 `rm -r everything` is neither run nor replaced"):
        snippets.run(page, tmp_path)


def test_cells_are_prose_code_with_its_output_and_what_is_only_shown():
    text = "Prose\n\n```python\nx = 1\n```\n\n```text\n\n```\n\n"
    text += '```py title="PyTorch"\nimport torch\n```\n\n```py\ny = 2\n```\n\nMore\n'
    kinds = [(cell.kind, cell.source, cell.output) for cell in snippets.cells(text)]
    assert kinds == [
        ("markdown", "Prose", None),
        ("python", "x = 1\n", "\n"),
        ("shown", '```py title="PyTorch"\nimport torch\n```', None),
        ("python", "y = 2\n", None),
        ("markdown", "More", None),
    ]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=named)
def test_chapter_is_a_notebook_with_the_same_code(chapter):
    made = json.loads(notebooks.dumped(chapter))
    first, *code = [cell for cell in made["cells"] if cell["cell_type"] == "code"]
    assert first["source"] == "import chainrule"
    wanted = [cell for cell in snippets.cells(chapter.read_text("utf-8")) if cell.kind == "python"]
    assert [cell["source"] for cell in code] == [cell.source.rstrip("\n") for cell in wanted]
    assert [cell["outputs"][0]["text"] if cell["outputs"] else None for cell in code] == [c.output for c in wanted]
    for cell in code:
        ast.parse(cell["source"])
    ids = [cell["id"] for cell in made["cells"]]
    assert len(set(ids)) == len(ids)
    assert (made["nbformat"], made["nbformat_minor"]) == (4, 5)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=named)
def test_notebook_travels_alone(chapter):
    prose = [cell for cell in notebooks.notebook(chapter)["cells"] if cell["cell_type"] == "markdown"]
    text = "\n".join(cell["source"] for cell in prose)
    assert not re.search(r"\]\((?!attachment:|https?:)", text)
    assert "!!!" not in text
    assert "???" not in text
    inside = {name: picture for cell in prose for name, picture in cell.get("attachments", {}).items()}
    assert set(re.findall(r"\(attachment:([^)]+)\)", text)) == set(inside)
    drawings = {path.name: path.read_bytes() for path in (DOCS / "drawings").rglob("*.svg")}
    for name, picture in inside.items():
        assert base64.b64decode(picture["image/svg+xml"]) == drawings[name]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=named)
def test_chapter_has_an_exercise_whose_solution_runs_and_stays_closed(chapter):
    text = chapter.read_text("utf-8")
    assert re.search(r'^!!! question "Exercise"\n    \S', text, re.MULTILINE)
    solution = text.split('\n??? success "Solution"\n')[1]
    assert re.match(r"(?:\n|    .*\n)*?    ```python\n(?:\n|    .*\n)+?    ```\n\n    ```text\n    \S", solution)
    code = [cell for cell in notebooks.notebook(chapter)["cells"] if cell["cell_type"] == "code"]
    assert [cell["metadata"].get("jupyter", {}).get("source_hidden", False) for cell in code].count(True) == 1


def test_notebook_is_valid():
    nbformat = pytest.importorskip("nbformat", reason="comes with chainrule[docs]; building the site checks it too")
    for chapter in CHAPTERS:
        nbformat.validate(nbformat.reads(notebooks.dumped(chapter), as_version=4))


def test_links_of_a_notebook_lead_to_the_site_where_there_is_one():
    made = notebooks.dumped(CHAPTERS[-1], "https://example.org/site")
    assert "(https://example.org/site/use/index.html)" in made
    assert "(https://example.org/site/learn/8-batch-norm.html)" in notebooks.dumped(
        CHAPTERS[4], "https://example.org/site"
    )


def test_every_piece_with_equations_stands_on_one_page_of_the_mathematics():
    shown = [name for page in MATHEMATICS for name in equations.MARK.findall(page.read_text("utf-8"))]
    wanted = {name for name in REGISTRY if equations.equations(name)} | set(equations.FUNCTIONS)
    assert sorted(shown) == sorted(wanted)


@pytest.mark.parametrize("name", sorted({*REGISTRY, *equations.FUNCTIONS}))
def test_page_and_docstring_have_the_same_numbers(name):
    drawn = equations.expanded(f"<!-- equations: {name} -->")
    doc = inspect.getdoc(REGISTRY.get(name) or equations.FUNCTIONS[name])
    equations_part = doc.split("Shapes  ")[0].split("Reference  ")[0]
    in_docstring = [
        int(n) for n in re.findall(r"(?:^(?:Forward|Backward)|\s)\s{2,}\((\d+)\) ", equations_part, re.MULTILINE)
    ]
    assert [int(n) for n in equations.TAG.findall(drawn)] == in_docstring == list(range(1, len(in_docstring) + 1))


@pytest.mark.parametrize("page", DERIVED)
def test_derivation_reaches_every_equation_of_its_layer_under_its_number(page):
    text = (DOCS / "reference" / "mathematics" / f"{page}.md").read_text("utf-8")
    there = read_docstring(object.__new__(REGISTRY[DERIVED[page]]))[0]
    assert [int(n) for n in equations.TAG.findall(text)] == [e.number for e in there]
    backward = text.index("## Backward")
    for equation in there:
        place = text.index(rf"\tag{{{equation.number}}}")
        assert (place > backward) == (equation.direction == "backward")


def test_chapters_number_equations_as_the_code_does():
    wanted = {"2-a-layer": ["Dense"], "8-batch-norm": ["BatchNorm"]}
    for chapter, names in wanted.items():
        numbers = sorted(map(int, equations.TAG.findall((DOCS / "learn" / f"{chapter}.md").read_text("utf-8"))))
        assert numbers == sorted(e.number for name in names for e in equations.equations(name))


def test_every_equation_is_drawn_without_anything_left_over():
    pytest.importorskip("latex2mathml", reason="comes with chainrule[docs]")
    for page in [*MATHEMATICS, *CHAPTERS]:
        for source in re.findall(r"\$\$(.+?)\$\$", equations.expanded(page.read_text("utf-8"))):
            drawn = equations.mathml(f'<div class="arithmatex">\\[{source}\\]</div>')
            assert drawn.startswith('<div class="equation"><math'), source
            assert "\\" not in drawn, source


def test_reference_has_every_public_name_and_only_names_that_exist():
    text = "\n".join(page.read_text("utf-8") for page in API)
    made = reference.expanded(text)
    import chainrule

    for name in chainrule.__all__:
        thing = getattr(chainrule, name)
        heading = f"## {thing.__name__}$" if inspect.ismodule(thing) else rf"### {name} \{{"
        assert re.search(f"^{heading}", made, re.MULTILINE), name
    anchors = re.findall(r"\{ #([\w.]+) \}", made)
    assert len(set(anchors)) == len(anchors) > 100


def test_reference_keeps_equations_and_examples_as_they_stand():
    made = reference.described("Says *so*.\n\nForward    (1) Z = A W\nShapes     Z (n, k)\n\n>>> 1 + 1\n2")
    assert (
        made
        == "Says \\*so\\*.\n\n```text\nForward    (1) Z = A W\nShapes     Z (n, k)\n```\n\n```pycon\n>>> 1 + 1\n2\n```"
    )


def test_reference_lists_the_arguments_of_a_numpydoc_docstring():
    doc = "Scale.\n\nParameters\n----------\nX : array of shape (n, d)\n    Rows.\n\n    Not changed.\n*args\n    More.\n\n"
    doc += "Returns\n-------\narray\n    Rows.\n\nNotes\n-----\nA `b`."
    made = (
        "Scale.\n\n**Parameters**\n\n- **`X`** (array of shape (n, d)):\n    Rows.\n\n    Not changed.\n"
        "- **`*args`**:\n    More.\n\n**Returns**\n\n- **`array`**:\n    Rows.\n\n**Notes**\n\nA `b`."
    )
    assert reference.described(doc) == made


def test_anchors_and_issues_of_the_page_for_users_of_scikit_learn_exist():
    text = (DOCS / "use" / "coming-from-sklearn.md").read_text("utf-8")
    headings = {
        re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in re.findall(r"^## (.*)$", text, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= headings
    used = set(re.findall(r"\[(#\d+)\](?![\[:])", text))
    assert used == set(re.findall(r"^\[(#\d+)\]: https://\S+/\d+$", text, re.MULTILINE))


def test_studies_that_pages_name_exist_and_all_of_the_lecture_are_named():
    text = (DOCS / "learn" / "index.md").read_text("utf-8")
    rows = re.findall(r"^\| \[\d\..*\| ([^|]+) \|$", text, re.MULTILINE)
    lecture = {name for name, study in STUDIES.items() if "lecture" in study.source}
    assert set(re.findall(r"`([\w-]+)`", " ".join(rows))) == lecture
    for page in CHAPTERS:
        assert set(re.findall(r"chainrule study ([a-z][\w-]*)", page.read_text("utf-8"))) <= set(STUDIES)


def test_links_between_pages_lead_somewhere():
    for page in [*PAGES, *OTHER_PAGES]:
        for link in re.findall(
            r"\]\(([^)#\s]+)(?:#[^)]*)?\)", re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
        ):
            target = (page.parent / link).resolve()
            assert "://" in link or target.exists() or target in [*GENERATED, *OTHER_GENERATED], (
                f"{named(page)}: {link}"
            )


def test_every_page_stands_in_the_navigation():
    listed = set(re.findall(r"([\w/-]+\.md)$", (DOCS.parent / "mkdocs.yml").read_text("utf-8"), re.MULTILINE))
    assert listed == {str(page.relative_to(DOCS)) for page in [*DOCS.rglob("*.md"), *GENERATED]}


def test_drawings_are_used_and_keep_to_their_own_names():
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    drawings = {path.stem: path.read_text("utf-8") for path in (DOCS / "drawings").glob("*.svg")}
    assert set(re.findall(r"drawings/([\w-]+)\.svg", text)) == set(drawings) - {"logo"}
    for name, drawing in drawings.items():
        assert all(each.startswith(f"{name}-") for each in re.findall(r' id="([^"]+)"', drawing))
        assert "<title>" in drawing
