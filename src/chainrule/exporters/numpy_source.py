"""Export to one readable Python file that needs NumPy only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any, ClassVar

import numpy as np

from chainrule.data.table.gaps import MARKS
from chainrule.display import printable
from chainrule.exporters import numpy_literals as literal
from chainrule.exporters.answers import Answers, Rows
from chainrule.exporters.described import described
from chainrule.exporters.numpy_features import features_source, transform_source
from chainrule.exporters.numpy_stages import Constants, network_source
from chainrule.exporters.plan import InferencePlan, Output
from chainrule.exporters.registry import ExportOptions, Ran
from chainrule.exporters.sources import needed

_REPEATS = 3
"""Runs of which the fastest counts."""


class NumpyExporter:
    """Writes a .py file with `predict` and `predict_proba`, in the model's own type."""

    name: ClassVar[str] = "numpy"
    suffix: ClassVar[str] = ".py"
    options: ClassVar[tuple[str, ...]] = ()
    runtime: ClassVar[str] = "numpy"
    single_precision: ClassVar[bool] = False

    def tolerance(self, plan: InferencePlan, options: ExportOptions) -> float:
        """Return 1e-5."""
        return 1e-5

    def faults(self, plan: InferencePlan, options: ExportOptions) -> Iterator[str]:
        """Yield nothing: NumPy has everything that a plan can say."""
        yield from ()

    def write(self, plan: InferencePlan, options: ExportOptions) -> Mapping[str, bytes]:
        """Return the file."""
        return {self.suffix: source(plan).encode()}

    def run(self, files: Mapping[str, bytes], plan: InferencePlan, options: ExportOptions, rows: Rows) -> Ran:
        """Run the file in this process."""
        module: dict[str, Any] = {"__name__": options.name}
        exec(compile(files[self.suffix], f"{options.name}.py", "exec"), module)  # our own text
        return timed(module, plan.output, rows)


EXPORTER = NumpyExporter()


def timed(module: Mapping[str, Any], output: Output, rows: Rows) -> Ran:
    """Return what a written Python file answers for rows, and how long its `predict` takes."""
    answers = file_answers(module, output, rows)
    seconds = []
    for _ in range(_REPEATS):
        start = perf_counter()
        module["predict"](rows)
        seconds.append(perf_counter() - start)
    return Ran(answers, min(seconds))


def file_answers(module: Mapping[str, Any], output: Output, rows: Rows) -> Answers:
    """Return what a written Python file answers for rows, given its names."""
    if output.kind == "values":
        return Answers(np.asarray(module["predict"](rows)).reshape(len(rows), -1))
    if output.kind == "quantiles":
        return Answers(np.asarray(module["predict_quantiles"](rows)).reshape(len(rows), -1))
    P, labels = module["predict_proba"](rows), module["predict"](rows)
    if output.kind == "several":
        return Answers(np.concatenate(P, axis=1), tuple(labels.T))
    return Answers(P, (labels,))


def source(plan: InferencePlan) -> str:
    """Return the text of a plan's file.

    Parameters
    ----------
    plan : InferencePlan
        The plan.

    Returns
    -------
    str
        The same plan gives the same text.
    """
    constants = Constants()
    columns = plan.inputs[0].columns if plan.inputs[0].kind == "matrix" else tuple(each.name for each in plan.inputs)
    constants.write("COLUMNS", literal.sequence([repr(name) for name in columns]))
    features = [features_source(plan, constants)]
    rows = [transform_source(each, k, plan.dtype, constants) for k, each in enumerate(plan.transforms)]
    networks = [network_source(each, _network_name(plan, k), constants) for k, each in enumerate(plan.networks)]
    functions = [*reversed(_answer_source(plan, constants)), *features, *rows, *networks]
    own = "\n\n".join(functions)
    written = "\n".join(constants.lines)
    text = f"{written}\n{own}"
    helpers = needed(("cells", "numpy_runtime"), text)
    parts = (
        own.rstrip(),
        f"# What the functions above are made of\n\n{marks(helpers)}{helpers}",
        f"# The model's numbers\n\n{written}",
    )
    return "\n\n\n".join((f"{heading(plan, 'as one file that needs NumPy only')}\n{imports(helpers)}", *parts)) + "\n"


def marks(helpers: str) -> str:
    """Return the texts that stand for a gap, some on each line, where the helpers use them."""
    if not re.search(r"\bMARKS\b", helpers):
        return ""
    texts = [repr(mark) for mark in sorted(MARKS)]
    lines = [", ".join(texts[start : start + 10]) for start in range(0, len(texts), 10)]
    return "MARKS = frozenset((\n" + "".join(f"    {line},\n" for line in lines) + "))\n\n"


def _network_name(plan: InferencePlan, k: int) -> str:
    return "network" if len(plan.networks) == 1 else f"network_{k}"


def heading(plan: InferencePlan, what: str, more: Sequence[str] = ()) -> str:
    """Return the docstring of a written Python file."""
    lines = [
        f"Predict {printable(plan.output.name)}: a model trained with chainrule, {what}.",
        "",
        *described(plan),
        "",
        "Functions: " + ", ".join((*more, *_functions(plan.output))) + ".",
    ]
    text = "\n".join(lines).replace("\\", "\\\\").replace('"', '\\"')
    return f'"""{text}\n"""\n'


def _functions(output: Output) -> list[str]:
    if output.kind == "quantiles":
        return ["predict(rows)", "predict_quantiles(rows)"]
    return ["predict(rows)"] if output.kind == "values" else ["predict(rows)", "predict_proba(rows)"]


