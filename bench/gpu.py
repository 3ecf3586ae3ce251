"""Compare the JAX engine on a GPU with PyTorch at its best there, and with the native engine on the same machine's CPU.

In: a machine where JAX sees a GPU. Out: microseconds per step, side by side, as Markdown; where there is no GPU, a sentence
that says so, and exit code 3.

    python bench/gpu.py [--workload NAME ...] [--repeats 7] [--seconds 0.5] [--products float32 tf32 bf16]
                        [--ways jax eager compiled graphs captured cpu] [--json FILE]

Each peer has a process of its own. The products of all are rounded alike: in full float32, to tf32, or to bf16, with
weights in float32.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from chainrule.bench.machine import facts
from chainrule.bench.measure import MeasureSettings, Result, Spread, Timing, side_by_side
from chainrule.bench.peers import GPU_PEERS, GPU_WAYS, PRODUCTS, Skipped, need
from chainrule.bench.workers import processors
from chainrule.bench.workloads import WIDE, WORKLOADS

NONE = 3
"""Exit code where there is no GPU."""


def main() -> int:
    """Measure all workloads, one after another."""
    arguments = parse()
    devices = gpu()
    if not devices:
        print("No GPU: JAX finds none here (pip install 'jax[cuda13]' where there is one); nothing was measured.")
        return NONE
    print(f"| machine | |\n|---|---|\n| GPU | {devices} |")
    print("\n".join(f"| {name} | {value} |" for name, value in facts().items()) + "\n", flush=True)
    every = {**WORKLOADS, WIDE.name: WIDE}
    names = arguments.workload or [name for name, workload in every.items() if workload.kind == "training"]
    settings = MeasureSettings(arguments.repeats, arguments.seconds)
    wanted = {f"{products} {way}" for products in arguments.products for way in ("jax", *arguments.ways)}
    taking_part = [peer for key, peer in GPU_PEERS.items() if key in wanted]
    records = []
    for result in side_by_side(
        [every[name] for name in names], taking_part, f"{arguments.products[0]} jax", settings, processors()
    ):
        for products in arguments.products:
            show(result, products)
        records.append(record(result))
        if arguments.json:
            arguments.json.write_text(json.dumps({"machine": facts() | {"GPU": devices}, "results": records}, indent=1))
    return 0


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="The JAX engine on a GPU beside PyTorch.")
    parser.add_argument("--workload", nargs="+", default=[])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--products", nargs="+", default=list(PRODUCTS), choices=PRODUCTS)
    parser.add_argument("--ways", nargs="+", default=list(GPU_WAYS), choices=GPU_WAYS)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def gpu() -> str:
    """Return the GPUs that JAX sees, or nothing."""
    try:
        jax = need("jax")
        found = [device.device_kind for device in jax.devices() if device.platform == "gpu"]
    except (Skipped, RuntimeError):
        return ""
    return ", ".join(found)


def show(result: Result, products: str) -> None:
    """Print the table of one workload and one rounding of products, as soon as it is there."""
    workload = result.workload
    print(f"### {workload.name}, batch {workload.batch}, products in {products}\n")
    print("| | µs per step | quartiles | times ours | TFLOP/s |\n|---|---:|---:|---:|---:|")
    for timing in result.timings:
        if timing.peer.split()[0] == products:
            print(line(result, timing, f"{products} jax"))
    print(flush=True)


def line(result: Result, timing: Timing, ours: str) -> str:
    """Return a row of a table."""
    title = GPU_PEERS[timing.peer].title
    if not timing.seconds:
        return f"| {title} | - | {timing.skipped} | | |"
    one = Result(result.workload, ours, result.timings)
    s, ratio = timing.spread, one.ratio(timing.peer) or Spread(float("nan"), 0.0, 0.0)
    quartiles = f"{1e6 * s.low:.1f} - {1e6 * s.high:.1f}"
    rate = one.rate(timing.peer) / 1e12
    return f"| {title} | {1e6 * s.median:.1f} | {quartiles} | {ratio.median:.2f} | {rate:.1f} |"


def record(result: Result) -> dict[str, Any]:
    """Return the figures of one workload."""
    seconds = {timing.peer: list(timing.seconds) for timing in result.timings if timing.seconds}
    skipped = {timing.peer: timing.skipped for timing in result.timings if timing.skipped}
    return {"workload": result.workload.name, "seconds": seconds, "skipped": skipped}


if __name__ == "__main__":
    sys.exit(main())
