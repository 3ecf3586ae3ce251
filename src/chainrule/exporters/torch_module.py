"""Export to a module of PyTorch: a readable .py file, and its state beside it as .safetensors."""

from __future__ import annotations

import runpy
import tempfile
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
from safetensors.numpy import save

from chainrule.arrays import Array
from chainrule.exporters import numpy_literals as literal
from chainrule.exporters.answers import Rows
from chainrule.exporters.numpy_features import features_source
from chainrule.exporters.numpy_source import heading, imports, marks, timed
from chainrule.exporters.numpy_stages import Constants
from chainrule.exporters.plan import InferencePlan, Output
from chainrule.exporters.registry import ExportOptions, Ran
from chainrule.exporters.sources import needed
from chainrule.exporters.torch_stages import sequential, transform_call

STATE = ".safetensors"
"""Ending of the file with the state."""


class TorchExporter:
    """Writes an `nn.Module` with `load`, `predict` and `predict_proba`, in the model's own type."""

    name: ClassVar[str] = "torch"
    suffix: ClassVar[str] = ".py"
    options: ClassVar[tuple[str, ...]] = ()
    runtime: ClassVar[str] = "torch"
    single_precision: ClassVar[bool] = False

    def tolerance(self, plan: InferencePlan, options: ExportOptions) -> float:
        """Return 1e-5."""
        return 1e-5

    def faults(self, plan: InferencePlan, options: ExportOptions) -> Iterator[str]:
        """Yield nothing: PyTorch has everything that a plan can say."""
        yield from ()

    def write(self, plan: InferencePlan, options: ExportOptions) -> Mapping[str, bytes]:
        """Return the module and its state."""
        state: dict[str, Array] = {}
        text = source(plan, state)
        tensors = {name: np.ascontiguousarray(values) for name, values in state.items()}
        return {self.suffix: text.encode(), STATE: bytes(save(tensors))}

    def run(self, files: Mapping[str, bytes], plan: InferencePlan, options: ExportOptions, rows: Rows) -> Ran | None:
        """Run the module in this process; None without PyTorch."""
        if find_spec("torch") is None:
            return None
        with tempfile.TemporaryDirectory() as folder:
            for ending, data in files.items():
                (Path(folder) / f"model{ending}").write_bytes(data)
            module = runpy.run_path(str(Path(folder) / "model.py"))
            return timed(module, plan.output, rows)


EXPORTER = TorchExporter()


def source(plan: InferencePlan, state: dict[str, Array]) -> str:
    """Return the text of a plan's module.

    Parameters
    ----------
    plan : InferencePlan
        The plan.
    state : dict of str to array
        Receives the module's state.

    Returns
    -------
    str
        The same plan gives the same text.
    """
    constants = Constants()
    columns = plan.inputs[0].columns if plan.inputs[0].kind == "matrix" else tuple(each.name for each in plan.inputs)
    constants.write("COLUMNS", literal.sequence([repr(name) for name in columns]))
    functions = [_module(plan, state), _LOAD, *_answers(plan.output, constants), features_source(plan, constants)]
    own = "\n\n".join(functions)
    written = "\n".join(constants.lines)
    helpers = needed(("cells", "numpy_runtime", "_torch_runtime"), f"{written}\n{own}")
    start = heading(plan, "as a module of PyTorch; its weights lie beside this file", ("load()",))
    head = f"{start}\n{imports(helpers + own)}\nimport torch\nfrom torch import nn"
    made_of = f"# What the module is made of\n\n{marks(helpers)}{helpers.strip()}"
    return "\n\n\n".join((head, own.rstrip(), made_of, f"# Columns and classes\n\n{written}")) + "\n"


def _module(plan: InferencePlan, state: dict[str, Array]) -> str:
    """Return the class of the module."""
    output = plan.output
    indent = " " * 12
    transforms = "".join(
        f"{indent}{transform_call(each, f'transforms.{k}', plan.dtype, state)},\n"
        for k, each in enumerate(plan.transforms)
    )
    networks = "".join(
        f"{indent}{sequential(each.stages, f'networks.{k}', state, indent)},\n" for k, each in enumerate(plan.networks)
    )
    lines = [f"self.transforms = nn.ModuleList([\n{transforms}        ])"]
    lines += [f"self.networks = nn.ModuleList([\n{networks}        ])"]
    lines += [] if plan.dtype == "float32" else ["self.networks.double()"]
    if output.mean is not None and output.scale is not None:
        state["target_mean"] = np.asarray(output.mean, np.float64)
        state["target_scale"] = np.asarray(output.scale, np.float64)
        zeros = f"torch.zeros({len(output.mean)}, dtype=torch.float64)"
        lines += [f'self.register_buffer("target_{name}", {zeros})' for name in ("mean", "scale")]
    body = "".join(f"        {line}\n" for line in lines)
    what = "values in their units" if output.kind in ("values", "quantiles") else "probabilities"
    start = (
        'class Model(nn.Module):\n    """The networks, from feature rows to predictions."""\n\n'
        f"    def __init__(self):\n        super().__init__()\n{body}\n"
        '    def logits(self, F):\n        """Return the logits of each network for feature rows F, to train on."""\n'
        "        X = [transform(F) for transform in self.transforms]\n"
        f"        return [network(X[k]) for network, k in zip(self.networks, {_places(plan)!r})]\n\n"
        f'    def forward(self, F):\n        """Return {what} for feature rows F."""\n'
    )
    return start + "".join(f"        {line}\n" for line in _forward(plan))


