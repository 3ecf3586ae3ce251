"""Training on a GPU: the JAX engine, PyTorch as its users run it there, and the native engine on the same machine's CPU.

In: a workload, how factors of products are rounded, and a way. Out: a runner of epochs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.bench.peers import Runner, Skipped, need, ours, pytorch
from chainrule.bench.workloads import LEARNING_RATE, Workload
from chainrule.engines import Rows, why_unavailable
from chainrule.engines.jax import JaxEngine

WARM_UP = 3
"""Steps before one is captured, as PyTorch's documentation of CUDA graphs asks."""


def prepare(workload: Workload, variant: str, threads: int) -> Runner:
    """Set up the way `variant`, "float32 compiled" say; PyTorch rounds to bf16 by autocast."""
    products, way = variant.split()
    if way == "jax":
        return _jax(workload, products)
    if way == "cpu":
        return ours.prepare(workload, "native", threads)
    torch = need("torch")
    if not torch.cuda.is_available():
        raise Skipped("this PyTorch sees no GPU")
    torch.set_float32_matmul_precision("highest" if products == "float32" else "high")
    if way == "captured":
        return _captured(torch, workload, products)
    plain = pytorch.prepare(workload, way, 1, "cuda")

    def run(units: int) -> None:
        with _autocast(torch, products):
            plain.run(units)

    return Runner(run)


def _autocast(torch: Any, products: str) -> Any:
    return torch.autocast("cuda", torch.bfloat16, enabled=products == "bf16")


def _jax(workload: Workload, products: str) -> Runner:
    """Set up the JAX engine with its rows and state on the device."""
    if why_unavailable("jax"):
        raise Skipped(f"the jax engine is {why_unavailable('jax')}")
    rows = Rows.of(workload.recipe, *workload.data())
    return ours.training(workload, JaxEngine(products).compile(workload.recipe, rows))


def _captured(torch: Any, workload: Workload, products: str) -> Runner:
    """PyTorch with forward pass, backward pass and Adam recorded once and replayed for each batch."""
    torch.manual_seed(0)
    model = pytorch.network(torch, workload).to("cuda")
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True, capturable=True)
    X, y = (torch.from_numpy(array).to("cuda") for array in workload.data())
    A, c = X[: workload.batch].clone(), y[: workload.batch].clone()

    def step() -> None:
        optimizer.zero_grad()
        with _autocast(torch, products):
            loss = torch.nn.functional.cross_entropy(model(A), c)
        loss.backward()
        optimizer.step()

    replay = _recorded(torch, step)

    def run(units: int) -> None:
        for _ in range(units * workload.epochs):
            order = torch.randperm(len(X), device="cuda")
            for start in range(0, len(X), workload.batch):
                take = order[start : start + workload.batch]
                torch.index_select(X, 0, take, out=A)
                torch.index_select(y, 0, take, out=c)
                replay()
        torch.cuda.synchronize()

    return Runner(run)


def _recorded(torch: Any, step: Callable[[], None]) -> Callable[[], None]:
    """Record a step into a CUDA graph, and return what replays it.

    The graph holds addresses only: what it returns keeps the step, and with it the network and Adam's moments, alive.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()

    def replay(kept: Callable[[], None] = step) -> None:
        graph.replay()

    return replay
