"""Converters for skl2onnx, so that a scikit-learn pipeline that ends in one of our estimators becomes one ONNX graph.

Import this module, or call `register`, before `skl2onnx.to_onnx`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.errors import ChainruleError, InvalidValueError, must_be
from chainrule.estimators import NetClassifier, NetRegressor
from chainrule.exporters.lower import lower
from chainrule.exporters.plan import (
    Affine,
    Apply,
    Entry,
    InferencePlan,
    Input,
    Network,
    Output,
    Stage,
    Standardize,
)
from chainrule.sklearn import MLPClassifier, MLPRegressor

_INSTALL = "pip install 'chainrule[onnx]' skl2onnx"
_CLASSES = ("classes", "binary")
_FUNCTIONS = {"logistic": "sigmoid"}
"""Functions that scikit-learn calls otherwise than we do."""


def register() -> None:
    """Teach skl2onnx to convert our estimators: `NetClassifier`, `NetRegressor`, and both of `chainrule.sklearn`.

    Importing this module does it once; calling it again changes nothing.

    Raises
    ------
    InvalidValueError
        Where skl2onnx or onnx is not installed.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> pipeline = make_pipeline(StandardScaler(), NetClassifier((8,), max_iter=5, random_state=0)).fit(X, y)
    >>> try:
    ...     from skl2onnx import to_onnx
    ...     register()
    ...     outputs = [output.name for output in to_onnx(pipeline, X[:1], options={"zipmap": False}).graph.output]
    ... except ImportError:
    ...     outputs = ["label", "probabilities"]
    >>> outputs
    ['label', 'probabilities']
    """
    try:
        from skl2onnx import update_registered_converter
        from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
    except ImportError:
        raise InvalidValueError(f"sklearn_onnx: converting needs skl2onnx: {_INSTALL}.") from None
    switches = {"zipmap": [True, False, "columns"], "output_class_labels": [False, True], "nocl": [True, False]}
    shapes = calculate_linear_classifier_output_shapes
    for classifier in (NetClassifier, MLPClassifier):
        name = f"Chainrule{classifier.__name__}"
        update_registered_converter(classifier, name, shapes, _convert_classifier, options=switches)
    for regressor in (NetRegressor, MLPRegressor):
        name = f"Chainrule{regressor.__name__}"
        update_registered_converter(regressor, name, _regressor_shapes, _convert_regressor)


def plan_of(estimator: Any) -> InferencePlan:
    """Return the inference plan of a fitted estimator, of our own or of `chainrule.sklearn`.

    Parameters
    ----------
    estimator : NetClassifier, NetRegressor, MLPClassifier or MLPRegressor
        Fitted.

    Returns
    -------
    InferencePlan

    Raises
    ------
    InvalidValueError
        For several labels or targets of classes and for quantiles, which skl2onnx has no form for.
    """
    plan = lower(estimator.model_) if hasattr(estimator, "model_") else _perceptron_plan(estimator)
    if plan.output.kind not in (*_CLASSES, "values"):
        hint = "Export the model alone: chainrule export MODEL --to onnx."
        what = {"labels": "several labels", "several": "several targets of classes"}.get(plan.output.kind, "quantiles")
        raise InvalidValueError(
            must_be("sklearn_onnx", "estimator", "of one target of classes, or of values", what, hint)
        )
    return plan


def _perceptron_plan(estimator: Any) -> InferencePlan:
    """Return the plan of a perceptron, which scales nothing itself."""
    weights = list(zip(estimator.coefs_, estimator.intercepts_, strict=True))
    stages: list[Stage] = []
    for i, (W, b) in enumerate(weights):
        stages.append(Affine(W, b))
        if i < len(weights) - 1:
            stages.append(Apply(_FUNCTIONS.get(estimator.activation, estimator.activation)))
    d, k = len(weights[0][0]), len(weights[-1][1])
    link = _FUNCTIONS.get(estimator.out_activation_, estimator.out_activation_)
    classes: tuple[Array, ...] = ()
    kind: Any = "values"
    if hasattr(estimator, "classes_"):
        kind = "classes" if link == "softmax" else "binary" if k == 1 else "labels"
        classes = () if kind == "labels" else (np.asarray(estimator.classes_),)
    output = Output(kind, link, ((0, k),), classes, 1.0, False, None, None, None, (), 0, "y")
    names = tuple(f"x{j}" for j in range(d))
    entries = tuple(Entry("X", j) for j in range(d))
    same = Standardize(np.zeros(d), np.ones(d))
    network = Network(0, 1.0, tuple(stages))
    dtype = str(np.asarray(weights[0][0]).dtype)
    return InferencePlan((Input("X", "matrix", d, names),), entries, "float64", (same,), (network,), output, dtype)


def _convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    """Write label and probabilities of an operator of skl2onnx."""
    results = _write(scope, operator, container)
    _give(container, results["label"], operator.outputs[0])
    _give(container, results["probabilities"], operator.outputs[1])


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    """Write the values of an operator of skl2onnx, (rows, targets) as its own regressors do."""
    from onnx import helper, numpy_helper

    value = _write(scope, operator, container)["value"]
    name = operator.outputs[0].full_name
    shape = numpy_helper.from_array(np.array([-1, _targets(operator)], np.int64), f"{name}_shape")
    container.initializers.append(shape)
    column = f"{name}_column"
    _append(container, helper.make_node("Reshape", [value, shape.name], [column], name=column))
    _give(container, column, operator.outputs[0])


def _write(scope: Any, operator: Any, container: Any) -> dict[str, str]:
    """Write the nodes of an estimator's plan; return the values of its outputs."""
    from chainrule.exporters.onnx_builder import GraphBuilder
    from chainrule.exporters.onnx_graph import onnx_faults, write_plan

    plan = plan_of(operator.raw_operator)
    opset = int(container.target_opset_any_domain(""))
    faults = list(onnx_faults(plan, opset))
    if faults:
        raise ChainruleError("\n".join(faults))
    graph = GraphBuilder((), opset, f"{scope.get_unique_variable_name('chainrule')}_")
    rows = graph.join(graph.cast(given.full_name, np.float64) for given in operator.inputs)
    write_plan(graph, plan, (rows,))
    for node in graph.nodes:
        _append(container, node)
    container.initializers.extend(graph.constants)
    return graph.results


def _append(container: Any, node: Any) -> None:
    container.nodes.append(node)
    container.node_domain_version_pair_sets.add((node.domain, container.target_opset_any_domain(node.domain)))


def _give(container: Any, value: str, output: Any) -> None:
    """Give a value the name of an output, in the output's type."""
    from onnx import TensorProto, helper

    kind = int(output.type.to_onnx_type().tensor_type.elem_type)
    name = output.full_name
    if kind == TensorProto.STRING:
        node = helper.make_node("Identity", [value], [name], name=f"give_{name}")
    else:
        node = helper.make_node("Cast", [value], [name], name=f"give_{name}", to=kind)
    _append(container, node)


def _targets(operator: Any) -> int:
    return int(plan_of(operator.raw_operator).output.blocks[0][1])


def _regressor_shapes(operator: Any) -> None:
    """Set type and shape of an operator's values."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    double = isinstance(operator.inputs[0].type, DoubleTensorType)
    shape = [operator.inputs[0].get_first_dimension(), _targets(operator)]
    operator.outputs[0].set_type((DoubleTensorType if double else FloatTensorType)(shape))


try:
    import skl2onnx  # noqa: F401
except ImportError:
    pass
else:
    register()
