"""The derivation of a network as a chain of steps: every symbol has its layer, every factor comes from an earlier step.

In: the stages of a network with the equations of their docstrings. Out: the steps from the rows to the loss, then from the
loss back to the first weight, each with the factor that is already known.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from chainrule.report.explain_docstrings import Equation

Sizes = tuple[int | str, ...]

_OUTPUTS = {"Dense": "Z", "Activation": "A", "BatchNorm": "N", "LayerNorm": "N", "Dropout": "D", "Scale": "S"}
"""Letter of what a layer gives to the next one; Y for all others."""

_MARKS = "ᵢⱼₖₘₜ₀₁₋₊"
_FUNCTION = re.compile(r"A = [gf]\(Z\)")


@dataclass(frozen=True)
class Step:
    """One line of a derivation.

    Parameters
    ----------
    number : int
        Its number, counted from 1 at the rows.
    direction : {"forward", "backward"}
        The pass it belongs to.
    stage : str
        Number of the layer, such as "3"; of a branch "1.2".
    symbol : str
        What it computes: "Z^[1]", "dW^[1]".
    chain : str
        The chain rule of a gradient, as "∂J/∂W^[1] = ∂J/∂Z^[1] · ∂Z^[1]/∂W^[1]"; empty forward.
    equation : str
        How it is computed.
    shape : tuple
        Shape of the symbol, empty where it is a number or the docstring does not say it.
    reads : tuple of str
        Symbols that the equation reads and that have a step, in order.
    known : tuple of int
        Numbers of the steps that computed the gradients it reads.
    where : tuple of str, default=()
        What else the equation needs, such as the slope of an activation.
    """

    number: int
    direction: str
    stage: str
    symbol: str
    chain: str
    equation: str
    shape: Sizes
    reads: tuple[str, ...]
    known: tuple[int, ...]
    where: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """A layer, a branch of one, or the loss, as a derivation needs it.

    Parameters
    ----------
    number : str
        Number of the layer, such as "3"; of a branch "1.2".
    kind : str
        Name of its class.
    equations : tuple of Equation
        Its equations in the letters of its docstring.
    shapes : mapping of str to tuple
        Actual shapes by letter.
    parameters : tuple of str
        Letters of its parameters.
    names : mapping of str to str
        Symbol in the network of each letter: "Z" is "Z^[2]" in the second layer.
    source, result : str
        Letters of what goes in and of what comes out.
    branches : tuple of Part, default=()
        The layers side by side in a `Parallel` layer.
    columns : tuple of (int, int), default=()
        First and last column of each branch, counted from 1: of the input, then of the output.
    """

    number: str
    kind: str
    equations: tuple[Equation, ...]
    shapes: Mapping[str, Sizes]
    parameters: tuple[str, ...]
    names: Mapping[str, str]
    source: str
    result: str
    branches: tuple[Part, ...] = ()
    columns: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = ()

    @property
    def entry(self) -> str:
        """Symbol of what goes in."""
        return self.names[self.source]

    @property
    def exit(self) -> str:
        """Symbol of what comes out."""
        return self.names[self.result]


class Namer:
    """Gives every letter of every layer a symbol of its own, so that a line means one thing in the whole network.

    Layer l begins with the l-th `Dense`, as in the lecture: its Z, batch norm, activation and dropout have the label l.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._level = 0

    def label(self, kind: str, letters: Iterable[str]) -> str:
        """Return the label of a layer; a second layer of a kind in the same block gets a prime."""
        self._level += kind == "Dense"
        label = str(self._level)
        while any(f"{letter}^[{label}]" in self._taken for letter in letters):
            label += "′"
        self._taken.update(f"{letter}^[{label}]" for letter in letters)
        return label


def letters_of(equations: Sequence[Equation], shapes: Mapping[str, Sizes]) -> tuple[str, ...]:
    """Return the letters that a docstring uses: those with a shape, and those that a forward equation defines."""
    defined = (_bare(e.text.split(" = ")[0]) for e in equations if e.direction == "forward" and " = " in e.text)
    named = (_bare(letter) for letter in shapes)
    return tuple(dict.fromkeys(each for each in (*named, *defined) if len(each) == 1))


def _bare(letter: str) -> str:
    return unicodedata.normalize("NFC", letter).rstrip(f"²'{_MARKS}")


def ends_of(equations: Sequence[Equation], parameters: Sequence[str]) -> tuple[str, str]:
    """Return the letters of a layer's input and output: the last gradient it computes, and the first one it only reads."""
    backward = [e.text for e in equations if e.direction == "backward" and e.text.startswith("d")]
    made = [_bare(text.split(" = ")[0].split("[")[0])[1:] for text in backward]
    read = [found for text in backward for found in re.findall(r"(?<![A-Za-z])d([^\W\d_])", text.split(" = ", 1)[1])]
    source = [letter for letter in made if letter not in parameters]
    result = [letter for letter in map(_bare, read) if letter not in made]
    order = [_bare(e.text.split(" = ")[0]) for e in equations if e.direction == "forward"]
    return source[-1], max(result, key=lambda letter: order.index(letter) if letter in order else -1)


