"""Sizes and times of exported models: a digits classifier in C and JavaScript, beside emlearn and onnxruntime-web.

    python bench/export/run.py --emlearn /path/to/python --web /path/to/node_modules --arm arm-none-eabi-gcc \
        --newlib /usr

Each of the others is measured where it is given: a Python that has emlearn and scikit-learn, a folder with
onnxruntime-web, a compiler for ARM with the folder of newlib's include and lib.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from chainrule import NetClassifier, export

TRAINED = 1400
REPEATS = 200

TIMED = """
#include <stdio.h>
#include <time.h>
#include "rows.h"
%s
int main(void)
{
    double best = 1e9;
    long sum = 0;
    int repeat, i;
    for (repeat = 0; repeat < %d; repeat++) {
        struct timespec a, b;
        double taken;
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (i = 0; i < ROWS; i++) sum += predict(rows[i]);
        clock_gettime(CLOCK_MONOTONIC, &b);
        taken = (b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec);
        best = taken < best ? taken : best;
    }
    for (i = 0; i < ROWS; i++) wrong += predict(rows[i]) != answers[i];
    printf("%%.1f %%d %%ld\\n", best / ROWS, wrong, sum);
    return 0;
}
"""

OURS = """\
#include "{name}.h"
int predict(const float *x);
int predict(const float *x)
{{
    float out[10];
    return {name}_predict(x, out);
}}
"""

EMLEARN = """\
#include "em.h"
int predict(const float *x);
int predict(const float *x)
{
    return em_predict(x, 64);
}
"""

EM = """
import sys, numpy as np
from sklearn.neural_network import MLPClassifier
data = np.load(sys.argv[1])
model = MLPClassifier((32,), max_iter=200, random_state=0).fit(data["X"], data["y"])
import emlearn
emlearn.convert(model).save(file=sys.argv[2], name="em")
print(emlearn.includedir)
"""

JS = """
import { readFileSync } from "node:fs";
import { predict } from "./digits.mjs";
const rows = JSON.parse(readFileSync("rows.json", "utf8"));
let best = Infinity;
for (let repeat = 0; repeat < $REPEATS; repeat++) {
  const start = performance.now();
  predict(rows);
  best = Math.min(best, performance.now() - start);
}
console.log((best * 1e3 / rows.length).toFixed(2));
"""

WEB = """
import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-web";
ort.env.wasm.numThreads = 1;
const rows = JSON.parse(readFileSync("rows.json", "utf8"));
const session = await ort.InferenceSession.create(readFileSync("digits.onnx"));
const name = session.inputNames[0];
let one = Infinity, all = Infinity;
for (let repeat = 0; repeat < 20; repeat++) {
  let start = performance.now();
  for (const row of rows) await session.run({ [name]: new ort.Tensor("float64", Float64Array.from(row), [1, 64]) });
  one = Math.min(one, performance.now() - start);
  start = performance.now();
  await session.run({ [name]: new ort.Tensor("float64", Float64Array.from(rows.flat()), [rows.length, 64]) });
  all = Math.min(all, performance.now() - start);
}
console.log((one * 1e3 / rows.length).toFixed(2), (all * 1e3 / rows.length).toFixed(2));
"""


def shell(*line: object, cwd: Path) -> str:
    """What a command prints."""
    return subprocess.run([str(each) for each in line], cwd=cwd, check=True, capture_output=True, text=True).stdout


def object_size(place: Path, compiler: str, size: str, flags: list[str], source: str) -> list[int]:
    """Code and tables, data, and zeroed memory of a source file, in bytes."""
    (place / "part.c").write_text(source)
    shell(compiler, *flags, "-c", "part.c", "-o", "part.o", cwd=place)
    return [int(value) for value in shell(size, "part.o", cwd=place).splitlines()[1].split()[:3]]


def stack(place: Path, compiler: str, flags: list[str], source: str) -> int:
    """Bytes of stack of the predicting function with all that it calls inlined or beside it."""
    (place / "part.c").write_text(source)
    shell(compiler, *flags, "-fstack-usage", "-c", "part.c", "-o", "part.o", cwd=place)
    usage = next(place.glob("*.su")).read_text().splitlines()
    return max(int(line.split("\t")[1]) for line in usage)


def linked(place: Path, arm: str, flags: list[str], library: str, source: str) -> int:
    """Bytes of flash of the model with all functions of the libraries that it calls."""
    call = "int main(void) { answer = predict((const float *)in); return 0; }"
    (place / "whole.c").write_text(f"{source}\nvolatile float in[64];\nvolatile int answer;\n{call}\n")
    bare = ["-nostdlib", "-nostartfiles", "-ffunction-sections", "-Wl,--gc-sections", "-Wl,-emain"]
    libraries = ["-L", library, "-Wl,--start-group", "-lm", "-lc", "-lgcc", "-Wl,--end-group"]
    shell(arm, *flags, *bare, "whole.c", "-o", "whole.elf", *libraries, cwd=place)
    text, data, _ = (
        int(v) for v in shell(arm.replace("gcc", "size"), "whole.elf", cwd=place).splitlines()[1].split()[:3]
    )
    return text + data


CORES = {
    "Cortex-M4F": ("thumb/v7e-m+fp/hard", "-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
    "Cortex-M0": ("thumb/v6-m/nofp", "-mcpu=cortex-m0"),
}
"""Cores with their folder of newlib and their flags."""


def rows_header(X: np.ndarray, answers: np.ndarray) -> str:
    """Rows and the model's answers as C."""
    rows = ",\n".join(f"{{{', '.join(f'{value:.1f}f' for value in row)}}}" for row in X)
    return f"""#define ROWS {len(X)}
static const float rows[ROWS][64] = {{
{rows}
}};
static const int answers[ROWS] = {{{", ".join(str(answer) for answer in answers)}}};
"""


