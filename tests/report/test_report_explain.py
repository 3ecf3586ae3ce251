"""Why: a derivation that people learn from must be right to the last number and complete for every piece.

In: `explain` on small nets and on every entry of the registries. Out: hand-worked counts, tape sizes, well-formed LaTeX.
"""

import numpy as np
import pytest
from registry import ACTIVATION_SAMPLES, LAYER_SAMPLES, LOSS_SAMPLES, fitted, flat

from chainrule import Activation, BatchNorm, Dense, Dropout, LayerNorm, Net, mlp
from chainrule.nn.layers import (
    LAYERS,
    CategoryEmbedding,
    Context,
    CosineEmbedding,
    Parallel,
    PBLDEmbedding,
    PiecewiseLinearEmbedding,
)
from chainrule.nn.losses import (
    LOSSES,
    BinaryCrossEntropy,
    Huber,
    MeanSquaredError,
    MultiSoftmaxCrossEntropy,
    SoftmaxCrossEntropy,
)
from chainrule.random import Stream
from chainrule.report.costs import COSTS
from chainrule.report.explain import explain, read_docstring, to_markdown, to_text

REGISTRY = [*flat(LAYER_SAMPLES), *(sample.loss for sample in flat(LOSS_SAMPLES)), *flat(ACTIVATION_SAMPLES)]


def test_every_layer_has_costs_and_every_piece_equations_both_ways():
    assert set(COSTS) == set(LAYERS)
    for piece in REGISTRY:
        equations, _ = read_docstring(piece)
        assert [equation.number for equation in equations] == list(range(1, len(equations) + 1)), piece
        assert {equation.direction for equation in equations} == {"forward", "backward"}, piece
    for piece in [*flat(LAYER_SAMPLES), *(sample.loss for sample in flat(LOSS_SAMPLES))]:
        assert read_docstring(piece)[1], piece


def test_counts_of_a_small_network_by_hand():
    derivation = explain(Net(2, [Dense(3), Activation("relu"), Dense(1)]), BinaryCrossEntropy(), rows=4)
    first, relu, last, loss = derivation.stages
    assert derivation.architecture == "2-3-1"
    assert (first.parameters, relu.parameters, last.parameters, loss.parameters) == (2 * 3 + 3, 0, 3 + 1, 0)
    assert derivation.parameters == 13
    # a product of (n, d) by (d, k) is n k sums of d products and d - 1 additions, counted as 2 n d k
    assert first.forward_operations == 2 * 4 * 2 * 3 + 4 * 3
    assert first.backward_operations == 2 * (2 * 4 * 2 * 3) + 4 * 3
    assert (relu.forward_operations, relu.backward_operations) == (4 * 3, 2 * 4 * 3)
    assert (last.forward_operations, last.backward_operations) == (2 * 4 * 3 + 4, 2 * (2 * 4 * 3) + 4)
    assert derivation.forward_operations == sum(stage.forward_operations for stage in derivation.stages)
    assert derivation.backward_operations == sum(stage.backward_operations for stage in derivation.stages)
    # float32: X (4, 2) for the first layer; A (4, 3) for relu, which the last layer shares; nothing new behind
    assert [stage.cached_bytes for stage in derivation.stages] == [32, 48, 0, 0]
    assert derivation.cached_bytes == 80


def test_layer_without_bias_spares_its_additions():
    with_bias, without = (
        explain(Net(5, [Dense(3, bias=b)]), MeanSquaredError(), rows=7).stages[0] for b in (True, False)
    )
    assert with_bias.forward_operations - without.forward_operations == 7 * 3
    assert with_bias.backward_operations - without.backward_operations == 7 * 3
    assert with_bias.parameters - without.parameters == 3
    assert [equation.text for equation in without.equations] == ["Z = A W", "dW = Aᵀ dZ", "dA = dZ Wᵀ"]
    assert "b" not in without.shapes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", flat(LAYER_SAMPLES), ids=str)
