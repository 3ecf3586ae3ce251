"""Export to C: one C99 header with static tables, no allocation, and no library besides math.h."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from chainrule.data.transforms import FeatureTransform
from chainrule.exporters.answers import Rows
from chainrule.exporters.c_features import Row, matrix_only, text_faults
from chainrule.exporters.c_int8 import int8_moved
from chainrule.exporters.c_kernels import kernel_text, with_calls
from chainrule.exporters.c_math import math_text
from chainrule.exporters.c_output import Answer, classes_text, label_count, outputs
from chainrule.exporters.c_run import run_header
from chainrule.exporters.c_self_test import self_test
from chainrule.exporters.c_stages import Emitter
from chainrule.exporters.c_text import Source, remark
from chainrule.exporters.c_transforms import TransformWriter, foldable, folded, is_identity
from chainrule.exporters.numbers import number_faults
from chainrule.exporters.plan import Affine, Entry, InferencePlan, Network, Standardize
from chainrule.exporters.registry import ExportOptions, Ran

_SHOWN = 200
"""Columns that the header lists."""


class CHeader:
    """The exporter to C."""

    name = "c"
    suffix = ".h"
    options = ("int8",)
    runtime = "gcc"
    single_precision = True
    """Rows of a matrix are float32: it is checked with such rows."""

    def tolerance(self, plan: InferencePlan, options: ExportOptions) -> float:
        """Return 1e-5, and for eight bits what they move the answers by on drawn rows, which the header states."""
        return 1e-5 + (1.01 * int8_moved(plan).far if options.int8 else 0.0)

    def faults(self, plan: InferencePlan, options: ExportOptions) -> Iterator[str]:
        """Yield texts, and numbers that float32 cannot hold."""
        yield from text_faults(plan)
        yield from number_faults("c", plan)

    def write(self, plan: InferencePlan, options: ExportOptions) -> Mapping[str, bytes]:
        """Return the header."""
        return {self.suffix: Header(plan, options).text().encode()}

    def run(self, files: Mapping[str, bytes], plan: InferencePlan, options: ExportOptions, rows: Rows) -> Ran | None:
        """Return what the header answers, compiled by gcc or cc; None where there is neither."""
        return run_header(files[self.suffix], plan, options, rows)


class Header:
    """One header while it is written.

    Parameters
    ----------
    plan : InferencePlan
        The plan.
    options : ExportOptions
        Name and precision.
    """

    def __init__(self, plan: InferencePlan, options: ExportOptions) -> None:
        self.plan = plan
        self.options = options
        self.source = Source(options.name)
        self.matrix = plan.inputs[0].kind == "matrix"
        self.kind = "float" if self.matrix or plan.feature_dtype == "float32" else "double"
        self.row = None if self.matrix else Row(self.source, plan)
        self.stack = 0

    def text(self) -> str:
        """Return the text of the header."""
        answer = Answer(self.source, self.plan)
        predict = self._predict(answer)
        row, levels = ("", "") if self.row is None else (self.row.struct(), self.row.levels())
        name = self.source.name
        kernels = kernel_text(name, with_calls(self.source.kernels))
        functions = "\n".join(self.source.functions)
        body = [
            "#include <math.h>\n#include <stdint.h>\n",
            self._sizes(),
            math_text(name, f"{kernels}{functions}{predict}"),
            row,
            classes_text(self.source, self.plan.output),
            "\n".join(self.source.tables),
            kernels,
            functions,
            predict,
            levels,
            self_test(self.plan, self.options),
        ]
        guard = f"{name.upper()}_H"
        parts = [self._about(), f"#ifndef {guard}\n#define {guard}\n", *body, f"#endif /* {guard} */\n"]
        return "\n".join(part for part in parts if part)

    def _sizes(self) -> str:
        name = self.source.name
        found = {"OUTPUTS": outputs(self.plan)}
        if self.matrix:
            found = {"INPUTS": self.plan.inputs[0].width, **found}
        labels = label_count(self.plan.output)
        found |= {"LABELS": labels} if labels else {}
        found |= {"CENTRAL": self.plan.output.central} if self.plan.output.kind == "quantiles" else {}
        return "".join(f"#define {name}_{label} {value}\n" for label, value in found.items())

    def _predict(self, answer: Answer) -> str:
        """Return the predicting function; its helpers go to the source."""
        start = self._features()
        used = sorted({network.transform for network in self.plan.networks})
        rows = {t: self._rows(t, "" if len(used) == 1 else f"_{t + 1}", start[-1]) for t in used}
        calls = [self._network(i, network, rows[network.transform][1]) for i, network in enumerate(self.plan.networks)]
        answer.link()
        lines = [*start[:-1], *(line for t in used for line in rows[t][0]), *answer.lines(calls)]
        buffers = self._buffers(len(calls), answer)
        if any("for (j" in line for line in lines):
            buffers.append("int j;")
        declared = [line for line in lines if _declares(line)]
        others = [line for line in lines if not _declares(line)]
        body = "\n".join(f"    {line}" for line in [*buffers, *declared, *others])
        return f"{self._comment()}\n{self._signature()}\n{{\n{body}\n}}\n"

    def _buffers(self, networks: int, answer: Answer) -> list[str]:
        found = [f"float P[{answer.k}];"] if answer.place == "P" else []
        found += [f"float Z[{answer.k}];"] if networks > 1 else []
        self.stack += 4 * answer.k * len(found)
        return found

    def _signature(self) -> str:
        kind = self.plan.output.kind
        given = "const float *x" if self.matrix else f"const struct {self.source.name}_row *row"
        labels = ", int *labels" if label_count(self.plan.output) else ""
        back = "int" if kind in ("classes", "binary") else "void"
        return f"static inline {back} {self.source.name}_predict({given}, float *out{labels})"

    def _comment(self) -> str:
        name, output = self.source.name, self.plan.output
        about = {
            "classes": f"Probabilities of the classes; returns the place in {name}_classes of the largest.",
            "binary": f"Probabilities of both classes; returns the place in {name}_classes of the larger.",
            "labels": "Probability of each label; labels receives 1 where it is above one half, else 0.",
            "several": f"Probabilities of the classes, target by target; labels receives places in {name}_classes_1, ...",
            "values": "Predicted values, in the unit of the target.",
            "quantiles": f"Quantiles {', '.join(str(level) for level in output.levels)} in ascending order, target by"
            f" target; the value is that at {name}_CENTRAL.",
        }
        return f"/* {about[output.kind]} */"

    def _features(self) -> list[str]:
        """Return the lines that compute the features, and last the name they have."""
        features = self.plan.features
        if self.row is None and matrix_only(features, self.plan.inputs[0].width):
            return ["x"]
        self.stack += len(features) * (4 if self.kind == "float" else 8)
        places = [f"F[{j}]" for j in range(len(features))]
        if self.row is None:
            found = [f"x[{feature.place}]" for feature in features if isinstance(feature, Entry)]
        else:
            found = [self.row.feature(feature) for feature in features]
        lines = [f"    {place} = {self._cast(text)};" for place, text in zip(places, found, strict=True)]
        name = self.source.name
        given = "const float *x" if self.row is None else f"const struct {name}_row *row"
        head = f"/* Features of a row. */\nstatic inline void {name}_features({given}, {self.kind} *F)"
        unused = [] if features else ["    (void)row;", "    (void)F;"]
        self.source.functions.append(f"{head}\n{{\n" + "\n".join([*lines, *unused]) + "\n}\n")
        argument = "x" if self.row is None else "row"
        return [f"{self.kind} F[{max(1, len(features))}];", f"{name}_features({argument}, F);", "F"]

    def _cast(self, text: str) -> str:
        return text if self.kind == "double" or self.row is None else f"(float)({text})"

    def _rows(self, t: int, suffix: str, features: str) -> tuple[list[str], str]:
        """Return the lines that make a network's rows, and their name."""
        transform = self.plan.transforms[t]
        if self.kind == "float" and (is_identity(transform) or self._folds(t)):
            return [], features
        width = sum(transform.widths) if isinstance(transform, FeatureTransform) else len(transform.mean)
        label = f"rows{suffix}"
        TransformWriter(self.source, self.kind).function(label, transform)
        self.stack += 4 * width
        return [
            f"float X{suffix}[{max(1, width)}];",
            f"{self.source.name}_{label}({features}, X{suffix});",
        ], f"X{suffix}"

    def _folds(self, t: int) -> bool:
        """Check whether a scaling becomes part of the first layers."""
        users = [network for network in self.plan.networks if network.transform == t]
        first = all(network.stages and isinstance(network.stages[0], Affine) for network in users)
        return first and not self.options.int8 and foldable(self.plan.transforms[t])

    def _network(self, i: int, network: Network, rows: str) -> tuple[str, float]:
        """Add a network's function; return its call and its share."""
        suffix = "" if len(self.plan.networks) == 1 else f"_{i + 1}"
        transform = self.plan.transforms[network.transform]
        stages = network.stages
        folds = self.kind == "float" and not is_identity(transform) and self._folds(network.transform)
        if folds and isinstance(transform, Standardize) and isinstance(stages[0], Affine):
            stages = (folded(transform, stages[0]), *stages[1:])
        width = sum(transform.widths) if isinstance(transform, FeatureTransform) else len(transform.mean)
        emitter = Emitter(self.source, f"n{i + 1}_" if suffix else "", self.options.int8)
        note = "Inputs are scaled by its first layer." if folds else ""
        emitter.function(f"network{suffix}", stages, width, note)
        self.stack += 0 if i else emitter.stack
        return f"{self.source.name}_network{suffix}({rows}, $OUT);", network.weight

    def _about(self) -> str:
        """Return the comment at the top."""
        name, plan = self.source.name, self.plan
        lines = [f"{name}: a network trained by chainrule, in C99. Predicts {remark(repr(plan.output.name))}.", ""]
        lines += self._usage()
        count = len(plan.networks)
        networks = "one network" if count == 1 else f"{count} networks, averaged"
        precision = f"{networks}; " + ("weights of one byte, activations in float" if self.options.int8 else "float")
        tables, stack = f"{self.source.table_bytes:,} bytes of tables", f"about {self.stack:,} bytes of stack"
        lines += ["", f"Size: {precision}; {tables}, {stack}, no heap."]
        if self.options.int8:
            moved = int8_moved(plan)
            changed = f" and changes {moved.labels:.1%} of the classes" if plan.output.classes else ""
            lines += [
                f"One byte moves an answer by {moved.mean:.1e} on average and {moved.most:.1e} at most{changed},",
                f"measured on rows like those of the training; on rows far outside of it, by {moved.far:.1e} at most.",
            ]
        lines += ["", f"Define {name}_SELF_TEST for a main that checks three rows and returns 0 if all are right."]
        lines += self._columns()
        return "/*\n" + "\n".join(f" * {line}".rstrip() for line in lines) + "\n */"

    def _usage(self) -> list[str]:
        name, plan = self.source.name, self.plan
        given = f"float x[{name}_INPUTS] = {{...}};" if self.matrix else f"struct {name}_row row = {{...}};"
        at = "x" if self.matrix else "&row"
        labels = f", labels[{name}_LABELS];" if label_count(plan.output) else ""
        out = f"float out[{name}_OUTPUTS];" + (f" int{labels[1:]}" if labels else "")
        back = "int best = " if plan.output.kind in ("classes", "binary") else ""
        extra = ", labels" if labels else ""
        calls = [f"    {given}", f"    {out}", f"    {back}{name}_predict({at}, out{extra});"]
        if not self.matrix:
            return calls
        gaps = any(isinstance(each, FeatureTransform) for each in plan.transforms)
        return [*calls, "", "NAN in x is a gap." if gaps else "All numbers in x must be finite."]

    def _columns(self) -> list[str]:
        """Return the names of a matrix's columns."""
        if not self.matrix or not self.plan.inputs[0].columns:
            return []
        columns = self.plan.inputs[0].columns
        if columns == tuple(f"x{j}" for j in range(len(columns))):
            return []
        shown = [f"    x[{j}]  {remark(column)}" for j, column in enumerate(columns[:_SHOWN])]
        more = [f"    and {len(columns) - _SHOWN} more"] if len(columns) > _SHOWN else []
        return ["", "Columns:", *shown, *more]


def _declares(line: str) -> bool:
    return line.startswith(("float ", "double ", "int ")) and "=" not in line


EXPORTER = CHeader()
