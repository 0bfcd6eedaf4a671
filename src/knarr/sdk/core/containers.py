"""The requests of containers."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import msgspec

from knarr.api.archives import Committed, PathStat
from knarr.api.containers import (
    ContainerCreateResponse,
    ContainerInspect,
    ContainerPrune,
    ContainerSummary,
    FilesystemChange,
    TopResponse,
    UpdateResponse,
    WaitResponse,
)
from knarr.api.stats import StatsResponse
from knarr.client import paths
from knarr.errors import InternalError, UnavailableError

from . import decoders
from .request import (
    Answer,
    Operation,
    Request,
    Streaming,
    filters,
    many,
    message,
    moment,
    nothing,
    posting,
    query,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.api.containers import ContainerCreateRequest
    from knarr.api.host_config import ContainerUpdateRequest
    from knarr.client.http import Head

    from .request import Filters, Moment, Parameter
    from .values import Chunk

_GRACE = 10.0
"""What Docker gives a container to stop, in seconds."""


def _do(verb: str, container: str, action: str, **parameters: Parameter) -> Request:
    return Request(verb, paths.container(container, action), query(parameters))


def _post(container: str, action: str, **parameters: Parameter) -> Operation[None]:
    return Operation(_do("POST", container, action, **parameters), nothing)


def create(
    request: ContainerCreateRequest, *, name: str, platform: str
) -> Operation[ContainerCreateResponse]:
    """Make a container."""
    parameters = query({"name": name, "platform": platform})
    return Operation(
        posting("/containers/create", request, parameters),
        message(ContainerCreateResponse),
    )


def summaries(
    *, every: bool, limit: int | None, size: bool, chosen: Filters | None
) -> Operation[tuple[ContainerSummary, ...]]:
    """List."""
    parameters = query({"all": every, "limit": limit, "size": size, "filters": filters(chosen)})
    return Operation(Request("GET", "/containers/json", parameters), many(ContainerSummary))


def prune(chosen: Filters | None) -> Operation[ContainerPrune]:
    """Remove what does not run."""
    request = Request("POST", "/containers/prune", query({"filters": filters(chosen)}))
    return Operation(request, message(ContainerPrune), None)


def inspect(container: str, *, size: bool = False) -> Operation[ContainerInspect]:
    """All about it."""
    return Operation(_do("GET", container, "json", size=size), message(ContainerInspect))


def start(container: str) -> Operation[None]:
    """Start."""
    return _post(container, "start")


def stop(container: str, *, signal: str, grace: int | None) -> Operation[None]:
    """Stop."""
    return _slow(_do("POST", container, "stop", signal=signal, t=_seconds(grace)), grace)


def restart(container: str, *, signal: str, grace: int | None) -> Operation[None]:
    """Stop and start."""
    return _slow(_do("POST", container, "restart", signal=signal, t=_seconds(grace)), grace)


def _seconds(grace: int | None) -> str:
    return "" if grace is None else str(grace)  # a text, for 0 says something


def _slow(request: Request, grace: int | None) -> Operation[None]:
    """The container's own time to stop may be any: without ``grace`` there is no limit."""
    return Operation(request, nothing, None if grace is None or grace < 0 else grace + _GRACE)


def kill(container: str, *, signal: str) -> Operation[None]:
    """Send a signal."""
    return _post(container, "kill", signal=signal)


def pause(container: str) -> Operation[None]:
    """Freeze."""
    return _post(container, "pause")


def unpause(container: str) -> Operation[None]:
    """Thaw."""
    return _post(container, "unpause")


def rename(container: str, name: str) -> Operation[None]:
    """Give it another name."""
    return _post(container, "rename", name=name)


def resize(container: str, *, height: int, width: int) -> Operation[None]:
    """Set the size of its terminal."""
    return _post(container, "resize", h=height, w=width)


def remove(container: str, *, force: bool, volumes: bool) -> Operation[None]:
    """Remove."""
    request = _do("DELETE", container, "", force=force, v=volumes)
    return Operation(request, nothing, None if force else 0.0)


def wait(container: str, *, condition: str) -> Operation[int]:
    """Wait for its end; the exit code."""
    return Operation(_do("POST", container, "wait", condition=condition), exit_code, None)


