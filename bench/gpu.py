"""Compare the JAX engine on a GPU with PyTorch at its best there, and with the native engine on the same machine's CPU.

In: a machine where JAX sees a GPU. Out: µs per step, side by side, as Markdown; where there is no GPU, a sentence that says
so, and exit code 3.

    python bench/gpu.py [--workload NAME ...] [--repeats 7] [--seconds 0.5] [--products float32 tf32 bf16] [--json FILE]

All in one process, since two processes would share the GPU's memory badly; so JAX takes memory as it needs it. The
products of both are rounded alike: in full float32, to tf32, or (PyTorch by autocast) to bf16, with float32 weights.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chainrule.bench.machine import facts
from chainrule.bench.measure import MeasureSettings, Result, Spread, Timing, calibrate, interleave
from chainrule.bench.peers import Runner, Skipped, need, pytorch
from chainrule.bench.workloads import LEARNING_RATE, WIDE, WORKLOADS, Workload
from chainrule.engines import Rows

NONE = 3
"""Exit code where there is no GPU."""

VARIANTS = {"eager": "PyTorch eager", "compiled": "PyTorch compiled", "graphs": "PyTorch compiled, CUDA graphs"}

WARM_UP = 3
"""Steps before one is captured, as PyTorch's documentation of CUDA graphs asks."""


@dataclass(frozen=True)
class Contender:
    """A name, how it is set up, and the settings of its library while it runs."""

    name: str
    prepare: Callable[[Workload], Runner]
    within: Callable[[], Any]


def main() -> int:
    """All workloads, one after another."""
    arguments = parse()
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    devices = gpu()
    if not devices:
        print("No GPU: JAX finds none here (pip install 'jax[cuda13]' where there is one); nothing was measured.")
        return NONE
    print(f"| machine | |\n|---|---|\n| GPU | {devices} |")
    print("\n".join(f"| {name} | {value} |" for name, value in facts().items()) + "\n", flush=True)
    names = arguments.workload or [name for name, w in WORKLOADS.items() if w.kind == "training"] + [WIDE.name]
    settings = MeasureSettings(arguments.repeats, arguments.seconds)
    records = [
        record for name in names for record in measured({**WORKLOADS, WIDE.name: WIDE}[name], arguments, settings)
    ]
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": facts() | {"GPU": devices}, "results": records}, indent=1))
    return 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="The JAX engine on a GPU beside PyTorch.")
    parser.add_argument("--workload", nargs="+", default=[])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--products", nargs="+", default=["float32", "tf32", "bf16"])
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def gpu() -> str:
    """The GPUs that JAX sees, or nothing."""
    try:
        jax = need("jax")
        found = [device.device_kind for device in jax.devices() if device.platform == "gpu"]
    except (Skipped, RuntimeError):
        return ""
    return ", ".join(found)


def measured(workload: Workload, arguments: argparse.Namespace, settings: MeasureSettings) -> Iterator[dict[str, Any]]:
    """A table for each rounding of products, printed as soon as it is there; and its figures."""
    for products in arguments.products:
        result = compare(workload, products, settings)
        print(f"### {workload.name}, batch {workload.batch}, products in {products}\n")
        print("| | µs per step | quartiles | times ours | TFLOP/s |\n|---|---:|---:|---:|---:|")
        for timing in result.timings:
            print(line(result, timing), flush=True)
        print()
        seconds = {timing.peer: list(timing.seconds) for timing in result.timings if timing.seconds}
        skipped = {timing.peer: timing.skipped for timing in result.timings if timing.skipped}
        yield {"workload": workload.name, "products": products, "seconds": seconds, "skipped": skipped}


def line(result: Result, timing: Timing) -> str:
    """A row of a table."""
    if not timing.seconds:
        return f"| {timing.peer} | - | {timing.skipped} | | |"
    s, ratio = timing.spread, result.ratio(timing.peer) or Spread(float("nan"), 0.0, 0.0)
    quartiles = f"{1e6 * s.low:.1f} - {1e6 * s.high:.1f}"
    rate = result.rate(timing.peer) / 1e12
    return f"| {timing.peer} | {1e6 * s.median:.1f} | {quartiles} | {ratio.median:.2f} | {rate:.1f} |"


