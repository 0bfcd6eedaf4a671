"""Composition root: builds the engine from its parts, restores state, serves, handles signals.

``options`` reads flags and the configuration file, ``logs`` writes what happens, ``locks`` keeps a
second engine off the same folders, ``wiring`` puts the parts together, ``main`` is the life of the
process. Nothing else imports this package.
"""