def imports(helpers: str) -> str:
    """Return the lines that import what a text uses."""
    modules = {"base64": "base64", "dt": "datetime as dt", "json": "json", "math": "math", "re": "re", "zlib": "zlib"}
    used = [f"import {module}" for name, module in modules.items() if re.search(rf"\b{name}\.", helpers)]
    lines = ["from __future__ import annotations", "", *used]
    lines += ["from functools import cache"] if "@cache" in helpers else []
    lines += ["from pathlib import Path"] if re.search(r"\bPath\(", helpers) else []
    lines += ["from typing import Any"] if re.search(r"\bAny\b", helpers) else []
    return "\n".join([*lines, "", "import numpy as np"])


def _answer_source(plan: InferencePlan, constants: Constants) -> list[str]:
    """Return the functions that make predictions of the networks' logits."""
    output = plan.output
    functions = [_mean_source(plan, constants)]
    if output.kind == "values":
        constants_of_values(output, constants)
        return [*functions, _values_source(output), _VALUES]
    if output.kind == "quantiles":
        constants_of_values(output, constants)
        return [*functions, _values_source(output), _quantiles(output)]
    return [*functions, *_classes_source(output, constants)]


def _link(output: Output, Z: str) -> str:
    if output.link == "softmax":
        return f"softmax({Z})" if len(output.blocks) == 1 else f"softmax_blocks({Z}, {output.blocks!r})"
    return f"{output.link}({Z})"


def _mean_source(plan: InferencePlan, constants: Constants) -> str:
    """Return the function of the mean of the networks' predictions, or of the logits of one whose T comes first."""
    head = "def mean_prediction(rows):\n"
    prepared = ", ".join(f"rows_{k}(F)" for k in range(len(plan.transforms)))
    if len(plan.networks) == 1 and not plan.output.mean_first:
        place = plan.networks[0].transform
        divided = f" / {plan.output.temperature!r}" if plan.output.temperature != 1.0 else ""
        note = '    """Return the prediction f(Z / T) of rows, before classes or units."""\n'
        return f"{head}{note}    Z = network(rows_{place}(features(rows))){divided}\n    return {_link(plan.output, 'Z')}\n"
    each = [
        f"({_network_name(plan, k)}, {network.transform}, {network.weight!r})"
        for k, network in enumerate(plan.networks)
    ]
    inner = "".join(f"        {item},\n" for item in each)
    lines = (
        '    """Return the mean of the networks\' predictions, by weight."""\n'
        f"    F = features(rows)\n    X = [{prepared}]\n    networks = [\n{inner}    ]\n"
        f"    return sum(weight * {_link(plan.output, 'network(X[k])')} for network, k, weight in networks)\n"
    )
    return head + lines


def constants_of_values(output: Output, constants: Constants) -> None:
    """Write down the units of values."""
    if output.mean is not None and output.scale is not None:
        constants.add("TARGET_MEAN", output.mean)
        constants.add("TARGET_SCALE", output.scale)


def _values_source(output: Output) -> str:
    lines = ["A = mean_prediction(rows).astype(np.float64)"]
    lines += [] if output.mean is None else ["A = A * TARGET_SCALE + TARGET_MEAN"]
    lines += [f"A = np.clip(A, {output.limits[0]!r}, {output.limits[1]!r})"] if output.limits else []
    body = "".join(f"    {line}\n" for line in lines)
    return f'def values(rows):\n    """Return the predictions of rows in their units."""\n{body}    return A\n'


_VALUES = '''def predict(rows):
    """Return the predicted values of rows: (n,), or (n, k) for k targets."""
    A = values(rows)
    return A[:, 0] if A.shape[1] == 1 else A
'''


def _quantiles(output: Output) -> str:
    q = len(output.levels)
    return f'''def predict_quantiles(rows):
    """Return the quantiles {", ".join(str(level) for level in output.levels)} of rows: (n, {q}), or (n, k, {q})."""
    A = values(rows)
    Q = np.sort(A.reshape(len(A), A.shape[1] // {q}, {q}), axis=2)
    return Q[:, 0] if Q.shape[1] == 1 else Q


def predict(rows):
    """Return the quantile nearest to the median."""
    return predict_quantiles(rows)[..., {output.central}]
'''


def _classes_source(output: Output, constants: Constants) -> list[str]:
    """Return `predict_proba` and `predict` of a classification."""
    body = ["P = mean_prediction(rows)"]
    if output.temperature != 1.0 and output.mean_first:
        body.append(f"Z = inverse_{output.link}(P) / {output.temperature!r}")
        body.append(f"P = {_link(output, 'Z')}")
    if output.kind == "binary":
        body.append("P = np.concatenate([1.0 - P, P], axis=1)")
    end = "P"
    shown = "for each class: (n, k)"
    if output.kind == "several":
        end = f"[P[:, start:end] for start, end in {output.blocks!r}]"
        shown = "for each class, a list with one array for each target"
    text = "".join(f"    {line}\n" for line in body)
    proba = f'def predict_proba(rows):\n    """Return the probability {shown}."""\n{text}    return {end}\n'
    return [proba, _labels_source(output, constants)]


def _labels_source(output: Output, constants: Constants) -> str:
    head = 'def predict(rows):\n    """Return the predicted classes of rows."""\n'
    if output.kind == "labels":
        return f"{head}    return (mean_prediction(rows) > 0.5).astype(np.int64)\n"
    if output.kind != "several":
        constants.write("CLASSES", literal.labels(output.classes[0]))
        return f"{head}    return CLASSES[predict_proba(rows).argmax(axis=1)]\n"
    names = [constants.write(f"CLASSES_{k}", literal.labels(known)) for k, known in enumerate(output.classes)]
    chosen = f"zip(({', '.join(names)},), predict_proba(rows))"
    return f"{head}    return np.column_stack([known[P.argmax(axis=1)] for known, P in {chosen}])\n"
