"""Containers: the record, the runtime spec made from it, its files and its log.

Scope: what a container *is* (``record``), how a request becomes one (``merge``, ``validate``,
``binds``), what the runtime is told (``spec``), and what lies beside it on disk (``files``,
``logs``). What is done with containers, and in which order, is in ``knarr.engine``.

On disk::

    <data-root>/containers/<id>/{hosts,hostname,resolv.conf}   bind-mounted into the container
    <data-root>/containers/<id>/<id>-json.log[.N]              written by the supervisor
    <exec-root>/bundles/<id>/{config.json,rootfs/}             made at each start

Law: the record in the database is the truth about a container, except for whether it runs: that
the supervisor knows.
"""
