"""Benchmark of untuned methods on 34 real tables, from a few hundred rows to 300 000.

    python -m bench.tables run --peers hist_boosting,lightgbm --tables ames,adult --seeds 0,1,2 --out FOLDER
    python -m bench.tables report FOLDER
    python -m bench.tables csv FOLDER

Run it from the repository's root, with the `tables` extra installed.
"""
