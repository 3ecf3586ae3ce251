"""The script that times small fits runs, and says for each call what it took."""

import subprocess
import sys
from pathlib import Path

import pytest

from chainrule.engines import why_unavailable

SCRIPT = Path(__file__).parents[2] / "bench" / "small_fits.py"


@pytest.mark.skipif(bool(why_unavailable("native")), reason="the script times the native engine")
def test_every_part_is_timed():
    command = [sys.executable, str(SCRIPT), "--repeats", "1", "--networks", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("| n_networks=2 |") == 2
    assert done.stdout.count("| 2 fits |") == 2
    assert done.stdout.count("| chainrule, cross_val_score |") == 2
