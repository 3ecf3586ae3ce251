"""From logits to the answer in JavaScript, and the functions that a module exports."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule.exporters.c_output import logits
from chainrule.exporters.js_text import Module, literal
from chainrule.exporters.plan import InferencePlan

_EACH_ROW = """\
/** {about}
 * @param {{ArrayLike<Row>}} rows
 * @returns {{{returns}}} */
export function {name}(rows) {{
  return Array.from(rows, (row) => {body});
}}
"""


class AnswerWriter:
    """What writes the answers of a module.

    Parameters
    ----------
    module : Module
        Where tables and functions go.
    plan : InferencePlan
        The plan.
    """

    def __init__(self, module: Module, plan: InferencePlan) -> None:
        self.module = module
        self.plan = plan
        self.output = plan.output
        self.k = logits(plan)

    def classes(self) -> str:
        """Return the constant of the classes, "" for values and labels."""
        known = [f"[{', '.join(literal(value) for value in each.tolist())}]" for each in self.output.classes]
        if not known:
            return ""
        if self.output.kind == "several":
            return f"/** The classes of each target, in order. */\nexport const classes = [{', '.join(known)}];\n"
        return f"/** The classes, in order. */\nexport const classes = {known[0]};\n"

    def prediction(self, rows: Sequence[str], calls: Sequence[tuple[str, str, float]]) -> None:
        """Add the function from a row to the mean of the networks' predictions, and to the tempered one."""
        lines = ["const F = features(row);", *rows]
        early = self.output.temperature != 1.0 and self.output.mean_first
        if len(calls) == 1:
            lines.append(f"const Z = {calls[0][0]}({calls[0][1]});")
            if self.output.kind == "labels" and not early:
                lines.append("const above = Array.from(Z, (z) => (z > 0 ? 1 : 0));")
            lines += self._tempered("Z") if not early else self._link("Z")
            mean = "Z"
        else:
            mean = "mean"
            lines.append(f"const mean = new Real({self.k});")
            for name, X, weight in calls:
                lines += ["{", f"  const Z = {name}({X});", *(f"  {line}" for line in self._link("Z"))]
                lines += [f"  {self._each(f'mean[j] += {literal(float(weight))} * Z[j];')}", "}"]
        if self.output.kind == "labels" and not (len(calls) == 1 and not early):
            lines.append(f"const above = Array.from({mean}, (p) => (p > 0.5 ? 1 : 0));")
        if early:
            lines += [*self._inverse(mean), self._each(f"{mean}[j] /= {self._temperature()};"), *self._link(mean)]
        lines += self._end(mean)
        body = "\n".join(f"  {line}" for line in lines)
        head = "/** From a row to probabilities or values.\n * @param {Row} row */\nfunction answer(row) {\n"
        self.module.functions.append(f"{head}{body}\n}}\n")

    def _each(self, step: str) -> str:
        return f"for (let j = 0; j < {self.k}; j++) {step}"

    def _temperature(self) -> str:
        return literal(float(np.dtype(self.plan.dtype).type(self.output.temperature)))

    def _tempered(self, at: str) -> list[str]:
        """Return the lines from the logits of one network to its predictions."""
        divided = [self._each(f"{at}[j] /= {self._temperature()};")] if self.output.temperature != 1.0 else []
        return [*divided, *self._link(at)]

    def _link(self, at: str) -> list[str]:
        if self.output.link == "identity":
            return []
        kernel = self.module.use(self.output.link)
        if self.output.link == "softmax":
            return [f"{kernel}({at}, {start}, {end});" for start, end in self.output.blocks]
        return [self._each(f"{at}[j] = {kernel}({at}[j]);")]

    def _inverse(self, at: str) -> list[str]:
        """Return the line from predictions back to logits; probabilities are kept off 0 and 1."""
        info = np.finfo(self.plan.dtype)
        tiny, most = literal(float(info.tiny)), literal(1.0 - float(info.epsneg))
        if self.output.link == "softmax":
            return [self._each(f"{at}[j] = Math.log(Math.max({at}[j], {tiny}));")]
        limited = f"const p = Math.min(Math.max({at}[j], {tiny}), {most});"
        return [self._each(f"{{ {limited} {at}[j] = Math.log(p) - Math.log1p(-p); }}")]

    def _end(self, at: str) -> list[str]:
        output = self.output
        if output.kind == "labels":
            return [f"return {{ P: Array.from({at}), above }};"]
        if output.kind == "binary":
            return [f"return [round(1 - {at}[0]), {at}[0]];"]
        if output.kind in ("classes", "several"):
            return [f"return Array.from({at});"]
        value = f"{at}[j]"
        if output.mean is not None and output.scale is not None:
            scale = self.module.table("target_scale", output.scale, "float64")
            mean = self.module.table("target_mean", output.mean, "float64")
            value = f"{value} * {scale}[j] + {mean}[j]"
        if output.limits is not None:
            low, high = (literal(float(limit)) for limit in output.limits)
            value = f"Math.min(Math.max({value}, {low}), {high})"
        if output.kind == "values":
            return [f"return Array.from({at}, (_, j) => {value});"]
        q = len(output.levels)
        lines = [f"const Q = Array.from({at}, (_, j) => {value}), targets = [];"]
        step = f"targets.push(Q.slice(j, j + {q}).sort((a, b) => a - b));"
        return [*lines, f"for (let j = 0; j < {self.k}; j += {q}) {step}", "return targets;"]

    def public(self) -> str:
        """Return the exported functions."""
        return {
            "classes": self._of_classes,
            "binary": self._of_classes,
            "several": self._of_several,
            "labels": self._of_labels,
            "values": self._of_values,
            "quantiles": self._of_quantiles,
        }[self.output.kind]()

    def _of_classes(self) -> str:
        argmax = self.module.use("argmax")
        count = 2 if self.output.kind == "binary" else self.k
        kind = "Array<typeof classes[number]>"
        predict = _each_row("predict", "The class of each row.", kind, f"classes[{argmax}(answer(row), 0, {count})]")
        return f"{predict}\n{self._proba('number[][]', 'answer(row)')}"

    def _of_several(self) -> str:
        argmax = self.module.use("argmax")
        blocks = list(enumerate(self.output.blocks))
        places = ", ".join(f"classes[{t}][{argmax}(P, {start}, {end})]" for t, (start, end) in blocks)
        parts = ", ".join(f"P.slice({start}, {end})" for _, (start, end) in blocks)
        kind, start = "Array<Array<typeof classes[number][number]>>", "const P = answer(row);"
        predict = _each_row("predict", "The class of each target, row by row.", kind, f"[{places}]", start)
        return f"{predict}\n{self._proba('number[][][]', f'[{parts}]', start)}"

    def _of_labels(self) -> str:
        predict = _each_row("predict", "1 or 0 for each label, row by row.", "number[][]", "answer(row).above")
        return f"{predict}\n{self._proba('number[][]', 'answer(row).P')}"

    def _proba(self, kind: str, value: str, start: str = "") -> str:
        what = {"labels": "label", "several": "class of each target"}.get(self.output.kind, "class")
        return _each_row("predictProba", f"The probability of every {what}, row by row.", kind, value, start)

    def _of_values(self) -> str:
        one = self.k == 1
        about = "The predicted value of each row, in the unit of the target."
        if one:
            return _each_row("predict", about, "number[]", "answer(row)[0]")
        return _each_row("predict", "The predicted values, row by row.", "number[][]", "answer(row)")

    def _of_quantiles(self) -> str:
        output = self.output
        one = self.k == len(output.levels)
        middle = f"answer(row)[0][{output.central}]" if one else f"answer(row).map((Q) => Q[{output.central}])"
        about = f"The quantile {output.levels[output.central]} of each row, in the unit of the target."
        predict = _each_row("predict", about, "number[]" if one else "number[][]", middle)
        levels = ", ".join(str(level) for level in output.levels)
        what = f"The quantiles {levels} in ascending order, row by row{'' if one else ' and target by target'}."
        kind, value = ("number[][]", "answer(row)[0]") if one else ("number[][][]", "answer(row)")
        return f"{predict}\n{_each_row('predictQuantiles', what, kind, value)}"


def _each_row(name: str, about: str, kind: str, value: str, start: str = "") -> str:
    """Return an exported function that maps rows."""
    body = f"{{\n    {start}\n    return {value};\n  }}" if start else value
    return _EACH_ROW.format(name=name, about=about, returns=kind, body=body)
