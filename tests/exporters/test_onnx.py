"""Why: a graph that another program runs must answer what the model answers, whatever the model is made of.

In: drawn models with every layer, loss and kind of column. Out: onnxruntime's predictions, beside the model's own.
"""

import json
import os
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from export_models import draw_model  # noqa: E402
from pack_cases import pack_of, schema_of, table  # noqa: E402

from chainrule.data import Standardizer  # noqa: E402
from chainrule.data.table import ReadOptions, describe  # noqa: E402
from chainrule.data.table.calendar import DAY  # noqa: E402
from chainrule.data.table.calendar import part as calendar_part  # noqa: E402
from chainrule.data.transforms import FeatureTransform  # noqa: E402
from chainrule.errors import InvalidValueError  # noqa: E402
from chainrule.exporters.answers import model_answers  # noqa: E402
from chainrule.exporters.draw import draw_rows, kept  # noqa: E402
from chainrule.exporters.evaluate import features, rounding, run  # noqa: E402
from chainrule.exporters.lower import lower  # noqa: E402
from chainrule.exporters.onnx_builder import GraphBuilder  # noqa: E402
from chainrule.exporters.onnx_features import date_part, write_features  # noqa: E402
from chainrule.exporters.onnx_format import EXPORTER  # noqa: E402
from chainrule.exporters.onnx_graph import onnx_faults, onnx_model  # noqa: E402
from chainrule.exporters.onnx_names import input_names  # noqa: E402
from chainrule.exporters.onnx_run import Session, answers, feeds  # noqa: E402
from chainrule.exporters.onnx_stages import groups  # noqa: E402
from chainrule.exporters.onnx_transforms import write_transform  # noqa: E402
from chainrule.exporters.registry import ExportOptions  # noqa: E402
from chainrule.model import Model  # noqa: E402
from chainrule.nn.layers import Dense  # noqa: E402
from chainrule.nn.losses import BinaryCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy  # noqa: E402
from chainrule.nn.net import Net  # noqa: E402
from chainrule.table_model import TableModel  # noqa: E402

SEEDS = int(os.environ.get("CHAINRULE_EXPORT_SEEDS", "72"))
FAST = 24


def check_seed(seed, opset=18):
    """Compare the graph of a drawn model with the model; return the largest difference, None where it is refused."""
    model = draw_model(seed)
    plan = lower(model)
    if list(onnx_faults(plan, opset)):
        assert any(
            getattr(each, "hashed", 0) or type(each).__name__ in ("WordCount", "IsCode") for each in plan.features
        )
        return None
    rows = draw_rows(plan, 200, seed)
    sane = (np.abs(run(plan, rows).numbers) < 1e30).all(axis=1)
    rows = kept(rows, sane)
    content = onnx_model(plan, opset).SerializeToString()
    found = answers(plan, Session(content).run(feeds(plan, rows)))
    wanted = model_answers(model, plan, rows)
    assert found.numbers.shape == wanted.numbers.shape
    size = np.maximum(1.0, np.abs(wanted.numbers))
    off = np.abs(found.numbers - wanted.numbers)
    own = np.abs(wanted.numbers - run(plan, rows, "float64").numbers)  # what rounding does to the model itself
    allowed = 2e-6 * size + 2.0 * rounding(plan, rows) + own
    assert (off <= allowed).all(), (seed, float((off - allowed).max()), float((off / size).max()))
    for ours, other in zip(found.labels, wanted.labels, strict=True):
        assert ours.shape == other.shape
        assert ours.dtype.kind == other.dtype.kind
        assert (ours != other).mean() < 0.02
    return float((off / size).max())


@pytest.mark.parametrize("seed", range(FAST))
def test_onnxruntime_answers_what_the_model_answers(seed):
    check_seed(seed)


@pytest.mark.slow
def test_onnxruntime_answers_what_many_models_answer():
    found = [check_seed(seed) for seed in range(FAST, SEEDS)]
    compared = [difference for difference in found if difference is not None]
    assert len(compared) > 0.8 * len(found)
    assert np.median(compared) < 1e-6


@pytest.mark.parametrize("opset", [17, 18, 19, 20, 21, 22, onnx.defs.onnx_opset_version() - 1])
def test_every_opset_gives_the_same_answers(opset):
    for seed in (2, 4, 6, 11):
        check_seed(seed, opset)


@pytest.mark.parametrize("opset", [16, 0, 99, "18", True])
def test_an_opset_that_is_not_known_is_refused(opset):
    with pytest.raises(InvalidValueError, match="--opset must be from 17 to"):
        onnx_model(lower(draw_model(0)), opset)


