"""Why: what was trained can be written down and built again. In: every sample. Out: equal pieces after a way through JSON,
and errors that name the place.
"""

import json

import pytest
from registry import (
    ACTIVATION_SAMPLES,
    CLIP_SAMPLES,
    INITIALIZER_SAMPLES,
    LAYER_SAMPLES,
    LOSS_SAMPLES,
    OPTIMIZER_SAMPLES,
    PENALTIES,
    SCHEDULE_SAMPLES,
    flat,
    name,
)

from chainrule import Activation, Dense, Net, mlp
from chainrule.errors import FormatError
from chainrule.nn.activations import LeakyReLU
from chainrule.nn.initializers import Normal
from chainrule.nn.optimizers import AdamW, GradientAccumulation
from chainrule.nn.schedules import Cosine, WarmUp
from chainrule.nn.spec import REGISTRY, decode, encode

TABLES = (ACTIVATION_SAMPLES, CLIP_SAMPLES, INITIALIZER_SAMPLES, LAYER_SAMPLES, OPTIMIZER_SAMPLES, SCHEDULE_SAMPLES)
PIECE_SAMPLES = [piece for samples in TABLES for piece in flat(samples)]
PIECE_SAMPLES += [sample.loss for sample in flat(LOSS_SAMPLES)] + list(PENALTIES)
NETS = [
    mlp(4, [8, 6], 3, norm="batch", dropout=0.2),
    Net(2, [Dense(3, initializer=Normal(sigma=0.1)), Activation(LeakyReLU(0.2)), Dense(1, bias=False)]),
]


@pytest.mark.parametrize("piece", [*PIECE_SAMPLES, *NETS, WarmUp(after=WarmUp(after=Cosine(end=0.1)))], ids=name)
def test_round_trip_through_json(piece):
    plain = json.loads(json.dumps(encode(piece), allow_nan=False))
    assert plain["type"] == type(piece).__name__
    assert decode(plain) == piece
    assert encode(decode(plain)) == plain


def test_every_piece_in_the_vocabulary_is_sampled():
    assert {type(piece).__name__ for piece in [*PIECE_SAMPLES, *NETS]} == set(REGISTRY)


def test_a_rule_within_a_rule_and_lists_of_numbers():
    plain = {"type": "GradientAccumulation", "optimizer": encode(AdamW(weight_decay=0.1)), "steps": 3}
    assert encode(GradientAccumulation(AdamW(weight_decay=0.1), 3)) == plain
    assert decode(plain) == GradientAccumulation(AdamW(weight_decay=0.1), 3)
    assert decode({"type": "Quantile", "levels": [0.1, 0.9]}).levels == (0.1, 0.9)
    assert encode(decode({"type": "MultiSoftmaxCrossEntropy", "sizes": [2, 3]}))["sizes"] == [2, 3]
    with pytest.raises(FormatError, match=r"^spec: GradientAccumulation cannot be built\. .* must be an optimizer or"):
        decode({"type": "GradientAccumulation", "optimizer": {"type": "Dropout"}, "steps": 2})


def test_class_settings_are_not_written():
    assert encode(flat(OPTIMIZER_SAMPLES)[0]) == {"type": "SGD"}


def test_missing_settings_take_their_defaults():
    assert decode({"type": "Dense", "units": 3}) == Dense(3)


def test_mappings_and_lists_are_encoded_inside():
    assert encode({"a": [Dense(1, initializer="he")], "b": 2}) == {
        "a": [{"type": "Dense", "units": 1, "bias": True, "initializer": "he", "bias_initializer": "zeros"}],
        "b": 2,
    }


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"type": "Dens", "units": 3}, r"^spec: type must be known, got 'Dens'\. Did you mean 'Dense'\?$"),
        ({"units": 3}, r"^spec: type must be known, got None\."),
        ({"type": ["Dense"]}, r"^spec: type must be known, got \['Dense'\]\."),
        ({"type": "Dropout", "rat": 0.5}, r"^spec: Dropout has no setting 'rat'\. Did you mean 'rate'\?$"),
        (
            {"type": "Dropout", "rate": 2},
            r"^spec: Dropout cannot be built\. Dropout: rate must be in \[0, 1\), got 2\.",
        ),
        ({"type": "Dense"}, r"^spec: Dense cannot be built\. .*missing 1 required positional argument: 'units'"),
        ({"type": "Net", "inputs": 2, "layers": 3}, r"^spec: Net cannot be built\."),
        (
            {"type": "Net", "inputs": 2, "layers": [{"type": "Dense", "units": 1}, {"type": "ReLu"}]},
            r"^spec\.layers\[1\]: type must be known, got 'ReLu'\. Did you mean 'ReLU'\?$",
        ),
        (
            {"type": "WarmUp", "after": {"type": "Cosine", "ends": 0}},
            r"^spec\.after: Cosine has no setting 'ends'\. Did you mean 'end'\?$",
        ),
        ({"type": "WarmUp", "after": {"type": "Dense", "units": 1}}, r"^spec: WarmUp cannot be built\. .* a schedule"),
        ({"type": "Net", "inputs": 2, "layers": [{"type": "Adam"}]}, r"^spec: Net cannot be built\. .*layers\[0\]"),
    ],
)
def test_wrong_specs(plain, message):
    with pytest.raises(FormatError, match=message):
        decode(plain)


def test_the_place_can_be_named():
    with pytest.raises(FormatError, match=r"^model\.json: type must be known, got 'os\.system'"):
        decode({"type": "os.system"}, "model.json")
