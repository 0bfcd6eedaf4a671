"""Containers for the tests of the runtime."""

from support.boxfixtures import box, busybox_root

__all__ = ["box", "busybox_root"]