def test_one_graph_says_what_it_is():
    plan = lower(TableModel(schema_of(), pack_of()))
    graph = onnx_model(plan)
    assert graph.producer_name == "chainrule"
    assert [(given.name, given.type.tensor_type.elem_type) for given in graph.graph.input] == [
        ("age", onnx.TensorProto.DOUBLE),
        ("income", onnx.TensorProto.DOUBLE),
        ("member", onnx.TensorProto.STRING),
        ("job", onnx.TensorProto.STRING),
        ("town", onnx.TensorProto.STRING),
        ("since", onnx.TensorProto.INT64),
    ]
    assert [out.name for out in graph.graph.output] == ["label", "probabilities"]
    properties = {each.key: each.value for each in graph.metadata_props}
    assert properties["chainrule.task"] == "classification"
    assert json.loads(properties["chainrule.classes"]) == [["no", "yes"]]
    assert [each["column"] for each in json.loads(properties["chainrule.inputs"])] == list(plan_names(plan))
    assert graph.ir_version == 8
    assert all(given.doc_string for given in graph.graph.input)


def plan_names(plan):
    return [given.name for given in plan.inputs]


def test_the_same_plan_gives_the_same_bytes():
    plan = lower(TableModel(schema_of(), pack_of()))
    first, second = (EXPORTER.write(plan, ExportOptions())[".onnx"] for _ in range(2))
    assert first == second


def test_columns_that_are_called_as_outputs_get_another_name():
    frame = table().rename({"age": "label", "income": "probabilities", "job": "input_label"})
    model = TableModel(schema_of(frame), pack_of(schema=schema_of()))
    plan = lower(model)
    names = input_names(plan.inputs, plan.output)
    assert names[:2] == ("input_label", "input_probabilities")
    assert names[3] == "input_input_label"
    rows = frame.drop("y").to_dicts()
    found = answers(plan, Session(onnx_model(plan).SerializeToString()).run(feeds(plan, rows)))
    np.testing.assert_allclose(found.numbers, model.probabilities(rows), atol=1e-6)


def test_no_rows_and_one_row_are_answered():
    plan = lower(TableModel(schema_of(), pack_of()))
    session = Session(onnx_model(plan).SerializeToString())
    rows = table().drop("y").to_dicts()
    for n in (0, 1, 2):
        found = session.run(feeds(plan, rows[:n]))
        assert found["label"].shape == (n,)
        assert found["probabilities"].shape == (n, 2)


def graph_of(write, **inputs):
    """Run a graph of a few nodes."""
    graph = GraphBuilder(inputs, 18)
    out = write(graph)
    kinds = {"float64": onnx.TensorProto.DOUBLE, "int64": onnx.TensorProto.INT64, "object": onnx.TensorProto.STRING}
    given = [
        onnx.helper.make_tensor_value_info(name, kinds[str(value.dtype)], [None] * value.ndim)
        for name, value in inputs.items()
    ]
    result = onnx.helper.make_empty_tensor_value_info("out")
    result.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    node = onnx.helper.make_node("Identity", [out], ["out"])
    proto = onnx.helper.make_graph([*graph.nodes, node], "g", given, [result], graph.constants)
    opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("ai.onnx.ml", 3)]
    model = onnx.helper.make_model(proto, opset_imports=opsets, ir_version=8)
    return Session(model.SerializeToString()).run(inputs)["out"]


@pytest.mark.parametrize("part", ["days", "month", "weekday", "day", "hour"])
def test_parts_of_dates_agree_to_the_last_bit(part):
    rng = np.random.default_rng(0)
    years = 400 * 365.2425 * DAY
    moments = rng.integers(-int(0.7 * years), int(1.5 * years), 20_000)
    days = np.arange(-800_000, 800_000, 7) * DAY  # every weekday and month end of more than four thousand years
    moments = np.concatenate([moments, days, days - 1, [0, -1, DAY - 1]]).astype(np.float64)[:, None]
    found = graph_of(lambda graph: date_part(graph, part, "moments", 12345), moments=moments)
    np.testing.assert_array_equal(found, calendar_part(part, moments, 12345))


@pytest.mark.parametrize("method", ["quantile", "robust"])
@pytest.mark.parametrize("rows", [7, 40, 5000, 50_000])
def test_transforms_agree_to_the_last_bit(method, rows):
    rng = np.random.default_rng(rows)
    E = np.column_stack(
        [
            rng.normal(size=rows),
            rng.integers(0, 5, rows),
            np.zeros(rows),
            rng.lognormal(0, 3, rows),
            rng.integers(0, 3, rows),
        ]
    ).astype(np.float32)
    E[rng.random(rows) < 0.1, 0] = np.nan
    transform = FeatureTransform.fit(E, (0, 0, 0, 0, 12), method)
    edges = transform.nodes[0].T[:, [0, 1, 2, 3]] if method == "quantile" else np.zeros((1, 4))
    around = np.concatenate([edges, np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf)])
    far = np.array([[1e30] * 4, [-1e30] * 4, [np.nan] * 4, [0.0] * 4])
    numbers = np.concatenate([E[:500, :4], around, far])
    codes = rng.integers(0, 15, (len(numbers), 1))
    T = np.column_stack([numbers, codes]).astype(np.float32)
    found = graph_of(lambda graph: write_transform(graph, transform, "T", 5, "float64"), T=T.astype(np.float64))
    np.testing.assert_array_equal(found, transform.apply(T, np.float64))


