"""A registry server: the OCI distribution specification 1.1 over files and a database.

::

    app, routes/    HTTP: a request, the route that answers it, failures as the specification says
    rules           what a push, a mount, a delete means
    uploads         blobs that come in pieces
    manifests       what is read of a manifest
    storage/        bytes of blobs: the border, and the drivers
    metadata/       repositories, tags, manifests: the border, and the databases
    access/         who may do what: the border, and the ways
    upkeep/         garbage, retention
    config, serve   the configuration, and the program ``knarr registry serve``

As a library: ``open_registry`` gives an ``App``, and ``App.server`` is what a loop listens with.
"""
