"""``python -m nearfar`` is the ``nearfar`` command."""

import sys

from nearfar.cli import main

sys.exit(main())
