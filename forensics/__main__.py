"""`python -m forensics`."""

import sys

if not sys.flags.safe_path:
    del sys.path[0]  # the current folder, which may be a suspect's

from forensics.cli import main

raise SystemExit(main())
