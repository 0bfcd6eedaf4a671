"""All commands by the words that call them. Nothing else is imported for them.

A row: the words, the module in ``knarr.cli`` whose ``COMMAND`` does it, and what it does. The
first words of a module are its name in ``--help``.
"""

from __future__ import annotations

GROUPS = {
    "container": "Manage containers",
    "image": "Manage images",
    "manifest": "Show manifests on registries",
    "network": "Manage networks",
    "registry": "Run a registry of images",
    "system": "Manage the engine",
    "volume": "Manage volumes",
}

_CONTAINER = {
    "attach": "Connect the standard streams to a running container",
    "commit": "Make an image of what a container has changed",
    "cp": "Copy files between a container and this machine",
    "create": "Make a container without starting it",
    "diff": "Show what a container has changed in its files",
    "exec": "Run a further program in a running container",
    "export": "Write the files of a container to a tar archive",
    "inspect": "Show all that is known of containers",
    "kill": "Send a signal to running containers",
    "logs": "Show what a container wrote",
    "ls": "List containers",
    "pause": "Freeze the processes of containers",
    "port": "Show the published ports of a container",
    "prune": "Remove all containers that do not run",
    "rename": "Give a container another name",
    "restart": "Stop and start containers",
    "rm": "Remove containers",
    "run": "Make a container from an image and start it",
    "start": "Start containers that do not run",
    "stats": "Show what containers use, again and again",
    "stop": "Stop running containers",
    "top": "Show the processes of a container",
    "unpause": "Thaw the processes of containers",
    "update": "Change the limits of containers",
    "wait": "Wait until containers stop and print their exit codes",
}
_IMAGE = {
    "history": "Show how an image was made",
    "import": "Make an image from a tar archive of a root filesystem",
    "inspect": "Show all that is known of images",
    "load": "Load images from an archive",
    "ls": "List images",
    "prune": "Remove images that are not used",
    "pull": "Fetch an image from a registry",
    "push": "Send an image to a registry",
    "rm": "Remove images",
    "save": "Write images to an archive",
    "tag": "Give an image a further name",
}
_SYSTEM = {
    "df": "Show how much disk is used",
    "events": "Follow what happens in the engine",
    "info": "Show the engine's state and abilities",
    "prune": "Remove all that is not used",
}
_VOLUME = {
    "create": "Make a volume",
    "inspect": "Show all that is known of volumes",
    "ls": "List volumes",
    "prune": "Remove volumes that are not used",
    "rm": "Remove volumes",
}
_NETWORK = {
    "inspect": "Show all that is known of networks",
    "ls": "List networks",
}
_MANIFEST = {"inspect": "Show the manifest of an image on its registry"}
_REGISTRY = {"serve": "Serve a registry of images"}
CHILDREN: dict[str, dict[str, str]] = {
    "container": _CONTAINER,
    "image": _IMAGE,
    "manifest": _MANIFEST,
    "network": _NETWORK,
    "registry": _REGISTRY,
    "system": _SYSTEM,
    "volume": _VOLUME,
}
SYNONYMS = {
    "container": {"list": "ls", "ps": "ls", "remove": "rm"},
    "image": {"list": "ls", "remove": "rm"},
    "network": {"list": "ls"},
    "manifest": {},
    "registry": {},
    "system": {},
    "volume": {"list": "ls", "remove": "rm"},
}

SHORT = {
    **{name: f"container.{name}" for name in _CONTAINER if name not in ("inspect", "ls", "prune")},
    "ps": "container.ls",
    **{
        name: f"image.{name}"
        for name in ("history", "import", "load", "pull", "push", "save", "tag")
    },
    "images": "image.ls",
    "rmi": "image.rm",
    **{name: f"system.{name}" for name in ("events", "info")},
    "inspect": "inspect",
    "login": "login",
    "logout": "logout",
    "search": "search",
    "version": "version",
    "daemon": "daemon",
}
"""The commands without a group."""

FILES = {"image.import": "image.import_"}
"""Modules whose name is a word of Python."""

ALONE = {
    "inspect": "Show all that is known of containers, images, networks, volumes",
    "login": "Remember who you are on a registry",
    "logout": "Forget who you are on a registry",
    "search": "Search a registry for images",
    "version": "Show the versions of knarr and the engine",
    "daemon": "Run the engine",
}
COMMON = ("run", "exec", "ps", "images", "version", "info")


def describe(name: str) -> str:
    """What a command without a group does."""
    group, dot, child = SHORT[name].partition(".")
    return CHILDREN[group][child] if dot else ALONE[name]


def module(words: tuple[str, ...]) -> str | None:
    """The module of a command, under ``knarr.cli``; ``None`` for unknown words."""
    if len(words) == 1:
        return SHORT.get(words[0])
    group, child = words
    child = SYNONYMS[group].get(child, child)
    return f"{group}.{child}" if child in CHILDREN[group] else None


def aliases(target: str) -> list[str]:
    """All words that call a module, the full form first."""
    group, dot, child = target.partition(".")
    if not dot:
        return [target]
    other = [f"{group} {name}" for name, real in SYNONYMS[group].items() if real == child]
    return [f"{group} {child}", *other, *(name for name, place in SHORT.items() if place == target)]
