"""Why: a new piece must not come in untested. In: registries and samples. Out: a failure for what is missing."""

from dataclasses import FrozenInstanceError, fields

import pytest
from registry import (
    ACTIVATION_SAMPLES,
    CLIP_SAMPLES,
    INITIALIZER_SAMPLES,
    LAYER_SAMPLES,
    LOSS_SAMPLES,
    OPTIMIZER_SAMPLES,
    SCHEDULE_SAMPLES,
    flat,
    name,
)

from chainrule.nn.activations import ACTIVATIONS
from chainrule.nn.initializers import INITIALIZERS
from chainrule.nn.layers import LAYERS
from chainrule.nn.losses import LINKS, LOSSES
from chainrule.nn.optimizers import OPTIMIZERS
from chainrule.nn.penalties import CLIPS
from chainrule.nn.schedules import SCHEDULES

LOSS_PIECES = {key: tuple(sample.loss for sample in samples) for key, samples in LOSS_SAMPLES.items()}
TABLES = {
    "activations": (ACTIVATIONS, ACTIVATION_SAMPLES),
    "initializers": (INITIALIZERS, INITIALIZER_SAMPLES),
    "layers": (LAYERS, LAYER_SAMPLES),
    "losses": (LOSSES, LOSS_PIECES),
    "optimizers": (OPTIMIZERS, OPTIMIZER_SAMPLES),
    "clips": (CLIPS, CLIP_SAMPLES),
    "schedules": (SCHEDULES, SCHEDULE_SAMPLES),
}
EVERY_PIECE = [piece for _, samples in TABLES.values() for piece in flat(samples)]


@pytest.mark.parametrize(("known", "samples"), TABLES.values(), ids=TABLES)
def test_every_registry_entry_has_a_sample_of_its_type(known, samples):
    assert set(samples) == set(known)
    for key, pieces in samples.items():
        assert isinstance(known[key], type) or known[key] in pieces
        kind = known[key] if isinstance(known[key], type) else type(known[key])
        assert pieces
        assert all(type(piece) is kind for piece in pieces)


@pytest.mark.parametrize("kind", [kind for kind in LOSSES.values() if "link" in {f.name for f in fields(kind)}])
def test_every_loss_with_a_link_is_sampled_with_every_link(kind):
    assert [piece.link for piece in LOSS_PIECES[kind.__name__]] == list(LINKS)


@pytest.mark.parametrize("link", LINKS)
def test_every_link_is_an_activation(link):
    assert link in ACTIVATIONS


@pytest.mark.parametrize("piece", EVERY_PIECE, ids=name)
def test_pieces_are_frozen_equal_by_value_and_hashable(piece):
    twin = type(piece)(**{f.name: getattr(piece, f.name) for f in fields(piece)})
    assert twin == piece
    assert hash(twin) == hash(piece)
    with pytest.raises(FrozenInstanceError):
        piece.anything = 1
