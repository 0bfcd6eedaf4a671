"""Networks of containers.

Scope: which network modes there are and what a container's endpoints look like. Networks with
addresses (bridge, user-defined) are not built yet.
"""
