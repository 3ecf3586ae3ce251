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
import json, resource, sys, time
from pathlib import Path
import chainrule.estimators, fastexcel, polars, safetensors.numpy
from untrusted.bombs import read
from untrusted.readers import READERS
from chainrule.errors import ChainruleError
import tempfile
with tempfile.TemporaryDirectory() as folder:
    for name in ("csv", "npz", "model", "preset", "idx"):
        (Path(folder) / name).mkdir()
        READERS[name].read(READERS[name].honest(Path(folder) / name))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.process_time()
try:
    read(Path(sys.argv[1]))
    said = "read"
except ChainruleError as error:
    said = f"{type(error).__name__}: {str(error)[:300]}"
more = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
print(json.dumps({"said": said, "more": more, "seconds": time.process_time() - start}))
"""


def measured(path):
    """What a child process says about a file, and what it took."""
    source = str(Path(sys.modules["chainrule"].__file__).parents[1])
    few = {"POLARS_MAX_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(TESTS), source])}
    command = [sys.executable, "-W", "ignore", "-c", MEASURE, str(path)]
    done = subprocess.run(command, env={**os.environ, **few}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


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
@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_take_little_time_and_memory(bomb, tmp_path):
    path = made(tmp_path, BOMBS, bomb)
    found = measured(path)
    assert found["said"] != "read"
    assert found["seconds"] < 2.0
    assert found["more"] < (64 << 20) + 4 * path.stat().st_size


@pytest.mark.parametrize("name", HONEST)
def test_honest_files_that_look_like_bombs_are_read(name, tmp_path):
    assert read(made(tmp_path, HONEST, name)) is not None
