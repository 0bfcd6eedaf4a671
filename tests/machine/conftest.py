"""Which tests belong inside the machine and which outside."""

from __future__ import annotations

import os

collect_ignore = ["test_machine.py"] if "KNARR_MACHINE_REPORT" in os.environ else ["inside"]
