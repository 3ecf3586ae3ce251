"""Values that hold many numbers show in one short line what they are.

In: a data set, a training of it. Out: the text that a console shows.
"""

from chainrule.data import load, three_way
from chainrule.doctor import DoctorMonitor, report
from chainrule.pipeline import Settings, build_problem
from chainrule.train import train


def test_values_with_many_numbers_show_what_they_are_in_a_line():
    data = load("iris")
    problem = build_problem(Settings(max_iter=3, engine="reference"), three_way(data, 0.2, 0.1, seed=0))
    run = train(problem, [DoctorMonitor()])
    seen = report(run)
    assert repr(data) == "Dataset('iris': 150 rows, 4 columns, classification)"
    assert repr(problem.rows) == "Rows(108 rows, 4 columns)"
    assert repr(run) == f"Run(3 epochs, reference engine: {run.stop})"
    assert repr(run.state) == "State(803 parameters, step 12)"
    assert repr(seen).startswith("Report(")
    assert repr(seen.trace) == f"Trace(3 epochs, {len(seen.trace.readings)} readings)"
    assert max(map(len, map(repr, (data, problem.rows, run, run.state, seen, seen.trace)))) < 200