def test_cached_bytes_are_those_of_the_tape(layer, dtype):
    net = Net(6, [Dense(4), fitted(layer, 4), Activation("tanh"), Dropout(0.3), Dense(2), fitted(layer, 2)])
    w, buffers = (vector.astype(dtype) for vector in net.init(0))
    ctx = Context(np, training=True, stream=Stream.from_seed(0))
    tape = net.forward(w, buffers, np.ones((9, 6), dtype), ctx)[1]
    assert explain(net, MeanSquaredError(), rows=9, dtype=dtype).cached_bytes == tape.nbytes


@pytest.mark.parametrize("layer", flat(LAYER_SAMPLES), ids=str)
def test_parameters_and_widths_are_the_networks(layer):
    net = Net(3, [Dense(5), fitted(layer, 5), Dense(2)])
    derivation = explain(net, MeanSquaredError())
    assert derivation.parameters == net.size == sum(stage.parameters for stage in derivation.stages)
    assert [stage.inputs for stage in derivation.stages[:-1]] == list(net.widths[:-1])
    assert [stage.outputs for stage in derivation.stages[:-1]] == list(net.widths[1:])


def test_shapes_are_the_actual_ones():
    stages = explain(Net(5, [Dense(4), BatchNorm(), LayerNorm(), Dense(3)]), SoftmaxCrossEntropy(), rows=8).stages
    assert stages[0].shapes == {"A": (8, 5), "W": (5, 4), "b": (4,), "Z": (8, 4)}
    assert stages[1].shapes["γ"] == stages[1].shapes["σ²"] == (4,)
    assert stages[2].shapes["μ"] == (8, 1)
    assert stages[4].shapes == {"Z": (8, 3), "P": (8, 3), "T": (8, 3), "y": (8,), "L": (8,)}


def test_activations_and_links_are_spelled_out():
    stages = explain(Net(2, [Dense(2), Activation("tanh"), Dense(1)]), Huber(link="sigmoid")).stages
    texts = [[equation.text for equation in stage.equations] for stage in stages]
    assert texts[1] == ["A = g(Z)", "dZ = dA ⊙ g'(Z)", "A = tanh(Z)", "g'(Z) = 1 - A²"]
    assert texts[3][-2:] == ["A = 1 / (1 + exp(-Z))", "f'(Z) = A (1 - A)"]
    for stage in stages:
        numbers = [equation.number for equation in stage.equations]
        assert numbers == list(range(1, len(numbers) + 1))


