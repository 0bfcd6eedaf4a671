CAN_CLONE_INTO_CGROUP: int

def spawn(
    segments: tuple[tuple[bytes, bytes, bytes], ...], flags: int, cgroup: int, report: int
) -> tuple[int, int, int, int, int]: ...
