"""Run the command line as `python -m chainrule`, where the command itself is not on the path."""

from chainrule.cli import main

if __name__ == "__main__":
    main()
