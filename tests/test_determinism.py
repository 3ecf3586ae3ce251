"""One seed gives the same bits in every process, whatever its hash seed, and whether it works alone or beside others.

In: estimators fitted in new processes, a study in one process and in two. Out: equal weights, equal records.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from golden import cases

import chainrule
from chainrule.studies import STUDIES, StudyConfig, run

FITS = """
import json, sys
import numpy as np
from golden import cases, write
from chainrule import NetClassifier, NetRegressor, TableClassifier, TableRegressor
X = write.matrix()
y = np.array(["low", "mid", "high"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > 0)]
common = {"max_iter": 5, "batch_size": 16, "random_state": 7}
pack = {"preset": write.PRESET, "seconds": None, "n_jobs": 2, "random_state": 7}
fits = {
    "classifier": NetClassifier((6,), dropout=0.25, early_stopping=True, **common).fit(X, y),
    "on the reference engine": NetClassifier((6,), batch_norm=True, engine="reference", **common).fit(X, y),
    "regressor": NetRegressor((6, 5), batch_norm=True, **common).fit(X, X[:, 0] * X[:, 2]),
    "three networks": NetClassifier((4,), n_networks=3, calibrate="temperature", early_stopping=True, **common).fit(X, y),
    "pack": TableClassifier(**pack).fit(write.table(), y.tolist() + y.tolist()[:20]),
    "pack of values": TableRegressor(**pack).fit(write.table(), list(range(80))),
}
print(json.dumps({name: cases.weights(fitted.model_) for name, fitted in fits.items()}))
"""


def fitted(hash_seed):
    """Return the digests of the weights of several estimators, fitted in a new process."""
    folders = [str(cases.HERE.parent), str(Path(chainrule.__file__).parents[1])]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(folders)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FITS], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_seed_gives_the_same_weights_in_every_process():
    first = fitted("0")
    assert len(set(first.values())) == len(first) == 6
    assert fitted("12345") == first


@pytest.mark.slow
def test_a_study_in_processes_has_the_records_of_one_process(tmp_path):
    study, config = STUDIES["input-scaling"], StudyConfig(seeds=1, quick=True)
    alone = run([study], config, tmp_path / "alone", 1)["input-scaling"]
    beside = run([study], config, tmp_path / "beside", 2)["input-scaling"]
    assert alone.arms == beside.arms
    for arm in alone.arms:
        for one, other in zip(alone.of_arm(arm), beside.of_arm(arm), strict=True):
            assert {k: v for k, v in one.items() if "second" not in k} == {
                k: v for k, v in other.items() if "second" not in k
            }
