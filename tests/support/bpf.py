"""An interpreter of classic BPF, as far as seccomp(2) allows it."""

from __future__ import annotations

import struct


def run(program: bytes, arch: int, number: int, arguments: tuple[int, ...] = (0,) * 6) -> int:
    """What the kernel would make of one system call; classic BPF as seccomp allows it."""
    data = struct.pack("=IIQ6Q", number, arch, 0, *arguments)
    code = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    accumulator = at = 0
    while True:
        opcode, if_true, if_false, value = code[at]
        at += 1
        if opcode == 0x06:
            return int(value)
        if opcode == 0x20:
            accumulator = struct.unpack_from("=I", data, value)[0]
        elif opcode == 0x54:
            accumulator &= value
        elif opcode == 0x05:
            at += value
        else:
            test = {
                0x15: accumulator == value,
                0x25: accumulator > value,
                0x35: accumulator >= value,
                0x45: bool(accumulator & value),
            }[opcode]
            at += if_true if test else if_false
