"""A limit as a value: which control file gets which text.

Law: turning OCI resources into settings is pure (``v1``, ``v2``); only ``apply`` touches the
kernel. So a limit can be explained and tested without root.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from knarr.runtime.cgroups import files, undo

if TYPE_CHECKING:
    from knarr.runtime.cgroups.undo import Earlier


class Setting(NamedTuple):
    """Write ``value`` to ``file`` of the cgroup in the hierarchy of ``controller``.

    ``otherwise`` is what to write when the file does not exist here (the weight of one I/O
    scheduler or of another). ``optional`` means that a missing file already does what is asked
    (no swap where swap is not counted).
    """

    controller: str
    file: str
    value: str
    otherwise: Setting | None = None
    optional: bool = False

    def describe(self) -> str:
        """As one line of ``run --explain``."""
        return f'write "{self.value}" to {self.file}'


def apply(setting: Setting, directory: str, changes: list[Earlier] | None = None) -> None:
    """Write the setting in the cgroup at ``directory``; raises as ``files.write``.

    To ``changes`` is added what stood there before.
    """
    path = f"{directory}/{setting.file}"
    before = undo.earlier(path, setting.value) if changes is not None else None
    try:
        files.write_raw(path, setting.value)
    except FileNotFoundError as error:
        if setting.optional:
            return
        if setting.otherwise is None:
            raise files.refused(error, path, setting.value) from error
        apply(setting.otherwise, directory, changes)
    except OSError as error:
        raise files.refused(error, path, setting.value) from error
    if changes is not None and before is not None:
        changes.append(before)
