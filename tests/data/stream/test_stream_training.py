"""Why: a network that is fed from files must become what it would become with all rows in memory, and continue after a kill.

In: the same rows in files, arrays and batches. Out: equal bits, one line for each fault, memory within its limit.
"""

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import chainrule
from chainrule import NetClassifier, NetRegressor, open_dataset
from chainrule.data import Standardizer
from chainrule.data.stream.parts import TEST, TRAIN, part_codes
from chainrule.data.stream.prefetch import Prefetch
from chainrule.engines import Rows, choose
from chainrule.errors import ChainruleError, DataWarning, InvalidValueError
from chainrule.pipeline import Settings
from chainrule.pipeline.streaming import HoldOut, build_streamed_problem
from chainrule.train import train
from chainrule.train.streamed import StreamSession

SOURCE = str(Path(chainrule.__file__).parents[1])
N, D = 6000, 5
rng = np.random.default_rng(0)
X = (rng.normal(size=(N, D)) * [1, 10, 0.1, 1, 5] + [0, 3, 0, 1, 100]).astype(np.float32)
y = np.where(X[:, 0] * (X[:, 1] - 3) / 10 + X[:, 2] > 0, "yes", "no")
z = X[:, 0] * 2 + X[:, 3] ** 2
NAMES = [f"v{j}" for j in range(D)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    frame = pl.DataFrame({**dict(zip(NAMES, X.T, strict=True)), "y": y, "z": z})
    for k in range(4):
        frame[k * 1500 : (k + 1) * 1500].write_parquet(folder / f"part-{k}.parquet", row_group_size=320)
    np.save(folder / "X.npy", X)
    np.save(folder / "z.npy", z)
    return folder


def dataset(folder, target="y", memory="1MiB", **more):
    drop = ["z" if target == "y" else "y"]
    return open_dataset(f"{folder}/*.parquet", target, max_memory=memory, drop=drop, **more)


def batches():
    for i in range(0, N, 700):
        yield X[i : i + 700], z[i : i + 700]


SOURCES = {
    "parquet": lambda folder: dataset(folder, "z"),
    "npy files": lambda folder: open_dataset(folder / "X.npy", folder / "z.npy", max_memory="1MiB"),
    "arrays": lambda folder: open_dataset(X, z, max_memory="1MiB"),
    "pairs": lambda folder: open_dataset(batches, max_memory="1MiB"),
    "frames": lambda folder: open_dataset(
        lambda: (pl.DataFrame(dict(zip(NAMES, A.T, strict=True))).with_columns(z=b) for A, b in batches()),
        "z",
        max_memory="1MiB",
    ),
}


def in_order(stream, epoch):
    """Return all rows of an epoch as the stream gives them."""
    blocks = list(stream.blocks(epoch))
    return [np.concatenate([block[i] for block in blocks]) for i in range(3)]


EPOCHS = [
    *((source, "native", 33, True) for source in SOURCES),
    ("parquet", "native", 32, False),
    ("parquet", "native", 100, True),
    ("pairs", "native", 1999, False),
    ("npy files", "reference", 1999, True),
    ("parquet", "reference", 500, False),
]


@pytest.mark.parametrize(("source", "engine", "batch", "norm"), EPOCHS)
def test_a_streamed_epoch_is_that_of_the_same_rows_in_memory(folder, source, engine, batch, norm):
    settings = Settings(hidden_layer_sizes=(8,), batch_size=batch, batch_norm=norm, dropout=0.2, max_iter=2)
    problem = build_streamed_problem(settings, SOURCES[source](folder)).problem
    recipe, stream = problem.recipe, problem.stream
    assert len(stream) == N
    chosen = choose(engine, recipe)[0]
    rates = np.full(problem.steps_per_epoch, 0.01)
    session = StreamSession(chosen, recipe, stream)
    state = recipe.start()
    for epoch in (0, 1):
        streamed = session.run(epoch, 0, rates)
        rows = in_order(stream, epoch)
        laid_out = [np.empty_like(part) for part in rows]
        for part, place in zip(rows, laid_out, strict=True):
            place[recipe.order(np, N, 0)] = part
        whole = chosen.compile(recipe, Rows(*laid_out))
        whole.load(state)
        sums = whole.run(0, 0, rates)
        state = whole.state
        assert streamed.steps == sums.steps
        np.testing.assert_allclose([streamed.loss, streamed.weight], [sums.loss, sums.weight], rtol=1e-12)
    assert (session.state.w == state.w).all()
    session.close()


@pytest.mark.parametrize("code", [-1, -(2**40), 3, 4, 2**40])
@pytest.mark.parametrize("engine", ["native", "reference"])
def test_a_class_without_an_output_never_reaches_an_engine(engine, code):
    rows = open_dataset(X, np.arange(N) % 3, max_memory="1MiB")
    problem = build_streamed_problem(Settings(hidden_layer_sizes=(8,), batch_size=64), rows).problem
    assert problem.recipe.net.outputs == 3

    def encoded(labels):
        Y, c = problem.stream.encode(labels)
        Y = Y.copy()
        Y[-1] = code
        return Y, c

    session = StreamSession(choose(engine, problem.recipe)[0], problem.recipe, replace(problem.stream, encode=encoded))
    with pytest.raises(InvalidValueError, match=r"fit: y must be classes in 0\.\.2"):
        session.run(0, 0, np.full(1, 0.01))
    session.close()


@pytest.mark.parametrize("stop_at", [1, 7, 40, 61, 140])
def test_a_training_continues_at_any_step_with_the_same_bits(folder, stop_at):
    problem = build_streamed_problem(Settings(hidden_layer_sizes=(8,), batch_size=64), dataset(folder)).problem
    recipe, per_epoch = problem.recipe, problem.steps_per_epoch
    chosen = choose("native", recipe)[0]

    def trained(pauses):
        session, state, step = None, None, 0
        for end in pauses:
            session = StreamSession(chosen, recipe, problem.stream)
            if state is not None:
                session.load(state)
            while step < end:
                epoch, first = divmod(step, per_epoch)
                count = min(per_epoch - first, end - step)
                session.run(epoch, first, np.full(count, 0.01))
                step += count
            state = session.state
            session.close()
        return state.w

    assert (trained([stop_at, 2 * per_epoch]) == trained([2 * per_epoch])).all()


def test_scaling_target_and_held_out_rows_are_those_in_memory(folder):
    made = build_streamed_problem(Settings(early_stopping=True), dataset(folder), HoldOut(0.1, 0.2))
    held = sum(len(part.X) for part in (made.parts.validation, made.parts.test))
    problem = made.problem
    assert len(problem.stream) + held == N
    cut = problem.stream.cut
    codes = [part_codes(cut.shares, group, 0, size) for group, size in enumerate(cut.source.manifest.sizes)]
    kept = np.concatenate(codes) == TRAIN
    assert kept.sum() == len(problem.stream)
    assert (np.concatenate(codes) == TEST).sum() == len(made.parts.test.X)
    assert made.parts.test.X.tolist() == X[np.concatenate(codes) == TEST].tolist()
    expected = Standardizer.fit(X[kept], hold_constant=True)
    np.testing.assert_allclose(problem.inputs.mean, expected.mean, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(problem.inputs.scale, expected.scale, rtol=1e-12)
    assert problem.classes.tolist() == ["no", "yes"]
    values = build_streamed_problem(Settings(), dataset(folder, "z")).problem
    np.testing.assert_allclose(values.target.scaling.mean, z.mean(dtype=float), rtol=1e-12)
    np.testing.assert_allclose(values.target.scaling.scale, z.std(dtype=float), rtol=1e-12)


def test_estimators_learn_from_streamed_rows_and_predict_plain_ones(folder):
    network = NetClassifier((16,), max_iter=15, learning_rate_init=0.01, early_stopping=True, random_state=0)
    network.fit(dataset(folder, memory="2MB"))
    frame = pl.DataFrame(dict(zip(NAMES, X.T, strict=True)))
    assert network.score(frame, y) > 0.9
    assert network.classes_.tolist() == ["no", "yes"]
    assert network.feature_names_in_.tolist() == NAMES
    values = NetRegressor((16,), max_iter=15, learning_rate_init=0.01, random_state=0).fit(SOURCES["npy files"](folder))
    assert values.score(X, z) > 0.9
    again = NetRegressor((16,), max_iter=15, learning_rate_init=0.01, random_state=0).fit(SOURCES["arrays"](folder))
    assert (again.predict(X) == values.predict(X)).all()


def test_a_loop_of_ones_own_sees_every_row_once_and_continues(folder):
    data = dataset(folder)
    seen = list(data.batches(128, epoch=2))
    assert [len(part) for _, part in seen] == [128] * (N // 128) + [N % 128]
    assert sorted(np.concatenate([part[:, 0] for part, _ in seen]).tolist()) == sorted(X[:, 0].astype(float).tolist())
    rest = list(data.batches(128, epoch=2, start=128 * 9))
    assert all((a[0] == b[0]).all() and (a[1] == b[1]).all() for a, b in zip(rest, seen[9:], strict=True))
    network = NetClassifier((8,), random_state=0)
    for part, labels in data.batches(500):
        network.partial_fit(part, labels, classes=["no", "yes"])
    assert network.t_ == N


REFUSED = {
    "sample_weight": lambda data: NetClassifier().fit(data, sample_weight=np.ones(N)),
    "y": lambda data: NetClassifier().fit(data, y),
    "n_networks": lambda data: NetClassifier(n_networks=2).fit(data),
    "warm_start": lambda data: NetClassifier(warm_start=True).fit(data),
    "engine": lambda data: NetClassifier(engine="jax").fit(data),
    "batch_size": lambda data: NetClassifier(batch_size="full").fit(data),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_streamed_rows_cannot_do_is_refused_by_name(folder, name):
    with pytest.raises(ChainruleError, match=f"{name} must be"):
        REFUSED[name](dataset(folder))


def damaged(folder, tmp_path):
    """Return copies of the files that a fault can be put into."""
    paths = []
    for k in range(3):
        path = tmp_path / f"part-{k}.parquet"
        path.write_bytes((folder / f"part-{k}.parquet").read_bytes())
        paths.append(path)
    return paths


def cut(paths):
    paths[1].write_bytes(paths[1].read_bytes()[:-500])


def other_type(paths):
    pl.read_parquet(paths[2]).with_columns(pl.col("v1").cast(pl.Int32)).write_parquet(paths[2])


def without(paths):
    pl.read_parquet(paths[1]).drop("v3").write_parquet(paths[1])


def besides(paths):
    pl.read_parquet(paths[1]).with_columns(new=pl.lit(1)).write_parquet(paths[1])


def corrupt(paths):
    data = bytearray(paths[1].read_bytes())
    data[4:6000] = bytes(5996)
    paths[1].write_bytes(data)


def nothing(paths):
    paths[1].write_bytes(b"")


FAULTS = {
    "cut": (cut, r"part-1\.parquet: the file must be a readable Parquet file"),
    "of another type": (other_type, r"part-2\.parquet: the columns .* got 'v1' of type int32 and not float"),
    "without a column": (without, r"part-1\.parquet: the columns .* got none named 'v3'"),
    "with one more": (besides, r"part-1\.parquet: the columns .* got 'new' besides"),
    "corrupt": (corrupt, r"part-1\.parquet, row group 1: the rows must be readable"),
    "empty": (nothing, r"part-1\.parquet: the file must be a readable Parquet file"),
    "missing": (lambda paths: paths[1].unlink(), "must be existing files"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_file_is_named_in_one_line(folder, tmp_path, name):
    paths = damaged(folder, tmp_path)
    fault, message = FAULTS[name]
    fault(paths)
    with pytest.raises(ChainruleError, match=message) as caught:
        NetClassifier(max_iter=1).fit(open_dataset(paths, "y", max_memory="1MiB", drop=["z"]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("how", ["rewritten", "removed"])
def test_a_file_that_changes_while_it_is_read_is_named(folder, tmp_path, how):
    paths = damaged(folder, tmp_path)
    data = open_dataset(paths, "y", max_memory="1MiB", drop=["z"])
    problem = build_streamed_problem(Settings(max_iter=3), data).problem
    if how == "removed":
        paths[2].unlink()
    else:
        pl.read_parquet(paths[2]).reverse().write_parquet(paths[2])
    with pytest.raises(ChainruleError, match=r"part-2\.parquet: the file must stay"):
        train(problem)


def test_a_pattern_that_matches_nothing_and_little_memory_are_named(folder, tmp_path):
    with pytest.raises(ChainruleError, match=r"a pattern that matches files, got .*none-\*"):
        open_dataset(f"{folder}/none-*.parquet", "y")
    pl.DataFrame({"a": np.random.default_rng(0).normal(size=60_000), "y": np.arange(60_000) % 2}).write_parquet(
        tmp_path / "wide.parquet", row_group_size=60_000
    )
    with pytest.raises(ChainruleError, match=r"max_memory must be at least .*wide\.parquet, row group 1"):
        open_dataset(tmp_path / "wide.parquet", "y", max_memory="1MiB")


def test_a_large_row_group_is_warned_of(folder, monkeypatch):
    monkeypatch.setattr("chainrule.data.stream.parquet.WARN_ABOVE", 1000)
    with pytest.warns(DataWarning, match="a row group is decoded as a whole"):
        dataset(folder)


def test_a_reader_that_fails_or_is_closed_hangs_nobody():
    def failing():
        yield 1
        raise OSError("gone")

    reader = Prefetch(failing(), 10)
    assert reader.get() == 1
    with pytest.raises(OSError, match="gone"):
        reader.get()
    endless = Prefetch(iter(int, 1), 10)
    endless.get()
    began = time.monotonic()
    endless.close()
    assert time.monotonic() - began < 10
    assert Prefetch(iter([]), 10).get() is None


def test_a_reader_begins_no_item_before_a_place_is_free():
    begun = []

    def items():
        for i in range(9):
            begun.append(i)
            yield i

    reader = Prefetch(items(), 2)
    assert [reader.get(), reader.get()] == [0, 1]
    time.sleep(0.05)
    assert begun == [0, 1]
    reader.free()
    assert reader.get() == 2
    assert begun == [0, 1, 2]
    reader.close()


def child(code, folder, **more):
    code = textwrap.dedent(code)
    environment = {**os.environ, "PYTHONPATH": SOURCE, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder), *more.get("arguments", ())],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


TRAINED = """
    import sys, hashlib
    from chainrule import open_dataset
    from chainrule.pipeline import Settings
    from chainrule.pipeline.streaming import HoldOut, build_streamed_problem
    from chainrule.train import train
    from chainrule.train.checkpoint import checkpoint_folder, fingerprint

    folder, kept, every = sys.argv[1:]
    data = open_dataset(folder + "/*.parquet", "y", max_memory="1MiB", drop=["z"])
    settings = Settings(hidden_layer_sizes=(8,), batch_size=4, max_iter=6, batch_norm=True, dropout=0.1, early_stopping=True)
    problem = build_streamed_problem(settings, data, HoldOut(0.1)).problem
    with checkpoint_folder(kept, fingerprint(problem), float(every), problem.recipe) as checkpointer:
        run = train(problem, checkpoint=checkpointer)
    print(hashlib.sha256(run.state.w.tobytes()).hexdigest(), len(run.epochs))
"""


@pytest.mark.slow
def test_a_training_that_is_killed_within_an_epoch_continues_bit_for_bit(folder, tmp_path):
    usual = child(TRAINED, folder, arguments=[str(tmp_path / "usual"), "1000"])
    expected = usual.communicate(timeout=300)[0]
    kept = tmp_path / "kept"
    kills = 0
    for _ in range(3):
        before = {path.name for path in kept.glob("snapshot-*.json")}
        process = child(TRAINED, folder, arguments=[str(kept), "0.01"])
        while process.poll() is None and not {path.name for path in kept.glob("snapshot-*.json")} - before:
            time.sleep(0.005)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate(timeout=300)
    assert kills
    final = child(TRAINED, folder, arguments=[str(kept), "1000"])
    assert final.communicate(timeout=300)[0] == expected
    assert len(expected.split()) == 2


MEMORY = """
    import sys, resource
    from chainrule import NetRegressor, open_dataset
    path, small, limit = sys.argv[1:]
    NetRegressor((4,), max_iter=1, batch_size=256, random_state=0).fit(open_dataset(small, "y", max_memory=int(limit)))
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    NetRegressor((4,), max_iter=2, batch_size=256, random_state=0).fit(open_dataset(path, "y", max_memory=int(limit)))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base)
"""


@pytest.mark.slow
def test_memory_stays_within_its_limit_on_ten_times_as_much_data(tmp_path):
    limit = 12_000_000
    generator = np.random.default_rng(0)
    frame = pl.DataFrame({f"v{j}": generator.normal(size=50_000).astype(np.float32) for j in range(24)})
    frame = frame.with_columns(y=pl.col("v0") * pl.col("v1"))
    for k in range(25):
        frame.write_parquet(tmp_path / f"part-{k:02}.parquet", row_group_size=10_000, compression="uncompressed")
    size = sum(path.stat().st_size for path in tmp_path.glob("*.parquet"))
    assert size > 10 * limit
    (tmp_path / "few").mkdir()
    frame.head(2000).write_parquet(tmp_path / "few" / "small.parquet", row_group_size=1000)
    arguments = [str(tmp_path / "few" / "small.parquet"), str(limit)]
    process = child(MEMORY, f"{tmp_path}/part-*.parquet", arguments=arguments)
    more = 1024 * int(process.communicate(timeout=300)[0])
    assert more < limit
