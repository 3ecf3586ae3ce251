"""Frames that the page of `chainrule lab` draws and steps that it trains per second on MNIST, beside `chainrule train`.

In: MNIST (from the folder in CHAINRULE_DATA, the cache, or a download), Chromium. Out: a line per repeat with what the
page drew, trained, and how long it stood still at most; a line with the steps per second of the command alone.

    python bench/lab_frames.py [--seconds 20] [--repeats 3] [--speed frame]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from browser import BROWSER, Page, chromium

COMMAND = [sys.executable, "-c", "from chainrule.cli import main; main()"]
NETWORK = ["mnist", "--hidden", "256,128"]
WATCH = """
window.seen = { maps: 0, ticks: 0, figures: 0, longest: 0, late: 0, step: 0, requests: {} };
const put = CanvasRenderingContext2D.prototype.putImageData;
CanvasRenderingContext2D.prototype.putImageData = function (...words) { seen.maps += 1; return put.apply(this, words); };
let last = performance.now();
let shown = '';
const tick = (now) => {
  seen.ticks += 1;
  seen.longest = Math.max(seen.longest, now - last);
  seen.late += now - last > 25;
  last = now;
  requestAnimationFrame(tick);
  queueMicrotask(() => {
    const text = document.getElementById('now-loss')?.textContent;
    seen.figures += text !== shown;
    shown = text;
  });
};
requestAnimationFrame(tick);
const plain = window.fetch;
window.fetch = async (address, ...more) => {
  const answer = await plain(address, ...more);
  const name = String(address).split('/').at(-1);
  seen.requests[name] = (seen.requests[name] ?? 0) + 1;
  if (name !== 'run' || !answer.ok) return answer;
  const count = new TransformStream({ transform: (bytes, out) => {
    const steps = [...new TextDecoder('latin1').decode(bytes).matchAll(/"step": (\\d+)/g)];
    if (steps.length) seen.step = Number(steps.at(-1)[1]);
    out.enqueue(bytes);
  } });
  return new Response(answer.body.pipeThrough(count), { status: 200 });
};
"""
READY = "!document.getElementById('main').hidden && document.querySelectorAll('#chain li').length > 0"
CLEARED = (
    "Object.assign(seen, {maps: 0, ticks: 0, figures: 0, longest: 0, late: 0, requests: {}, first: seen.step,"
    " began: performance.now()})"
)
FOUND = "({...seen, seconds: (performance.now() - seen.began) / 1000})"


def started(folder: str) -> tuple[subprocess.Popen[str], str]:
    """Start the lab on MNIST; return its process and address."""
    process = subprocess.Popen([*COMMAND, "lab", *NETWORK], cwd=folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("http://"):
            return process, line.strip()
    raise SystemExit("the lab gave no address")


def alone(folder: str, epochs: int) -> float:
    """Return the steps per second of `chainrule train`, the first epoch left out."""
    words = ["train", *NETWORK, "--epochs", str(epochs + 1), "--patience", "0", "--doctor", "off", "--out", "run"]
    subprocess.run([*COMMAND, *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    lines = map(json.loads, (Path(folder) / "run" / "run.jsonl").read_text().splitlines())
    return statistics.median([each["steps"] / each["seconds"] for each in lines if each.get("epoch", 0) > 1])


def measure(address: str, profile: str, seconds: float, speed: str) -> dict[str, float]:
    """Train in a tab for some seconds, after three to begin; return what was counted."""
    with chromium(profile) as wire:
        page = Page(wire)
        page.ask("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        page.open(address)
        page.wait(READY)
        page.run(
            f"{{ const box = document.getElementById('speed'); box.value = '{speed}';"
            " box.dispatchEvent(new Event('change')) }"
        )
        page.run("document.getElementById('train').click()")
        page.wait("new Promise((done) => setTimeout(() => done(true), 3000))")
        page.run(f"({CLEARED}, 0)")
        page.wait(f"new Promise((done) => setTimeout(() => done(true), {1000 * seconds}))")
        found: dict[str, float] = page.run(FOUND)
        page.close()
    return found


def main() -> None:
    """Print a line for each repeat."""
    parser = argparse.ArgumentParser(description="Frames and steps per second of the lab's page.")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--speed", default="frame", choices=("slow", "frame", "full"))
    arguments = parser.parse_args()
    if BROWSER is None:
        raise SystemExit("no Chromium on this machine")
    for _ in range(arguments.repeats):
        with tempfile.TemporaryDirectory() as folder:
            own = alone(folder, 5)
            process, address = started(folder)
            try:
                found = measure(address, f"{folder}/profile", arguments.seconds, arguments.speed)
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(60)
        seconds = found["seconds"]
        print(
            f"{found['ticks'] / seconds:.1f} screen frames/s, {found['figures'] / seconds:.1f} with new figures, "
            f"{found['maps'] / seconds:.1f} maps/s, longest {found['longest']:.0f} ms, {found['late']:.0f} over 25 ms, "
            f"{(found['step'] - found['first']) / seconds:.0f} steps/s, `train` alone {own:.0f}, "
            f"{found['requests']}, load {os.getloadavg()[0]:.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
