from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest

from syncd.errors import AuthenticationRejected, ConnectionFailed
from syncd.hub.access_token import checked_token
from syncd.hub.connect_errors import status_error
from syncd.hub.negotiate import Endpoint, retry_after_seconds, understand
from syncd.hub.proxy import proxy_for
from syncd.redaction import redact

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
TRANSPORTS = [
    {"transport": "WebSockets", "transferFormats": ["Text", "Binary"]},
    {"transport": "LongPolling", "transferFormats": ["Text"]},
]


def read(**fields: Any) -> Any:
    return understand(json.dumps(fields).encode(), "hq")


def test_version_1_connects_by_the_secret_token_and_shows_the_public_id() -> None:
    identity = {"connectionId": "public", "connectionToken": "secret"}
    answer = read(negotiateVersion=1, **identity, availableTransports=TRANSPORTS, useStatefulReconnect=True)
    assert isinstance(answer, Endpoint)
    assert (answer.version, answer.url, answer.connection_id) == (1, "secret", "public")
    assert "secret" not in repr(answer)


@pytest.mark.parametrize("fields", [{"negotiateVersion": 0}, {}, {"negotiateVersion": None}])
def test_version_0_connects_by_the_only_id_there_is(fields: dict[str, Any]) -> None:
    answer = read(connectionId="only", availableTransports=TRANSPORTS, **fields)
    assert (answer.version, answer.url, answer.connection_id) == (0, "only", "only")


def test_a_redirect_may_bring_a_token_or_not() -> None:
    assert (read(url="https://b/h", accessToken="t").url, read(url="https://b/h", accessToken="t").token) == ("https://b/h", "t")
    assert read(url="https://b/h", connectionId="x").token is None
    assert read(url="https://b/h", accessToken="").token is None


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"error": "The client requested version '1', but the server does not support this version."}, "does not support"),
        ({"ProtocolVersion": "1.4"}, "old ASP.NET SignalR"),
        ({"negotiateVersion": 1, "connectionId": "a", "availableTransports": TRANSPORTS}, "no connection id"),
        ({}, "no connection id"),
        ({"connectionId": 5, "availableTransports": TRANSPORTS}, "no connection id"),
        ({"connectionId": "a", "availableTransports": TRANSPORTS[1:]}, "does not offer WebSockets .only LongPolling"),
        ({"connectionId": "a"}, "does not offer WebSockets"),
        (
            {"connectionId": "a", "availableTransports": [{"transport": "WebSockets", "transferFormats": ["Binary"]}]},
            "only nothing",
        ),
        ({"url": "https://b/h", "accessToken": "a\nb"}, "access token"),
    ],
)
def test_an_answer_that_leads_nowhere_says_why(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ConnectionFailed, match=why):
        read(**fields)


@pytest.mark.parametrize("page", [b"<html>login</html>", b"", b"[]", b"\xff", b"NaN"])
def test_a_captive_portal_is_called_by_its_name(page: bytes) -> None:
    with pytest.raises(ConnectionFailed, match="captive portal"):
        understand(page, "hq")


def test_retry_after_is_read_in_seconds_and_as_a_date_by_the_servers_own_clock() -> None:
    assert retry_after_seconds({"Retry-After": " 120 "}, NOW) == 120
    server = datetime(2001, 1, 1, tzinfo=UTC)
    until = format_datetime(server + timedelta(minutes=5), usegmt=True)
    assert retry_after_seconds({"Retry-After": until, "Date": format_datetime(server, usegmt=True)}, NOW) == 300
    assert retry_after_seconds({"Retry-After": until}, NOW) == 0
    soon = format_datetime(NOW + timedelta(minutes=5), usegmt=True)
    assert retry_after_seconds({"Retry-After": soon, "Date": "nonsense"}, NOW) == 300


@pytest.mark.parametrize("value", ["", "soon", "-5", "1.5", "²"])
def test_a_retry_after_that_nobody_can_read_is_none(value: str) -> None:
    assert retry_after_seconds({"Retry-After": value}, NOW) is None


def test_a_token_is_stripped_and_must_be_able_to_stand_in_a_header() -> None:
    assert checked_token(" abc.def\n") == "abc.def"
    for bad in ("", "\n", "a b", "a\nb", "tökén", "a\x00b"):
        with pytest.raises(ConnectionFailed, match=r"hub\.access_token_file"):
            checked_token(bad)


