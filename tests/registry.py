"""Why: one table of samples, so that every piece in a registry meets every generic test.

In: the registries of `chainrule.nn`. Out: instances of every entry, with random targets for losses and sets of ids;
`test_nn_registry.py` fails where an entry has no sample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Any

import numpy as np

from chainrule.nn.activations import (
    ELU,
    GELU,
    SELU,
    Exp,
    Identity,
    LeakyReLU,
    Mish,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from chainrule.nn.initializers import Constant, Glorot, He, LeCun, Normal, Orthogonal, Xavier, Zeros
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
    PBLDEmbedding,
    PiecewiseLinearEmbedding,
    Scale,
)
from chainrule.nn.losses import (
    LINKS,
    BinaryCrossEntropy,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
    MultiSoftmaxCrossEntropy,
    Poisson,
    Quantile,
    SoftmaxCrossEntropy,
)
from chainrule.nn.optimizers import (
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
from chainrule.nn.schedules import (
    ConstantSchedule,
    Cosine,
    CosineLog,
    CosineRestarts,
    Exponential,
    FlatCosine,
    InverseTimeDecay,
    OneCycle,
    ReduceOnPlateau,
    Step,
    WarmUp,
)

Targets = Callable[[np.random.Generator, int, int], np.ndarray]


@dataclass(frozen=True)
class LossSample:
    """A loss, targets (rng, n, k) that suit it, and whether logits of ±1e4 must give finite values."""

    loss: Any
    targets: Targets
    bounded: bool = True


def labels(rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    """Independent 0/1 labels."""
    return rng.integers(0, 2, (n, k)).astype(float)


def shares(rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    """Soft labels in [0, 1]."""
    return rng.random((n, k))


def classes(rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    """Exclusive classes."""
    return rng.integers(0, k, n)


def reals(rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    """Targets of a regression."""
    return rng.normal(size=(n, k))


def counts(rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    """Targets of a Poisson regression."""
    return rng.poisson(2.0, (n, k)).astype(float)


def blocks(*sizes: int) -> Targets:
    """Exclusive classes in several heads, as blocks of 0 and 1."""

    def hot(rng: np.random.Generator, n: int, k: int) -> np.ndarray:
        return np.hstack([np.eye(size)[rng.integers(0, size, n)] for size in sizes])

    return hot


def _linked(build: Callable[[str], Any]) -> tuple[LossSample, ...]:
    """One sample per link; exp overflows far out, as it must."""
    return tuple(LossSample(build(link), reals, bounded=link != "exp") for link in LINKS)


ACTIVATION_SAMPLES: Mapping[str, tuple[Any, ...]] = {
    "identity": (Identity(),),
    "sigmoid": (Sigmoid(),),
    "tanh": (Tanh(),),
    "relu": (ReLU(),),
    "leaky_relu": (LeakyReLU(), LeakyReLU(0.3)),
    "elu": (ELU(), ELU(0.5)),
    "selu": (SELU(),),
    "gelu": (GELU(),),
    "silu": (SiLU(),),
    "mish": (Mish(),),
    "softplus": (Softplus(),),
    "exp": (Exp(),),
}

INITIALIZER_SAMPLES: Mapping[str, tuple[Any, ...]] = {
    "zeros": (Zeros(),),
    "constant": (Constant(), Constant(0.5)),
    "normal": (Normal(), Normal(sigma=0.3)),
    "xavier": (Xavier(),),
    "xavier_uniform": (Xavier(distribution="uniform"),),
    "lecun": (LeCun(),),
    "lecun_uniform": (LeCun(distribution="uniform"),),
    "he": (He(),),
    "he_uniform": (He(distribution="uniform"),),
    "glorot": (Glorot(),),
    "glorot_uniform": (Glorot(distribution="uniform"),),
    "orthogonal": (Orthogonal(), Orthogonal(gain=1.5)),
}

LAYER_SAMPLES: Mapping[str, tuple[Any, ...]] = {
    "Dense": (Dense(4), Dense(4, bias=False), Dense(4, initializer="orthogonal")),
    "Activation": (Activation("tanh"), Activation("gelu"), Activation("identity")),
    "BatchNorm": (BatchNorm(), BatchNorm(momentum=0.5, epsilon=0.1)),
    "LayerNorm": (LayerNorm(), LayerNorm(epsilon=0.1)),
    "Dropout": (Dropout(0.4), Dropout(0.0)),
    "Parallel": (
        Parallel([(1, Dense(2)), (2, BatchNorm())]),
        Parallel([(2, Dropout(0.4)), (1, Activation("identity")), (1, Parallel([(1, CosineEmbedding(2))]))]),
    ),
    "CosineEmbedding": (CosineEmbedding(3), CosineEmbedding(2, 0.3)),
    "PBLDEmbedding": (PBLDEmbedding(4, 2), PBLDEmbedding(3, 1, 0.5)),
    "PiecewiseLinearEmbedding": (
        PiecewiseLinearEmbedding((-1.0, -0.2, 0.1, 1.5), 2),
        PiecewiseLinearEmbedding((0.0, 1.0), 3),
        PiecewiseLinearEmbedding(units=1),
    ),
    "CategoryEmbedding": (CategoryEmbedding((3, 2, 4), 2), CategoryEmbedding((1,), 3)),
    "Scale": (Scale(),),
    "ParametricActivation": (ParametricActivation("tanh"), ParametricActivation("gelu")),
}


def fitted(layer: Any, d: int) -> Any:
    """The sample for inputs of width d: categories and branches name their columns, so they are repeated or cut."""
    if isinstance(layer, CategoryEmbedding):
        return replace(layer, sizes=tuple(islice(cycle(layer.sizes), d)))
    if isinstance(layer, Parallel):
        branches, left = [], d
        for width, inner in layer.branches:
            if width <= left:
                branches.append((width, fitted(inner, width)))
                left -= width
        return Parallel([*branches, (left, Scale())] if left else branches)
    return layer


LOSS_SAMPLES: Mapping[str, tuple[LossSample, ...]] = {
    "BinaryCrossEntropy": (LossSample(BinaryCrossEntropy(), labels), LossSample(BinaryCrossEntropy(), shares)),
    "SoftmaxCrossEntropy": (
        LossSample(SoftmaxCrossEntropy(), classes),
        LossSample(SoftmaxCrossEntropy(label_smoothing=0.1), classes),
    ),
    "MeanSquaredError": _linked(MeanSquaredError),
    "MeanAbsoluteError": _linked(MeanAbsoluteError),
    "Huber": _linked(lambda link: Huber(delta=0.4, link=link)),
    "Poisson": (LossSample(Poisson(), counts, bounded=False),),
    "Quantile": _linked(lambda link: Quantile(link=link)),
    "MultiSoftmaxCrossEntropy": (
        LossSample(MultiSoftmaxCrossEntropy((3,)), blocks(3)),
        LossSample(MultiSoftmaxCrossEntropy((2, 1), label_smoothing=0.1), blocks(2, 1)),
    ),
}

OPTIMIZER_SAMPLES: Mapping[str, tuple[Any, ...]] = {
    "SGD": (SGD(),),
    "EmaMomentum": (EmaMomentum(), EmaMomentum(beta=0.5)),
    "SGDMomentum": (SGDMomentum(),),
    "Nesterov": (Nesterov(),),
    "RMSProp": (RMSProp(), RMSProp(rho=0.0, epsilon=1e-3)),
    "AdaGrad": (AdaGrad(),),
    "Adam": (Adam(), Adam(beta1=0.0, beta2=0.0)),
    "AdamW": (AdamW(), AdamW(weight_decay=0.0)),
    "GradientAccumulation": (GradientAccumulation(Adam(), 2), GradientAccumulation(SGD(), 1)),
}

CLIP_SAMPLES: Mapping[str, tuple[Any, ...]] = {
    "ClipNorm": (ClipNorm(), ClipNorm(0.1)),
    "ClipValue": (ClipValue(), ClipValue(0.1)),
}

SCHEDULE_SAMPLES: Mapping[str, tuple[Any, ...]] = {
    "ConstantSchedule": (ConstantSchedule(),),
    "Step": (Step(), Step(every=0.5, drop=0.9)),
    "Exponential": (Exponential(),),
    "InverseTimeDecay": (InverseTimeDecay(),),
    "Cosine": (Cosine(), Cosine(end=0.1)),
    "CosineLog": (CosineLog(), CosineLog(cycles=1)),
    "FlatCosine": (FlatCosine(), FlatCosine(flat=0.0)),
    "CosineRestarts": (CosineRestarts(), CosineRestarts(cycle=1.5, growth=1.0, end=0.2)),
    "WarmUp": (WarmUp(), WarmUp(epochs=2.0, start=0.1, after=Cosine())),
    "OneCycle": (OneCycle(), OneCycle(warmup_fraction=0.5, div_factor=10.0, final_div_factor=10.0)),
    "ReduceOnPlateau": (ReduceOnPlateau(), ReduceOnPlateau(drop=0.5, patience=2)),
}

PENALTIES = (Penalty(), Penalty(l1=0.01), Penalty(l2=0.1), Penalty(l1=0.01, l2=0.1))


def flat(table: Mapping[str, tuple[Any, ...]]) -> list[Any]:
    """Every sample of a table."""
    return [sample for samples in table.values() for sample in samples]


def name(sample: Any) -> str:
    """A readable test id."""
    if isinstance(sample, LossSample):
        return f"{sample.loss}-{sample.targets.__name__}"
    return str(sample)
