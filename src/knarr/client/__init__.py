"""A client of the Engine API over a unix socket or TCP.

Scope: find the engine, speak HTTP/1.1 to it, carry its streams (hijacked connections, multiplexed
output, terminals). What a command means is beyond the scope of this package.

Law: importing this package and its modules costs next to nothing, because ``knarr ps`` must not be
slower than ``docker ps``. So: no ``typing``, ``re``, ``json``, ``socket``, ``http.client``,
``enum`` or ``dataclasses`` here, only what is compiled into the interpreter or written in C
(``_socket``, ``_json``, ``_signal``, ``_thread``, ``termios``). Measured on a slow machine with
``python -I -S``: the interpreter itself 11 ms, ``json`` 8 ms more, ``socket`` 12 ms more.

The modules are imported by name; nothing is re-exported.
"""
