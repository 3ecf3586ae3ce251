"""Export to JavaScript: one ES module without dependencies, for browsers and Node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from chainrule.exporters.answers import Rows
from chainrule.exporters.js_answer import AnswerWriter
from chainrule.exporters.js_features import FeatureWriter, row_type, transform_of
from chainrule.exporters.js_run import run_module
from chainrule.exporters.js_runtime import runtime_text
from chainrule.exporters.js_stages import NetworkWriter
from chainrule.exporters.js_text import Module, quoted
from chainrule.exporters.plan import InferencePlan
from chainrule.exporters.registry import ExportOptions, Ran


class JsModule:
    """The exporter to JavaScript."""

    name = "js"
    suffix = ".mjs"
    options: tuple[str, ...] = ()
    runtime = "node"
    single_precision = False

    def tolerance(self, plan: InferencePlan, options: ExportOptions) -> float:
        """Return 1e-5: sums are in double precision, so that the model's own rounding is what is left."""
        return 1e-5

    def faults(self, plan: InferencePlan, options: ExportOptions) -> Iterator[str]:
        """Yield nothing: JavaScript has code for all that a plan can say."""
        yield from ()

    def write(self, plan: InferencePlan, options: ExportOptions) -> Mapping[str, bytes]:
        """Return the module."""
        return {self.suffix: module_text(plan, options).encode("utf-8")}

    def run(self, files: Mapping[str, bytes], plan: InferencePlan, options: ExportOptions, rows: Rows) -> Ran | None:
        """Return what the module answers under Node; None where Node is not installed."""
        return run_module(files[self.suffix], plan, rows)


def module_text(plan: InferencePlan, options: ExportOptions) -> str:
    """Return the text of a module.

    Parameters
    ----------
    plan : InferencePlan
        The plan.
    options : ExportOptions
        Its name.

    Returns
    -------
    str
    """
    module = Module(plan.dtype)
    features = FeatureWriter(module, plan)
    columns = features.columns()
    features.features()
    used = sorted({network.transform for network in plan.networks})
    rows = {t: features.rows(t, f"rows_{t + 1}") for t in used}
    calls = []
    for i, network in enumerate(plan.networks):
        writer = NetworkWriter(module, "network" if len(plan.networks) == 1 else f"network_{i + 1}")
        name = writer.function(network.stages, transform_of(plan, network.transform)[1])
        calls.append((name, f"X{network.transform + 1}", network.weight))
    answer = AnswerWriter(module, plan)
    answer.prediction([f"const X{t + 1} = {rows[t]};" for t in used], calls)
    public = answer.public()
    parts = [
        _about(plan, options),
        _precision(plan),
        row_type(plan),
        columns,
        answer.classes(),
        public,
        runtime_text(module.used),
        "\n".join(module.functions),
        "// The model's numbers.\n\n" + "\n".join(module.tables) + "\n",
    ]
    return "\n".join(part for part in parts if part)


def _about(plan: InferencePlan, options: ExportOptions) -> str:
    count = len(plan.networks)
    networks = "One network" if count == 1 else f"The mean of {count} networks"
    first = "[[...], [...]]" if plan.inputs[0].kind == "matrix" else "[{ ... }, { ... }]"
    names = {"values": "predict", "quantiles": "predict, predictQuantiles"}.get(
        plan.output.kind, "predict, predictProba"
    )
    lines = [
        f"{options.name}: a model trained by chainrule, as an ES module without dependencies.",
        f"{networks}. Predicts {quoted(plan.output.name)}.",
        "",
        f'    import {{ {names} }} from "./{options.name}.mjs";',
        f"    predict({first});",
    ]
    return "/**\n" + "\n".join(f" * {line}".rstrip() for line in lines) + "\n */\n"


def _precision(plan: InferencePlan) -> str:
    """Return the constants that hold the precision of the networks' numbers."""
    if plan.dtype == "float32":
        turn = repr(float(np.float32(2.0 * np.pi)))
        return (
            "// Results of layers are rounded to single precision, as in training.\n"
            f"const Real = Float32Array, round = Math.fround, TURN = {turn};\n"
        )
    return "const Real = Float64Array, round = (x) => x, TURN = 2 * Math.PI;\n"


EXPORTER = JsModule()
