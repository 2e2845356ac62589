"""The cookies of one attempt: what negotiate sets goes along to the WebSocket, so that a load balancer finds the same server."""

from __future__ import annotations

from email.message import Message
from http.cookiejar import CookieJar
from typing import TYPE_CHECKING, cast
from urllib.request import Request

if TYPE_CHECKING:
    from http.client import HTTPResponse

    from websockets.datastructures import Headers


class Cookies:
    """Kept by domain, path and `Secure`, as browsers do."""

    def __init__(self) -> None:
        self._jar = CookieJar()

    def keep(self, headers: Headers, url: str) -> None:
        """Take those that an answer sets."""
        if "Set-Cookie" in headers:
            self._jar.extract_cookies(cast("HTTPResponse", _Answer(headers)), Request(url))  # noqa: S310 - nothing is opened

    def header(self, url: str) -> str | None:
        """The `Cookie` header for this URL (http or https); None where there is none to send."""
        request = Request(url)  # noqa: S310 - nothing is opened
        self._jar.add_cookie_header(request)
        return request.get_header("Cookie")


class _Answer:
    """As much of an HTTP answer as a `CookieJar` looks at."""

    def __init__(self, headers: Headers) -> None:
        self._message = Message()
        for value in headers.get_all("Set-Cookie"):
            self._message["Set-Cookie"] = value

    def info(self) -> Message:
        return self._message
