"""Why: the shape of the package is a promise, kept by a test and not by memory.

In: the sources, read as syntax trees. Out: file and line of every import in the wrong direction, of every equation whose
number stands on one side only, of every reference without an entry.
"""

import ast
import re
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import chainrule

SRC = Path(chainrule.__file__).parent
ROOT = Path(__file__).parents[1]
REFERENCES = ROOT / "docs" / "reference" / "references.md"
FILES = sorted(SRC.rglob("*.py"))

# Rooms from the ground up; an import points to a lower level only, or stays in its own room.
LEVELS = (
    {"display"},
    {"errors"},
    {"constraints"},
    {"arrays"},
    {"random", "processes", "intervals", "world", "cluster"},
    {"nn"},
    {"engines"},
    {"data"},
    {"prediction"},
    {"model"},
    {"pack"},
    {"table_model"},
    {"target", "io", "calibration"},
    {"exporters"},
    {"train"},
    {"callbacks"},
    {"pipeline", "ensemble", "inspection"},
    {"tabular"},
    {"doctor"},
    {"report"},
    {"search"},
    {"estimators", "sklearn", "lab"},
    {"studies", "bench", "sklearn_onnx"},
    {"cli"},
    {"__main__"},
)
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}

# The same inside the doctor: words, observing, changing, experimenting, suspecting, concluding.
DOCTOR_LEVELS = (
    "vocabulary",
    "observe",
    "remedies",
    "trials",
    "rules",
    "diagnosis",
    "examine",
    "monitoring",
    "monitor",
)

# Where a package from outside may be imported: rooms, or single modules of a room.
OUTSIDE = {
    "jax": {"engines.jax", "world"},
    "safetensors": {"io", "train.checkpoint", "exporters.torch_module"},
    "polars": {"data.table", "data.dataset", "data.stream"},
    "fastexcel": {"data.table"},
    "sklearn": {"data", "doctor.observe.quick_models", "estimators", "sklearn", "callbacks.scikit_learn", "pipeline"},
    "scipy": {"sklearn", "data.transforms"},
    "matplotlib": {"report", "bench.figure", "studies.drawing", "studies.presenting"},
    "rich": {"cli", "report", "train.monitors", "bench"},
    "typer": {"cli"},
    "threadpoolctl": {
        "pipeline.references",
        "cli.info",
        "bench.peers",
        "ensemble",
        "cluster",
        "doctor.observe.blas",
        "doctor.observe.quick_models",
    },
    "onnx": {"exporters", "sklearn_onnx"},
    "onnxruntime": {"exporters"},
    "skl2onnx": {"sklearn_onnx"},
    "torch": {"exporters"},
    "optuna": {"search"},
    "ray": {"cluster"},
    "starlette": {"lab"},
    "uvicorn": {"lab"},
}
SHARED_BY_ENGINES = {"base", "border", "plan"}
EVERYWHERE = {"numpy", "chainrule", *sys.stdlib_module_names}


def module(file: Path) -> str:
    """Dotted name below the package: `nn.layers`, `engines` for its `__init__`."""
    return ".".join(part for part in file.relative_to(SRC).with_suffix("").parts if part != "__init__")


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of every import, wherever it stands; `from a import b` gives a.b."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def within(name: str, place: str) -> bool:
    return name == place or name.startswith(f"{place}.")


def wrong_directions(file: Path) -> Iterator[str]:
    here = module(file)
    room = here.split(".")[0]
    for line, name in imports(file):
        outside, target, part = (*name.split("."), "", "")[:3]
        if outside == "chainrule" and here and target in LEVEL and target != room:
            if LEVEL[target] >= LEVEL.get(room, -1):
                yield f"{file}:{line}: {room} must not import {target}"
        elif outside == "chainrule" and here.startswith("engines.") and part:
            if part not in {*SHARED_BY_ENGINES, here.split(".")[1]}:
                yield f"{file}:{line}: {here} must not import engine {part}"
        elif outside not in EVERYWHERE and not any(within(here, place) for place in OUTSIDE.get(outside, ())):
            yield f"{file}:{line}: {here or 'chainrule'} must not import {outside}"


def test_imports_point_one_way():
    faults = [fault for file in FILES for fault in wrong_directions(file)]
    assert not faults, "\n".join(faults)


def test_every_room_has_a_level():
    rooms = {module(file).split(".")[0] for file in FILES} - {""}
    assert rooms <= set(LEVEL)


