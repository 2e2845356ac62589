"""What went wrong on the way to the hub, in words for the person in front of the store PC."""

from __future__ import annotations

import errno
import socket
import ssl
from http import HTTPStatus

from websockets.exceptions import InvalidMessage, InvalidProxyStatus, ProxyError

from syncd.errors import AuthenticationRejected, ConnectionFailed

EXPLANATIONS = {
    errno.ECONNREFUSED: "refuses connections: nothing listens there, or a firewall says no",
    errno.ECONNRESET: "broke the connection off while it was being opened",
    errno.EPIPE: "broke the connection off while it was being opened",
    errno.ENETUNREACH: "cannot be reached: there is no network",
    errno.EHOSTUNREACH: "cannot be reached: no way leads there",
    errno.ETIMEDOUT: "does not answer",
}
OUT_OF_TIME = {9, 10}
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and _HAS_EXPIRED."""


def explain(error: BaseException, place: str) -> str:
    """What an error of websockets, ssl or the system means for `place` (host and port)."""
    match _root(error):
        case ssl.SSLCertVerificationError(verify_code=code, verify_message=why) if code in OUT_OF_TIME:
            text = f"the certificate of {place} is not trusted: {why}; or this PC's clock is wrong (timedatectl shows it)"
        case ssl.SSLCertVerificationError(verify_message=why):
            text = f"the certificate of {place} is not trusted: {why} (hub.ca_file names another authority)"
        case ssl.SSLError() as fault:
            text = f"no TLS connection to {place}: {fault.reason or fault}"
        case socket.gaierror() as fault:
            text = f"the name of {place} cannot be resolved: {fault.strerror}"
        case OSError(errno=number) if number in EXPLANATIONS:
            text = f"{place} {EXPLANATIONS[number]}"
        case EOFError() | ConnectionError():
            text = f"{place} {EXPLANATIONS[errno.ECONNRESET]}"
        case InvalidProxyStatus(response=response):
            text = f"the proxy did not let us through to {place}: HTTP {response.status_code}"
        case ProxyError() as fault:
            text = f"the proxy did not let us through to {place}: {fault}"
        case fault:
            text = f"no connection to {place}: {type(fault).__name__}: {str(fault).partition('?')[0]}"  # a query may hold secrets
    return text


def _root(error: BaseException) -> BaseException:
    match error:
        case InvalidMessage(__cause__=BaseException() as cause):
            return cause
        case _:
            return error


def status_error(
    status: int,
    where: str,
    *,
    with_token: bool,
    retry_after_seconds: float | None = None,
    location: str | None = None,
    was_negotiated: bool = False,
) -> ConnectionFailed:
    """The error for an HTTP status that is no success.

    Args:
        where: names the step and the place.
        with_token: we sent one.
        location: where a redirect points to.
        was_negotiated: negotiate had just given us the id of a connection.
    """
    try:
        name = f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        name = f"HTTP {status}"
    if status in {401, 403}:
        hint = "HQ does not accept the access token" if with_token else "HQ wants an access token: set hub.access_token_file"
        return AuthenticationRejected(f"{hint} ({name} at {where})", status=status, retry_after_seconds=retry_after_seconds)
    if status == 404 and was_negotiated:
        hint = (
            "; negotiate had answered well, so this request has met another server than that one: HQ's load balancer needs sticky "
            "sessions, or the stores hub.skip_negotiation = true"
        )
    elif status in {404, 405}:
        hint = "; there is no hub at this address, check hub.url"
    elif 300 <= status < 400:
        hint = f"; it points to {location or 'nowhere'}: a login page of the network, or hub.url has moved"
    elif status == 407:
        hint = "; the proxy wants a user name and a password"
    elif status in {429, 503}:
        hint = "; HQ is too busy"
    else:
        hint = ""
    return ConnectionFailed(f"{name} at {where}{hint}", status=status, retry_after_seconds=retry_after_seconds)
