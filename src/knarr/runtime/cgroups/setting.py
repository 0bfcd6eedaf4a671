"""A limit as a value: which control file gets which text.

Law: turning OCI resources into settings is pure (``v1``, ``v2``); only ``apply`` touches the
kernel. So a limit can be explained and tested without root.
"""

from __future__ import annotations

from typing import NamedTuple

from knarr.runtime.cgroups import files


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


def apply(setting: Setting, directory: str) -> None:
    """Write the setting in the cgroup at ``directory``; raises as ``files.write``."""
    path = f"{directory}/{setting.file}"
    try:
        files.write_raw(path, setting.value)
    except FileNotFoundError as error:
        if setting.optional:
            return
        if setting.otherwise is None:
            raise files.refused(error, path, setting.value) from error
        apply(setting.otherwise, directory)
    except OSError as error:
        raise files.refused(error, path, setting.value) from error
