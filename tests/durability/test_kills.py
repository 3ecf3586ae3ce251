"""Why: whatever moment a whole command is killed at, running it again must end with the bits of an undisturbed run.

In: `kills.py`, in a process of its own in which no engine has computed. Out: how many kills there were, and no difference.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import chainrule

SCRIPT = Path(__file__).with_name("kills.py")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs fork and /proc"),
]


def kills(*arguments):
    """Run the script; return the number of kills."""
    environment = {**os.environ, "PYTHONPATH": str(Path(chainrule.__file__).parents[1])}
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    print(done.stdout)
    return int(re.match(r"(\d+) kills", done.stdout)[1])


def test_commands_killed_at_random_moments_end_with_the_same_bits():
    assert kills("--kills", 12) >= 12


@pytest.mark.parametrize("name", ["train", "fit", "study"])
def test_commands_killed_at_effects_on_files_end_with_the_same_bits(name):
    assert kills("--kills", 0, "--only", name, "--effects", 6) >= 6
