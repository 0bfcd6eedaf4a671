"""``knarr registry serve``: the program that serves a registry until it is told to end."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from knarr.errors import InvalidArgumentError, KnarrError, UnavailableError
from knarr.registry import config
from knarr.registry.access.audit import Audit
from knarr.registry.access.controlled import ControlledAccess
from knarr.registry.access.htpasswd import Htpasswd
from knarr.registry.access.limits import RateLimit
from knarr.registry.access.roles import Roles
from knarr.registry.access.tokens import Signer, load_key
from knarr.registry.app import App
from knarr.registry.metadata.postgres import PostgresMetadata
from knarr.registry.metadata.sqlite import SqliteMetadata
from knarr.registry.proxy.proxy import Proxy
from knarr.registry.rules import Rules
from knarr.registry.storage.files import FileDriver
from knarr.registry.upkeep.collector import Collector
from knarr.registry.upkeep.retention import Retention

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from knarr.registry.config import AccessConfig, Config, ProxyConfig
    from knarr.registry.metadata import Metadata
    from knarr.registry.proxy import Upstream
    from knarr.registry.storage import Driver

    Connect = Callable[[ProxyConfig], Upstream]

_log = logging.getLogger(__name__)
_END_SECONDS = 10.0


def open_registry(chosen: Config, connect: Connect | None = None) -> App:
    """The registry of a configuration; the caller closes it. Raises ``KnarrError``.

    ``connect`` makes the upstream of a proxy; without it there can be none.
    """
    root = Path(chosen.root)
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        driver = _storage(chosen, root)
    except OSError as error:
        raise UnavailableError(f'cannot open registry "{root}": {error.strerror}') from error
    rules = Rules(
        driver,
        _database(chosen, root),
        largest_blob=chosen.largest_blob,
        quota=chosen.quota(),
    )
    limits = chosen.limits
    app = App(
        rules,
        limit=RateLimit(limits.rate, limits.burst) if limits else None,
        audit=Audit(Path(chosen.audit)) if chosen.audit else None,
        public=chosen.public_url,
        collector=Collector(rules, grace=chosen.upkeep.grace, upload_age=chosen.upkeep.upload_age),
    )
    if chosen.access is not None:
        app.access = _access(chosen.access, root, app)
    for each in chosen.proxies:
        if connect is None:
            raise InvalidArgumentError("this program has no client for other registries")
        app.proxies.append(
            Proxy(
                rules,
                connect(each),
                repositories=each.repositories,
                prefix=each.prefix,
                ttl=each.ttl,
                folder=root,
            )
        )
    return app


def _storage(chosen: Config, root: Path) -> Driver:
    if chosen.storage.driver == "files":
        return FileDriver(root)
    from knarr.registry.storage.s3 import S3Driver  # noqa: PLC0415 - it loads urllib3

    return S3Driver(chosen.storage.place())


def _database(chosen: Config, root: Path) -> Metadata:
    if chosen.database:
        return PostgresMetadata(chosen.database)
    return SqliteMetadata(root / "registry.db")


def _access(chosen: AccessConfig, root: Path, app: App) -> ControlledAccess:
    key = load_key(Path(chosen.token_key) if chosen.token_key else root / "token.key")

    async def run(work: Callable[..., bool], *values: str) -> bool:
        return await asyncio.get_running_loop().run_in_executor(app.executor, work, *values)

    return ControlledAccess(
        Htpasswd(chosen.htpasswd),
        Roles(chosen.rules),
        Signer(key),
        run,
        token_seconds=chosen.token_seconds,
    )


async def serve(chosen: Config, connect: Connect | None = None) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are finished."""
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    app = open_registry(chosen, connect)
    try:
        host, port = chosen.address
        protocol = app.server()
        try:
            listener = await loop.create_server(
                protocol, host, port, ssl=chosen.ssl_context(), backlog=1024
            )
        except OSError as error:
            raise UnavailableError(f"cannot listen on {chosen.listen}: {error}") from error
        names = [each.getsockname() for each in listener.sockets]
        where = ", ".join(f"{name[0]}:{name[1]}" for name in names)
        sys.stderr.write(f"knarr registry: serving {chosen.root} on {where}\n")
        upkeep = asyncio.create_task(_keep_up(app, chosen))
        await ending.wait()
        upkeep.cancel()
        listener.close()
        protocol.pre_shutdown()  # connections that ask nothing are not waited for
        await protocol.shutdown(_END_SECONDS)
    finally:
        app.close()


async def _keep_up(app: App, chosen: Config) -> None:
    """Apply retention and collect garbage again and again; a failure is told and not the end."""
    retention = Retention(app.rules.metadata, chosen.retention)
    loop = asyncio.get_running_loop()
    while chosen.upkeep.interval:
        await asyncio.sleep(chosen.upkeep.interval)
        for work in (retention.run, app.collector.run):
            try:
                await loop.run_in_executor(app.executor, work)
            except Exception:  # noqa: BLE001 - whatever it is, the next round tries again
                _log.exception("upkeep failed")


def main(arguments: Sequence[str], connect: Connect | None = None) -> int:
    """Run the program; its exit code. ``connect`` as in ``open_registry``."""
    parser = argparse.ArgumentParser(
        prog="knarr registry serve", description="Serve a registry of images."
    )
    parser.add_argument("--listen", metavar="HOST:PORT", help="where to listen (127.0.0.1:5000)")
    parser.add_argument("--root", metavar="DIR", help="where everything is kept")
    parser.add_argument("--config", metavar="FILE", help="a TOML file with more settings")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        chosen = config.read(given.config, listen=given.listen, root=given.root)
        asyncio.run(serve(chosen, connect))
    except KnarrError as error:
        sys.stderr.write(f"knarr registry: {error}\n")
        return error.exit_code
    return 0
