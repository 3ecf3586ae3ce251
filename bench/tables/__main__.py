"""The command line: `python -m bench.tables`."""

import sys

from bench.tables.commands import main

if __name__ == "__main__":
    sys.exit(main())
