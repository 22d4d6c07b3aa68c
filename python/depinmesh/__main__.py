"""`python -m depinmesh` is the command `depinmesh`."""

import sys

from depinmesh.cli import main

sys.exit(main())