def test_text_of_a_derivation():
    text = to_text(explain(Net(2, [Dense(3), Activation("relu"), Dense(1)]), BinaryCrossEntropy(), rows=4))
    assert (
        text.splitlines()
        == """\
2-3-1: 13 parameters, a batch of n = 4 rows

Forward
  1. Dense(units=3, initializer=he)  2 → 3   9 parameters, 60 operations, 32 bytes cached
       shapes  X (4, 2)   W^[1] (2, 3)   b^[1] (3)   Z^[1] (4, 3)
       (1) Z^[1] = X W^[1] + b^[1]
  2. Activation(function=relu)  3 → 3   0 parameters, 12 operations, 48 bytes cached
       shapes  Z^[1] (4, 3)   A^[1] (4, 3)
       (2) A^[1] = max(0, Z^[1])
  3. Dense(units=1, initializer=xavier)  3 → 1   4 parameters, 28 operations, 0 bytes cached
       shapes  A^[1] (4, 3)   W^[2] (3, 1)   b^[2] (1)   Z^[2] (4, 1)
       (3) Z^[2] = A^[1] W^[2] + b^[2]
  4. BinaryCrossEntropy()  1 → 1   0 parameters, 16 operations, 0 bytes cached
       shapes  Z^[2] (4, 1)   Y (4, 1)   L (4)
       (4) L = Σⱼ (log(1 + exp(-|Zⱼ^[2]|)) + |Zⱼ^[2]| |[Zⱼ^[2] > 0] - Yⱼ|) / k
       (5) J = Σᵢ Lᵢ / n

Backward, from the loss to the first weight
  4. BinaryCrossEntropy()  1 → 1   12 operations
       (6) ∂L/∂Z^[2] = ∂L/∂Ŷ · ∂Ŷ/∂Z^[2]
           dL/dZ^[2] = (σ(Z^[2]) - Y) / k   (4, 1)
       (7) ∂J/∂Z^[2] = ∂J/∂L · ∂L/∂Z^[2]     we have dL/dZ^[2] from (6)
           dZ^[2] = dL/dZ^[2] / n   (4, 1)
  3. Dense(units=1, initializer=xavier)  3 → 1   52 operations
       (8) ∂J/∂W^[2] = ∂J/∂Z^[2] · ∂Z^[2]/∂W^[2]     we have dZ^[2] from (7)
           dW^[2] = A^[1]ᵀ dZ^[2]   (3, 1)
       (9) ∂J/∂b^[2] = ∂J/∂Z^[2] · ∂Z^[2]/∂b^[2]     we have dZ^[2] from (7)
           db^[2] = Σᵢ dZᵢ^[2]   (1)
      (10) ∂J/∂A^[1] = ∂J/∂Z^[2] · ∂Z^[2]/∂A^[1]     we have dZ^[2] from (7)
           dA^[1] = dZ^[2] W^[2]ᵀ   (4, 3)
  2. Activation(function=relu)  3 → 3   24 operations
      (11) ∂J/∂Z^[1] = ∂J/∂A^[1] · ∂A^[1]/∂Z^[1]     we have dA^[1] from (10)
           dZ^[1] = dA^[1] ⊙ g'(Z^[1]),  g'(Z^[1]) = [A^[1] > 0]   (4, 3)
  1. Dense(units=3, initializer=he)  2 → 3   108 operations
      (12) ∂J/∂W^[1] = ∂J/∂Z^[1] · ∂Z^[1]/∂W^[1]     we have dZ^[1] from (11)
           dW^[1] = Xᵀ dZ^[1]   (2, 3)
      (13) ∂J/∂b^[1] = ∂J/∂Z^[1] · ∂Z^[1]/∂b^[1]     we have dZ^[1] from (11)
           db^[1] = Σᵢ dZᵢ^[1]   (3)
      (14) ∂J/∂X = ∂J/∂Z^[1] · ∂Z^[1]/∂X     we have dZ^[1] from (11)
           dX = dZ^[1] W^[1]ᵀ   (4, 2)

Written out:  ∂J/∂W^[1] = ∂J/∂Z^[2] · ∂Z^[2]/∂A^[1] · ∂A^[1]/∂Z^[1] · ∂Z^[1]/∂W^[1]
Total: 13 parameters; 116 floating-point operations forward, 196 backward; 80 bytes cached between the two.""".splitlines()
    )


def test_markdown_of_a_derivation():
    net = mlp(5, [4], 3, norm="batch", dropout=0.2)
    lines = to_markdown(explain(net, SoftmaxCrossEntropy(), rows=8)).splitlines()
    assert lines[0] == "# 5-4-3"
    assert "43 parameters; one training step on $n = 8$ rows." in lines
    headings = [line for line in lines if line.startswith("##")]
    assert headings[0] == "## Forward"
    assert headings[1] == "### 1. Dense(units=4, bias=False, initializer=he): 5 → 4"
    assert headings[7] == "## Backward, from the loss to the first weight"
    assert headings[-1] == "## Total"
    assert [line.split(".")[0] for line in headings[8:-1]] == [f"### {i}" for i in (6, 5, 4, 3, 2, 1)]
    for line in (
        r"$$Z^{[1]} = X W^{[1]} \tag{1}$$",
        r"$$\sigma^{[1]2} = \sum_i (Z_i^{[1]} - \mu^{[1]})^2 / n \tag{3}$$",
        r"$$s^{[1]} = \sqrt{\sigma^{[1]2} + \varepsilon} \tag{4}$$",
        r"$$\mu'^{[1]} = m \mu'^{[1]} + (1 - m) \mu^{[1]} \tag{7}$$",
        r"$$\frac{\partial L}{\partial Z^{[2]}} = \frac{\partial L}{\partial P} \cdot \frac{\partial P}{\partial Z^{[2]}}$$",
        r"$$\frac{dL}{dZ^{[2]}} = P - T \tag{17}$$",
        r"$$dW^{[2]} = D^{[1]\top} dZ^{[2]} \tag{19}$$",
        r"we have $dZ^{[2]}$ from (18)",
        r"$X$ (8, 5), $W^{[1]}$ (5, 4), $Z^{[1]}$ (8, 4)",
    ):
        assert line in lines
    # Z (8, 5) float32; Ẑ (8, 4) and s (4); A; the mask of 32 booleans; the output of dropout
    cached = 8 * 5 * 4 + (32 + 4) * 4 + 32 * 4 + 32 + 32 * 4
    assert lines[-1].endswith(f"| {cached:,} |")
    assert lines[-1].count("|") == lines[-3].count("|") == 5


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_ends_a_derivation_in_every_form(loss):
    derivation = explain(
        mlp(4, [3], 3),
        MultiSoftmaxCrossEntropy((1, 2)) if loss == "MultiSoftmaxCrossEntropy" else LOSSES[loss](),
        rows=5,
    )
    assert derivation.stages[-1].name.startswith(loss)
    assert derivation.plain()["stages"][-1]["forward_operations"] > 0
    assert loss in to_text(derivation)
    assert loss in to_markdown(derivation)


