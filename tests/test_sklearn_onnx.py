"""Why: a pipeline of scikit-learn that ends in one of our estimators is exported as one graph, scaler and all.

In: fitted pipelines of every estimator. Out: the answers of onnxruntime, beside the pipeline's own.
"""

import sys

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from chainrule import NetClassifier, NetRegressor
from chainrule.errors import InvalidValueError
from chainrule.exporters.onnx_run import Session
from chainrule.sklearn import MLPClassifier, MLPRegressor

skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

import chainrule.sklearn_onnx  # noqa: E402

X, y = load_iris(return_X_y=True)
WORDS = np.array(["setosa", "versicolor", "virginica"])[y]
TWO = y > 0
D, t = load_diabetes(return_X_y=True)
QUICK = {"max_iter": 8, "random_state": 0}


def float32(pipeline, rows, **options):
    """Convert a pipeline for float32 rows and run it."""
    rows = rows.astype(np.float32)
    graph = skl2onnx.to_onnx(pipeline, rows[:1], target_opset=options.pop("opset", 18), **options)
    name = graph.graph.input[0].name
    return rows, Session(graph.SerializeToString()).run({name: rows})


CLASSIFIERS = {
    "classes": (NetClassifier((8,), **QUICK), y),
    "words": (NetClassifier((8,), **QUICK), WORDS),
    "two classes": (NetClassifier((8,), **QUICK), TWO.astype(int)),
    "true and false": (NetClassifier((8,), **QUICK), TWO),
    "float64": (NetClassifier((8,), dtype="float64", **QUICK), WORDS),
    "batch norm": (NetClassifier((8, 4), batch_norm=True, dropout=0.2, **QUICK), WORDS),
    "a perceptron": (MLPClassifier((8,), **QUICK), WORDS),
    "a perceptron of two": (MLPClassifier((8,), activation="logistic", **QUICK), TWO.astype(int)),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_pipeline_that_ends_in_a_classifier_is_one_graph(name):
    estimator, labels = CLASSIFIERS[name]
    pipeline = make_pipeline(StandardScaler(), estimator).fit(X, labels)
    rows, found = float32(pipeline, X, options={"zipmap": False})
    np.testing.assert_allclose(found["probabilities"], pipeline.predict_proba(rows), atol=2e-6)
    assert (found["label"].astype(labels.dtype) == pipeline.predict(rows)).all()


REGRESSORS = {
    "values": (NetRegressor((8,), **QUICK), t),
    "several values": (NetRegressor((8,), **QUICK), np.column_stack([t, -t])),
    "float64": (NetRegressor((8,), dtype="float64", **QUICK), t),
    "a perceptron": (MLPRegressor(hidden_layer_sizes=(8,), **QUICK), t),
    "a perceptron of several": (
        MLPRegressor(hidden_layer_sizes=(8,), activation="tanh", **QUICK),
        np.column_stack([t, t]),
    ),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", REGRESSORS)
def test_a_pipeline_that_ends_in_a_regressor_is_one_graph(name):
    estimator, values = REGRESSORS[name]
    pipeline = make_pipeline(StandardScaler(), MinMaxScaler(), estimator).fit(D, values)
    rows, found = float32(pipeline, D)
    wanted = pipeline.predict(rows).reshape(len(rows), -1)
    np.testing.assert_allclose(found["variable"], wanted, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("opset", [17, 18, 21, 22])
def test_a_pipeline_is_written_in_the_opset_that_is_asked_for(opset):
    pipeline = make_pipeline(StandardScaler(), NetClassifier((8,), layer_norm=True, **QUICK)).fit(X, y)
    rows, found = float32(pipeline, X, options={"zipmap": False}, opset=opset)
    np.testing.assert_allclose(found["probabilities"], pipeline.predict_proba(rows), atol=2e-6)


def test_probabilities_come_as_dictionaries_where_skl2onnx_makes_them():
    pipeline = make_pipeline(StandardScaler(), NetClassifier((8,), **QUICK)).fit(X, WORDS)
    _, found = float32(pipeline, X[:3])
    assert set(found["output_probability"][0]) == set(WORDS)


REFUSED = {
    "labels": lambda: NetClassifier((4,), **QUICK).fit(X, np.column_stack([y > 0, y > 1]).astype(int)),
    "several targets": lambda: NetClassifier((4,), **QUICK).fit(X, np.column_stack([WORDS, WORDS[::-1]])),
    "quantiles": lambda: NetRegressor((4,), loss="quantile", **QUICK).fit(D, t),
    "labels of a perceptron": lambda: MLPClassifier((4,), **QUICK).fit(X, np.column_stack([y > 0, y > 1]).astype(int)),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_what_skl2onnx_has_no_form_for_is_refused_in_one_line(name):
    estimator = REFUSED[name]()
    with pytest.raises(InvalidValueError, match="estimator must be of one target") as caught:
        chainrule.sklearn_onnx.plan_of(estimator)
    assert "\n" not in str(caught.value)


def test_without_skl2onnx_one_line_says_how_it_is_installed(monkeypatch):
    for module in [module for module in sys.modules if module.split(".")[0] == "skl2onnx"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(InvalidValueError, match=r"pip install 'chainrule\[onnx\]' skl2onnx"):
        chainrule.sklearn_onnx.register()


def net(**more):
    return NetClassifier((6,), **(QUICK | more))


WRAPPED = {
    "two networks that vote": lambda: VotingClassifier(
        [("a", net()), ("b", net(random_state=1))], voting="soft", flatten_transform=False
    ),
    "a network and another model": lambda: VotingClassifier(
        [("net", net()), ("line", LogisticRegression(C=0.01))], voting="soft", flatten_transform=False
    ),
    "a search": lambda: GridSearchCV(
        make_pipeline(StandardScaler(), net()), {"netclassifier__alpha": [0.0, 0.1]}, cv=2
    ),
    "components first": lambda: make_pipeline(StandardScaler(), PCA(3), net()),
    "columns apart": lambda: make_pipeline(
        ColumnTransformer([("a", StandardScaler(), [0, 1]), ("b", MinMaxScaler(), [2, 3])]), net()
    ),
    "one of the rest": lambda: OneVsRestClassifier(net()),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_a_network_inside_other_estimators_is_converted(name):
    model = WRAPPED[name]().fit(X, y)
    rows, found = float32(model, X, options={"zipmap": False})
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(rows), atol=5e-6)
    assert (found["label"] == model.predict(rows)).all()
