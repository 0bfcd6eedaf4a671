"""Who the user is for registries: Docker's configuration file and its credential helpers.

Scope: find, keep and forget secrets on the client's side, where Docker keeps them, so that a login
by ``docker`` counts for ``knarr`` and the other way round. The engine keeps none: what it needs
travels with each request in ``X-Registry-Auth``.

Law: a secret is on no command line, in no error and no log. It is written to a file only where no
helper can keep it, and the caller is told so. What else is in the configuration file stays as it
is. Loaded only when a registry is spoken to, so it may import what hot commands may not.

Source: Docker's ``config.json`` and the protocol of ``docker-credential-*``.
"""
