"""Tests of the PyTorch module: it answers as the model does, and its networks come back as they were."""

import os

import numpy as np
import pytest
from export_models import draw_model
from pack_cases import table, table_model

import chainrule
from chainrule.exporters import from_torch
from chainrule.exporters.lower import lower
from chainrule.exporters.torch_module import EXPORTER, source
from chainrule.model import Model
from chainrule.nn.layers import Activation, BatchNorm, Dense
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.net import Net

SEEDS = int(os.environ.get("CHAINRULE_EXPORT_SEEDS", "50"))


@pytest.fixture
def torch():
    """PyTorch, where it is installed."""
    return pytest.importorskip("torch", reason="PyTorch is not installed")


def loaded(folder, name="model"):
    """Run a written module; return its names."""
    import runpy

    return runpy.run_path(str(folder / f"{name}.py"))


@pytest.mark.parametrize("seed", range(12))
def test_a_module_answers_as_its_model_does(torch, tmp_path, seed):
    done = chainrule.export(draw_model(seed), tmp_path / "model.py", "torch")
    assert done.check.rows > 500
    assert done.check.difference <= 1e-5
    assert sorted(path.name for path in done.paths) == ["model.py", "model.safetensors"]


@pytest.mark.slow
def test_many_modules_answer_as_their_models_do(torch, tmp_path):
    for seed in range(12, SEEDS):
        chainrule.export(draw_model(seed), tmp_path / "model.py", "torch")


def test_without_pytorch_the_module_is_written_and_not_checked(tmp_path, monkeypatch):
    monkeypatch.setattr("chainrule.exporters.torch_module.find_spec", lambda name: None)
    done = chainrule.export(table_model(), tmp_path / "people.py", "torch")
    assert "not checked: install torch" in str(done)
    assert (tmp_path / "people.safetensors").is_file()
    compile((tmp_path / "people.py").read_text(), "people.py", "exec")


@pytest.mark.parametrize("seed", range(8))
def test_the_text_is_a_program_and_its_state_has_every_number(seed):
    plan = lower(draw_model(seed))
    state = {}
    text = source(plan, state)
    compile(text, "model.py", "exec")
    assert state
    assert source(plan, {}) == text
    files = EXPORTER.write(plan, None)
    assert files == EXPORTER.write(plan, None)


def test_a_table_goes_through_the_module_row_by_row(torch, tmp_path):
    model = table_model()
    chainrule.export(model, tmp_path / "model.py", "torch")
    names = loaded(tmp_path)
    rows = table().drop("y").to_dicts()
    assert np.abs(names["predict_proba"](rows) - model.predict_proba(rows)).max() < 1e-6
    assert names["predict"](rows).tolist() == model.predict(rows).tolist()


def test_the_module_can_be_trained_on(torch, tmp_path):
    model = draw_model(0, "matrix", "values")
    chainrule.export(model, tmp_path / "model.py", "torch")
    module = loaded(tmp_path)["load"]()
    before = {name: values.clone() for name, values in module.state_dict().items()}
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    Z = module.logits(torch.zeros(4, model.net.inputs, dtype=torch.float64))
    sum(each.square().mean() for each in Z).backward()
    optimizer.step()
    assert any(not torch.equal(before[name], values) for name, values in module.state_dict().items())


def dense_model(dtype="float32"):
    """A dense network of three classes with batch norm, and random statistics."""
    rng = np.random.default_rng(0)
    net = Net(5, [Dense(7, bias=False), BatchNorm(), Activation("relu"), Dense(6), Activation("gelu"), Dense(3)])
    w = (0.5 * rng.normal(size=net.size)).astype(dtype)
    buffers = rng.lognormal(size=net.buffers.size).astype(dtype)
    scaling = chainrule.data.Standardizer(rng.normal(size=5), rng.lognormal(size=5))
    names = tuple("abcde")
    return Model(net, SoftmaxCrossEntropy(), w, buffers, scaling, None, np.array(["x", "y", "z"]), names, "kind")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_network_goes_to_pytorch_and_back(torch, tmp_path, dtype):
    model = dense_model(dtype)
    chainrule.export(model, tmp_path / "model.py", "torch")
    module = loaded(tmp_path)["load"]()
    back = from_torch(module.networks[0], classes=model.classes, inputs=model.inputs, feature_names=model.feature_names)
    assert back.w.dtype == dtype
    X = np.random.default_rng(1).normal(size=(50, 5)) * 3
    assert np.abs(back.predict_proba(X) - model.predict_proba(X)).max() < (1e-6 if dtype == "float32" else 1e-14)
    again = lower(back).networks[0].stages
    for ours, theirs in zip(lower(model).networks[0].stages, again, strict=True):
        for mine, other in zip(vars(ours).values(), vars(theirs).values(), strict=True):
            assert np.array_equal(mine, other)


def test_a_sequence_of_pytorch_predicts_as_it_does_there(torch):
    nn = torch.nn
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Flatten(),
        nn.BatchNorm1d(4),
        nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8, eps=1e-3, momentum=0.2), nn.PReLU(8), nn.Dropout(0.2)),
        nn.Linear(8, 6, bias=False),
        nn.LayerNorm(6),
        nn.ELU(0.7),
        nn.Linear(6, 5),
        nn.LeakyReLU(0.2),
        nn.Linear(5, 4),
        nn.GELU("tanh"),
        nn.Linear(4, 3),
        nn.Softmax(1),
    )
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
        if isinstance(module, nn.PReLU):
            module.weight.data.uniform_(-0.5, 0.9)
    network.eval()
    model = from_torch(network, classes=["a", "b", "c"])
    X = torch.randn(40, 4)
    with torch.no_grad():
        expected = network(X).numpy()
    assert np.abs(model.predict_proba(X.numpy()) - expected).max() < 1e-6


@pytest.mark.parametrize(
    "make",
    [
        lambda nn: nn.Conv1d(3, 4, 2),
        lambda nn: nn.GELU(),
        lambda nn: nn.BatchNorm1d(3, track_running_stats=False),
        lambda nn: nn.LSTM(3, 4),
        lambda nn: nn.Hardtanh(),
        lambda nn: nn.Bilinear(3, 3, 2),
    ],
)
def test_what_has_no_counterpart_is_named(torch, make):
    nn = torch.nn
    module = make(nn)
    with pytest.raises(ValueError, match=r"from_torch: \w+ must be") as refused:
        from_torch(nn.Sequential(nn.Linear(2, 3), module, nn.Linear(3, 1)))
    assert type(module).__name__ in str(refused.value) or "layers" in str(refused.value)
