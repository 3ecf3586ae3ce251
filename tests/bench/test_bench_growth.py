"""Why: exponents fitted wrongly look like laws. In: curves made by hand, one axis run. Out: slopes, bends, a line."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from chainrule.engines import why_unavailable

SCRIPT = Path(__file__).parents[2] / "bench" / "growth.py"


@pytest.fixture(scope="module")
def growth():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("growth_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize(
    ("figures", "slopes", "bend"),
    [
        ([1.0, 2.0, 4.0, 8.0], [1.0, 1.0, 1.0], None),
        ([1.0, 4.0, 16.0, 64.0], [2.0, 2.0, 2.0], None),
        ([1.0, 1.0, 2.0, 4.0], [0.0, 1.0, 1.0], 2),
        ([1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0], None),
        ([8.0, 4.0, 4.0, 4.0], [-1.0, 0.0, 0.0], 2),
    ],
    ids=["linear", "quadratic", "a fixed cost first", "constant", "falling first"],
)
def test_slopes_and_bends_by_hand(growth, figures, slopes, bend):
    values = [1, 2, 4, 8]
    assert growth.exponents(values, figures) == pytest.approx(slopes)
    assert growth.bend(values, figures) == bend


@pytest.mark.skipif(bool(why_unavailable("native")), reason="the script times the native engine")
def test_one_curve_from_the_command_line(tmp_path):
    command = [sys.executable, str(SCRIPT), "--repeats", "1", "--seconds", "0.001", "--axis", "depth"]
    done = subprocess.run([*command, "--figures", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "| depth | a step | 1 to 32 |" in done.stdout
    assert (tmp_path / "growth.svg").read_text().startswith("<svg")