def test_every_status_is_said_in_words() -> None:
    rejected = status_error(401, "negotiate with hq:443", with_token=True)
    assert isinstance(rejected, AuthenticationRejected)
    assert str(rejected) == "HQ does not accept the access token (HTTP 401 Unauthorized at negotiate with hq:443)"
    assert "set hub.access_token_file" in str(status_error(403, "x", with_token=False))
    assert "check hub.url" in str(status_error(404, "x", with_token=True))
    assert "https://login" in str(status_error(302, "x", with_token=True, location="https://login"))
    assert status_error(503, "x", with_token=True, retry_after_seconds=9).retry_after_seconds == 9
    assert str(status_error(599, "x", with_token=True)) == "HTTP 599 at x"


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy", "ws_proxy", "wss_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


def test_the_proxy_follows_the_urls_safety_and_is_the_same_for_both_halves(no_proxies: pytest.MonkeyPatch) -> None:
    assert proxy_for("https://hq.example.com/h") is None
    no_proxies.setenv("HTTPS_PROXY", "http://secure:3128")
    no_proxies.setenv("HTTP_PROXY", "plain:8080")
    assert proxy_for("https://hq.example.com/h") == proxy_for("wss://hq.example.com/h") == "http://secure:3128"
    assert proxy_for("http://hq.example.com/h") == proxy_for("ws://hq.example.com/h") == "http://plain:8080"


@pytest.mark.parametrize("pattern", ["hq.example.com", ".example.com", "example.com", "*", "other, hq.example.com:443"])
def test_no_proxy_exempts_a_host(no_proxies: pytest.MonkeyPatch, pattern: str) -> None:
    no_proxies.setenv("HTTPS_PROXY", "http://secure:3128")
    no_proxies.setenv("NO_PROXY", pattern)
    assert proxy_for("wss://hq.example.com/h") is None
    if pattern != "*":
        assert proxy_for("wss://elsewhere.net/h") is not None


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST."])
def test_this_machine_is_never_reached_through_a_proxy(no_proxies: pytest.MonkeyPatch, host: str) -> None:
    no_proxies.setenv("HTTP_PROXY", "http://plain:8080")
    no_proxies.setenv("HTTPS_PROXY", "http://plain:8080")
    assert proxy_for(f"http://{host}:5000/h") is None
    assert proxy_for(f"wss://{host}:5000/h") is None


@pytest.mark.parametrize("bad", ["socks5://u:secret@p:1080", "http://", "http://p:99999"])
def test_a_proxy_that_we_cannot_use_is_named_without_its_password(no_proxies: pytest.MonkeyPatch, bad: str) -> None:
    no_proxies.setenv("HTTPS_PROXY", bad)
    with pytest.raises(ConnectionFailed, match="HTTPS_PROXY") as refused:
        proxy_for("https://hq.example.com/h")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("password", ["qz/xj", "qz#xj", "qz@xj", "qz?xj", "qz@/#?xj"])
def test_a_proxys_password_that_breaks_its_url_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://clerk:{password}@proxy.test:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(ConnectionFailed) as failure:
        proxy_for("https://hub.test/h")
    assert "HTTPS_PROXY names no HTTP proxy (http://***@proxy.test:3128)" in str(failure.value)
    assert "%40" in str(failure.value)
    assert not [part for part in ("qz", "xj", "clerk") if part in str(failure.value)]


def test_the_proxy_of_the_file_wins_over_that_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://other.test:1")
    monkeypatch.setenv("NO_PROXY", "near.test")
    (file := tmp_path / "proxy").write_text("http://clerk:p%40ssw0rd@proxy.test:3128\n")
    assert proxy_for("https://hub.test/h", file) == "http://clerk:p%40ssw0rd@proxy.test:3128"
    assert proxy_for("https://near.test/h", file) is None
    assert proxy_for("https://127.0.0.1/h", file) is None
    assert redact("407 for clerk with p@ssw0rd and p%40ssw0rd") == "407 for *** with *** and ***"
    for content in (b"", b"ftp://x", b"\xff"):
        file.write_bytes(content)
        with pytest.raises(ConnectionFailed, match=r"hub\.proxy_file"):
            proxy_for("https://hub.test/h", file)


def test_an_error_of_any_length_is_cut() -> None:
    with pytest.raises(ConnectionFailed) as failure:
        understand(json.dumps({"error": "x" * 900_000}).encode(), "negotiate with hub.test:443")
    assert len(str(failure.value)) < 500


@pytest.mark.parametrize("field", ["connectionId", "connectionToken"])
def test_an_id_that_no_header_takes_is_refused(field: str) -> None:
    identity = {"connectionId": "public", "connectionToken": "secret", field: "x" * 600_000}
    with pytest.raises(ConnectionFailed, match="of more than 8,192 characters") as failure:
        read(negotiateVersion=1, **identity, availableTransports=TRANSPORTS)
    assert len(str(failure.value)) < 200


def test_a_token_that_no_header_takes_is_refused() -> None:
    with pytest.raises(ConnectionFailed, match="has 600,000 characters"):
        checked_token("x" * 600_000)
    assert checked_token("x" * 8192)
