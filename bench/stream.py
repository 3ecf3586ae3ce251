"""Measure training on data larger than memory: peak memory and rows a second, beside rows in memory and a DataLoader.

In: a size in GB, a limit on memory, a network. Out: a line for each way of training; the median and range of the repeats.

    python bench/stream.py --gigabytes 2 --columns 20 --hidden 64 32
    python bench/stream.py --gigabytes 3 --columns 784 --classes 10 --hidden 256 128
    python bench/stream.py --gigabytes 20 --columns 100 --max-memory 500MB --epochs 1 --repeats 1 --folder /data/stream
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

GROUPS_PER_FILE = 10
BATCH = 256
WAYS = ("memory", "stream", "torch")
MEMORY_BYTES = 1.5e9
"""Bytes of rows that are trained on in memory at most."""


def main() -> None:
    """Make the files where they are not there, and run each way in processes of its own."""
    options = _options()
    folder = Path(options.folder)
    files = make(folder, options)
    if options.way:
        print(json.dumps(WAY[options.way](files, options)))
        return
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS if way not in options.skip}
    for _ in range(options.repeats):
        for way, runs in found.items():
            runs.append(_measured(way, options))
            print(f"{way:7} load {os.getloadavg()[0]:.1f} {runs[-1]}", flush=True)
    for way, runs in found.items():
        rates = [run["rows_per_s"] for run in runs if "rows_per_s" in run]
        if rates:
            print(f"{way:7} median {median(rates):,.0f} rows/s of {len(rates)} ({min(rates):,} to {max(rates):,})")


def _measured(way: str, options: Any) -> dict[str, Any]:
    """Run one way in a process, and return its figures with the most memory that its process tree had."""
    python = options.torch if way == "torch" else sys.executable
    threads = {"OMP_NUM_THREADS": str(options.threads)} if options.threads else {}
    command = [python, __file__, *sys.argv[1:], "--way", way]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **threads})
    most = 0
    while process.poll() is None:
        most = max(most, _resident(process.pid))
        time.sleep(0.05)
    out = process.stdout.read() if process.stdout else ""
    if process.returncode:
        return {"failed": process.returncode}
    return {**json.loads(out.splitlines()[-1]), "peak_tree_MB": most // 2**20}


def _resident(pid: int) -> int:
    """Return the bytes of memory that a process and those under it hold now."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(_resident(int(child)) for child in children)


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--classes", type=int, default=0, help="0 is a regression.")
    parser.add_argument("--group", type=int, default=20_000, help="Rows of a row group.")
    parser.add_argument("--max-memory", default="500MB")
    parser.add_argument("--hidden", type=int, nargs="+", default=[64, 32])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="Threads of the engine; 0 is one for each core.")
    parser.add_argument("--seconds", type=float, default=60.0, help="Time after which PyTorch's training is cut.")
    parser.add_argument("--folder", default="/tmp/chainrule-stream")
    parser.add_argument("--torch", default=sys.executable, help="Python that has torch and pyarrow.")
    parser.add_argument("--skip", nargs="*", default=[], choices=WAYS)
    parser.add_argument("--way", choices=WAYS, default=None, help=argparse.SUPPRESS)
    return parser.parse_args()