def with_parts(equations: Sequence[Equation], result: str) -> tuple[Equation, ...]:
    """Return equations in which every gradient that is read is computed: a part of the output gets its columns of dY."""
    backward = [e.text for e in equations if e.direction == "backward" and e.text.startswith("d")]
    made = {_bare(text.split(" = ")[0].split("[")[0])[1:] for text in backward}
    read = [found for text in backward for found in re.findall(r"(?<![A-Za-z])d([^\W\d_])", text.split(" = ", 1)[1])]
    missing = [letter for letter in dict.fromkeys(read) if letter not in made and letter != result]
    columns = [Equation(0, "backward", f"d{part} = d{result}, the columns of {part}") for part in missing]
    return (*columns, *equations)


def names_of(kind: str, label: str, letters: Sequence[str], ends: tuple[str, str], entry: str) -> dict[str, str]:
    """Return the symbol of every letter of a layer that reads `entry`."""
    source, result = ends
    inner = {letter: f"{letter}^[{label}]" for letter in letters}
    return {**inner, result: f"{_OUTPUTS.get(kind, 'Y')}^[{label}]", source: entry}


def output_letters(kind: str, letters: Sequence[str], ends: tuple[str, str]) -> list[str]:
    """Return the letters under which a layer's symbols are registered, its output under its letter in the network."""
    return [*(letter for letter in letters if letter not in ends), _OUTPUTS.get(kind, "Y")]


