"""A machine of its own for tests: cgroup v2 only, an older kernel, booted by QEMU without KVM."""
