"""`python -m cinetrack`: the `cinetrack` command, also under torchrun."""

import sys

from cinetrack.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
