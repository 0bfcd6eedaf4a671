from knarr import errors as errors
from knarr.sdk import *  # noqa: F403 (what the type checker sees is all of it)

__version__: str
