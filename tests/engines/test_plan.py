"""Why: the plan is what compiled kernels run and what users read; its table must say what the network is.

In: networks of every form. Out: stages, lines, offsets, costs and memory held against counts made by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from chainrule.engines.plan import Memory, Norm, Op, Plan, Slope, lower, memory, obstacles
from chainrule.nn.layers import Activation, BatchNorm, Dense, Dropout, LayerNorm
from chainrule.nn.losses import MeanSquaredError, MultiSoftmaxCrossEntropy, Poisson, Quantile, SoftmaxCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.nn.net import Net
from chainrule.nn.optimizers import SGD, Adam, AdamW, GradientAccumulation, RMSProp, SGDMomentum
from chainrule.nn.penalties import ClipNorm, ClipValue, Penalty
from chainrule.nn.step import Recipe


def plan_of(*layers, **settings) -> Plan:
    return lower(Recipe(Net(4, layers), **{"loss": MeanSquaredError(), **settings}))


def test_usual_layers_fuse_into_one_stage_per_dense():
    plan = lower(Recipe(mlp(6, [5, 4], 3, norm="batch", dropout=0.2), SoftmaxCrossEntropy()))
    assert [stage.text for stage in plan.stages] == ["dense + batch norm + relu + dropout"] * 2 + ["dense + bias"]
    assert [stage.layers for stage in plan.stages] == [(0, 1, 2, 3), (4, 5, 6, 7), (8,)]


@pytest.mark.parametrize(
    ("layers", "texts"),
    [
        ([Activation("tanh")], ["tanh"]),
        ([Dropout(0.5), Activation("relu"), Dense(3)], ["dropout", "relu", "dense + bias"]),
        ([Dense(3), LayerNorm(), Activation("elu")], ["dense + bias", "layer norm + elu"]),
        ([Dense(3), Dense(2, bias=False), BatchNorm()], ["dense + bias", "dense + batch norm"]),
        ([BatchNorm(), LayerNorm(), BatchNorm()], ["batch norm", "layer norm", "batch norm"]),
        ([Dense(3), Dropout(0.0)], ["dense + bias"]),
        ([Activation("identity"), Dense(1)], ["copy", "dense + bias"]),
    ],
)
def test_any_order_of_layers_becomes_stages(layers, texts):
    assert [stage.text for stage in plan_of(*layers).stages] == texts


def test_lines_run_forward_then_loss_then_backward():
    plan = plan_of(Dense(3), LayerNorm(), BatchNorm(), Dense(2), Activation("tanh"), clip=ClipNorm())
    expected = [
        (Op.GATHER, 0),
        *[(Op.FORWARD, i) for i in range(4)],
        (Op.LOSS, 3),
        (Op.DERIVE, 3),
        (Op.BACKWARD, 3),
        (Op.PASS, 2),
        (Op.NORM_BACKWARD, 1),
        (Op.NORM_GRADIENT, 1),
        (Op.BACKWARD, 0),
        (Op.UPDATE, 0),
    ]
    assert [(line.op, line.stage) for line in plan.lines] == expected


def test_offsets_are_those_of_the_flat_vectors():
    net = Net(4, [Dense(5), BatchNorm(), Activation("relu"), Dense(3, bias=False), LayerNorm()])
    first, second, third = lower(Recipe(net, MeanSquaredError())).stages
    assert (first.W, first.b, first.gamma, first.beta, first.mean, first.variance) == (0, 20, 25, 30, 0, 5)
    assert (second.W, second.b) == (35, -1)
    assert (third.W, third.gamma, third.beta, third.norm) == (-1, 50, 53, Norm.LAYER)


def test_groups_become_one_multiplier_per_parameter():
    plan = plan_of(Dense(5), BatchNorm(), Dense(2), learning_rate_multipliers={"*.b": 0.1, "2.*": 0.0, "*.gamma": 3.0})
    assert [stage.rates for stage in plan.stages] == [(1.0, 0.1, 3.0, 1.0), (0.0, 0.0, 1.0, 1.0)]


@pytest.mark.parametrize(
    ("tail", "slope"),
    [
        ([], Slope.NONE),
        ([Activation("identity")], Slope.NONE),
        ([Activation("tanh")], Slope.FROM_OUTPUT),
        ([Activation("relu"), Dropout(0.5)], Slope.FROM_OUTPUT),
        ([Activation("tanh"), Dropout(0.5)], Slope.KEPT),
        ([Activation("gelu")], Slope.KEPT),
        ([Dropout(0.5)], Slope.KEPT),
    ],
)
def test_the_backward_pass_reads_the_output_where_that_tells_the_slope(tail, slope):
    assert plan_of(Dense(3), *tail).stages[0].slope == slope


def test_flops_of_products_are_counted_by_hand():
    # forward 2·8·(4·5 + 5·3), dW the same again, dA of the second product only
    plan = plan_of(Dense(5, bias=False), Dense(3, bias=False), batch_size=8)
    products = 2 * 8 * (4 * 5 + 5 * 3) * 2 + 2 * 8 * 5 * 3
    entries = 8 * 5 + 8 * 3 + 10 * 8 * 3 + 12 * (20 + 15) + 4 * 8 * 5
    assert plan.flops == products + entries


def test_the_printed_plan_has_a_row_per_line_and_a_sum():
    text = str(plan_of(Dense(5), Activation("relu"), Dense(3), batch_size=8)).splitlines()
    assert len(text) == 1 + 6 + 1
    assert "dW, db, Adam, dA through relu" in text[5]
    assert text[-1].split()[:2] == ["a", "step"]
    assert all(row == row.rstrip() for row in text)


def test_tables_have_a_row_per_stage_and_line():
    plan = plan_of(Dense(5), Activation("elu"), Dropout(0.25), Dense(3))
    integers, reals, lines = plan.tables()
    assert integers.shape == (2, 15)
    assert reals.shape == (2, 8)
    assert lines.tolist() == [[line.op, line.stage] for line in plan.lines]
    assert integers[0, 13] == 2**30
    assert reals[0, 1] == 1 / 0.75


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (SGD(), [0.0, 0.0, 0.0, 0.0]),
        (SGDMomentum(mu=0.7), [0.7, 0.0, 0.0, 0.0]),
        (RMSProp(rho=0.8, epsilon=1e-3), [0.8, 0.0, 1e-3, 0.0]),
        (Adam(beta1=0.5, beta2=0.6, epsilon=0.1), [0.5, 0.6, 0.1, 0.0]),
        (AdamW(beta1=0.5, beta2=0.6, epsilon=0.1, weight_decay=0.2), [0.5, 0.6, 0.1, 0.2]),
    ],
)
def test_settings_carry_the_optimizer_s_numbers(optimizer, expected):
    assert plan_of(Dense(1), optimizer=optimizer).settings()[1][2:6] == expected


def test_settings_carry_loss_penalty_and_clip():
    plan = plan_of(Dense(1), loss=Poisson(), penalty=Penalty(l1=0.1, l2=0.2), clip=ClipValue(3.0), batch_size=7)
    codes, reals = plan.settings()
    assert codes == [5, 11, 6, 2, 7, 0]
    assert reals[6:] == [0.1, 0.2, 3.0, 0.0, -1.0]


def test_settings_carry_heads_levels_bounds_and_the_inner_rule():
    extras = {
        "max_weight_norm": 2.0,
        "ema_decay": 0.9,
        "optimizer": GradientAccumulation(AdamW(beta1=0.5, beta2=0.6, epsilon=0.1, weight_decay=0.2), 4),
    }
    codes, reals = plan_of(Dense(5), loss=MultiSoftmaxCrossEntropy((2, 3), label_smoothing=0.1), **extras).settings()
    assert codes == [7, 0, 7, 0, 32, 4, 2, 3]
    assert reals == [0.1, 1.0, 0.5, 0.6, 0.1, 0.2, 0.0, 0.0, 1.0, 2.0, 0.9]
    codes, reals = plan_of(Dense(4), loss=Quantile((0.2, 0.7), link="exp")).settings()
    assert codes == [6, 11, 6, 0, 32, 0]
    assert reals[9:] == [0.0, -1.0, 0.2, 0.7]


def test_max_norm_and_average_are_the_last_lines_of_a_step():
    extras = {
        "max_weight_norm": 2.0,
        "ema_decay": 0.9,
        "learning_rate_multipliers": {"3.W": 0.0},
        "optimizer": GradientAccumulation(Adam(), 4),
    }
    plan = plan_of(Dense(5), LayerNorm(), Activation("relu"), Dense(3), Dense(2), clip=ClipNorm(), **extras)
    # layer norm has a stage of its own, number 1; the second Dense, stage 2, is frozen
    assert [(line.op, line.stage) for line in plan.lines[-4:]] == [
        *[(Op.UPDATE, 0), (Op.CONSTRAIN, 0), (Op.CONSTRAIN, 3), (Op.AVERAGE, 0)]
    ]
    assert plan.lines[-4].text == "clip by norm, Adam every 4 batches"
    P = plan.recipe.net.size
    assert [line.flops for line in plan.lines[-3:]] == [3 * 20, 3 * 6, 3 * P]
    # m, v, the sum of gradients and the mean of weights; the gradient apart
    assert (memory(plan).optimizer, memory(plan).gradient) == (4 * 4 * P, 4 * P)


def test_memory_is_parameters_times_vectors_plus_buffers():
    net = Net(10, [Dense(20, bias=False), BatchNorm(), Activation("relu"), Dense(3)])
    recipe = Recipe(net, SoftmaxCrossEntropy(), batch_size=16, dtype="float64")
    # a row: X, c, class, two gradients as wide as the widest layer; Y and Ẑ of stage 0, Y of stage 1
    row = 10 + 1 + 1 + 2 * 20 + 2 * 20 + 3
    P = 10 * 20 + 2 * 20 + 20 * 3 + 3
    found = memory(lower(recipe))
    assert found == Memory(8 * P, 16 * P, 0, 8 * 60, 8 * 16 * row)
    assert found.total == 8 * (3 * P + 60 + 16 * row)


def test_memory_has_a_gradient_only_where_clipping_by_norm_needs_all_of_it():
    assert plan_of(Dense(3), clip=ClipNorm()).lines[-1].op == Op.UPDATE
    assert memory(plan_of(Dense(3), clip=ClipNorm())).gradient == 4 * (4 * 3 + 3)
    assert memory(plan_of(Dense(3), clip=ClipValue())).gradient == 0


def test_memory_of_few_rows_counts_only_those():
    plan = plan_of(Dense(3), batch_size=100)
    assert memory(plan, 10).buffers * 10 == memory(plan).buffers


@dataclass(frozen=True)
class Cube:
    needs: ClassVar[str] = "Z"

    def value(self, xp, Z):
        return Z**3

    def derivative(self, xp, Z, A):
        return 3 * Z**2


class OwnDense(Dense):
    pass


class OwnLoss(MeanSquaredError):
    pass


class OwnOptimizer(SGD):
    pass


class OwnClip:
    def apply(self, xp, g, norm):
        return g


@pytest.mark.parametrize(
    ("layers", "settings", "said"),
    [
        ([OwnDense(1)], {}, "Layer 0 is one of its own"),
        ([Activation(Cube())], {}, "Layer 0 has an activation"),
        ([Dense(1)], {"loss": OwnLoss()}, "The loss"),
        ([Dense(1)], {"optimizer": OwnOptimizer()}, "The optimizer"),
        (
            [Dense(1)],
            {"optimizer": GradientAccumulation(OwnOptimizer(), 2)},
            "The optimizer is one of its own: OwnOptimizer()",
        ),
        ([Dense(1)], {"clip": OwnClip()}, "The clipping rule"),
        ([Dense(1)], {"cache_every": 2}, "cache_every"),
    ],
)
def test_pieces_from_outside_are_named(layers, settings, said):
    found = list(obstacles(Recipe(Net(4, layers), **{"loss": MeanSquaredError(), **settings})))
    assert len(found) == 1
    assert said in found[0]


def test_nothing_of_the_package_stands_in_the_way():
    net = Net(4, [Dense(3), BatchNorm(), Activation("mish"), Dropout(0.1), LayerNorm(), Dense(2)])
    assert (
        list(obstacles(Recipe(net, SoftmaxCrossEntropy(label_smoothing=0.1), AdamW(), Penalty(l1=1, l2=1), ClipNorm())))
        == []
    )


def test_every_row_of_a_table_is_a_number():
    integers, reals, _ = plan_of(Dense(3), Activation("leaky_relu"), Dropout(0.999999), LayerNorm()).tables()
    assert integers.dtype == np.int64
    assert np.isfinite(reals).all()
