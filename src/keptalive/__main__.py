"""`python -m keptalive`: the command line."""

import sys

from keptalive.cli.main import main

sys.exit(main())
