"""SignalR's negotiate: where to connect, and by which secret id. One attempt, redirects included.

pysignalr's own speaks version 0, follows one redirect without negotiating there, and may wait for ever.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from websockets.exceptions import SecurityError, WebSocketException

from syncd import __version__
from syncd.config.hub_url import check_url, is_secure, shown
from syncd.errors import ConnectionFailed
from syncd.hub.access_token import checked_token
from syncd.hub.connect_errors import explain, status_error
from syncd.hub.cookies import Cookies
from syncd.hub.http_post import post
from syncd.hub.url import has_parameter, negotiate_url, origin, place, with_parameter, with_scheme
from syncd.redaction import LONGEST_SECRET, foreign, known_secrets
from syncd.wire.json import parse_json

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from syncd.clock import Clock

USER_AGENT = f"syncd/{__version__}"
MAX_REDIRECTS = 100
"""As in Microsoft's clients."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where one connection may be opened, once and soon: an unused id lives 15 s.

    Attributes:
        url: for the upgrade; its `id` is a secret.
        token: the bearer token for it.
        cookies: the `Cookie` header for it, so that a load balancer finds the same server.
        connection_id: the public name of the connection; None where nothing was negotiated.
        version: of the negotiate protocol, 0 or 1; None where nothing was negotiated.
        redirects: how often we were sent on.
    """

    url: str = field(repr=False)
    token: str | None = field(repr=False)
    cookies: str | None = field(repr=False)
    connection_id: str | None
    version: int | None
    redirects: int


@dataclass(frozen=True, kw_only=True)
class _Redirect:
    url: str
    token: str | None


def without_negotiation(url: str, *, store_id: int | str, token: str | None) -> Endpoint:
    """Straight to the WebSocket (`hub.skip_negotiation`).

    The upgrade alone makes the connection, on whatever server it meets.
    """
    at = with_scheme(with_parameter(url, "storeId", str(store_id)), "ws")
    return Endpoint(url=at, token=token, cookies=None, connection_id=None, version=None, redirects=0)


async def negotiate(
    url: str,
    *,
    store_id: int | str,
    token: str | None,
    tls: ssl.SSLContext,
    timeout_seconds: float,
    allow_insecure: bool,
    find_proxy: Callable[[str], str | None],
    clock: Clock,
) -> Endpoint:
    """Ask the hub where and how to connect; all redirects together take at most `timeout_seconds`.

    Args:
        find_proxy: see `way_to`.

    Raises:
        AuthenticationRejected: 401 or 403.
        ConnectionFailed: anything else, in plain words.
    """
    at = with_scheme(with_parameter(url, "storeId", str(store_id)), "http")
    cookies = Cookies()
    try:
        async with clock.timeout(timeout_seconds):
            for redirects in range(MAX_REDIRECTS + 1):
                answer = understand(await _ask(at, token, cookies, tls, find_proxy, clock), shown(at))
                if isinstance(answer, Endpoint):
                    known_secrets.add(answer.url)
                    return replace(
                        answer,
                        url=with_scheme(with_parameter(at, "id", answer.url), "ws"),
                        token=token,
                        cookies=cookies.header(with_scheme(at, "http")),
                        redirects=redirects,
                    )
                goes_to = _redirected(answer.url, is_from=at, store_id=store_id, allow_insecure=allow_insecure)
                known_secrets.add(answer.token)
                # Ours is for the origin that the configuration names; another one gets what the hub has issued for it, or nothing.
                token = answer.token or (token if origin(goes_to) == origin(at) else None)
                at = goes_to
    except TimeoutError:
        raise ConnectionFailed(f"no answer to negotiate from {place(at)} within {timeout_seconds:g} s") from None
    except (WebSocketException, OSError, EOFError, LookupError, ValueError, NotImplementedError) as error:
        raise ConnectionFailed(explain(error, place(at))) from error
    raise ConnectionFailed(f"negotiate was redirected more than {MAX_REDIRECTS} times, last to {shown(at)}")


async def _ask(
    url: str, token: str | None, cookies: Cookies, tls: ssl.SSLContext, find_proxy: Callable[[str], str | None], clock: Clock
) -> bytes:
    where = f"negotiate with {place(url)}"
    at = negotiate_url(url)
    headers = {"Accept": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    if (cookie := cookies.header(at)) is not None:
        headers["Cookie"] = cookie
    try:
        answer = await post(at, headers, user_agent=USER_AGENT, tls=tls, find_proxy=find_proxy)
    except SecurityError as error:
        raise ConnectionFailed(f"{where}: the answer is no negotiate answer, it does not end ({error})") from error
    cookies.keep(answer.headers, at)
    if answer.status_code != 200:
        answered = {name.title(): value for name, value in answer.headers.raw_items()}
        raise status_error(
            answer.status_code,
            where,
            with_token=token is not None,
            retry_after_seconds=retry_after_seconds(answered, clock.now()),
            location=shown(answered.get("Location", "")),
        )
    return bytes(answer.body)


def understand(answer: bytes, where: str) -> Endpoint | _Redirect:
    """Read an answer to negotiate; the `url` of an `Endpoint` is as yet its bare secret id.

    Raises:
        ConnectionFailed: in plain words.
    """
    fields = _json_object(answer, where)
    if fields.get("error"):
        raise ConnectionFailed(f"{where} refuses the connection: {foreign(fields['error'])}")
    if "ProtocolVersion" in fields:
        raise ConnectionFailed(f"{where} is a hub of the old ASP.NET SignalR, not of ASP.NET Core")
    if isinstance(url := fields.get("url"), str) and url:
        new_token = fields.get("accessToken")
        return _Redirect(url=url, token=checked_token(new_token) if isinstance(new_token, str) and new_token else None)
    version = 1 if isinstance(number := fields.get("negotiateVersion"), int) and number >= 1 else 0
    public = fields.get("connectionId")
    secret = fields.get("connectionToken") if version else public
    if not isinstance(public, str) or not isinstance(secret, str) or not public or not secret:
        raise ConnectionFailed(f"{where} gave no connection id: it is no SignalR hub, or the hub.url is not the hub's own")
    if max(len(public), len(secret)) > LONGEST_SECRET:
        raise ConnectionFailed(f"{where} gave a connection id of more than {LONGEST_SECRET:,} characters")
    offered = _transports(fields.get("availableTransports"))
    if "WebSockets" not in offered:
        names = ", ".join(offered) or "nothing"
        raise ConnectionFailed(f"{where} does not offer WebSockets (only {foreign(names)}): they must be switched on at HQ")
    return Endpoint(url=secret, token=None, cookies=None, connection_id=foreign(public), version=version, redirects=0)


def _json_object(answer: bytes, where: str) -> dict[str, Any]:
    try:
        fields = parse_json(answer)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        page = "a web page" if answer.lstrip()[:1] == b"<" else "something that is not JSON"
        raise ConnectionFailed(f"{where} answered with {page}: a login page of the network (captive portal), a proxy, or hub.url is wrong")
    return fields


def _transports(offered: object) -> list[str]:
    """The names of the transports that can carry text."""
    return [
        str(each.get("transport"))
        for each in (offered if isinstance(offered, list) else [])
        if isinstance(each, dict) and "Text" in (each.get("transferFormats") or ["Text"])
    ]


def _redirected(url: str, *, is_from: str, store_id: int | str, allow_insecure: bool) -> str:
    """Where to negotiate next: as safe as where we come from (https never leads to http), with our store's id."""
    try:
        check_url(url, allow_insecure=allow_insecure and not is_secure(is_from))
        is_weaker = is_secure(is_from) and not is_secure(url)
    except ValueError:
        is_weaker = True
    if is_weaker:
        raise ConnectionFailed(f"negotiate redirects to {foreign(shown(url))}, where we may not send the token")
    at = with_scheme(url, "http")
    return at if has_parameter(at, "storeId") else with_parameter(at, "storeId", str(store_id))


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """What `Retry-After` asks for, in seconds or as a date.

    A date is measured by the server's own clock, else by `now`.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), math.inf)
    until = _http_date(value)
    if until is None:
        return None
    since = _http_date(headers.get("Date", "")) or now
    return max(0.0, (until - since).total_seconds())


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
