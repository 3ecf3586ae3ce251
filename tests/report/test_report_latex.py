"""Why: an equation that reaches lecture notes and web pages half converted teaches nobody.

In: every numbered equation of `chainrule.nn`. Out: LaTeX of ASCII, balanced, with words upright, that a converter reads.
"""

import ast
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import chainrule.nn
from chainrule.report.explain import read_docstring
from chainrule.report.latex import to_latex


def stated():
    """Module, name, number and text of every equation in a docstring of nn/, and the letters of its shapes."""
    for file in sorted(Path(chainrule.nn.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                piece = type(node.name, (), {"__doc__": inspect.cleandoc(ast.get_docstring(node) or "")})()
                equations, shapes = read_docstring(piece)
                for key, text in [*((e.number, e.text) for e in equations), *((letter, letter) for letter in shapes)]:
                    yield pytest.param(text, id=f"{file.stem}.{node.name}-{key}")


STATED = list(stated())


def test_the_equations_are_found():
    assert {"affine.Dense-3", "optimizers.Adam-5", "step.train_step-7", "values.Huber-4", "norms.BatchNorm-γ"} <= {
        each.id for each in STATED
    }


@pytest.mark.parametrize("text", STATED)
def test_latex_is_well_formed(text):
    latex = to_latex(text)
    assert latex.isascii()
    for opening, closing in ("{}", "()", "[]"):
        depth = np.cumsum([{opening: 1, closing: -1}.get(letter, 0) for letter in latex])
        assert (depth >= 0).all()
        assert depth[-1] == 0
    assert not re.search(r"\\sqrt(?!\{[^}])|\{\}|\\\\|`|√", latex)
    # no word is left to be set as a product of letters
    bare = re.sub(r"\\text\{[^}]*\}|\\[A-Za-z]+", " ", latex)
    assert re.findall(r"[A-Za-z]{3,}", bare) == []
    assert {word for word in re.findall(r"[A-Za-z]{2,}", bare) if word[0] != "d"} <= {"ij"}


def test_latex_can_be_drawn():
    convert = pytest.importorskip("latex2mathml.converter", reason="comes with chainrule[docs]").convert
    for each in STATED:
        drawn = convert(to_latex(*each.values), display="block")
        assert drawn.startswith("<math"), each.id
        assert "\\" not in drawn, each.id


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("√(a + √(b))", r"\sqrt{a + \sqrt{b}}"),
        ("σ√3", r"\sigma\sqrt{3}"),
        ("‖Wⱼ‖ = √Σᵢ Wᵢⱼ²", r"\Vert W_j\Vert = \sqrt{\sum_i W_{ij}^2}"),
        ("v ← β₂ v + g²", r"v \leftarrow \beta_2 v + g^2"),
        ("w ← w - α m̂ / (√v̂ + ε)", r"w \leftarrow w - \alpha \hat{m} / (\sqrt{\hat{v}} + \varepsilon)"),
        ("dẐᵢ ⊙ γ", r"d\hat{Z}_i \odot \gamma"),
        ("Aₗ₋₁ᵀ", r"A_{l-1}^{\top}"),
        ("dLᵢ/dZᵢ", r"\frac{dL_i}{dZ_i}"),
        ("P = exp(Z - max Z)", r"P = \exp(Z - \max Z)"),
        ("A = Z where Z > 0, else a Z", r"A = Z \text{ where } Z > 0, \text{ else } a Z"),
        ("at (c - rise)", r"\text{at } (c - \text{rise})"),
        ("M = [u >= rate]", r"M = [u \ge \text{rate}]"),
        ("after every `steps` batches", r"\text{after every steps batches}"),
        ("Adam's step from there", r"\text{Adam's step from there}"),
        ("σ = √(1 / n_in)", r"\sigma = \sqrt{1 / n_{\text{in}}}"),
        ("max_weight_norm + l1", r"\text{max-weight-norm} + l_1"),
        ("drop ^ ⌊e / every⌋", r"\text{drop}^{\lfloor e / \text{every}\rfloor}"),
        ("a ⊛ b", r"a \text{⊛} b"),
    ],
)
def test_marks_in_latex(text, latex):
    assert to_latex(text) == latex
