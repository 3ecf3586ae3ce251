"""Measure training on data larger than memory: peak memory and rows a second, beside rows in memory and a DataLoader.

In: a size in GB, a limit on memory. Out: a line for each way of training, as JSON too.

    python bench/stream.py --gigabytes 2 --max-memory 256MB
    python bench/stream.py --gigabytes 20 --max-memory 1GB --folder /data/stream --skip memory
"""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS = 100
ROWS_PER_GROUP = 20_000
GROUPS_PER_FILE = 10
BATCH = 256
WAYS = ("stream", "memory", "torch")


def main() -> None:
    """Make the files where they are not there, and run each way in a process of its own."""
    options = _options()
    folder = Path(options.folder)
    files = make(folder, options.gigabytes)
    if options.way:
        print(json.dumps(WAY[options.way](folder, files, options)))
        return
    for way in WAYS:
        if way in options.skip:
            continue
        python = options.torch if way == "torch" else sys.executable
        if not Path(python).exists():
            print(f"{way}: left out, no {python}")
            continue
        command = [python, __file__, *sys.argv[1:], "--way", way]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{way}: failed: {done.stderr.strip().splitlines()[-1:]}")
            continue
        figures = json.loads(done.stdout.splitlines()[-1])
        shown = ", ".join(f"{name} {value}" for name, value in figures.items())
        print(f"{way:7} {shown}", flush=True)


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--max-memory", default="256MB")
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--folder", default="/tmp/chainrule-stream")
    parser.add_argument("--torch", default=sys.executable, help="Python that has torch and pyarrow.")
    parser.add_argument("--skip", nargs="*", default=[], choices=WAYS)
    parser.add_argument("--way", choices=WAYS, default=None, help=argparse.SUPPRESS)
    return parser.parse_args()


def make(folder: Path, gigabytes: float) -> list[Path]:
    """Write Parquet files of float32 columns until they have this size, and return them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    count = max(1, round(gigabytes * 1e9 / (ROWS_PER_GROUP * GROUPS_PER_FILE * (COLUMNS + 1) * 4)))
    paths = [folder / f"part-{k:04}.parquet" for k in range(count)]
    for k, path in enumerate(paths):
        if path.exists():
            continue
        generator = np.random.default_rng(k)
        X = generator.standard_normal((ROWS_PER_GROUP * GROUPS_PER_FILE, COLUMNS), np.float32)
        y = X[:, 0] * X[:, 1] + X[:, 2] + 0.1 * generator.standard_normal(len(X), np.float32)
        columns = {**{f"v{j}": X[:, j] for j in range(COLUMNS)}, "y": y}
        part = path.with_suffix(".part")
        pq.write_table(pa.table(columns), part, row_group_size=ROWS_PER_GROUP, compression="none", use_dictionary=False)
        part.rename(path)
    return paths


def peak() -> int:
    """Return the most memory that this process had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def stream(folder: Path, files: list[Path], options: Any) -> dict[str, Any]:
    """Train on the files within the limit."""
    from chainrule import open_dataset
    from chainrule.pipeline import Settings
    from chainrule.pipeline.streaming import build_streamed_problem
    from chainrule.train import train

    importlib.import_module("pyarrow.parquet")
    base = peak()
    began = time.perf_counter()
    data = open_dataset([str(path) for path in files], "y", max_memory=options.max_memory)
    settings = Settings(hidden_layer_sizes=(options.hidden,), batch_size=BATCH, max_iter=options.epochs)
    problem = build_streamed_problem(settings, data, numbers_only=True).problem
    before = time.perf_counter() - began
    began = time.perf_counter()
    run = train(problem)
    seconds = time.perf_counter() - began
    rate = round(len(data) * len(run.epochs) / seconds)
    return {
        "rows_per_s": rate,
        "peak_MB": peak(),
        "base_MB": base,
        "passes_before_s": round(before, 1),
        "rows": len(data),
    }


def memory(folder: Path, files: list[Path], options: Any) -> dict[str, Any]:
    """Train on the rows of as many files as fit in 4 GB, in memory."""
    import pyarrow.parquet as pq

    from chainrule.pipeline import Settings, build_problem
    from chainrule.train import train

    base = peak()
    few = files[: max(1, int(1.5e9 / (ROWS_PER_GROUP * GROUPS_PER_FILE * (COLUMNS + 1) * 4)))]
    n = ROWS_PER_GROUP * GROUPS_PER_FILE
    X, y = np.empty((n * len(few), COLUMNS), np.float32), np.empty(n * len(few), np.float32)
    for k, path in enumerate(few):
        table = pq.read_table(path)
        for j in range(COLUMNS):
            X[k * n : (k + 1) * n, j] = table.column(j).to_numpy()
        y[k * n : (k + 1) * n] = table.column("y").to_numpy()
    settings = Settings(hidden_layer_sizes=(options.hidden,), batch_size=BATCH, max_iter=options.epochs)
    problem = build_problem(settings, (X, y))
    began = time.perf_counter()
    run = train(problem)
    seconds = time.perf_counter() - began
    rate = round(len(X) * len(run.epochs) / seconds)
    return {"rows_per_s": rate, "peak_MB": peak(), "base_MB": base, "rows": len(X)}


def torch(folder: Path, files: list[Path], options: Any) -> dict[str, Any]:
    """Train in PyTorch on an iterable data set over the same files, shuffled within row groups."""
    import pyarrow.parquet as pq
    import torch as t

    base = peak()

    class Groups(t.utils.data.IterableDataset):  # type: ignore[misc,name-defined]
        """Batches of shuffled row groups."""

        def __iter__(self) -> Any:
            generator = np.random.default_rng(0)
            for path in files:
                read = pq.ParquetFile(path)
                for group in range(read.num_row_groups):
                    table = read.read_row_group(group)
                    X = np.column_stack([table.column(j).to_numpy() for j in range(COLUMNS)])
                    order = generator.permutation(len(X))
                    X, y = X[order], table.column("y").to_numpy()[order]
                    for i in range(0, len(X), BATCH):
                        yield t.from_numpy(X[i : i + BATCH]), t.from_numpy(y[i : i + BATCH])

    net = t.nn.Sequential(t.nn.Linear(COLUMNS, options.hidden), t.nn.ReLU(), t.nn.Linear(options.hidden, 1))
    adam = t.optim.Adam(net.parameters(), 1e-3)
    loader = t.utils.data.DataLoader(Groups(), batch_size=None, num_workers=1)
    rows = 0
    began = time.perf_counter()
    for X, y in loader:
        adam.zero_grad()
        t.nn.functional.mse_loss(net(X)[:, 0], y).backward()
        adam.step()
        rows += len(X)
    seconds = time.perf_counter() - began
    return {"rows_per_s": round(rows / seconds), "peak_MB": peak(), "base_MB": base, "rows": rows}


WAY = {"stream": stream, "memory": memory, "torch": torch}

if __name__ == "__main__":
    main()