def make(folder: Path, options: Any) -> list[Path]:
    """Write Parquet files of float32 columns until they have this size, and return them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    rows = options.group * GROUPS_PER_FILE
    count = max(1, round(options.gigabytes * 1e9 / (rows * (options.columns + 1) * 4)))
    paths = [folder / f"part-{k:04}.parquet" for k in range(count)]
    for k, path in enumerate(paths):
        if path.exists():
            continue
        generator = np.random.default_rng(k)
        X = generator.standard_normal((rows, options.columns), np.float32)
        y = X[:, 0] * X[:, 1] + X[:, 2] + 0.1 * generator.standard_normal(rows, np.float32)
        if options.classes:
            y = np.clip((y + 3) * options.classes / 6, 0, options.classes - 1).astype(np.int64)
        columns = {**{f"v{j}": X[:, j] for j in range(options.columns)}, "y": y}
        part = path.with_suffix(".part")
        pq.write_table(pa.table(columns), part, row_group_size=options.group, compression="none", use_dictionary=False)
        part.rename(path)
    return paths


def _settings(options: Any) -> Any:
    from chainrule.pipeline import Settings

    return Settings(hidden_layer_sizes=tuple(options.hidden), batch_size=BATCH, max_iter=options.epochs)


def stream(files: list[Path], options: Any) -> dict[str, Any]:
    """Train on the files within the limit."""
    from chainrule import open_dataset
    from chainrule.pipeline.streaming import build_streamed_problem
    from chainrule.train import train

    began = time.perf_counter()
    data = open_dataset([str(path) for path in files], "y", max_memory=options.max_memory)
    problem = build_streamed_problem(_settings(options), data, numbers_only=True).problem
    before = time.perf_counter() - began
    began = time.perf_counter()
    run = train(problem)
    seconds = time.perf_counter() - began
    return {
        "rows_per_s": round(len(data) * len(run.epochs) / seconds),
        "rows": len(data),
        "seconds": round(seconds, 1),
        "passes_before_s": round(before, 1),
    }


def memory(files: list[Path], options: Any) -> dict[str, Any]:
    """Train on the rows of as many files as fit, in memory."""
    import pyarrow.parquet as pq

    from chainrule.pipeline import build_problem
    from chainrule.train import train

    n = options.group * GROUPS_PER_FILE
    few = files[: max(1, int(MEMORY_BYTES / (n * (options.columns + 1) * 4)))]
    X = np.empty((n * len(few), options.columns), np.float32)
    y = np.empty(n * len(few), np.int64 if options.classes else np.float32)
    for k, path in enumerate(few):
        table = pq.read_table(path)
        for j in range(options.columns):
            X[k * n : (k + 1) * n, j] = table.column(j).to_numpy()
        y[k * n : (k + 1) * n] = table.column("y").to_numpy()
        del table
    problem = build_problem(_settings(options), (X, y))
    began = time.perf_counter()
    run = train(problem)
    seconds = time.perf_counter() - began
    return {"rows_per_s": round(len(X) * len(run.epochs) / seconds), "rows": len(X), "seconds": round(seconds, 1)}


def torch(files: list[Path], options: Any) -> dict[str, Any]:
    """Train in PyTorch on an iterable data set over the files: a worker sends shuffled row groups, cut into batches here."""
    import torch as t

    if options.threads:
        t.set_num_threads(options.threads)
    sizes = [options.columns, *options.hidden]
    layers: list[Any] = []
    for d, k in pairwise(sizes):
        layers += [t.nn.Linear(d, k), t.nn.ReLU()]
    net = t.nn.Sequential(*layers, t.nn.Linear(sizes[-1], options.classes or 1))
    loss = t.nn.CrossEntropyLoss() if options.classes else t.nn.MSELoss()
    adam = t.optim.Adam(net.parameters(), 1e-3, fused=True)
    loader = t.utils.data.DataLoader(_groups(t, files, options.columns), batch_size=None, num_workers=1)
    rows = 0
    began = time.perf_counter()
    for _ in range(options.epochs):
        for X, y in loader:
            for A, b in zip(X.split(BATCH), y.split(BATCH), strict=True):
                adam.zero_grad()
                loss(net(A) if options.classes else net(A)[:, 0], b).backward()
                adam.step()
            rows += len(X)
            if time.perf_counter() - began > options.seconds:
                break
    seconds = time.perf_counter() - began
    return {"rows_per_s": round(rows / seconds), "rows": rows, "seconds": round(seconds, 1)}


def _groups(t: Any, files: list[Path], columns: int) -> Any:
    """Return PyTorch's data set of shuffled row groups."""
    pq = importlib.import_module("pyarrow.parquet")

    class Groups(t.utils.data.IterableDataset):  # type: ignore[misc,name-defined]
        """Shuffled row groups as pairs of tensors."""

        def __iter__(self) -> Any:
            generator = np.random.default_rng(0)
            for f in generator.permutation(len(files)):
                read = pq.ParquetFile(files[f], pre_buffer=False)
                for group in range(read.num_row_groups):
                    table = read.read_row_group(group, use_threads=False)
                    X = np.empty((table.num_rows, columns), np.float32)
                    for j in range(columns):
                        X[:, j] = table.column(j).to_numpy()
                    order = generator.permutation(len(X))
                    yield t.from_numpy(X[order]), t.from_numpy(table.column("y").to_numpy()[order])

    return Groups()


WAY = {"stream": stream, "memory": memory, "torch": torch}

if __name__ == "__main__":
    main()
