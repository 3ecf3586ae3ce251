"""From logits to the answer in C: links, the mean of networks, temperature, classes, values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule.arrays import Array
from chainrule.exporters.c_text import Source, double, number, string, wrapped
from chainrule.exporters.plan import InferencePlan, Output


def classes_text(source: Source, output: Output) -> str:
    """Return the tables of class names, "" for values and labels."""
    names = [""] if len(output.classes) == 1 else [f"_{t + 1}" for t in range(len(output.classes))]
    parts = []
    for suffix, known in zip(names, output.classes, strict=True):
        kind, items = class_literals(known)
        name = f"{source.name}_classes{suffix}"
        parts.append(f"static const {kind}{name}[{len(items)}] = {{\n{wrapped(items)}\n}};\n")
    return "\n".join(parts)


def class_literals(known: Array) -> tuple[str, list[str]]:
    """Return the type of some classes in C, and their literals.

    >>> class_literals(np.array(["no", "yes"]))
    ('char *const ', ['"no"', '"yes"'])
    >>> class_literals(np.array([0, 5]))
    ('int64_t ', ['0', '5'])
    """
    values = known.tolist()
    if all(isinstance(value, bool) for value in values):
        return "int ", [str(int(value)) for value in values]
    if all(isinstance(value, int) and -(2**63) < value < 2**63 for value in values):
        return "int64_t ", [str(value) for value in values]
    if all(isinstance(value, float) for value in values):
        return "double ", [double(value) for value in values]
    return "char *const ", [string(str(value)) for value in values]


def outputs(plan: InferencePlan) -> int:
    """Return how many numbers a prediction has."""
    k = logits(plan)
    return 2 if plan.output.kind == "binary" else k


def logits(plan: InferencePlan) -> int:
    """Return the number of logits."""
    return max(end for _, end in plan.output.blocks)


def label_count(output: Output) -> int:
    """Return how many labels a prediction fills, 0 where the call returns the one class or there is none."""
    if output.kind == "labels":
        return max(end for _, end in output.blocks)
    return len(output.blocks) if output.kind == "several" else 0


class Answer:
    """What writes the end of the predicting function.

    Parameters
    ----------
    source : Source
        Where tables and kernels go.
    plan : InferencePlan
        The plan.
    """

    def __init__(self, source: Source, plan: InferencePlan) -> None:
        self.source = source
        self.plan = plan
        self.output = plan.output
        self.k = logits(plan)
        binary = plan.output.kind == "binary"
        self.place = "P" if binary else "out"

    def link(self) -> None:
        """Add the function of the link, in place."""
        name = self.source.name
        if self.output.link == "softmax":
            kernel = self.source.use("softmax")
            lines = [f"    {kernel}(Z + {start}, {end - start});" for start, end in self.output.blocks]
        elif self.output.link == "identity":
            return
        else:
            kernel = self.source.use(self.output.link)
            lines = ["    int j;", f"    for (j = 0; j < {self.k}; j++) Z[j] = {kernel}(Z[j]);"]
        head = f"/* The link: from logits to predictions. */\nstatic inline void {name}_link(float *Z)"
        self.source.functions.append(f"{head}\n{{\n" + "\n".join(lines) + "\n}\n")

    def _linked(self, at: str) -> list[str]:
        return [] if self.output.link == "identity" else [f"{self.source.name}_link({at});"]

    def lines(self, calls: Sequence[tuple[str, float]]) -> list[str]:
        """Return the lines from the calls of the networks, each with its share, to the answer."""
        found = self._mean(calls)
        output = self.output
        if output.kind == "labels":
            found.append(self._each(f"labels[j] = {self.place}[j] > {self._threshold(len(calls))};"))
        if output.temperature != 1.0 and output.mean_first:
            found += self._inverse()
        if output.temperature != 1.0:
            found.append(self._each(f"{self.place}[j] /= {number(output.temperature)};"))
        if len(calls) == 1 or output.temperature != 1.0:
            found += self._linked(self.place)
        return found + self._end()

    def _threshold(self, networks: int) -> str:
        """Return what a label is compared with: a logit with 0, a mean of probabilities with a half."""
        return "0.0f" if networks == 1 and not self._early_link() else "0.5f"

    def _early_link(self) -> bool:
        return self.output.temperature != 1.0 and self.output.mean_first

    def _mean(self, calls: Sequence[tuple[str, float]]) -> list[str]:
        """Return the lines that compute the logits of one network, or the mean of the predictions of several."""
        if len(calls) == 1:
            linked = self._linked(self.place) if self._early_link() else []
            return [calls[0][0].replace("$OUT", self.place), *linked]
        found = [self._each(f"{self.place}[j] = 0.0f;")]
        for call, weight in calls:
            found += [call.replace("$OUT", "Z"), *self._linked("Z")]
            found.append(self._each(f"{self.place}[j] += {number(weight)} * Z[j];"))
        return found

    def _each(self, step: str) -> str:
        return f"for (j = 0; j < {self.k}; j++) {step}"

    def _inverse(self) -> list[str]:
        """Return the line from predictions back to logits."""
        at = f"{self.place}[j]"
        if self.output.link == "softmax":
            tiny = "1.17549435e-38f"
            log = f"{self.source.name}_LOGF"
            return [self._each(f"{at} = {log}({at} > {tiny} ? {at} : {tiny});")]
        return [self._each(f"{at} = {self.source.use('logit')}({at});")]

    def _end(self) -> list[str]:
        output = self.output
        match output.kind:
            case "classes":
                return [f"return {self.source.use('argmax')}(out, {self.k});"]
            case "binary":
                return ["out[0] = 1.0f - P[0];", "out[1] = P[0];", "return out[1] > out[0];"]
            case "several":
                kernel = self.source.use("argmax")
                return [
                    f"labels[{t}] = {kernel}(out + {start}, {end - start});"
                    for t, (start, end) in enumerate(output.blocks)
                ]
            case "labels":
                return []
            case _:
                return self._values()

    def _values(self) -> list[str]:
        output = self.output
        lines = []
        if output.mean is not None and output.scale is not None:
            scale = self.source.table("target_scale", output.scale, "double")
            mean = self.source.table("target_mean", output.mean, "double")
            lines.append(self._each(f"out[j] = (float)(out[j] * {scale}[j] + {mean}[j]);"))
        if output.limits is not None:
            low, high = (number(float(np.float32(limit))) for limit in output.limits)
            lines.append(self._each(f"out[j] = out[j] < {low} ? {low} : out[j] > {high} ? {high} : out[j];"))
        if output.kind == "quantiles":
            q = len(output.levels)
            lines.append(f"for (j = 0; j < {self.k}; j += {q}) {self.source.use('sort')}(out + j, {q});")
        return lines