def imports_back(file: Path) -> Iterator[str]:
    """Imports from a room of the doctor into one above it."""
    room = module(file).split(".")[1]
    for line, name in imports(file):
        target = (*name.split("."), "", "")[2] if within(name, "chainrule.doctor") else ""
        if target in DOCTOR_LEVELS and DOCTOR_LEVELS.index(target) > DOCTOR_LEVELS.index(room):
            yield f"{file}:{line}: doctor.{room} must not import doctor.{target}"


DOCTOR_FILES = [file for file in FILES if module(file).startswith("doctor.")]


def test_no_import_runs_back_inside_the_doctor():
    assert {module(file).split(".")[1] for file in DOCTOR_FILES} == set(DOCTOR_LEVELS)
    faults = [fault for file in DOCTOR_FILES for fault in imports_back(file)]
    assert not faults, "\n".join(faults)


def test_imports_back_are_found(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "SRC", tmp_path)
    file = tmp_path / "doctor" / "trials" / "runner.py"
    file.parent.mkdir(parents=True)
    file.write_text("from chainrule.doctor.remedies import apply\n\nfrom chainrule.doctor.rules.run import run_rules\n")
    (fault,) = imports_back(file)
    assert fault.endswith("runner.py:3: doctor.trials must not import doctor.rules")


def test_wrong_directions_are_found(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "SRC", tmp_path)
    cases = {
        "nn/a.py": ("import chainrule.engines.base\n", "nn must not import engines"),
        "nn/b.py": ("\ndef f():\n    from chainrule import data\n", "b.py:3: nn must not import data"),
        "io/a.py": ("from chainrule.train import loop\n", "io must not import train"),
        "engines/native.py": ("from chainrule.engines import jax\n", "engines.native must not import engine jax"),
        "engines/native2.py": ("import jax.numpy as jnp\n", "engines.native2 must not import jax"),
        "errors.py": ("from chainrule.constraints import COUNT\n", "errors must not import constraints"),
    }
    for path, (text, fault) in cases.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
        found = list(wrong_directions(tmp_path / path))
        assert len(found) == 1, path
        assert found[0].endswith(fault)
    (tmp_path / "engines" / "jax.py").write_text("import jax\nfrom chainrule.engines import base\nimport numpy\n")
    assert list(wrong_directions(tmp_path / "engines" / "jax.py")) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SRC)))
def test_every_module_opens_with_a_docstring(file):
    assert ast.get_docstring(ast.parse(file.read_text())), f"{file}:1: no docstring"


def test_nn_does_no_input_or_output():
    asking = {"open", "print", "input", "exec", "eval", "__import__"}
    calls = [
        f"{file}:{node.lineno}: {node.func.id}"
        for file in (SRC / "nn").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in asking
    ]
    assert calls == []


Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
NUMBER = re.compile(r"(?<!\S)\((\d+)\)(?=\s)")
SECTION = re.compile(r"^\s*(Forward|Backward|Equations)\s")
OTHER_SECTION = re.compile(r"^\s*(Shapes|Reference|Example|Raises|Errors|>>>)|^\s*$")


def stated(docstring: str) -> list[int]:
    """Numbers of the equations under Forward and Backward (Equations, where there is no such pair)."""
    numbers, inside = [], False
    for line in docstring.splitlines():
        inside = bool(SECTION.match(line)) or (inside and not OTHER_SECTION.match(line))
        if inside:
            numbers += [int(n) for n in NUMBER.findall(SECTION.sub(" ", line) + " ")]
    return numbers


def tagged(file: Path) -> dict[int, list[int]]:
    """Numbers in comments at line ends, by line."""
    found = {}
    with file.open("rb") as handle:
        for token in tokenize.tokenize(handle.readline):
            if token.type == tokenize.COMMENT and re.fullmatch(r"#( ?\(\d+\))+", token.string):
                found[token.start[0]] = [int(n) for n in re.findall(r"\d+", token.string)]
    return found


