"""Why: one stream of bits serves every engine, so its bits are frozen and its randomness is measured.

In: seeds, paths, lengths. Out: golden words, statistics with stated bounds, and equality between NumPy and jitted JAX.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from chainrule.random import Purpose, Stream, mix

N = 1 << 16
SURE = 1e-7  # chance that a good generator fails one statistical bound


def words(*path, seed=0, n=N):
    return Stream.from_seed(seed).fold(*path).words(np, n)


GOLDEN = {
    (0, ()): "5ebdb982 66ece7cf 1da1bce8 22bf9a91",
    (1, ()): "0436940c f50dded0 e356cec5 2665381c",
    (2**32, ()): "033d96d2 4b1441f1 76af78a5 741f459d",
    (2**64 - 1, ()): "3a2341f3 d2159816 9cbe49e1 72b72271",
    (0, (1,)): "f1704eed e6a3f71d f79ad489 1d7d1b62",
    (0, (1, 0)): "e90c8e71 57273661 5840b849 c7d3d44e",
    (0, (2, 5)): "bd35e9eb 2667eb80 63a7581e 148672d8",
    (42, (3, 1000, 2)): "b5380056 097422f9 33526d01 adc1b4cb",
}


@pytest.mark.parametrize(("key", "golden"), GOLDEN.items(), ids=str)
def test_golden_words(key, golden):
    seed, path = key
    assert [f"{int(word):08x}" for word in words(*path, seed=seed, n=4)] == golden.split()


def test_purposes_are_frozen():
    names = ("INIT", "SHUFFLE", "DROPOUT", "SPLIT", "SEARCH", "FOREST")
    assert {purpose.name: int(purpose) for purpose in Purpose} == {name: i for i, name in enumerate(names, 1)}


def test_golden_draws():
    stream = Stream.from_seed(7)
    np.testing.assert_array_equal(stream.permutation(np, 8), [0, 2, 7, 5, 4, 1, 3, 6])
    np.testing.assert_allclose(
        stream.normal(3), [-0.48469238805376774, 1.755209993952254, 1.8491777133296967], rtol=1e-12
    )
    np.testing.assert_array_equal(stream.keep(np, (2, 4), 0.5), [[False, True, False, True], [True, True, True, False]])


def test_mix_is_a_bijection_with_full_avalanche():
    x = np.arange(N, dtype=np.uint32)
    assert np.unique(mix(x)).size == N
    for bit in range(32):
        flipped = mix(x) ^ mix(x ^ np.uint32(1 << bit))
        share = np.unpackbits(flipped.view(np.uint8).reshape(N, 4), axis=1).mean(axis=0)
        # each output bit flips half of the time; five standard deviations of N throws alone are 0.01
        assert np.abs(share - 0.5).max() < 0.02


@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**64 - 1])
def test_words_are_all_different(seed):
    assert np.unique(words(seed=seed, n=1 << 18)).size == 1 << 18


@pytest.mark.parametrize("path", [(), (Purpose.DROPOUT, 0, 0), (Purpose.SHUFFLE, 12)])
def test_bytes_are_uniform(path):
    counts = np.bincount(words(*path).view(np.uint8), minlength=256)
    assert stats.chisquare(counts).pvalue > SURE


@pytest.mark.parametrize("path", [(), (Purpose.DROPOUT, 3)])
def test_neighboring_words_are_uniform_in_pairs(path):
    top = words(*path) >> np.uint32(27)
    counts = np.bincount((top[0::2] * 32 + top[1::2]).astype(np.int64), minlength=1024)
    assert stats.chisquare(counts).pvalue > SURE


NeighborS = {
    "steps": [{"path": (3, step)} for step in range(6)],
    "layers": [{"path": (3, 0, layer)} for layer in range(6)],
    "purposes": [{"path": (purpose,)} for purpose in Purpose],
    "seeds": [{"seed": seed} for seed in (*range(5), 2**32, 2**32 + 1)],
    "swapped": [{"path": (1, 2)}, {"path": (2, 1)}, {"path": (1,)}, {"path": (2,)}],
}


@pytest.mark.parametrize("streams", NeighborS.values(), ids=NeighborS)
def test_neighboring_streams_are_independent(streams):
    drawn = [words(*s.get("path", ()), seed=s.get("seed", 0)) for s in streams]
    # the correlation of n independent pairs has standard deviation 1/√n; 5.5 of them for 15 pairs and their shifts
    bound = 5.5 / np.sqrt(N)
    for i, one in enumerate(drawn):
        for other in drawn[:i]:
            assert (one != other).mean() > 0.999
            for lag in (0, 1):
                a, b = one[lag:].astype(float), other[: N - lag].astype(float)
                assert abs(np.corrcoef(a, b)[0, 1]) < bound
                bits = np.unpackbits((one[lag:] ^ other[: N - lag]).view(np.uint8)).mean()
                assert abs(bits - 0.5) < 5.5 * 0.5 / np.sqrt(32 * (N - lag))


def test_a_stream_is_not_correlated_with_itself_shifted():
    u = words().astype(float)
    for lag in range(1, 9):
        assert abs(np.corrcoef(u[lag:], u[:-lag])[0, 1]) < 5.5 / np.sqrt(N)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**64 - 1), n=st.integers(0, 300))
def test_permutation_is_a_permutation(seed, n):
    np.testing.assert_array_equal(np.sort(Stream.from_seed(seed).permutation(np, n)), np.arange(n))


def test_permutations_are_uniform():
    # all 24 orders of 4 things are equally likely
    codes = [tuple(Stream.from_seed(seed).permutation(np, 4)) for seed in range(2400)]
    counts = np.unique(codes, axis=0, return_counts=True)[1]
    assert counts.size == 24
    assert stats.chisquare(counts).pvalue > SURE


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**64 - 1), step=st.integers(0, 2**31 - 1), layer=st.integers(0, 100))
def test_numpy_and_jitted_jax_give_the_same_bits(seed, step, layer):
    stream = Stream.from_seed(seed)
    there = _in_jax(stream.a, stream.b, step, layer)
    here = stream.fold(Purpose.DROPOUT, step).fold(layer)
    np.testing.assert_array_equal(here.words(np, 64), there["words"])
    np.testing.assert_array_equal(here.keep(np, (8, 8), 0.3), there["keep"])
    np.testing.assert_array_equal(here.permutation(np, 64), there["permutation"])


@jax.jit
def _in_jax(a, b, step, layer):
    stream = Stream(a, b).fold(Purpose.DROPOUT, step).fold(layer)
    return {
        "words": stream.words(jnp, 64),
        "keep": stream.keep(jnp, (8, 8), 0.3),
        "permutation": stream.permutation(jnp, 64),
    }


def test_folding_takes_any_kind_of_number():
    expected = Stream.from_seed(1).fold(3, 70_000).words(np, 8)
    for kind in (np.int32, np.uint32, np.int64, np.asarray, jnp.asarray):
        np.testing.assert_array_equal(Stream.from_seed(1).fold(kind(3), kind(70_000)).words(np, 8), expected)


def test_folding_in_turn_is_folding_a_path():
    np.testing.assert_array_equal(
        Stream.from_seed(1).fold(2, 3).words(np, 8), Stream.from_seed(1).fold(2).fold(3).words(np, 8)
    )


def test_all_64_bits_of_a_seed_count():
    first = {int(words(seed=seed, n=1)[0]) for seed in (0, 1, 2**31, 2**32, 2**33, 2**63, 2**64 - 1)}
    assert len(first) == 7


def test_words_do_not_depend_on_how_many_are_drawn():
    np.testing.assert_array_equal(words(n=1000)[:10], words(n=10))


@pytest.mark.parametrize("rate", [0.0, 0.001, 0.25, 0.9])
def test_keep_drops_the_rate(rate):
    keep = Stream.from_seed(0).keep(np, (400, 500), rate)
    assert keep.shape == (400, 500)
    assert keep.dtype == bool
    assert abs((~keep).mean() - rate) <= 5.5 * np.sqrt(rate * (1 - rate) / keep.size)


def test_keep_counts_row_by_row():
    stream = Stream.from_seed(0)
    np.testing.assert_array_equal(stream.keep(np, (6, 4), 0.5)[:3], stream.keep(np, (3, 4), 0.5))


def test_uniform_and_normal_follow_their_distributions():
    u, z = Stream.from_seed(0).uniform(N), Stream.from_seed(0).normal(N)
    assert ((u > 0) & (u < 1)).all()
    assert stats.kstest(u, "uniform").pvalue > SURE
    assert stats.kstest(z, "norm").pvalue > SURE
    assert np.isfinite(z).all()


def test_nothing_touches_the_global_generator():
    before = np.random.get_state()[1].copy()  # noqa: NPY002  (the global state is what is looked at)
    Stream.from_seed(0).normal(10)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_arithmetic_wraps_without_warnings():
    # warnings are errors here; the largest keys and indices wrap around in 32 bits
    top = np.array([2**32 - 1], dtype=np.uint32)
    assert Stream(top, top).fold(2**32 - 1, 2**40).words(np, 4).dtype == np.uint32
