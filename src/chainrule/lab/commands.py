"""What the page may ask of the server, each as a function of a checked message.

In: a room, the header and arrays of a message. Out: the header and arrays of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.constraints import Interval
from chainrule.errors import InvalidValueError, must_be, raise_all
from chainrule.lab.examination import apply_remedy
from chainrule.lab.figures import row_figures
from chainrule.lab.live import LiveTraining
from chainrule.lab.recipe import LabRecipe
from chainrule.lab.room import LabSession, Room
from chainrule.lab.subject import uploaded_subject
from chainrule.nn.gradcheck import gradcheck

Header = dict[str, Any]
Arrays = Mapping[str, Array]
Answer = tuple[Header, Mapping[str, Array]]
Keep = Callable[[LabSession], tuple[Path, list[str]]]
"""Writes the run folder of a training; returns where, and what the user should know."""

Typed = Callable[[LabRecipe, int], tuple[str, list[str]]]
"""Returns the command that trains a recipe for some epochs, and what it cannot say."""

EPSILON = 1e-5
"""Relative step of the central differences."""

_LIMITS = {
    "epochs": Interval(1, 100_000, "[]", whole=True),
    "steps": Interval(1, 10_000_000, "[]", whole=True),
    "rows": Interval(1, 64, "[]", whole=True),
    "row": Interval(0, 2**31, "[)", whole=True),
    "run": Interval(1, 2**53, "[)", whole=True),
    "pace": Interval(0, 10_000, "[]"),
    "seconds": Interval(0, 600, "(]"),
    "seed": Interval(0, 2**53, "[)", whole=True),
}
"""Every number that a command takes beside a recipe."""

_MOST_OUTPUTS = 2**24
"""Numbers of an answer: 64 MB."""

_CHECKED = 2_000_000
"""Products of an entry and a parameter that a gradient check of a large network may take about."""


@dataclass(frozen=True)
class Lab:
    """What commands work with: the trainings, how one is kept, how one is typed (None without a table)."""

    room: Room
    keep: Keep | None = None
    typed: Typed | None = None


def number(header: Mapping[str, Any], name: str, usual: Any = None) -> Any:
    """Return a number of a header within its limits.

    >>> number({"rows": 8}, "rows")
    8

    Raises `InvalidValueError` for anything else, and where it is missing without a usual value.
    """
    value = header.get(name, usual)
    if isinstance(value, list | dict) or not _LIMITS[name].allows(value):
        raise InvalidValueError(must_be("lab", name, f"{_LIMITS[name]}", value))
    return value


def only(header: Mapping[str, Any], *names: str) -> None:
    """Refuse a header with other names than these."""
    raise_all(must_be("lab", "the message", f"of {', '.join(names)}", name) for name in header if name not in names)


def table(lab: Lab, header: Header, arrays: Arrays) -> Answer:
    """Return the rows of the command line, as far as the page draws them; nothing where the lab has no table."""
    only(header, "seed")
    seed = number(header, "seed") if header.get("seed") is not None else None
    if lab.room.subject is None:
        return {}, {}
    return lab.room.table(seed).table()


def begin(lab: Lab, header: Header, arrays: Arrays) -> Answer:
    """Begin a training at its first weights."""
    only(header, "recipe", "columns", "target", "classes")
    recipe = LabRecipe.of(header.get("recipe"))
    subject = uploaded_subject(header, arrays, recipe) if arrays else lab.room.table(recipe.seed)
    live = LiveTraining(subject.problem_of(recipe), subject.limited)
    return {"session": lab.room.add(subject, recipe, live).number, **live.info()}, {}


def frame(lab: Lab, header: Header, arrays: Arrays) -> Answer:
    """Return what the page draws now."""
    only(header, "session")
    session = lab.room.get(header.get("session"))
    with session.turn.command():
        return session.live.frame(), {}


def stop(lab: Lab, header: Header, arrays: Arrays) -> Answer:
    """Stop a run between two steps, and all runs before it; without a number, all that have begun."""
    only(header, "session", "run")
    own = number(header, "run") if header.get("run") is not None else None
    lab.room.get(header.get("session")).runs.stop(own)
    return {}, {}


def close(lab: Lab, header: Header, arrays: Arrays) -> Answer:
    """Stop a training and forget it."""
    only(header, "session")
    lab.room.close(lab.room.get(header.get("session")))
    return {}, {}


def outputs(lab: Lab, header: Header, arrays: Arrays) -> Answer:
    """Return probabilities or values for rows in the user's units.

    With "columns", X holds these columns only, and all others are those of the one row `base`. Only the copy of the state
    waits for the training, which goes on while the rows are answered.
    """
    only(header, "session", "columns")
    session = lab.room.get(header.get("session"))
    X = _whole(arrays, header.get("columns"), session.live.problem.recipe.net.inputs)
    d, k = session.live.problem.recipe.net.inputs, session.live.problem.recipe.net.outputs
    if X is None or X.ndim != 2 or X.shape[1] != d or not len(X) or len(X) * k > _MOST_OUTPUTS:
        raise InvalidValueError(must_be("lab", "X", f"rows of {d} numbers", None if X is None else X.shape))
    with session.turn.command():
        state = session.live.session.state
    return {}, {"outputs": session.live.outputs(np.asarray(X, np.float64), state)}


def _whole(arrays: Arrays, columns: Any, d: int) -> Array | None:
    """Return rows with all of their columns."""
    X, base = arrays.get("X"), arrays.get("base")
    if columns is None or X is None:
        return X
    whole = isinstance(columns, list) and all(type(column) is int and 0 <= column < d for column in columns)
    if not whole or base is None or base.shape != (d,) or X.ndim != 2 or X.shape[1] != len(columns):
        raise InvalidValueError(
            must_be("lab", "columns", f"numbers of columns in 0..{d - 1}, with a base row", columns)
        )
    if len(X) * d > _MOST_OUTPUTS:
        raise InvalidValueError(must_be("lab", "X", f"at most {_MOST_OUTPUTS // d} rows", len(X)))
    full = np.tile(base.astype(np.float64), (len(X), 1))
    full[:, columns] = X
    return full


def save(lab: Lab, header: Header, arrays: Arrays) -> Answer:
    """Return a snapshot from which a training continues bit for bit."""
    only(header, "session")
    session = lab.room.get(header.get("session"))
    with session.turn.command():
        return session.live.save()


def load(lab: Lab, header: Header, arrays: Arrays) -> Answer:
    """Continue a training from a snapshot."""
    session = lab.room.get(header.get("session"))
    if session.busy:
        raise InvalidValueError("lab: a training must be stopped before a snapshot is loaded.")
    with session.turn.command():
        session.live.load(header, arrays)
        session.changed = True
        return session.live.frame(), {}


def check(lab: Lab, header: Header, arrays: Arrays) -> Answer:
    """Compare every gradient with central differences, at the numbers of now."""
    only(header, "session", "rows")
    session = lab.room.get(header.get("session"))
    count = number(header, "rows", 8)
    problem = session.live.problem
    with session.turn.command():
        state = session.live.session.state
    rows = problem.rows[np.linspace(0, len(problem.rows) - 1, min(len(problem.rows), max(count, 2))).astype(np.int64)]
    recipe = problem.recipe
    entries = int(np.clip(_CHECKED // recipe.net.size, 2, 20))
    with np.errstate(all="ignore"):
        report = gradcheck(
            recipe.net,
            recipe.loss,
            rows.X,
            rows.Y,
            w=state.w,
            buffers=state.buffers,
            penalty=recipe.penalty,
            entries=entries,
            seed=recipe.seed,
        )
    blocks = {block_of: name for name, block_of in _names(session).items()}
    layers = [
        {
            "name": blocks.get(each.name.partition(".")[0], each.name),
            "parameter": each.name.partition(".")[2] or each.name,
            "max_relative_error": each.error,
            "entry": list(each.entry),
            "analytic": each.analytic,
            "numeric": each.numeric,
        }
        for each in report.checks
    ]
    return {"rows": len(rows), "epsilon": EPSILON, "layers": layers, "worst": report.worst.error}, {}


def _names(session: LabSession) -> dict[str, str]:
    """Return the names by which the page knows each layer of the network, with the layer's number."""
    from chainrule.lab.figures import blocks_of

    found = {}
    for block in blocks_of(session.live.problem.recipe.net):
        for i in range(block.affine, block.end):
            found[block.name if i == block.affine else f"{block.name}, norm"] = str(i)
    return found


