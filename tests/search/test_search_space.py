"""Why: a search is as good as its space, and a fault in it must cost a sentence, not a night.

In: spaces as mappings and TOML. Out: values within their limits, settings, every fault at once.
"""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.errors import FormatError, InvalidValueError, MissingError
from chainrule.pipeline import Settings
from chainrule.search import Dimension, Space, default_space
from chainrule.search.halving import promoted, rung_ends
from chainrule.search.results import RungScore, Trial

shares = st.floats(0.0, 1.0, exclude_min=True, exclude_max=True)


@given(shares, st.floats(1e-6, 1e3), st.floats(1.0, 1e4), st.booleans())
def test_numbers_stay_within_their_ends(u, low, factor, log):
    dimension = Dimension("alpha", low, low * factor, log=log)
    assert low <= dimension.at(u) <= low * factor
    # Drawn values keep six digits; from one decade to the next that is 5e-6 of the value, and of the way.
    if factor > 2:
        assert dimension.place(dimension.at(u)) == pytest.approx(u, abs=2e-5)


@given(shares, st.integers(1, 50), st.integers(0, 60), st.booleans())
def test_whole_numbers_stay_within_their_ends(u, low, more, log):
    value = Dimension("width", low, low + more, log=log, whole=True).at(u)
    assert isinstance(value, int)
    assert low <= value <= low + more


@pytest.mark.parametrize("log", [False, True])
def test_every_whole_number_has_its_share(log):
    dimension = Dimension("depth", 1, 4, log=log, whole=True)
    found = [dimension.at((i + 0.5) / 9000) for i in range(9000)]
    # On a log scale k has what lies between k - 1/2 and k + 1/2.
    ends = np.log([0.5, 1.5, 2.5, 3.5, 4.5]) if log else np.arange(5.0)
    expected = np.diff(ends) / (ends[-1] - ends[0])
    np.testing.assert_allclose([found.count(k) / 9000 for k in range(1, 5)], expected, atol=2 / 9000)


def test_steps_and_choices():
    assert {Dimension("width", 8, 30, step=8, whole=True).at(u) for u in np.linspace(0.01, 0.99, 50)} == {8, 16, 24}
    found = {Dimension("dropout", 0.0, 0.3, step=0.1).at(u) for u in np.linspace(0.01, 0.99, 50)}
    assert sorted(found) == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert {Dimension("activation", choices=("relu", "tanh")).at(u) for u in (0.2, 0.8)} == {"relu", "tanh"}


def test_draws_follow_from_seed_and_number():
    space = default_space(1000)
    assert space.draw(3, 7) == space.draw(3, 7)
    drawn = [tuple(space.draw(seed, number).items()) for seed in range(5) for number in range(20)]
    assert len(set(drawn)) == 100


def test_every_draw_of_the_default_space_is_allowed():
    space = default_space(400)
    for number in range(200):
        space.settings(space.draw(0, number), Settings()).check("test")


def test_values_become_settings():
    space = Space.of({"width": {"low": 8, "high": 16}, "depth": {"choices": [0, 2]}, "max_iter": 7, "batch_size": 16})
    settings = space.settings({"width": 9, "depth": 2}, Settings(dropout=0.1))
    assert settings == Settings(hidden_layer_sizes=(9, 9), max_iter=7, batch_size=16, dropout=0.1)
    assert space.settings({"width": 9, "depth": 0}, Settings()).hidden_layer_sizes == ()
    layers = Space.of({"hidden_layer_sizes": {"choices": [[64], [32, 32]]}})
    assert layers.settings(layers.at([0.9]), Settings()).hidden_layer_sizes == (32, 32)