def measure_c(place: Path, label: str, source: str, given: argparse.Namespace) -> None:
    """Print size and time of one C source."""
    text, data, bss = object_size(place, "gcc", "size", ["-std=gnu99", "-Os", *given.include], source)
    used = stack(place, "gcc", ["-std=gnu99", "-Os", *given.include], source)
    (place / "timed.c").write_text(
        source + TIMED.replace('\n#include "rows.h"', '\n#include "rows.h"\nstatic int wrong;') % ("", REPEATS)
    )
    times = {}
    for level in ("-Os", "-O2", "-O3"):
        shell("gcc", "-std=gnu99", level, *given.include, "timed.c", "-o", "timed", "-lm", cwd=place)
        times[level] = shell(place / "timed", cwd=place).split()
    print(f"{label}: x86-64 -Os {text} bytes of code and tables, data {data}, bss {bss}, largest frame {used}")
    print(
        "    " + ", ".join(f"{level} {ns} ns per row" for level, (ns, _, _) in times.items()),
        f"; {times['-O2'][1]} rows wrong",
    )
    for core, (folder, *chosen) in CORES.items() if given.arm else ():
        flags = ["-mthumb", *chosen, "-std=gnu99", "-Os", "-isystem", f"{given.newlib}/include/newlib", *given.include]
        library = f"{given.newlib}/lib/arm-none-eabi/newlib/{folder}"
        alone = object_size(place, given.arm, given.arm.replace("gcc", "size"), flags, source)[0]
        frame = stack(place, given.arm, flags, source)
        whole = linked(place, given.arm, flags, library, source)
        print(f"    {core}: {alone} bytes alone, {whole} with library functions, largest frame {frame}")


def main() -> None:
    """Measure all that is there."""
    parser = argparse.ArgumentParser()
    for name in ("--emlearn", "--web", "--arm", "--newlib"):
        parser.add_argument(name)
    given = parser.parse_args()
    given.include = []
    X, y = load_digits(return_X_y=True)
    X = X.astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        net = NetClassifier((32,), random_state=0).fit(X[:TRAINED], y[:TRAINED])
        print(f"accuracy {net.score(X[TRAINED:], y[TRAINED:]):.3f}")
        print(export(net, place / "digits.h", "c"))
        print(export(net, place / "digits8.h", "c", int8=True))
        print(export(net, place / "digits.mjs", "js"))
        (place / "rows.h").write_text(rows_header(X[TRAINED:], net.predict(X[TRAINED:])))
        (place / "rows.json").write_text(json.dumps(X[TRAINED:].tolist()))
        measure_c(place, "chainrule float", OURS.format(name="digits"), given)
        measure_c(place, "chainrule int8", OURS.format(name="digits8"), given)
        if given.emlearn:
            np.savez(place / "data.npz", X=X[:TRAINED], y=y[:TRAINED])
            (place / "em.py").write_text(EM)
            shown = shell(given.emlearn, "em.py", place / "data.npz", place / "em.h", cwd=place)
            given.include = [f"-I{shown.split()[-1]}"]
            measure_c(place, "emlearn", EMLEARN, given)
        (place / "time.mjs").write_text(JS.replace("$REPEATS", str(REPEATS)))
        print(
            f"js: {(place / 'digits.mjs').stat().st_size} bytes, {shell('node', 'time.mjs', cwd=place).strip()} us per row"
        )
        if given.web:
            print(export(net, place / "digits.onnx", "onnx"))
            (place / "node_modules").symlink_to(given.web)
            (place / "web.mjs").write_text(WEB)
            wasm = Path(given.web) / "onnxruntime-web" / "dist" / "ort-wasm-simd-threaded.wasm"
            one, many = shell("node", "web.mjs", cwd=place).split()[-2:]
            print(f"onnxruntime-web: wasm {wasm.stat().st_size} bytes, {one} us per row alone, {many} in one batch")


if __name__ == "__main__":
    assert shutil.which("gcc")
    assert shutil.which("node")
    main()
