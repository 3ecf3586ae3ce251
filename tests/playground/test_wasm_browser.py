"""Why: node is not a browser. In: a page that trains in a worker, under the strictest policy, in headless Chromium.

Out: the same bits as in node, with and without a thread of its own; a sentence where the engine was not built.
"""

import base64
import json
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playground.wasm_cases import ENGINE, answers, drawn_case, why_no_engine

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine"),
    pytest.mark.skipif(bool(why_no_engine()), reason=why_no_engine() or "present"),
]
POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; worker-src 'self'"
SCRIPT = """
import { WasmTrainer } from "./engine/trainer.js";

const told = { faults: [] };
addEventListener("securitypolicyviolation", (event) => told.faults.push(event.violatedDirective));
try {
  const { recipe, data, steps } = await (await fetch("case.json")).json();
  const rows = { ...data, X: Float64Array.from(data.X), y: Float64Array.from(data.y), train: Int32Array.from(data.train),
    validation: Int32Array.from(data.validation) };
  for (const worker of [true, false]) {
    const trainer = new WasmTrainer({ worker });
    await trainer.open({ recipe, data: rows });
    told.thread = told.thread || Boolean(trainer.worker);
    await trainer.run({ steps });
    let longest = 0;
    let last = performance.now();
    const timer = setInterval(() => { longest = Math.max(longest, performance.now() - last); last = performance.now(); }, 1);
    const frame = await trainer.run({ steps });
    clearInterval(timer);
    const { state } = await trainer.save();
    const bytes = btoa(Array.from(new Uint8Array(state), (byte) => String.fromCharCode(byte)).join(""));
    const sentence = await trainer.run({ steps: -1 }).catch((error) => error.message);
    (told.states ??= []).push(bytes);
    (told.frames ??= []).push(frame);
    (told.sentences ??= []).push(sentence);
    await trainer.close();
  }
  const none = new WasmTrainer({ engine: new URL("./none.wasm", location.href).href });
  told.missing = await none.open({ recipe, data: rows }).catch((error) => error.message);
} catch (error) {
  told.faults.push(String(error));
}
await fetch("told", { method: "POST", body: JSON.stringify(told) });
"""


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder under the policy, and keeps what the page tells."""

    def end_headers(self):
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def do_POST(self):
        self.server.told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()
        self.server.arrived.set()

    def log_message(self, *_):
        pass


def told_by(folder, profile):
    """Open the folder's page in a browser, and return what it tells."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    server.arrived = threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    command += [f"--user-data-dir={profile}", "--remote-debugging-port=0", f"http://127.0.0.1:{server.server_port}/"]
    browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert server.arrived.wait(120), "the page said nothing"
        return server.told
    finally:
        browser.terminate()
        browser.wait(30)
        server.shutdown()
        server.server_close()


def test_a_browser_trains_to_the_bits_of_node_in_a_worker_under_a_strict_policy(tmp_path, wasm):
    folder = tmp_path / "site"
    shutil.copytree(ENGINE, folder / "engine")
    shutil.copy(wasm, folder / "engine" / "chainrule.wasm")
    case = {**drawn_case(7), "steps": 10}
    (folder / "case.json").write_text(json.dumps(case))
    (folder / "page.js").write_text(SCRIPT)
    (folder / "index.html").write_text("<!doctype html><title>x</title><script type=module src=page.js></script>")
    told = told_by(folder, tmp_path / "profile")
    assert told["faults"] == []
    assert told["thread"] is True
    right = answers("resume", [{**case, "more": 10, "other": {}}], str(wasm))[0]
    assert told["states"] == [right["states"][0]] * 2
    assert base64.b64decode(told["states"][0])
    assert told["frames"][0] == told["frames"][1] == right["frame"]
    assert told["sentences"] == ["steps must be a whole number from 1 to 1000000000, got -1."] * 2
    assert told["missing"] == "The engine was not built with this page: engine/chainrule.wasm is missing."
