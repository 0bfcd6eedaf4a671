"""Which tests belong inside the machine and which outside."""

from __future__ import annotations

import os

_IS_INSIDE = "KNARR_MACHINE_REPORT" in os.environ

collect_ignore = ["test_machine.py"] if _IS_INSIDE else ["inside", "legacy"]