def exit_code(answer: Answer) -> int:
    """The exit code in the answer to a wait. Raises ``InternalError`` if waiting failed."""
    result = message(WaitResponse)(answer)
    if result.error is not None and result.error.message:
        raise InternalError(f"error waiting for container: {result.error.message}")
    return result.status_code


def update(container: str, request: ContainerUpdateRequest) -> Operation[UpdateResponse]:
    """Change limits."""
    return Operation(
        posting(paths.container(container, "update"), request),
        message(UpdateResponse),
    )


def top(container: str, arguments: str) -> Operation[TopResponse]:
    """Its processes."""
    return Operation(_do("GET", container, "top", ps_args=arguments), message(TopResponse))


def changes(container: str) -> Operation[tuple[FilesystemChange, ...]]:
    """What differs from its image."""
    return Operation(_do("GET", container, "changes"), many(FilesystemChange), None)


def logs(  # noqa: PLR0913 (as many as Docker has)
    container: str,
    *,
    stdout: bool,
    stderr: bool,
    follow: bool,
    since: Moment | None,
    until: Moment | None,
    tail: int | None,
    timestamps: bool,
) -> Streaming[Chunk]:
    """What it wrote."""
    parameters = query(
        {
            "stdout": stdout,
            "stderr": stderr,
            "follow": follow,
            "since": moment(since),
            "until": moment(until),
            "tail": "" if tail is None else str(tail),
            "timestamps": timestamps,
        }
    )
    request = Request("GET", paths.container(container, "logs"), parameters)
    return Streaming(request, decoders.output)


def attach(
    container: str, *, stdin: bool, stdout: bool, stderr: bool, logs: bool
) -> Streaming[Chunk]:
    """Its streams."""
    wanted: dict[str, Parameter] = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
    parameters = query({"stream": True, **wanted, "logs": logs})
    request = Request("POST", paths.container(container, "attach"), parameters, upgrade=True)
    return Streaming(request, decoders.output)


def attach_new(container: str, *, stdin: bool, tty: bool) -> Streaming[Chunk]:
    """The streams of one that this client made, so that their form is known."""
    wanted = attach(container, stdin=stdin, stdout=True, stderr=True, logs=False)
    return wanted._replace(decoder=decoders.known_output(tty=tty))


def stats(container: str) -> Streaming[StatsResponse]:
    """A sample every second."""
    request = Request("GET", paths.container(container, "stats"), (("stream", 1),))
    return Streaming(request, decoders.documents(StatsResponse))


def stats_once(container: str) -> Operation[StatsResponse]:
    """One sample; the engine takes two, a second apart, so that there is a difference."""
    request = Request("GET", paths.container(container, "stats"), (("stream", 0),))
    return Operation(request, message(StatsResponse))


def export(container: str) -> Streaming[bytes]:
    """Its whole filesystem as a tar."""
    return Streaming(_do("GET", container, "export"), decoders.raw)


def get_archive(container: str, path: str) -> Streaming[bytes]:
    """A file or folder as a tar."""
    return Streaming(_do("GET", container, "archive", path=path), decoders.raw)


def stat_path(container: str, path: str) -> Operation[PathStat]:
    """What is at a path."""
    return Operation(
        _do("HEAD", container, "archive", path=path), lambda answer: path_stat(answer.head)
    )


def path_stat(head: Head) -> PathStat:
    """What the head of an archive says. Raises ``UnavailableError`` if it says nothing."""
    text = head.headers.get("x-docker-container-path-stat", "")
    try:
        return msgspec.json.decode(base64.b64decode(text), type=PathStat)
    except (ValueError, msgspec.DecodeError) as error:
        raise UnavailableError("the engine did not say what the path is") from error


def put_archive(container: str, path: str, *, keep_kind: bool) -> Operation[None]:
    """Unpack a tar, which is sent behind it, into a folder."""
    request = _do("PUT", container, "archive", path=path, noOverwriteDirNonDir=keep_kind)
    return Operation(request._replace(content_type="application/x-tar"), nothing, None)


def commit(
    container: str,
    *,
    repository: str,
    tag: str,
    comment: str,
    author: str,
    changes: Sequence[str],
    pause: bool,
) -> Operation[Committed]:
    """Make an image of it."""
    parameters = query(
        {"container": container, "repo": repository, "tag": tag, "comment": comment}
        | {"author": author, "changes": "\n".join(changes), "pause": "1" if pause else "0"}
    )
    return Operation(Request("POST", "/commit", parameters), message(Committed), None)
