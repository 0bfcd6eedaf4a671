"""Connections that fail, in the words of Go's HTTP client, which Docker's users know."""

from __future__ import annotations

import http.client
import ssl
from typing import TYPE_CHECKING

from urllib3 import exceptions as failures

from knarr.remotes.failure import DroppedError, shown

if TYPE_CHECKING:
    from knarr.remotes.urls import Url


def dropped(error: Exception, method: str, url: Url) -> DroppedError:
    """The failure of an exchange."""
    words, reached, is_permanent = _words(error, url)
    verb = method.capitalize()
    address = url.shown if reached else f"{url.origin}/v2/"
    found = DroppedError(f'{verb} "{address}": {shown(words)}')
    found.reached, found.is_permanent = reached, is_permanent
    return found


def _words(error: Exception, url: Url) -> tuple[str, bool, bool]:
    """Go's words for a failure; whether the peer was reached; whether it will be so again."""
    host, port = url.origin.host, url.origin.port
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    unreached = {
        failures.ProxyError: f"proxyconnect tcp: {_reason(error)}",
        failures.NameResolutionError: f"dial tcp: lookup {host}: no such host",
        failures.NewConnectionError: f"dial tcp {address}: connect: {_reason(error)}",
        failures.ConnectTimeoutError: f"dial tcp {address}: i/o timeout",
    }
    for kind, words in unreached.items():
        if isinstance(error, kind):
            return words, False, False
    if isinstance(error, failures.SSLError | ssl.SSLError):
        return _tls_words(error, host)
    if isinstance(error, failures.ReadTimeoutError):
        return "net/http: request canceled (Client.Timeout exceeded)", True, False
    return _reason(error), True, isinstance(error, failures.InvalidHeader)


def _tls_words(error: BaseException, host: str) -> tuple[str, bool, bool]:
    inner = _innermost(error)
    text = str(inner)
    if isinstance(inner, ssl.SSLCertVerificationError):
        reason = inner.verify_message
        if inner.verify_code in (18, 19, 20, 21):
            reason = "certificate signed by unknown authority"
        elif inner.verify_code == 10:
            reason = "certificate has expired or is not yet valid"
        elif inner.verify_code in (62, 64):
            reason = f"certificate is not valid for {host}"
        return f"tls: failed to verify certificate: x509: {reason}", False, True
    if "WRONG_VERSION_NUMBER" in text or "HTTP_REQUEST" in text:
        return "http: server gave HTTP response to HTTPS client", False, True
    is_alert = "ALERT" in text
    return f"remote error: tls: {getattr(inner, 'reason', None) or text}", False, is_alert


def _reason(error: BaseException | None) -> str:
    inner = _innermost(error)
    if isinstance(inner, http.client.RemoteDisconnected | http.client.IncompleteRead | EOFError):
        return "unexpected EOF"
    if isinstance(inner, http.client.BadStatusLine):
        return "malformed HTTP response"
    if isinstance(inner, ValueError):
        return "malformed HTTP request or answer"  # its own words may hold a header's value
    if isinstance(inner, OSError):
        return (inner.strerror or str(inner)).lower()
    return str(inner) or type(inner).__name__


def _innermost(error: BaseException | None) -> BaseException | None:
    for _ in range(8):
        if error is None:
            break
        below = error.__cause__ or error.__context__
        if below is None:
            below = next((arg for arg in error.args if isinstance(arg, BaseException)), None)
        if below is None:
            break
        error = below
    return error
