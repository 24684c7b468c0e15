"""``python -m regmax`` is the command ``regmax``."""

import sys

from regmax.cli import main

if __name__ == "__main__":
    sys.exit(main())