def compare(workload: Workload, products: str, settings: MeasureSettings) -> Result:
    """Every contender set up, calibrated, then taking turns."""
    ready, timings = {}, []
    for contender in contenders(products):
        try:
            ready[contender.name] = set_up(contender, workload, settings.seconds)
        except Exception as error:
            reason = (str(error).strip().splitlines() or [""])[0][:200]
            timings.append(Timing(contender.name, skipped=f"{type(error).__name__}: {reason}"))
    taken = interleave(ready, settings.repeats)
    timings = [Timing(name, tuple(seconds)) for name, seconds in taken.items()] + timings
    ready.clear()
    gc.collect()
    return Result(workload, "chainrule, JAX engine", tuple(timings))


def set_up(contender: Contender, workload: Workload, seconds: float) -> Callable[[], float]:
    """What gives the seconds of a step, measured over a repeat."""

    def timed(units: int) -> float:
        with contender.within():
            began = time.perf_counter()
            runner.run(units)
            return time.perf_counter() - began

    with contender.within():
        runner = contender.prepare(workload)
        runner.run(1)
    units = calibrate(timed, seconds)[0]
    return lambda: timed(units) / (units * workload.per_unit)


def contenders(products: str) -> Iterator[Contender]:
    """Ours, PyTorch in four ways, and the native engine on the CPU, whose products are in float32."""
    yield Contender("chainrule, JAX engine", lambda workload: on_gpu(workload, products), contextlib.nullcontext)
    for variant, name in VARIANTS.items():

        def prepare(workload: Workload, variant: str = variant) -> Runner:
            return pytorch.prepare(workload, variant, 1, "cuda")

        yield Contender(name, prepare, lambda: rounding(products))
    yield Contender("PyTorch, a whole step in one CUDA graph", captured, lambda: rounding(products))
    if products == "float32":
        yield Contender(f"chainrule, native engine, {os.cpu_count()} CPU cores", on_cpu, contextlib.nullcontext)


def captured(workload: Workload) -> Runner:
    """PyTorch with forward pass, backward pass and Adam recorded once and replayed for each batch."""
    torch = need("torch")
    torch.compiler.reset()
    torch.manual_seed(0)
    model = pytorch.network(torch, workload).to("cuda")
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True, capturable=True)
    X, y = (torch.from_numpy(array).to("cuda") for array in workload.data())
    A, c = X[: workload.batch].clone(), y[: workload.batch].clone()

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(A), c).backward()
        optimizer.step()

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()

    def run(units: int) -> None:
        for _ in range(units * workload.epochs):
            order = torch.randperm(len(X), device="cuda")
            for start in range(0, len(X), workload.batch):
                take = order[start : start + workload.batch]
                torch.index_select(X, 0, take, out=A)
                torch.index_select(y, 0, take, out=c)
                graph.replay()
        torch.cuda.synchronize()

    return Runner(run)


def on_gpu(workload: Workload, products: str) -> Runner:
    """The JAX engine with its rows and state on the device."""
    from chainrule.engines.jax import JaxEngine

    return ours(workload, JaxEngine(products))


def on_cpu(workload: Workload) -> Runner:
    """The native engine with a thread for each core."""
    from chainrule.engines.native import NativeEngine

    return ours(workload, NativeEngine())


def ours(workload: Workload, engine: Any) -> Runner:
    """Training by an engine of ours."""
    from chainrule.train.loop import iterate
    from chainrule.train.problem import TrainConfig

    recipe = workload.recipe
    rows = Rows.of(recipe, *workload.data())
    for reason in engine.supports(recipe):
        raise Skipped(reason)
    session = engine.compile(recipe, rows)
    done = [0]

    def run(units: int) -> None:
        epochs = range(units * workload.epochs)
        deque(iterate(session, recipe, rows, TrainConfig(done[0] + len(epochs), LEARNING_RATE)), maxlen=0)
        done[0] += len(epochs)

    return Runner(run)


@contextlib.contextmanager
def rounding(products: str) -> Iterator[None]:
    """PyTorch's settings for products of this kind."""
    torch = need("torch")
    torch.set_float32_matmul_precision("highest" if products == "float32" else "high")
    with torch.autocast("cuda", torch.bfloat16, enabled=products == "bf16"):
        yield


if __name__ == "__main__":
    sys.exit(main())
