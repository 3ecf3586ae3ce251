"""The format "onnx" of `chainrule export`: one graph from raw columns to answers, checked with onnxruntime."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec

from chainrule.errors import InvalidValueError
from chainrule.exporters.answers import Rows
from chainrule.exporters.onnx_names import OPSET
from chainrule.exporters.plan import InferencePlan
from chainrule.exporters.registry import ExportOptions, Ran

_REPEATS = 3
"""Runs of which the fastest counts."""


class OnnxExporter:
    """Writes a plan as a model of ONNX."""

    name = "onnx"
    suffix = ".onnx"
    options = ("opset",)
    runtime = "onnxruntime"
    single_precision = False

    def tolerance(self, plan: InferencePlan, options: ExportOptions) -> float:
        """Return 1e-5.

        Features and transforms agree to the last bit. What is left comes from networks in float32: sums in another order,
        and onnxruntime's tanh, which is off by up to 3e-7. Half of all models differ by less than 2e-7; a model that
        enlarges rounding, by an exponential or by cosines of high frequency, may differ by some 1e-5, and as much from its
        own values in float64.
        """
        return 1e-5

    def faults(self, plan: InferencePlan, options: ExportOptions) -> Iterator[str]:
        """Yield hashed columns and texts, which ONNX has no operators for, and an opset that is not supported."""
        _need_onnx()
        from chainrule.exporters.onnx_graph import onnx_faults

        yield from onnx_faults(plan, _opset(options))

    def write(self, plan: InferencePlan, options: ExportOptions) -> Mapping[str, bytes]:
        """Return the model file."""
        _need_onnx()
        from chainrule.exporters.onnx_graph import onnx_model

        return {self.suffix: onnx_model(plan, _opset(options)).SerializeToString(deterministic=True)}

    def run(self, files: Mapping[str, bytes], plan: InferencePlan, options: ExportOptions, rows: Rows) -> Ran | None:
        """Return onnxruntime's answers, None where it is not installed."""
        if find_spec("onnxruntime") is None:
            return None
        from chainrule.exporters.onnx_run import Session, answers, feeds

        session = Session(files[self.suffix])
        inputs = feeds(plan, rows)
        seconds = []
        for _ in range(_REPEATS):
            start = time.perf_counter()
            found = session.run(inputs)
            seconds.append(time.perf_counter() - start)
        return Ran(answers(plan, found), min(seconds))


def _opset(options: ExportOptions) -> int:
    return OPSET if options.opset is None else options.opset


def _need_onnx() -> None:
    """Refuse to go on without the package onnx."""
    try:
        import onnx  # noqa: F401
    except ImportError:
        raise InvalidValueError("export: --to onnx needs a package: pip install 'chainrule[onnx]'.") from None


EXPORTER = OnnxExporter()
