"""``--ulimit name=soft[:hard]``."""

from __future__ import annotations

from knarr.api import ulimits
from knarr.cli.flags import BadValueError
from knarr.errors import InvalidArgumentError


def parse(text: str) -> dict[str, object]:
    """The limit as the API has it; ``BadValueError``."""
    try:
        name, soft, hard = ulimits.parse(text)
    except InvalidArgumentError as error:
        raise BadValueError(error.message) from None
    return {"Name": name, "Hard": hard, "Soft": soft}
