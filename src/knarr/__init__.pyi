from knarr import errors as errors
from knarr.sdk.aio import *  # noqa: F403 (all of it is public)
from knarr.sdk.blocking import *  # noqa: F403 (all of it is public)
from knarr.sdk.core import *  # noqa: F403 (all of it is public)

__version__: str
