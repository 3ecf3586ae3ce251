"""Random bits that are the same on every engine, for any number of threads, and after a resume.

In: a seed and a path of whole numbers (purpose, step, layer). Out: 32-bit words, one for each index, computed from
nothing but the key and the index, so that no engine has to pass a generator's state to another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from chainrule.arrays import Array, Namespace
from chainrule.errors import InvalidValueError, must_be

_GOLDEN = 0x9E3779B9
_MASK = 0xFFFFFFFF
_FACTORS = 0x21F0AAAD, 0xD35A2D97
_M1, _M2 = map(np.uint32, _FACTORS)
_S15, _S16 = np.uint32(15), np.uint32(16)
_NUMBERS = (int, np.integer)


class Purpose(IntEnum):
    """Uses of random streams; two purposes never share bits."""

    INIT = 1
    SHUFFLE = 2
    DROPOUT = 3
    SPLIT = 4
    SEARCH = 5
    FOREST = 6


def _word(value: Any) -> Array:
    """Return one 32-bit word as an array of shape (1,), so that products wrap instead of warning."""
    if isinstance(value, _NUMBERS):
        return np.array([int(value) & _MASK], dtype=np.uint32)
    return value.reshape(1).astype(np.uint32)


def mix(x: Array) -> Array:
    """Map 32-bit words one to one such that every input bit reaches every output bit.

    Two rounds of multiply and xor-shift with constants found by search for the lowest bias.

    Shapes     x (n,) uint32 -> (n,) uint32
    Reference  [wellons2018]
    """
    x = (x ^ (x >> _S16)) * _M1
    x = (x ^ (x >> _S15)) * _M2
    return x ^ (x >> _S15)


def _mix_one(x: int) -> int:
    """Map one word as `mix` does: of a Python integer this takes a tenth of the time."""
    x ^= x >> 16
    x = x * _FACTORS[0] & _MASK
    x ^= x >> 15
    x = x * _FACTORS[1] & _MASK
    return x ^ x >> 15


@dataclass(frozen=True, eq=False)
class Stream:
    """A key of 64 bits from which any number of words can be read at any index.

    Parameters
    ----------
    a, b : uint32, or array of shape (1,) or (K, 1), uint32
        The two halves of the key; arrays where the key is computed by a compiled program, or of K streams.

    Examples
    --------
    >>> stream = Stream.from_seed(7).fold(Purpose.DROPOUT, 3)
    >>> stream.words(np, 3).dtype.name
    'uint32'
    >>> bool((stream.words(np, 5)[:3] == stream.words(np, 3)).all())
    True
    """

    a: Array
    b: Array

    @classmethod
    def from_seed(cls, seed: int) -> Stream:
        """Return the root stream of a seed in [0, 2**64); raise `InvalidValueError` for any other."""
        if not 0 <= seed < 2**64:
            raise InvalidValueError(must_be("Stream", "seed", "in [0, 2**64)", seed))
        return cls(np.uint32(int(seed) & _MASK), np.uint32(int(seed) >> 32)).fold(_GOLDEN)

    @classmethod
    def from_seeds(cls, seeds: Sequence[int]) -> Stream:
        """Return the root streams of several seeds as one, which draws a row for each of them, in one pass over memory."""
        words = np.array([(seed & _MASK, seed >> 32) for seed in map(int, seeds)], np.uint32)
        return cls(words[:, :1], words[:, 1:]).fold(_GOLDEN)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of what it draws, before the numbers of a row: empty for a single stream."""
        return tuple(self.a.shape[:-1])

    def fold(self, *path: Any) -> Stream:
        """Return the stream one step down for each number of the path; different numbers give different keys.

        Numbers may be Python integers or scalars of the running namespace (a traced step counter).

        Forward    (1) a' = mix(a ⊕ mix(v))    (2) b' = mix((b + v·φ) ⊕ a')
        """
        a, b = self.a, self.b
        if isinstance(a, np.uint32) and all(isinstance(value, _NUMBERS) for value in path):
            return self._fold_numbers(path)
        for value in path:
            v = _word(value)
            a = mix(a ^ mix(v))  # (1)
            b = mix((b + v * np.uint32(_GOLDEN)) ^ a)  # (2)
        return Stream(a, b)

    def _fold_numbers(self, path: tuple[int, ...]) -> Stream:
        """Return what `fold` returns, of numbers that are known, without arrays."""
        a, b = int(self.a), int(self.b)
        for value in path:
            v = int(value) & _MASK
            a = _mix_one(a ^ _mix_one(v))
            b = _mix_one((b + v * _GOLDEN & _MASK) ^ a)
        return Stream(np.uint32(a), np.uint32(b))

    def words(self, xp: Namespace, n: int) -> Array:
        """Return n words, uint32, all different: word(i) = mix(mix(i + a) ⊕ b)."""
        return mix(mix(xp.arange(n, dtype=np.uint32) + self.a) ^ self.b)

    def keep(self, xp: Namespace, shape: tuple[int, int], rate: float) -> Array:
        """Draw a mask (n, d) of booleans, each False with probability `rate`; index = row·d + column."""
        threshold = np.uint32(min(round(rate * 2.0**32), _MASK))
        return (self.words(xp, shape[0] * shape[1]) >= threshold).reshape(shape)

    def permutation(self, xp: Namespace, n: int) -> Array:
        """Draw a permutation of 0..n-1: the order that sorts n words (all different, so there are no ties)."""
        return xp.argsort(self.words(xp, n))

    def uniform(self, n: int) -> Array:
        """Draw n numbers in the open interval (0, 1), float64, on the host."""
        return (self.words(np, n).astype(np.float64) + 0.5) / 2.0**32

    def normal(self, n: int) -> Array:
        """Draw n standard normal numbers, float64, on the host, by the polar formula of Box and Muller.

        Reference  [box1958]
        """
        one, other = self.fold(1), self.fold(2)
        both = [np.array(halves).reshape(2, *self.shape, 1) for halves in ((one.a, other.a), (one.b, other.b))]
        first, second = Stream(*both).uniform(n)
        radius = np.sqrt(-2.0 * np.log(first))
        return radius * np.cos(2.0 * np.pi * second)
