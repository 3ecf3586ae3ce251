"""Why: the answer of a pack is the average of its networks, to be checked by hand, for one row as for many.

In: packs of two networks made by hand. Out: probabilities, values and logits, compared with the formulas.
"""

import copy
import pickle
import threading
from dataclasses import replace

import numpy as np
import pytest
from pack_cases import pack_of, regression_pack, schema_of, table, three_classes

from chainrule import Dense, Net
from chainrule.data import Standardizer
from chainrule.data.transforms import FeatureTransform
from chainrule.engines.reference import logits
from chainrule.errors import InvalidValueError
from chainrule.nn.losses import MeanSquaredError
from chainrule.pack import Member, Pack

PACKS = {"two classes": pack_of, "three classes": three_classes, "values": regression_pack}


@pytest.fixture(scope="module")
def E():
    return schema_of().encode("people", table().drop("y"))


def by_hand(pack, E, link):
    """The weighted mean of the members' predictions, computed by the reference engine."""
    total = 0.0
    for member in pack.members:
        rows = pack.transforms[member.transform].apply(E, np.float64)
        Z = logits(member.net, member.w.astype(np.float64), member.buffers.astype(np.float64), rows)
        total = total + member.weight * link(Z)
    return total


def sigmoid(Z):
    return 1 / (1 + np.exp(-Z))


def softmax(Z):
    return np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)


def test_probabilities_are_averaged_by_weight(E):
    P = by_hand(pack_of(), E, sigmoid)
    np.testing.assert_allclose(pack_of().probabilities(E), np.hstack([1 - P, P]), rtol=1e-4, atol=1e-6)
    P = by_hand(three_classes(), E, softmax)
    np.testing.assert_allclose(three_classes().probabilities(E), P, rtol=1e-4, atol=1e-6)
    assert three_classes().predict(E).tolist() == np.array(["a", "b", "c"])[P.argmax(axis=1)].tolist()


def test_weights_matter(E):
    first, second = pack_of().members
    alone = [replace(pack_of(), members=(replace(member, weight=1.0),)).probabilities(E) for member in (first, second)]
    assert np.abs(alone[0] - alone[1]).max() > 0.05
    np.testing.assert_allclose(pack_of().probabilities(E), 0.75 * alone[0] + 0.25 * alone[1], rtol=1e-4, atol=1e-6)


def test_the_temperature_divides_the_logits_of_the_mean(E):
    warm = pack_of(temperature=2.0)
    Z = pack_of().logits(E)
    np.testing.assert_array_equal(warm.logits(E), Z)
    np.testing.assert_allclose(warm.probabilities(E)[:, 1:], sigmoid(Z / 2.0), rtol=1e-5)
    assert (warm.predict(E) == pack_of().predict(E)).all()


def test_values_are_averaged_in_their_unit_and_clamped_to_the_limits(E):
    free = replace(regression_pack(), limits=None)
    expected = 100.0 + 40.0 * by_hand(free, E, lambda Z: Z)[:, 0]
    np.testing.assert_allclose(free.predict(E), expected, rtol=1e-4)
    assert free.predict(E).min() < 80.0
    clamped = regression_pack().predict(E)
    np.testing.assert_array_equal(clamped, np.clip(free.predict(E), 80.0, 120.0))
    assert (clamped.min(), regression_pack().task) == (80.0, "regression")


@pytest.mark.parametrize("case", PACKS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_row_is_answered_as_among_all(E, case, dtype):
    pack = PACKS[case](dtype=dtype)
    together = pack.logits(E)
    assert together.dtype == dtype
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for size in (1, 4, 8):
        parts = [pack.logits(E[i : i + size]) for i in range(0, len(E), size)]
        np.testing.assert_allclose(np.vstack(parts), together, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("case", PACKS)
def test_copies_and_pickles_answer_alike(E, case):
    pack = PACKS[case]()
    expected = pack.logits(E)
    for other in (pickle.loads(pickle.dumps(pack)), copy.deepcopy(pack), PACKS[case]()):
        np.testing.assert_array_equal(other.logits(E), expected)


def test_threads_share_a_pack(E):
    pack = pack_of()
    expected = [pack.logits(E[i : i + 1]).item() for i in range(len(E))]
    found = [[] for _ in range(4)]

    def work(mine):
        mine += [pack.logits(E[i : i + 1]).item() for i in range(len(E))]

    threads = [threading.Thread(target=work, args=(mine,)) for mine in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_rows_of_another_width_are_refused():
    with pytest.raises(InvalidValueError, match=r"^Pack: X must be of shape \(n, 9\), got \(3,\)\.$"):
        pack_of().predict([1.0, 2.0, 3.0])


def test_its_size_counts_all_members():
    assert pack_of().size == sum(len(member.w) for member in pack_of().members)
    assert (pack_of().outputs, three_classes().outputs) == (1, 3)


def test_values_keep_their_digits():
    E = np.zeros((1, 1), np.float32)
    net = Net(1, [Dense(1)])
    transform = FeatureTransform("robust", (0,), (), (), (), np.ones((2, 1, 1)))
    member = Member(net, np.zeros(2, np.float32), np.zeros(0, np.float32))
    scaling = Standardizer(np.array([1234567890.25]), np.array([1.0]))
    pack = Pack((member,), (transform,), MeanSquaredError(), scaling, None, ("x",), "y")
    assert pack.predict(E).tolist() == [1234567890.25]
