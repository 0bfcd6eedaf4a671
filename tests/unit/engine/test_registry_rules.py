from __future__ import annotations

from knarr.engine.system import _registries
from knarr.remotes import RegistryRule, Rules


def test_rules_of_registries_are_told_as_docker_tells_them() -> None:
    tables = {
        "docker.io": RegistryRule(mirrors=("https://mirror.example",)),
        "r.example": RegistryRule(insecure=True),
    }
    found = _registries(Rules(tables, ("10.0.0.0/8", "lab.example:5000")))
    assert found.insecure_registry_cidrs == ["::1/128", "127.0.0.0/8", "10.0.0.0/8"]
    assert found.mirrors == ["https://mirror.example/"]
    shown = {name: (each.secure, each.official) for name, each in found.index_configs.items()}
    assert shown == {
        "docker.io": (True, True),
        "lab.example:5000": (False, False),
        "r.example": (False, False),
    }