def rename(text: str, names: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Return an equation in the network's symbols, and those symbols in order, with the d of gradients.

    >>> rename("dW = Aᵀ dZ", {"W": "W^[2]", "A": "A^[1]", "Z": "Z^[2]"})
    ('dW^[2] = A^[1]ᵀ dZ^[2]', ('dW^[2]', 'A^[1]', 'dZ^[2]'))
    """
    found: list[str] = []
    pattern = rf"(?<![A-Za-z_'])(d?)([{''.join(map(re.escape, names))}])([{_MARKS}]*)('?)(?![A-Za-z(])"

    def replaced(match: re.Match[str]) -> str:
        d, letter, marks, prime = match.groups()
        base, _, label = names[letter].partition("^")
        found.append(f"{d}{base}{prime}{'^' + label if label else ''}")
        return f"{d}{base}{marks}{prime}{'^' + label if label else ''}"

    return re.sub(pattern, replaced, unicodedata.normalize("NFC", text)), tuple(found)


def steps_of(parts: Sequence[Part], loss: Part, weighted: bool = False) -> tuple[Step, ...]:
    """Return all steps of a network whose parts are in forward order.

    Parameters
    ----------
    parts : sequence of Part
        The layers in forward order.
    loss : Part
        The loss.
    weighted : bool, default=False
        Whether the rows have weights c.

    Returns
    -------
    tuple of Step
    """
    chain = _Chain()
    for part in parts:
        chain.forward(part)
    chain.loss(loss, weighted)
    for part in reversed(parts):
        chain.backward(part)
    return tuple(chain.steps)


def path_of(steps: Sequence[Step], symbol: str) -> str:
    """Return the whole product for a gradient, written out from the loss.

    >>> from chainrule import mlp
    >>> from chainrule.report.explain import explain
    >>> path_of(explain(mlp(2, [3], 1), "binary_cross_entropy").steps, "dW^[1]")
    '∂J/∂W^[1] = ∂J/∂Z^[2] · ∂Z^[2]/∂A^[1] · ∂A^[1]/∂Z^[1] · ∂Z^[1]/∂W^[1]'
    """
    at = {step.number: step for step in steps}
    step = next(step for step in steps if step.symbol == symbol)
    factors: list[str] = []
    while step.known and "∂L/∂" not in step.chain:
        factors.append(step.chain.split(" = ")[1].split(" + ")[-1].split(" · ")[1])
        step = at[step.known[-1]]
    return f"∂J/∂{symbol[1:]} = " + " · ".join([f"∂J/∂{step.symbol[1:]}", *reversed(factors)])


class _Chain:
    """Steps as they are added, with the number of the step that computed each symbol."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._made: dict[str, int] = {}

    def forward(self, part: Part) -> None:
        if part.branches:
            for branch, (columns, _) in zip(part.branches, part.columns, strict=True):
                entry = f"{branch.entry} = {part.entry}, {_columns(columns)}"
                self._add(part, "forward", branch.entry, entry, (part.entry,), branch.shapes.get(branch.source, ()))
                self.forward(branch)
            joined = ", ".join(branch.exit for branch in part.branches)
            reads = tuple(branch.exit for branch in part.branches)
            self._add(part, "forward", part.exit, f"{part.exit} = [{joined}]", reads, part.shapes.get(part.result, ()))
            return
        self._values(part)

    def _values(self, part: Part) -> None:
        """Add the forward equations; A = g(Z) gives way to the equation of the function itself."""
        texts = [e for e in part.equations if e.direction == "forward"]
        spelled = [e for e in texts if not _FUNCTION.fullmatch(e.text)]
        for equation in spelled if any(e.text.startswith("A = ") for e in spelled) else texts:
            self._equation(part, equation)

    def loss(self, part: Part, weighted: bool) -> None:
        self._values(part)
        mean = "J = Σᵢ cᵢ Lᵢ / Σᵢ cᵢ" if weighted else "J = Σᵢ Lᵢ / n"
        self._add(part, "forward", "J", mean, ("L",), ())
        Z = part.entry
        shape = part.shapes.get(part.source, ())
        prediction = "P" if "P" in part.names else "Ŷ"
        where = _slopes(part)
        for equation in part.equations:
            if equation.direction != "backward" or equation.text.startswith(("g'", "f'")):
                continue
            text, read = rename(equation.text, part.names)
            if text.startswith("dL/d"):
                chain = f"∂L/∂{Z} = ∂L/∂{prediction} · ∂{prediction}/∂{Z}"
                self._add(part, "backward", f"dL/d{Z}", text, read[2:], shape, chain, where)
            else:
                self._add(part, "backward", read[0], text, read[1:], shape)
        share = f"dL/d{Z}"
        mean = f"d{Z} = c ⊙ {share} / Σᵢ cᵢ" if weighted else f"d{Z} = {share} / n"
        self._add(part, "backward", f"d{Z}", mean, (share,), shape, f"∂J/∂{Z} = ∂J/∂L · ∂L/∂{Z}")

    def backward(self, part: Part) -> None:
        if part.branches:
            for branch, (_, columns) in zip(part.branches, part.columns, strict=True):
                text = f"d{branch.exit} = d{part.exit}, {_columns(columns)}"
                chain = _chain_rule(branch.exit, [f"d{part.exit}"])
                shape = branch.shapes.get(branch.result, ())
                self._add(part, "backward", f"d{branch.exit}", text, (f"d{part.exit}",), shape, chain)
                self.backward(branch)
            reads = tuple(f"d{branch.entry}" for branch in part.branches)
            text, chain = f"d{part.entry} = [{', '.join(reads)}]", _chain_rule(part.entry, list(reads))
            self._add(part, "backward", f"d{part.entry}", text, reads, part.shapes.get(part.source, ()), chain)
            return
        where = _slopes(part)
        for equation in part.equations:
            if equation.direction == "backward" and not equation.text.startswith("g'"):
                self._equation(part, equation, where)

    def _equation(self, part: Part, equation: Equation, where: tuple[str, ...] = ()) -> None:
        text, read = rename(equation.text, part.names)
        shape = _shape_of(part, equation)
        symbol = read[0] if read else text.split(" = ")[0]
        reads = tuple(dict.fromkeys(name for name in read[1:] if name != symbol))
        if equation.direction == "forward":
            self._add(part, "forward", symbol, text, reads, shape)
            return
        upstream = [name for name in reads if name.startswith("d")]
        used = where if "g'(" in text else ()
        self._add(part, "backward", symbol, text, reads, shape, _chain_rule(symbol[1:], upstream), used)

    def _add(
        self,
        part: Part,
        direction: str,
        symbol: str,
        equation: str,
        reads: Sequence[str],
        shape: Sizes,
        chain: str = "",
        where: tuple[str, ...] = (),
    ) -> None:
        number = len(self.steps) + 1
        known = tuple(self._made[name] for name in dict.fromkeys(reads) if name.startswith("d") and name in self._made)
        step = Step(number, direction, part.number, symbol, chain, equation, shape, tuple(reads), known, where)
        self.steps.append(replace(step, reads=tuple(name for name in step.reads if name in self._made)))
        self._made[symbol] = number


def _slopes(part: Part) -> tuple[str, ...]:
    """Return the equations that define the slope of an activation or a link."""
    texts = (e.text for e in part.equations if e.direction == "backward" and e.text.startswith(("g'", "f'")))
    return tuple(rename(text, part.names)[0] for text in texts)


def _shape_of(part: Part, equation: Equation) -> Sizes:
    """Return the shape of what an equation defines."""
    left = unicodedata.normalize("NFC", equation.text.split(" = ")[0].split("[")[0])
    letter = left[1:] if equation.direction == "backward" else left
    shapes = {_bare(name): sizes for name, sizes in part.shapes.items()}
    return shapes.get(_bare(letter), ())


def _chain_rule(symbol: str, upstream: Sequence[str]) -> str:
    """Return the chain rule for one symbol; several ways to the loss add up."""
    ways = [f"∂J/∂{name[1:]} · ∂{name[1:]}/∂{symbol}" for name in upstream]
    return f"∂J/∂{symbol} = {' + '.join(ways) or '0'}"


def _columns(ends: tuple[int, int]) -> str:
    first, last = ends
    return f"column {first}" if first == last else f"columns {first} to {last}"


def iterate_parts(parts: Iterable[Part]) -> Iterator[Part]:
    """Yield every part, each followed by its branches."""
    for part in parts:
        yield part
        yield from iterate_parts(part.branches)
