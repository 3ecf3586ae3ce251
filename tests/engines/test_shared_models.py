"""Why: models are shared by threads, forked, copied and pickled; every answer must have the bits of a single quiet call.

In: one fitted model used by many threads at once, in forked children, in joblib's processes; copies. Out: equal bits.
"""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from joblib import Parallel, delayed

from chainrule import NetClassifier, NetRegressor, load_model, save_model
from chainrule.engines import ENGINES, Rows, why_unavailable
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.nn.step import Recipe

N = 300
X = np.random.default_rng(0).normal(size=(N, 6))
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
SIZES = (1, 2, 3, 4, 5, 64, 192, 193, 300)
THREADS = 6
ROUNDS = 40


@pytest.fixture(scope="module", params=["classifier", "regressor", "batch norm", "several networks"])
def estimator(request):
    options = {"max_iter": 3, "random_state": 0}
    if request.param == "regressor":
        return NetRegressor((16, 8), **options).fit(X, X[:, 0])
    extra = {"batch norm": {"batch_norm": True}, "several networks": {"n_networks": 3}}.get(request.param, {})
    return NetClassifier((16, 8), **options, **extra).fit(X, Y)


def answers(model) -> list[bytes]:
    return [np.ascontiguousarray(model.logits(X[:n])).tobytes() for n in SIZES]


def at_once(call: Callable[[int], object], threads: int = THREADS) -> list[object]:
    """What a call returns in several threads that begin together."""
    gate = threading.Barrier(threads)

    def begin(i: int) -> object:
        gate.wait()
        return call(i)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(begin, range(threads)))


def test_threads_that_share_a_model_get_the_bits_of_one(estimator):
    """2160 predictions of nine sizes at the same time, on one model."""
    model = estimator.model_
    expected = answers(model)
    found = at_once(lambda i: [answers(model) == expected for _ in range(ROUNDS)])
    assert found == [[True] * ROUNDS] * THREADS


def test_threads_that_meet_a_model_first_build_it_once_or_alike(estimator):
    expected = answers(estimator.model_)
    for _ in range(10):
        fresh = pickle.loads(pickle.dumps(estimator.model_))
        assert at_once(lambda i, m=fresh: answers(m)) == [expected] * THREADS


@pytest.mark.parametrize("name", [name for name in ENGINES if not why_unavailable(name) and name != "jax"])
def test_fits_in_threads_have_the_bits_of_fits_alone(name):
    def trained(seed: int) -> bytes:
        recipe = Recipe(mlp(6, [12], 3, norm="batch", dropout=0.2), SoftmaxCrossEntropy(), batch_size=16, seed=seed)
        session = ENGINES[name]().compile(recipe, Rows.of(recipe, X, Y))
        for epoch in range(3):
            session.run(epoch, 0, np.full(len(recipe.batches(N)), 1e-2))
        return session.state.w.tobytes()

    alone = [trained(seed) for seed in range(THREADS)]
    assert len(set(alone)) == THREADS
    assert at_once(trained) == alone


def test_estimators_fitted_in_threads_are_those_fitted_alone():
    def fitted(seed: int) -> bytes:
        network = NetClassifier((8,), max_iter=3, random_state=seed, early_stopping=True).fit(X, Y)
        return network.model_.w.tobytes()

    alone = [fitted(seed) for seed in range(4)]
    assert at_once(fitted, 4) == alone


def _answer(model, results) -> None:
    results.put(answers(model))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:os.fork")
def test_children_forked_after_a_fit_predict_the_same_bits(estimator):
    """OpenMP's threads do not survive a fork: a child that waited for them would wait forever."""
    expected = answers(estimator.model_)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    children = [context.Process(target=_answer, args=(estimator.model_, results)) for _ in range(3)]
    for child in children:
        child.start()
    assert [results.get(timeout=120) for _ in children] == [expected] * 3
    for child in children:
        child.join(60)
        assert child.exitcode == 0


@pytest.mark.slow
def test_processes_of_joblib_predict_the_same_bits(estimator):
    expected = answers(estimator.model_)
    assert Parallel(2, backend="loky")(delayed(answers)(estimator.model_) for _ in range(4)) == [expected] * 4


COPIES = {
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "pickle of protocol 2": lambda x: pickle.loads(pickle.dumps(x, protocol=2)),
    "copy": copy.copy,
    "deep copy": copy.deepcopy,
    "twice": lambda x: pickle.loads(pickle.dumps(copy.deepcopy(x))),
}


@pytest.mark.parametrize("name", list(COPIES))
def test_copies_predict_the_same_bits_and_stand_alone(estimator, name):
    expected = answers(estimator.model_)
    other = COPIES[name](estimator)
    assert answers(other.model_) == expected
    assert answers(COPIES[name](estimator.model_)) == expected
    other.set_params(max_iter=1, random_state=1).fit(
        X[:100], X[:100, 0] if isinstance(other, NetRegressor) else Y[:100]
    )
    assert answers(estimator.model_) == expected


def test_a_saved_model_predicts_the_same_bits(estimator, tmp_path):
    save_model(estimator, tmp_path / "model")
    assert answers(load_model(tmp_path / "model")) == answers(estimator.model_)


@pytest.mark.parametrize("change", ["w", "buffers"])
def test_a_predictor_keeps_its_numbers_when_the_vectors_change(change):
    from chainrule.engines import predictor

    net = mlp(6, [5], 2, norm="batch")
    w, buffers = net.init(0)
    logits = predictor(net, w, buffers)
    expected = logits(X).tobytes()
    {"w": w, "buffers": buffers}[change][:] = 7.0
    assert logits(X).tobytes() == expected