BRANCHES = {
    "cosine": (3, CosineEmbedding(4)),
    "pbld": (2, PBLDEmbedding(4, 3)),
    "piecewise linear": (2, PiecewiseLinearEmbedding(units=5)),
    "categories": (2, CategoryEmbedding((4, 6), 3)),
    "identity": (1, Activation("identity")),
    "dense": (2, Dense(4, bias=False, initializer="he")),
    "layer norm": (3, LayerNorm()),
    "parallel": (3, Parallel([(1, CosineEmbedding(2)), (2, Dense(3, initializer="he"))])),
}


@pytest.mark.parametrize("name", BRANCHES)
def test_a_branch_is_derived_as_the_same_layer_alone(name):
    width, layer = BRANCHES[name]
    net = Net(2 + width, [Parallel([(2, Dense(3)), (width, layer)]), Dense(1)])
    whole = explain(net, MeanSquaredError(), rows=6).stages[0]
    alone = explain(Net(width, [layer, Dense(1)]), MeanSquaredError(), rows=6).stages[0]
    first, branch = whole.branches
    assert first.name.startswith("Dense(units=3")
    assert branch.number == 2
    for part in ("name", "equations", "shapes", "inputs", "outputs", "parameters"):
        assert getattr(branch, part) == getattr(alone, part), part
    assert [inner.equations for inner in branch.branches] == [inner.equations for inner in alone.branches]
    for part in ("forward_operations", "backward_operations", "parameters"):
        assert getattr(whole, part) == getattr(first, part) + getattr(branch, part), part
    assert whole.cached_bytes == first.cached_bytes + branch.cached_bytes


def test_every_branch_is_printed_in_every_form():
    net = Net(16, [Parallel([BRANCHES[name] for name in list(BRANCHES)[:7]] + [(1, Dense(2))]), Dense(1)])
    derivation = explain(net, MeanSquaredError(), rows=4)
    text = to_text(derivation)
    markdown = to_markdown(derivation)
    for j, (_, layer) in enumerate(net.layers[0].branches):
        kind = type(layer).__name__
        assert text.count(f"       1.{j + 1}. {kind}(") == 2
        assert markdown.count(f"#### 1.{j + 1}. {kind}(") == 2
        steps = [step for step in derivation.steps if step.stage == f"1.{j + 1}"]
        assert len(steps) >= len(read_docstring(layer)[0]) - 2 * (kind == "Dense")
        for step in steps:
            assert step.equation in text
            assert rf"\tag{{{step.number}}}" in markdown
    assert derivation.cached_bytes == sum(stage.cached_bytes for stage in derivation.stages)


def test_branches_inside_branches_have_longer_numbers():
    net = Net(5, [Parallel([(2, Dense(2)), BRANCHES["parallel"]]), Dense(1)])
    text = to_text(explain(net, MeanSquaredError(), rows=4))
    assert "1.2.1. CosineEmbedding(" in text
    assert "1.2.2. Dense(" in text
