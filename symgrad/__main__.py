"""`python -m symgrad`, the same as the command `symgrad`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
