"""Benchmark of untuned methods on 34 real tables, from a few hundred rows to 300 000.

    python -m bench.tables run --peers hist_boosting,lightgbm --tables ames,adult --seeds 0,1,2 --out FOLDER
    python -m bench.tables run --peers realmlp,tabm --python OTHER/bin/python --out FOLDER
    python -m bench.tables ablation --variants variants.json --tables ames,adult --out FOLDER
    python -m bench.tables report FOLDER
    python -m bench.tables csv FOLDER

Run it from the repository's root, with the `tables` extra installed. `run` and `ablation` can be stopped at any time:
the same command goes on. variants.json maps a name to the overrides that chainrule's estimators receive as `preset=`.
Seconds are comparable only on a machine that does nothing else; chainrule's scores too, since it stops by the clock.
"""