def test_a_file_says_the_same(tmp_path):
    file = tmp_path / "space.toml"
    file.write_text('learning_rate_init = {low = 1e-4, high = 1e-1, log = true}\nactivation = {choices = ["relu"]}\n')
    plain = {"learning_rate_init": {"low": 1e-4, "high": 1e-1, "log": True}, "activation": {"choices": ["relu"]}}
    assert Space.read(file) == Space.of(plain)
    assert Space.of(Space.of(plain).plain()) == Space.of(plain)
    with pytest.raises(MissingError, match=r"must be an existing \.toml file"):
        Space.read(tmp_path / "none.toml")
    file.write_text("a = = 1")
    with pytest.raises(FormatError, match="must be a TOML file"):
        Space.read(file)


def test_all_faults_at_once():
    plain = {
        "droput": {"low": 0, "high": 1},
        "alpha": {"low": 1.0, "high": 0.1},
        "width": {"low": 0.5, "high": 8},
        "l1_alpha": {"low": 0.0, "high": 1.0, "log": True},
        "activation": {"choices": []},
        "accumulate_grad_batches": {"min": 1, "low": 1, "high": 2},
        "hidden_layer_sizes": {"choices": [[8]]},
        "seed": {"low": 0, "high": 3},
    }
    with pytest.raises(InvalidValueError) as error:
        Space.of(plain)
    told = str(error.value).splitlines()
    for expected in (
        "space: name must be a setting that can be searched, got 'droput'. Did you mean 'dropout'?",
        "space: alpha: low must be at most high (0.1), got 1.0.",
        "space: width: low must be a whole number, got 0.5.",
        "space: l1_alpha: low must be above 0 on a log scale, got 0.0.",
        "space: activation: choices must be a list of at least one value, got [].",
        "space: width must be omitted if hidden_layer_sizes is given, got {'low': 0.5, 'high': 8}.",
    ):
        assert expected in told
    assert any("key must be low, high, log, step or choices, got 'min'" in line for line in told)
    assert any("got 'seed'" in line for line in told)


def test_values_that_settings_do_not_allow_are_told():
    with pytest.raises(InvalidValueError) as error:
        Space.of({"dropout": {"low": 0.0, "high": 1.5}, "activation": {"choices": ["relu", "rellu"]}, "depth": 200})
    told = str(error.value)
    assert "space: dropout must be in [0, 1), got 1.5. It is the fraction dropped." in told
    assert "got 'rellu'. Did you mean 'relu'?" in told
    assert "space: depth must be a whole number in [0, 100], got 200." in told
    assert list(Space.of({"batch_size": {"choices": [8, 64]}}).batch_faults("s", Settings(), 50)) == [
        "s: batch_size must be at most the number of training rows (50), got 64."
    ]


def trial(number, *scores, state="running"):
    return Trial(number, {}, state, tuple(RungScore(3**k, s, 1.0, 3**k, 1, 0.1) for k, s in enumerate(scores)))


def test_the_best_third_goes_on():
    trials = [trial(i, score) for i, score in enumerate([0.1, 0.9, 0.5, 0.8, 0.3, 0.2])]
    assert promoted(trials[:2], 3, (), "accuracy") is None
    assert promoted(trials[:3], 3, (), "accuracy").number == 1
    assert promoted(trials, 3, (), "accuracy").number == 1
    assert promoted(trials, 3, {1}, "accuracy").number == 3
    assert promoted(trials, 3, {1, 3}, "accuracy") is None
    assert promoted(trials, 3, (), "rmse").number == 0
    trials[1] = trial(1, 0.9, 0.95)
    assert promoted(trials, 3, {3}, "accuracy") is None
    trials[3], trials[2] = trial(3, 0.8, 0.7), trial(2, 0.5, 0.99)
    assert promoted(trials, 3, (), "accuracy").number == 2


def test_a_trial_that_has_ended_does_not_go_on_but_counts():
    trials = [trial(0, 0.9, state="complete"), trial(1, 0.5), trial(2, math.nan)]
    assert promoted(trials, 2, (), "accuracy") is None


@given(st.integers(1, 10**5))
def test_rungs_rise_to_the_whole_course(epochs):
    ends = rung_ends(epochs)
    assert ends[-1] == epochs
    assert ends[0] >= 1
    assert all(a < b <= 3 * a for a, b in pairwise(ends))