def equation_faults(file: Path) -> Iterator[str]:
    """Each tag belongs to the innermost definition around it whose docstring states equations."""
    tree = ast.parse(file.read_text())
    owners = {d: stated(ast.get_docstring(d) or "") for d in ast.walk(tree) if isinstance(d, Definition)}
    owners = {d: numbers for d, numbers in owners.items() if numbers}
    written: dict[Definition, set[int]] = {d: set() for d in owners}
    for line, numbers in tagged(file).items():
        around = [d for d in owners if d.lineno <= line <= (d.end_lineno or line)]
        if not around:
            yield f"{file}:{line}: equation {numbers} is stated in no docstring"
            continue
        written[max(around, key=lambda d: d.lineno)].update(numbers)
    for d, numbers in owners.items():
        if numbers != sorted(set(numbers)):
            yield f"{file}:{d.lineno}: {d.name} numbers its equations {numbers}"
        if written[d] != set(numbers):
            yield f"{file}:{d.lineno}: {d.name} states {sorted(numbers)}, its code carries {sorted(written[d])}"


def test_every_numbered_equation_stands_on_a_line_of_code():
    faults = [fault for file in FILES for fault in equation_faults(file)]
    assert not faults, "\n".join(faults)


def test_the_mathematics_is_numbered():
    counted = {file.stem: sum(map(len, tagged(file).values())) for file in (SRC / "nn").rglob("*.py")}
    parts = (
        "activations",
        "affine",
        "norms",
        "dropout",
        "embeddings",
        "categories",
        "parallel",
        "classes",
        "values",
        "optimizers",
        "schedules",
    )
    assert [stem for stem in parts if not counted[stem]] == []


def test_missing_and_surplus_equations_are_found(tmp_path):
    file = tmp_path / "a.py"
    equations = "Forward    (1) y = f(1) + (x)    (2) z = y\n               (3) u = z\n    Shapes     (4) no"
    head = f'class A:\n    """A.\n\n    {equations}\n    """\n'
    file.write_text(head + "    y = 1  # (1) (2)\n    u = 2  # (3)\n")
    assert list(equation_faults(file)) == []
    file.write_text(head + "    y = 1  # (1)\n    u = 2  # (4)\n")
    assert list(equation_faults(file)) == [f"{file}:1: A states [1, 2, 3], its code carries [1, 4]"]
    file.write_text("y = 1  # (1)\n")
    assert list(equation_faults(file)) == [f"{file}:1: equation [1] is stated in no docstring"]
    file.write_text('def f():\n    """F.\n\n    Forward    (1) y = 1    (1) z = 1\n    """\n    y = 1  # (1)\n')
    assert list(equation_faults(file)) == [f"{file}:1: f numbers its equations [1, 1]"]


KEY = re.compile(r"\[([a-z]+\d{4}[a-z]?)\]")


def cited() -> dict[str, list[str]]:
    """Places of every key in a docstring's `Reference` paragraph."""
    places: dict[str, list[str]] = {}
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            text = ast.get_docstring(node) if isinstance(node, ast.Module | Definition) else None
            for paragraph in re.findall(r"^\s*Reference\s+(.*(?:\n\s+\S.*)*)", text or "", re.MULTILINE):
                for key in KEY.findall(paragraph):
                    places.setdefault(key, []).append(f"{file}:{getattr(node, 'lineno', 1)}")
    return places


def test_every_reference_has_an_entry():
    entries = re.findall(r"^- \*\*\[([a-z]+\d{4}[a-z]?)\]\*\* ", REFERENCES.read_text(), re.MULTILINE)
    assert [key for key, count in Counter(entries).items() if count > 1] == []
    assert entries == sorted(entries)
    assert {key: places for key, places in cited().items() if key not in entries} == {}
    assert {"rumelhart1986", "ioffe2015", "kingma2015"} <= set(cited())


def test_import_brings_nothing_heavy():
    heavy = ["sklearn", "polars", "matplotlib", "rich", "typer", "jax", "scipy", "pandas", "torch", "onnx"]
    code = f"import sys, chainrule; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there():
    for name in chainrule.__all__:
        assert getattr(chainrule, name).__doc__
    with pytest.raises(AttributeError, match=r"^module 'chainrule' has no attribute 'Nett'. Did you mean 'Net'\?$"):
        _ = chainrule.Nett


def test_the_design_names_the_rooms_in_this_order():
    line = next(line for line in (ROOT / "docs" / "design.md").read_text().splitlines() if line.startswith("`cli > "))
    written = [frozenset(part.split(", ")) for part in line.split("`")[1].split(" > ")]
    assert written == [frozenset(rooms) for rooms in reversed(LEVELS[:-1])]
