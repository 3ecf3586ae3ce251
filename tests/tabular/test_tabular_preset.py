"""Why: presets are data: drawn members follow from number and seed, and wrong data is named."""

from __future__ import annotations

import json

import pytest

from chainrule.errors import FormatError, InvalidValueError, MissingError
from chainrule.tabular import Preset, presets


def test_a_member_does_not_depend_on_how_many_there_are():
    assert [Preset(members=4).draw(k, 7) for k in range(4)] == [Preset(members=99).draw(k, 7) for k in range(4)]


def test_draws_stay_within_their_ranges_and_reach_both_ends():
    preset = Preset(width=(64, 256), layers=(1, 3), dropout=0.4)
    drawn = [preset.draw(k, 0) for k in range(300)]
    assert {each.layers for each in drawn} == {1, 2, 3}
    assert {each.width for each in drawn} == set(range(64, 257, 32))
    assert 0.4 < sum(each.dropout == 0.0 for each in drawn) / 300 < 0.6
    assert all(0.0 <= each.dropout <= 0.4 for each in drawn)
    low, high = preset.learning_rate
    assert all(low <= each.learning_rate <= high for each in drawn)
    assert {each.fold for each in drawn} == set(range(preset.folds))


def test_every_pair_of_embedding_and_transform_is_dealt():
    preset = Preset(embeddings=("cosine", "piecewise_linear"), transforms=("quantile", "robust"))
    assert len({(each.embedding, each.transform) for each in (preset.draw(k, 0) for k in range(4))}) == 4


@pytest.mark.parametrize(("n", "batch"), [(100, 32), (5_000, 128), (20_000, 256), (1_000_000, 256)])
def test_batches_grow_with_the_rows(n, batch):
    assert Preset(batch_size=(32, 256)).rows_per_batch(n) == batch


def test_epochs_keep_the_number_of_steps_within_their_limits():
    preset = Preset(steps=2000, epochs=(6, 120), batch_size=(32, 256))
    assert preset.epochs_for(100) == 120
    assert preset.epochs_for(12_800) == 40
    assert preset.epochs_for(10_000_000) == 6


def test_a_preset_comes_back_from_its_file(tmp_path):
    preset = Preset(members=3, width=(32, 64), embeddings=("pbld",))
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(presets.to_plain(preset)))
    assert presets.get(file) == preset
    assert presets.get(str(file)) == preset


@pytest.mark.parametrize(
    ("plain", "sentence"),
    [
        ({"member": 3}, "'member' is not a part of a preset. Did you mean 'members'?"),
        ({"members": 0}, "members must be"),
        ({"width": [64]}, "width must be two ascending numbers"),
        ({"width": [64, 32]}, "width must be two ascending numbers"),
        ({"learning_rate": ["a", "b"]}, "learning_rate must be"),
        ({"embeddings": ["cosin"]}, "Did you mean 'cosine'?"),
        ({"transforms": []}, "transforms must be"),
        ({"dropout": 1.0}, "dropout must be"),
    ],
)
def test_wrong_presets_are_named(tmp_path, plain, sentence):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(plain))
    with pytest.raises(InvalidValueError) as caught:
        presets.get(file)
    assert sentence in str(caught.value)


def test_files_that_are_no_presets(tmp_path):
    with pytest.raises(MissingError):
        presets.get(tmp_path / "none.json")
    for text in ("[1]", "{", '"table"'):
        (tmp_path / "mine.json").write_text(text)
        with pytest.raises(FormatError):
            presets.get(tmp_path / "mine.json")
