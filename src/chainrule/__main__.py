"""Why: `python -m chainrule` is the command line where the command itself is not on the path. In: arguments. Out: as cli."""

from chainrule.cli import main

if __name__ == "__main__":
    main()