TEXT_CELLS = [
    "red",
    "Red",
    "",
    "NA",
    "nA",
    "n/a",
    "(Missing)",
    "#DIV/0!",
    "-1.#IND",
    "blue",
    "b\u00e4r \u65e5\u672c",
    "1",
    "1.0",
]


def test_texts_are_read_as_the_model_reads_them():
    frame = pl.DataFrame({"color": TEXT_CELLS * 20, "size": list(range(260)), "flag": [True, False] * 130})
    schema = describe("toys", frame, None, ReadOptions(kinds={"color": "category"}))
    plan = lower(TableModel(schema, replace_core(schema)))
    column = plan.inputs[0]
    cells = [*TEXT_CELLS, "never", "NONE", "Null", "red"]
    flags = ["true", "TRUE", "False", "1", "0", "", "perhaps", "tRue", "NaN"]
    flags = [*flags, *["true"] * (len(cells) - len(flags))]
    rows = [{"color": cell, "size": 1.0, "flag": flag} for cell, flag in zip(cells, flags, strict=True)]
    names = input_names(plan.inputs, plan.output)
    inputs = dict(zip([given.name for given in plan.inputs], names, strict=True))
    given = feeds(plan, rows)
    found = graph_of(lambda graph: graph.cast(write_features(graph, plan, inputs), np.float64), **given)
    np.testing.assert_array_equal(found, features(plan, rows))
    assert column.kind == "category"


def replace_core(schema):
    """A network of a table's plain matrix."""
    d = len(schema.design_names)
    net = Net(d, [Dense(1)])
    w = np.linspace(-1, 1, net.size)
    return Model(
        net, MeanSquaredError(), w, np.zeros(0), Standardizer.identity(d), None, None, schema.design_names, "y"
    )


HASHED = {
    "a text": "remark",
    "a category of many levels": "street",
}


@pytest.mark.parametrize("name", HASHED)
def test_a_column_that_onnx_cannot_read_is_named(name, tmp_path):
    n = 1800
    words = [f"the {a} met {i // 6}" for i, a in enumerate(np.random.default_rng(0).choice(["cat", "dog"], n))]
    words = words if HASHED[name] == "remark" else [f"street {i // 6}" for i in range(n)]
    column = HASHED[name]
    kind = "text" if column == "remark" else "category"
    frame = pl.DataFrame({column: words, "size": list(range(n))})
    schema = describe("toys", frame, None, ReadOptions(kinds={column: kind}))
    plan = lower(TableModel(schema, replace_core(schema)))
    with pytest.raises(InvalidValueError, match=f"columns that ONNX can read, got '{column}'") as caught:
        onnx_model(plan)
    assert "numpy or js" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_members_of_equal_shape_are_computed_together():
    pack = pack_of()
    few = onnx_model(lower(TableModel(schema_of(), pack)))
    many = replace(pack, members=tuple(replace(each, weight=each.weight / 10) for each in pack.members * 10))
    plan = lower(TableModel(schema_of(), many))
    graph = onnx_model(plan)
    assert len(groups(plan.networks)) == 2
    assert len(graph.graph.node) < 1.3 * len(few.graph.node)
    rows = table().drop("y").to_dicts()
    one, ten = (Session(each.SerializeToString()).run(feeds(plan, rows))["probabilities"] for each in (few, graph))
    np.testing.assert_allclose(one, ten, atol=1e-6)


@pytest.mark.parametrize("link", ["sigmoid", "softmax"])
def test_probabilities_of_rare_classes_are_not_zero(link):
    loss = BinaryCrossEntropy() if link == "sigmoid" else SoftmaxCrossEntropy()
    k = 1 if link == "sigmoid" else 2
    net = Net(1, [Dense(k)])
    classes = np.array(["no", "yes"])
    model = Model(
        net, loss, np.ones(net.size, np.float32) * np.array([1.0, 0.0] if k == 1 else [0.0, 1.0, 0.0, 0.0], np.float32),
        np.zeros(0, np.float32), Standardizer.identity(1), None, classes, ("x",), "y",
    )  # fmt: skip
    plan = lower(model)
    X = np.linspace(-80, 80, 33)[:, None]
    found = answers(plan, Session(onnx_model(plan).SerializeToString()).run(feeds(plan, X))).numbers
    wanted = model.probabilities(X)
    np.testing.assert_allclose(found[wanted > 1e-37], wanted[wanted > 1e-37], rtol=2e-5)


def test_without_onnx_one_line_says_how_it_is_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InvalidValueError, match=r"pip install 'chainrule\[onnx\]'"):
        EXPORTER.write(lower(draw_model(0)), ExportOptions())


def test_without_onnxruntime_nothing_is_compared(monkeypatch):
    monkeypatch.setattr("chainrule.exporters.onnx_format.find_spec", lambda name: None)
    plan = lower(draw_model(0))
    assert EXPORTER.run({".onnx": b""}, plan, ExportOptions(), draw_rows(plan, 5)) is None
