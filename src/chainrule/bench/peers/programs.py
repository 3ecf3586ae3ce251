"""Whole programs: a small training ends before some libraries are loaded, and the user waits for all of it.

In: a workload of kind "program" and a peer. Out: a runner of processes of this Python.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping

from chainrule.bench.peers import Peer, Runner, Skipped, need
from chainrule.bench.workloads import Workload
from chainrule.engines import why_unavailable
from chainrule.processes import python

_IMPORTS = {
    "native": "chainrule.train.loop",
    "scikit-learn": "sklearn.neural_network",
    "torch": "torch",
    "jax-step": "jax",
}

_DIGITS = """
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
X, y = load_digits(return_X_y=True)
X, test, y, wanted = train_test_split((X / 8 - 1).astype("float32"), y, test_size=0.2, random_state=0, stratify=y)
"""

_SCIKIT = """
from sklearn.neural_network import MLPClassifier
import warnings
warnings.simplefilter("ignore")
network = MLPClassifier((100,), batch_size={batch}, max_iter={epochs}, n_iter_no_change=1000, random_state=0)
print(network.fit(X, y).score(test, wanted))
"""

_TORCH = """
import torch
model = torch.nn.Sequential(torch.nn.Linear(64, 100), torch.nn.ReLU(), torch.nn.Linear(100, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
X, y, test, wanted = map(torch.from_numpy, (X, y, test, wanted))
for epoch in range({epochs}):
    for take in torch.randperm(len(X)).split({batch}):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(X[take]), y[take]).backward()
        optimizer.step()
with torch.inference_mode():
    print((model(test).argmax(1) == wanted).float().mean().item())
"""

SCRIPTS: Mapping[str, str] = {"scikit-learn": _DIGITS + _SCIKIT, "torch": _DIGITS + _TORCH}
"""Programs of peers for `train-digits`: load, split, train, score."""


def prepare(workload: Workload, peer: Peer) -> Runner:
    """Set up a runner that starts one process per unit.

    Raises `Skipped` if the peer has no such program.
    """
    if peer.ours and why_unavailable(peer.variant):
        raise Skipped(f"the {peer.variant} engine is {why_unavailable(peer.variant)}")
    need({"torch": "torch", "jax-step": "jax"}.get(peer.key, "sklearn"))
    command = _importing(peer.key) if workload.name == "import" else _training(workload, peer)

    def run(units: int) -> None:
        for _ in range(units):
            with tempfile.TemporaryDirectory() as folder:
                place = ["--out", f"{folder}/run"] if peer.ours and workload.name != "import" else []
                subprocess.run(python(*command, *place), check=True, capture_output=True)

    return Runner(run)


def _importing(key: str) -> list[str]:
    if key not in _IMPORTS:
        raise Skipped("imports nothing that is not listed above")
    return [f"import {_IMPORTS[key]}"]


def _training(workload: Workload, peer: Peer) -> list[str]:
    if peer.ours:
        options = ["--epochs", str(workload.epochs), "--patience", "0", "--batch-size", str(workload.batch)]
        engine = ["--engine", peer.variant, "--json"]
        return ["from chainrule.cli import main; main()", "train", "digits", *options, *engine]
    if peer.key not in SCRIPTS:
        raise Skipped("has no such program")
    return [SCRIPTS[peer.key].format(batch=workload.batch, epochs=workload.epochs)]