def row(lab: Lab, header: Header, arrays: Arrays) -> Answer:
    """Return what one of the drawn rows becomes on its way through the network, and the gradients back."""
    only(header, "session", "row")
    session = lab.room.get(header.get("session"))
    index = number(header, "row")
    rows = session.subject.row(index)
    with session.turn.command():
        state = session.live.session.state
    return {**row_figures(session.live.problem.recipe, state, rows, 0), "index": index}, {}


def apply(lab: Lab, header: Header, arrays: Arrays) -> Answer:
    """Branch a training with a remedy of the doctor."""
    only(header, "session", "remedy", "from")
    session = lab.room.get(header.get("session"))
    branch = apply_remedy(lab.room, session, header.get("remedy"), header.get("from", "now"))
    return {"session": branch.number, "recipe": branch.recipe.plain(), **branch.live.info()}, {}


def keep(lab: Lab, header: Header, arrays: Arrays) -> Answer:
    """Write the run folder of a training."""
    only(header, "session")
    session = lab.room.get(header.get("session"))
    if lab.keep is None:
        raise InvalidValueError("lab: this lab writes no run folders.")
    folder, notes = lab.keep(session)
    return {"run": str(folder), "notes": notes}, {}


def code(lab: Lab, header: Header, arrays: Arrays) -> Answer:
    """Return the command that trains the table with a recipe, as the page's controls say it."""
    only(header, "recipe", "epochs")
    recipe = LabRecipe.of(header.get("recipe"))
    if lab.typed is None:
        raise InvalidValueError("lab: only the table of the command line has a command. Start chainrule lab FILE.")
    command, notes = lab.typed(recipe, number(header, "epochs"))
    return {"command": command, "notes": notes}, {}


COMMANDS: Mapping[str, Callable[[Lab, Header, Arrays], Answer]] = {
    "table": table,
    "open": begin,
    "frame": frame,
    "stop": stop,
    "close": close,
    "outputs": outputs,
    "save": save,
    "load": load,
    "check": check,
    "row": row,
    "apply": apply,
    "keep": keep,
    "code": code,
}
"""Commands that answer at once; "run" and "examine" are streams."""
