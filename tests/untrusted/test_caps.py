"""Why: what a file asks for is compared with what it holds before anything is unpacked or allocated.

In: bombs of every format, read in a child process whose memory is measured. Out: one of our errors within two seconds of the
processor, with at most 64 MB and four times the file on top; honest files that look alike are read.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from untrusted.attack import TESTS
from untrusted.bombs import BOMBS, HONEST, read

from chainrule.errors import ChainruleError

MEASURE = """
import json, sys, tempfile, time
from pathlib import Path
import chainrule.estimators, fastexcel, polars, safetensors.numpy
from untrusted.bombs import read
from untrusted.readers import READERS
from chainrule.errors import ChainruleError

def bytes_of(name):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return 1024 * int(line.split()[1])

with tempfile.TemporaryDirectory() as folder:  # whatever is loaded once
    for name in ("csv", "npz", "model", "preset", "idx", "parquet"):
        (Path(folder) / name).mkdir()
        READERS[name].read(READERS[name].honest(Path(folder) / name))
for path in map(Path, sys.argv[1:]):
    Path("/proc/self/clear_refs").write_text("5")
    before = bytes_of("VmRSS")
    start = time.process_time()
    try:
        read(path)
        said = "read"
    except ChainruleError as error:
        said = type(error).__name__
    seconds = time.process_time() - start
    print(json.dumps({"said": said, "more": bytes_of("VmHWM") - before, "seconds": seconds}))
"""


def measured(paths):
    """What a child process says about files, and what each took: peak memory above before, and seconds of the processor."""
    source = str(Path(sys.modules["chainrule"].__file__).parents[1])
    few = {"POLARS_MAX_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(TESTS), source])}
    command = [sys.executable, "-W", "ignore", "-c", MEASURE, *map(str, paths)]
    done = subprocess.run(command, env={**os.environ, **few}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def made(folder, files, name):
    file, make = files[name]
    path = folder / file
    path.write_bytes(make())
    return path


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_refused(bomb, tmp_path):
    with pytest.raises(ChainruleError) as refused:
        read(made(tmp_path, BOMBS, bomb))
    assert str(refused.value).startswith(("b", "Preset"))
    assert len(str(refused.value)) < 1_000


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="the system does not reset the peak of memory")
def test_bombs_take_little_time_and_memory(tmp_path):
    paths = []
    for k, bomb in enumerate(BOMBS):
        (tmp_path / str(k)).mkdir()
        paths.append(made(tmp_path / str(k), BOMBS, bomb))
    for bomb, path, found in zip(BOMBS, paths, measured(paths), strict=True):
        assert found["said"] != "read", bomb
        assert found["seconds"] < 2.0, (bomb, found)
        assert found["more"] < (64 << 20) + 4 * path.stat().st_size, (bomb, found)


@pytest.mark.parametrize("name", HONEST)
def test_honest_files_that_look_like_bombs_are_read(name, tmp_path):
    assert read(made(tmp_path, HONEST, name)) is not None