def _places(plan: InferencePlan) -> tuple[int, ...]:
    return tuple(network.transform for network in plan.networks)


def _forward(plan: InferencePlan) -> list[str]:
    output = plan.output
    T = output.temperature
    if len(plan.networks) == 1 and not output.mean_first:
        lines = ["Z = self.logits(F)[0]" + (f" / {T!r}" if T != 1.0 else ""), f"A = {_link(output, 'Z')}"]
    else:
        weights = tuple(network.weight for network in plan.networks)
        lines = [f"A = sum(weight * {_link(output, 'Z')} for weight, Z in zip({weights!r}, self.logits(F)))"]
        if T != 1.0:
            lines += [f"Z = inverse_{output.link}(A) / {T!r}", f"A = {_link(output, 'Z')}"]
    if output.kind == "binary":
        lines.append("A = torch.cat([1.0 - A, A], 1)")
    if output.kind in ("values", "quantiles"):
        lines.append("A = A.double()" + ("" if output.mean is None else " * self.target_scale + self.target_mean"))
    if output.limits is not None:
        lines.append(f"A = A.clamp({output.limits[0]!r}, {output.limits[1]!r})")
    if output.kind == "quantiles":
        q = len(output.levels)
        lines.append(f"A = A.reshape(len(A), A.shape[1] // {q}, {q}).sort(2).values.flatten(1)")
    return [*lines, "return A"]


def _link(output: Output, Z: str) -> str:
    if output.link == "softmax":
        blocks = output.blocks
        return f"torch.softmax({Z}, 1)" if len(blocks) == 1 else f"softmax_blocks({Z}, {blocks!r})"
    return Z if output.link == "identity" else f"torch.{output.link}({Z})"


_LOAD = '''def load(path=None):
    """Return the model with its weights, which lie beside this file."""
    path = Path(__file__).with_suffix(".safetensors") if path is None else Path(path)
    model = Model()
    model.load_state_dict(state_of(path.read_bytes()))
    return model.eval()


@cache
def loaded():
    """Return the model, loaded once."""
    return load()


def predictions(rows):
    """Return what the model computes for rows, as an array."""
    with torch.inference_mode():
        return loaded()(torch.from_numpy(features(rows))).numpy()
'''


def _answers(output: Output, constants: Constants) -> list[str]:
    """Return the functions that make answers of what the module returns."""
    if output.kind == "values":
        return [_VALUES]
    if output.kind == "quantiles":
        return [_quantiles(output)]
    result = "P"
    if output.kind == "several":
        result = f"[P[:, start:end] for start, end in {output.blocks!r}]"
    head = 'def predict_proba(rows):\n    """Return the probability of each class."""\n    P = predictions(rows)\n'
    return [f"{head}    return {result}\n", _labels(output, constants)]


def _labels(output: Output, constants: Constants) -> str:
    head = 'def predict(rows):\n    """Return the predicted classes of rows."""\n'
    if output.kind == "labels":
        return f"{head}    return (predictions(rows) > 0.5).astype(np.int64)\n"
    if output.kind != "several":
        constants.write("CLASSES", literal.labels(output.classes[0]))
        return f"{head}    return CLASSES[predictions(rows).argmax(axis=1)]\n"
    names = [constants.write(f"CLASSES_{k}", literal.labels(known)) for k, known in enumerate(output.classes)]
    chosen = f"zip(({', '.join(names)},), predict_proba(rows))"
    return f"{head}    return np.column_stack([known[P.argmax(axis=1)] for known, P in {chosen}])\n"


_VALUES = '''def predict(rows):
    """Return the predicted values of rows: (n,), or (n, k) for k targets."""
    A = predictions(rows)
    return A[:, 0] if A.shape[1] == 1 else A
'''


def _quantiles(output: Output) -> str:
    return f'''def predict_quantiles(rows):
    """Return the quantiles {", ".join(str(level) for level in output.levels)} of rows."""
    Q = predictions(rows)
    Q = Q.reshape(len(Q), Q.shape[1] // {len(output.levels)}, {len(output.levels)})
    return Q[:, 0] if Q.shape[1] == 1 else Q


def predict(rows):
    """Return the quantile nearest to the median."""
    return predict_quantiles(rows)[..., {output.central}]
'''
