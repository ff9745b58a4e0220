"""`python -m backpack_sandbox`."""

import sys

from backpack_sandbox.cli import main

sys.exit(main())
