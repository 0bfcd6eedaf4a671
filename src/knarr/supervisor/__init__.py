"""The process that is the parent of all container processes, and the client that speaks to it.

Scope: starting, reaping, stdio, terminals, logs and exit records of container processes, for one
engine. What a container is made of is decided elsewhere: the supervisor gets a bundle and mounts
and hands them to ``knarr.runtime``.

Law: the supervisor outlives the engine, and containers outlive both. Nothing that a container
wrote before it ended is lost, doubled or torn when either of the two is killed, and every exit is
kept on disk until the engine has said ``delete``.

All modules but ``client``, ``channel``, ``held`` and ``launch`` (the engine's side) import the
standard library only, without asyncio: the memory of the process is part of the product.

On disk, below the exec-root (see ``state``)::

    supervisor.sock   SEQPACKET socket, mode 0600, peers of the same user only
    supervisor.lock   flock(2) of the one supervisor
    supervisor.log    what it had to say about itself
    supervisor/<container id>/            see ``state``, ``spool`` and ``journal``
        state.json  exit.json  journal  stdout.spool  stderr.spool  sent
        exec-<exec id>/...
"""
