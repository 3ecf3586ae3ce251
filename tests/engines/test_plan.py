"""The plan, which compiled kernels run and users read: its tables must describe the network.

In: networks of every form. Out: stages, phases, offsets, costs and memory compared with counts made by hand, and the
names that Python and C++ share.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum
from typing import ClassVar

import numpy as np
import pytest

from chainrule.engines import Rows, native
from chainrule.engines import plan as plans
from chainrule.engines.plan import (
    ActivationKind,
    ClipKind,
    DerivativeSource,
    FeatureKind,
    LossKind,
    Memory,
    Norm,
    OptimizerKind,
    PhaseKind,
    Plan,
    lower,
    memory,
    obstacles,
)
from chainrule.engines.plan.features import MOST_BINS
from chainrule.nn.activations import ACTIVATIONS
from chainrule.nn.layers import (
    Activation,
    BatchNorm,
    CategoryEmbedding,
    CosineEmbedding,
    Dense,
    Dropout,
    LayerNorm,
    Parallel,
    ParametricActivation,
    PiecewiseLinearEmbedding,
    Scale,
)
from chainrule.nn.losses import (
    LOSSES,
    MeanSquaredError,
    MultiSoftmaxCrossEntropy,
    Poisson,
    Quantile,
    SoftmaxCrossEntropy,
)
from chainrule.nn.multilayer import mlp
from chainrule.nn.net import Net
from chainrule.nn.optimizers import (
    OPTIMIZERS,
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    EmaMomentum,
    GradientAccumulation,
    Nesterov,
    RMSProp,
    SGDMomentum,
)
from chainrule.nn.penalties import ClipNorm, ClipValue, Penalty
from chainrule.nn.step import Recipe, Sums


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
        (
            [Scale(), Dense(3), Scale(), ParametricActivation("mish")],
            ["scale", "dense + bias + scale + parametric mish"],
        ),
        ([Dense(3), ParametricActivation(), Activation("tanh")], ["dense + bias + parametric relu", "tanh"]),
        ([CosineEmbedding(1), Scale(), Dropout(0.5)], ["4 cosine", "scale + dropout"]),
    ],
)
def test_any_order_of_layers_becomes_stages(layers, texts):
    assert [stage.text for stage in plan_of(*layers).stages] == texts


def test_phases_run_forward_then_loss_then_backward():
    plan = plan_of(Dense(3), LayerNorm(), BatchNorm(), Dense(2), Activation("tanh"), clip=ClipNorm())
    expected = [
        (PhaseKind.GATHER, 0),
        *[(PhaseKind.FORWARD, i) for i in range(4)],
        (PhaseKind.LOSS, 3),
        (PhaseKind.DERIVE, 3),
        (PhaseKind.BACKWARD, 3),
        (PhaseKind.PASS_THROUGH, 2),
        (PhaseKind.NORM_BACKWARD, 1),
        (PhaseKind.NORM_GRADIENT, 1),
        (PhaseKind.BACKWARD, 0),
        (PhaseKind.UPDATE, 0),
    ]
    assert [(phase.kind, phase.stage) for phase in plan.phases] == expected


def test_offsets_are_those_of_the_flat_vectors():
    net = Net(4, [Dense(5), BatchNorm(), Activation("relu"), Dense(3, bias=False), LayerNorm()])
    first, second, third = lower(Recipe(net, MeanSquaredError())).stages
    assert (first.W, first.b, first.gamma, first.beta, first.mean, first.variance) == (0, 20, 25, 30, 0, 5)
    assert (second.W, second.b) == (35, -1)
    assert (third.W, third.gamma, third.beta, third.norm) == (-1, 50, 53, Norm.LAYER)


def test_groups_become_one_multiplier_per_parameter():
    plan = plan_of(Dense(5), BatchNorm(), Dense(2), learning_rate_multipliers={"*.b": 0.1, "2.*": 0.0, "*.gamma": 3.0})
    assert [[*stage.multipliers.values()] for stage in plan.stages] == [
        [1.0, 0.1, 3.0, 1.0, 1.0],
        [0.0, 0.0, 1.0, 1.0, 1.0],
    ]
    assert [*plan.stages[0].multipliers] == ["W", "b", "gamma", "beta", "alpha"]


@pytest.mark.parametrize(
    ("tail", "source"),
    [
        ([], DerivativeSource.NONE),
        ([Activation("identity")], DerivativeSource.NONE),
        ([Activation("tanh")], DerivativeSource.FROM_OUTPUT),
        ([Activation("relu"), Dropout(0.5)], DerivativeSource.FROM_OUTPUT),
        ([Activation("tanh"), Dropout(0.5)], DerivativeSource.KEPT),
        ([Activation("gelu")], DerivativeSource.KEPT),
        ([Dropout(0.5)], DerivativeSource.KEPT),
        ([ParametricActivation()], DerivativeSource.KEPT),
        ([Scale()], DerivativeSource.NONE),
    ],
)
def test_the_backward_pass_reads_the_output_where_it_shows_the_derivative(tail, source):
    assert plan_of(Dense(3), *tail).stages[0].derivative_source == source


def test_the_last_stage_goes_back_through_a_scale():
    assert [phase.kind for phase in plan_of(Dense(3), Scale()).phases[-2:]] == [PhaseKind.DERIVE, PhaseKind.BACKWARD]
    first, second = plan_of(Dense(3), Scale(), ParametricActivation(), Dense(2)).stages
    assert (first.W, first.b, first.gamma, first.beta, first.alpha, second.W) == (0, 12, 15, -1, 18, 21)
    # Y, what s has met, dY/dZ and dY/dα
    assert (first.size, first.kept) == (12 + 3 * 3, 4)


def test_flops_of_products_are_counted_by_hand():
    # forward 2·8·(4·5 + 5·3), dW the same again, dA of the second product only
    plan = plan_of(Dense(5, bias=False), Dense(3, bias=False), batch_size=8)
    products = 2 * 8 * (4 * 5 + 5 * 3) * 2 + 2 * 8 * 5 * 3
    entries = 8 * 5 + 8 * 3 + 10 * 8 * 3 + 12 * (20 + 15) + 4 * 8 * 5
    assert plan.flops == products + entries


def test_the_printed_plan_has_a_row_per_phase_and_a_sum():
    text = str(plan_of(Dense(5), Activation("relu"), Dense(3), batch_size=8)).splitlines()
    assert len(text) == 1 + 6 + 1
    assert "dW, db, Adam, dA through relu" in text[5]
    assert text[-1].split()[:2] == ["a", "step"]
    assert all(row == row.rstrip() for row in text)


def test_a_stage_names_its_values():
    first, second = plan_of(Dense(5), Activation("elu"), Dropout(0.25), Dense(3)).stages
    values = first.fields()
    assert (values["inputs"], values["outputs"], values["dense"]) == (4, 5, 1)
    assert (values["activation"], values["activation_parameter"]) == (ActivationKind.ELU, 1.0)
    assert (values["has_dropout"], values["dropout_threshold"], values["dropout_layer"]) == (1, 2**30, 2)
    assert values["keep_scale"] == 1 / 0.75
    assert (second.fields()["has_dropout"], second.fields()["activation"]) == (0, ActivationKind.IDENTITY)


def test_a_phase_names_its_kind_and_stage():
    last = plan_of(Dense(5), Dense(3)).phases[-1]
    assert last.fields() == {"kind": PhaseKind.BACKWARD, "stage": 0}


MIXED = Parallel(
    [(1, Activation("identity")), (1, CosineEmbedding(4)), (1, Scale()), (1, CategoryEmbedding((3,), units=2))]
)


def test_embeddings_are_a_first_stage_of_groups():
    first, second = plan_of(MIXED, Dense(3), Activation("relu")).stages
    assert (first.text, second.text) == ("1 identity | 1 cosine | 1 scale | 1 category", "dense + bias + relu")
    assert [group.kind.name for group in first.groups] == ["IDENTITY", "COSINE", "SCALE", "CATEGORY"]
    assert [(group.input, group.output, group.width) for group in first.groups] == [
        *[(0, 0, 1), (1, 1, 5), (2, 6, 1), (3, 7, 2)]
    ]
    # w, b (1, 4), γ, β (1, 5); s (1); E (3, 2)
    assert [group.offsets for group in first.groups] == [(), (0, 4, 8, 13), (18,), (19,)]
    assert first.size == 4 + 4 + 5 + 5 + 1 + 6


def test_a_bare_embedding_is_a_group_of_all_features():
    (group,) = plan_of(CosineEmbedding(2), Dense(3)).stages[0].groups
    assert (group.input, group.count, group.output, group.width) == (0, 4, 0, 3)
    assert group.offsets == (0, 8, 16, 28)


def test_embeddings_have_their_own_gradient_phase_and_multipliers():
    plan = plan_of(MIXED, Dense(3), learning_rate_multipliers={"0.1_gamma": 2.0, "0.3_*": 0.5})
    assert [(phase.kind, phase.stage) for phase in plan.phases[-2:]] == [
        *[(PhaseKind.BACKWARD, 1), (PhaseKind.EMBEDDING_GRADIENT, 0)]
    ]
    assert [group.multipliers for group in plan.stages[0].groups] == [(), (1.0, 1.0, 2.0, 1.0), (1.0,), (0.5,)]
    assert memory(plan).gradient == 4 * plan.stages[0].size


def settings_of(*names: str, outputs: int = 1, **settings) -> list:
    values = plan_of(Dense(outputs), **settings).settings()
    return [values[name] for name in names]


@pytest.mark.parametrize(
    ("optimizer", "kind", "expected"),
    [
        (SGD(), OptimizerKind.SGD, [0.0, 0.0, 0.0, 0.0]),
        (SGDMomentum(mu=0.7), OptimizerKind.SGD_MOMENTUM, [0.7, 0.0, 0.0, 0.0]),
        (RMSProp(rho=0.8, epsilon=1e-3), OptimizerKind.RMSPROP, [0.8, 0.0, 1e-3, 0.0]),
        (Adam(beta1=0.5, beta2=0.6, epsilon=0.1), OptimizerKind.ADAM, [0.5, 0.6, 0.1, 0.0]),
        (AdamW(beta1=0.5, beta2=0.6, epsilon=0.1, weight_decay=0.2), OptimizerKind.ADAMW, [0.5, 0.6, 0.1, 0.2]),
    ],
)
def test_settings_carry_the_optimizer_s_numbers(optimizer, kind, expected):
    found = settings_of("optimizer", "beta1", "beta2", "epsilon", "weight_decay", optimizer=optimizer)
    assert found == [kind, *expected]


def test_settings_carry_loss_penalty_and_clip():
    settings = {
        "loss": Poisson(),
        "penalty": Penalty(l1=0.1, l2=0.2),
        "clip": ClipValue(3.0),
        "batch_size": 7,
        "seed": 9,
    }
    names = ("loss", "link", "l1", "l2", "clip", "clip_limit", "batch_size", "seed")
    found = settings_of(*names, **settings)
    assert found == [LossKind.POISSON, ActivationKind.EXP, 0.1, 0.2, ClipKind.BY_VALUE, 3.0, 7, 9]


def test_settings_carry_heads_levels_bounds_and_the_inner_rule():
    inner = GradientAccumulation(AdamW(beta1=0.5, beta2=0.6, epsilon=0.1, weight_decay=0.2), 4)
    extras = {"max_weight_norm": 2.0, "ema_decay": 0.9, "optimizer": inner}
    loss = MultiSoftmaxCrossEntropy((2, 3), label_smoothing=0.1)
    names = ("loss", "head_sizes", "label_smoothing", "optimizer", "accumulate_grad_batches", "weight_decay")
    found = settings_of(*names, outputs=5, loss=loss, **extras)
    assert found == [LossKind.MULTI_SOFTMAX_CROSS_ENTROPY, [2, 3], 0.1, OptimizerKind.ADAMW, 4, 0.2]
    found = settings_of("max_weight_norm", "ema_decay", outputs=5, loss=loss, **extras)
    assert found == [2.0, 0.9]
    names = ("loss", "link", "quantile_levels", "max_weight_norm", "ema_decay", "accumulate_grad_batches", "clip")
    found = settings_of(*names, outputs=4, loss=Quantile((0.2, 0.7), link="exp"))
    assert found == [LossKind.QUANTILE, ActivationKind.EXP, [0.2, 0.7], 0.0, -1.0, 0, ClipKind.NONE]


def test_max_norm_and_average_are_the_last_phases_of_a_step():
    extras = {
        "max_weight_norm": 2.0,
        "ema_decay": 0.9,
        "learning_rate_multipliers": {"3.W": 0.0},
        "optimizer": GradientAccumulation(Adam(), 4),
    }
    plan = plan_of(Dense(5), LayerNorm(), Activation("relu"), Dense(3), Dense(2), clip=ClipNorm(), **extras)
    # layer norm has a stage of its own, number 1; the second Dense, stage 2, is frozen
    assert [(phase.kind, phase.stage) for phase in plan.phases[-4:]] == [
        *[(PhaseKind.UPDATE, 0), (PhaseKind.CONSTRAIN, 0), (PhaseKind.CONSTRAIN, 3), (PhaseKind.AVERAGE, 0)]
    ]
    assert plan.phases[-4].text == "clip by norm, Adam every 4 batches"
    P = plan.recipe.net.size
    assert [phase.flops for phase in plan.phases[-3:]] == [3 * 20, 3 * 6, 3 * P]
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
    assert plan_of(Dense(3), clip=ClipNorm()).phases[-1].kind == PhaseKind.UPDATE
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
        ([OwnDense(1)], {}, "Layer 0 is a custom layer"),
        ([Activation(Cube())], {}, "Layer 0 has a custom activation"),
        ([Dense(1)], {"loss": OwnLoss()}, "The loss"),
        ([Dense(1)], {"optimizer": OwnOptimizer()}, "The optimizer"),
        (
            [Dense(1)],
            {"optimizer": GradientAccumulation(OwnOptimizer(), 2)},
            "The optimizer is custom: OwnOptimizer()",
        ),
        ([Dense(1)], {"clip": OwnClip()}, "The clipping rule"),
        ([Dense(1)], {"cache_every": 2}, "cache_every"),
        ([Dense(2), CosineEmbedding()], {}, "Layer 1 is a CosineEmbedding, which must be the first layer."),
        ([Parallel([(3, CosineEmbedding()), (1, Dense(2))])], {}, "Layer 0 has a branch that is no embedding"),
        ([Parallel([(3, Scale()), (1, Activation("relu"))])], {}, "an activation other than the identity"),
        ([PiecewiseLinearEmbedding(tuple(range(258)))], {}, "piecewise linear embedding of more than 256 bins"),
        ([Parallel([(3, Scale()), (1, Parallel([(1, Scale())]))])], {}, "Layer 0 has a branch that is no embedding"),
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


def test_every_value_of_a_stage_is_finite():
    stages = plan_of(Dense(3), Activation("leaky_relu"), Dropout(0.999999), LayerNorm()).stages
    values = [value for stage in stages for value in stage.fields().values() if isinstance(value, int | float)]
    assert np.isfinite(values).all()


# What follows holds Python and C++ to the same names; it fails as soon as one side gains, loses or renames one.

built = native.extension()
needs_extension = pytest.mark.skipif(built is None, reason="the compiled extension is not built")
EVERYTHING = plan_of(Dense(3), BatchNorm(), Activation("relu"), Dropout(0.5))
STRUCTS = {
    "FeatureGroup": plan_of(MIXED).stages[0].groups[0].fields(),
    "FusedStage": EVERYTHING.stages[0].fields(),
    "Phase": EVERYTHING.phases[0].fields(),
    "TrainingSettings": EVERYTHING.settings(),
    "Sums": {f.name: 0.0 for f in fields(Sums)},
}
ENUMERATIONS = [Norm, ActivationKind, DerivativeSource, LossKind, OptimizerKind, ClipKind, PhaseKind, FeatureKind]
RULES = [SGD(), EmaMomentum(), SGDMomentum(), Nesterov(), RMSProp(), AdaGrad(), Adam(), AdamW()]


@needs_extension
@pytest.mark.parametrize("name", STRUCTS)
def test_python_and_the_extension_name_the_same_fields(name):
    assert native.field_names(getattr(built, name)) == STRUCTS[name].keys()


@needs_extension
def test_python_and_the_extension_have_room_for_as_many_bins():
    assert built.most_bins == MOST_BINS


@needs_extension
@pytest.mark.parametrize("enumeration", ENUMERATIONS, ids=lambda each: each.__name__)
def test_python_and_the_extension_name_the_same_enumerators(enumeration):
    theirs = getattr(built, enumeration.__name__)
    assert {each.name for each in theirs} == {each.name.lower() for each in enumeration}


def test_every_enumeration_of_the_plan_is_compared():
    found = {name for name, each in vars(plans).items() if isinstance(each, type) and issubclass(each, Enum)}
    assert found == {each.__name__ for each in ENUMERATIONS}


@needs_extension
@pytest.mark.parametrize("rule", [*RULES, GradientAccumulation(Adam(), 2)], ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_python_and_the_extension_name_the_same_vectors_of_a_state(rule, ema_decay):
    plan = plan_of(Dense(1), optimizer=rule, ema_decay=ema_decay)
    settings = native.record(built, "TrainingSettings", plan.settings())
    assert tuple(built.vector_names(settings)) == plan.recipe.state_names


def test_every_rule_and_loss_of_the_package_has_a_kind():
    assert {kind.value for kind in OptimizerKind} == {*OPTIMIZERS.values()} - {GradientAccumulation}
    assert {kind.value for kind in LossKind} == {*LOSSES.values()}
    assert {kind.value for kind in ActivationKind} == {type(function) for function in ACTIVATIONS.values()}


@needs_extension
@pytest.mark.parametrize("change", [{"extra": 1}, {"stage": None}])
def test_a_field_that_one_side_lacks_is_refused(change):
    values = {**STRUCTS["Phase"], **change}
    if change.get("stage", 0) is None:
        del values["stage"]
    with pytest.raises(TypeError, match=f"Phase: Python and C.. must name the same fields.*{next(iter(change))}"):
        native.record(built, "Phase", values)


@needs_extension
@pytest.mark.parametrize("wrong", [{}, {"m": 1, "v": 1, "V": 1}])
def test_a_state_with_other_vectors_is_refused(wrong):
    plan = plan_of(Dense(1), optimizer=Adam())
    rows = Rows.of(plan.recipe, np.ones((3, 4)), np.ones(3))
    session = native.NativeSession(plan.recipe, rows)._session
    w = np.zeros(5, np.float32)
    with pytest.raises(ValueError, match="Session: vectors must be of the names"):
        session.write(w=w, statistics=w[:0], vectors=dict.fromkeys(wrong, w), step=0)
