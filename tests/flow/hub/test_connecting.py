"""What a connection meets on its way in: statuses, tokens, certificates, proxies, redirects."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from syncd.errors import AuthenticationRejected, ClosedByHub, ConfigurationError, ConnectionFailed, ConnectionLost, InvocationError
from tests.support.certificates import Authority
from tests.support.fault_proxy import HttpProxy, Listener
from tests.support.haproxy import Haproxy
from tests.support.hub_rig import eventually, eventually_state, hub_settings, make_rig, running
from tests.support.refhub import RefHub
from tests.support.scripted_hub import TEXT_TRANSPORTS, ScriptedHub, Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from syncd.config.settings import HubSettings

BEAT = {"storeId": 7}


@pytest.fixture
async def refhub() -> AsyncIterator[RefHub]:
    """A real hub of this test's own."""
    async with RefHub() as hub:
        yield hub


async def refused(options: HubSettings, **kwargs: Any) -> ConnectionFailed:
    with pytest.raises(ConnectionFailed) as failure:
        await make_rig(options, **kwargs).hub.try_once()
    return failure.value


@pytest.mark.parametrize("step", ["negotiateStatus", "upgradeStatus"])
async def test_every_status_at_either_step_is_said_and_its_retry_after_kept(refhub: RefHub, step: str) -> None:
    for status in (401, 403, 404, 429, 500, 503):
        await refhub.control("PUT", "faults", {step: status, "retryAfterSeconds": 77})
        failure = await refused(hub_settings(refhub.url()))
        assert (failure.status, failure.retry_after_seconds) == (status, 77)
        assert isinstance(failure, AuthenticationRejected) == (status in {401, 403})
        assert str(status) in str(failure)


async def test_retry_after_is_obeyed_with_chance_on_top(refhub: RefHub) -> None:
    await refhub.control("PUT", "faults", {"negotiateStatus": 503, "retryAfterSeconds": 77})
    async with running(hub_settings(refhub.url())) as rig:
        await eventually(lambda: len(rig.clock.sleeps) >= 3)
        assert all(77 <= delay <= 82 for delay in rig.clock.sleeps)
        await refhub.control("PUT", "faults", {})
        await rig.hub.session()


async def test_a_captive_portal_is_called_by_its_name_and_survived(refhub: RefHub) -> None:
    await refhub.control("PUT", "faults", {"captivePortal": True})
    async with running(hub_settings(refhub.url())) as rig:
        await eventually(lambda: "captive portal" in rig.last_error)
        await refhub.control("PUT", "faults", {})
        await rig.hub.session()


async def test_an_http_redirect_to_a_login_page_is_not_followed() -> None:
    def portal(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "http://login.example/?session=secret"})

    async with ScriptedHub(negotiated=portal) as hub:
        failure = await refused(hub_settings(hub.url))
        assert "login.example" in str(failure)
        assert "secret" not in str(failure)
        assert len(hub.requests) == 1


async def test_the_token_goes_in_the_header_only_and_the_query_is_kept_with_who_we_are() -> None:
    async with ScriptedHub() as hub, running(hub_settings(hub.url + "?a=%20b&c"), store_id="M 7", read_token=lambda: "T0K.EN") as rig:
        await rig.hub.session()
        negotiate, upgrade = hub.requests
        assert negotiate.headers["Authorization"] == upgrade.headers["Authorization"] == "Bearer T0K.EN"
        assert negotiate.raw_path == "/hub/negotiate?a=%20b&c&storeId=M%207&negotiateVersion=1"
        assert upgrade.raw_path == "/hub?a=%20b&c&storeId=M%207&id=secret-1"
        shown = repr(rig.capture.entries) + repr(rig.hub.status)
        assert "T0K" not in shown
        assert "secret" not in shown


async def test_cookies_of_negotiate_come_along_to_the_upgrade_even_at_an_ip_address() -> None:
    async def script(wire: Wire) -> None:
        await wire.until_gone()

    async with ScriptedHub(script) as hub:
        plain = hub.normally

        def with_cookie(request: web.Request) -> web.Response:
            answer = plain(request)
            answer.set_cookie("affinity", "server3==")
            answer.set_cookie("elsewhere", "1", path="/other")
            return answer

        hub.negotiated = with_cookie
        await make_rig(hub_settings(hub.url)).hub.try_once()
        await make_rig(hub_settings(hub.url)).hub.try_once()
        assert hub.upgrades[0].cookies == {"affinity": "server3=="}
        assert "Cookie" not in hub.negotiates[1].headers


async def test_a_hub_of_negotiate_version_0_is_connected_by_its_public_id() -> None:
    answer = {"connectionId": "only", "availableTransports": TEXT_TRANSPORTS}
    async with ScriptedHub(negotiated=lambda _: web.json_response(answer)) as hub:
        probe = await make_rig(hub_settings(hub.url)).hub.try_once()
        assert (probe.negotiate_version, probe.connection_id, hub.upgrades[0].query["id"]) == (0, "only", "only")


async def test_an_answer_that_never_ends_is_given_up() -> None:
    async def endless(_: web.Request) -> web.Response:
        return web.Response(body=b" " * (1024 * 1024 + 65536))

    async with ScriptedHub(negotiated=endless) as hub:
        assert "does not end" in str(await refused(hub_settings(hub.url)))


class Speaker(Listener):
    """Says the same to whatever it is asked, and nothing more."""

    def __init__(self, says: bytes, *, hangs_up: bool) -> None:
        super().__init__()
        self._says = says
        self._hangs_up = hangs_up

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del number
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self._says)
        if not self._hangs_up:
            await reader.read()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_an_error_page_that_never_ends_is_called_by_its_status(version: str) -> None:
    page = f"HTTP/{version} 503 Too Busy\r\nRetry-After: 7\r\n\r\n<html>".encode()
    async with Speaker(page, hangs_up=False) as server:
        failure = await refused(hub_settings(f"http://127.0.0.1:{server.port}/hub"))
        assert "HTTP 503" in str(failure)
        assert failure.retry_after_seconds == 7


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000]
)
async def test_what_is_no_http_answer_is_a_failure_like_any_other(answer: bytes) -> None:
    async with Speaker(answer, hangs_up=True) as server:
        await refused(hub_settings(f"http://127.0.0.1:{server.port}/hub"))


async def test_an_answer_in_chunks_is_read_whole() -> None:
    def in_chunks(_: web.Request) -> web.Response:
        answer = web.json_response({"connectionId": "chunked", "availableTransports": TEXT_TRANSPORTS})
        answer.enable_chunked_encoding()
        return answer

    async with ScriptedHub(negotiated=in_chunks) as hub:
        assert (await make_rig(hub_settings(hub.url)).hub.try_once()).connection_id == "chunked"


async def test_a_redirect_is_negotiated_again_with_its_token_and_the_next_attempt_starts_from_the_beginning() -> None:
    async with RefHub("--auth=1") as hub, running(hub_settings(hub.url("/hubs/redirect"))) as rig:
        for negotiates in (2, 4, 6):
            session = await rig.hub.session()
            assert await session.invoke("Heartbeat", BEAT) is None
            state = await eventually_state(hub, connections=1, negotiates=negotiates)
            assert state["upgradesRefused"] == 0
            session.drop("again")


async def test_a_redirect_without_end_is_ended(refhub: RefHub) -> None:
    failure = await refused(hub_settings(refhub.url("/hubs/loop"), connect_timeout_seconds=30))
    assert "redirected more than 100 times" in str(failure)
    await eventually_state(refhub, negotiates=101)


async def test_all_redirects_together_have_one_time_out() -> None:
    async def slowly(request: web.Request) -> web.Response:
        await asyncio.sleep(0.1)
        return web.json_response({"url": f"http://{request.host}/hub"})

    async with ScriptedHub(negotiated=slowly) as hub:
        assert "within 0.35 s" in str(await refused(hub_settings(hub.url, connect_timeout_seconds=0.35)))
        assert len(hub.negotiates) <= 4


@pytest.mark.parametrize("url", ["http://hq.example.com/h", "ftp://localhost/h", "https://u:p@localhost/h", "nonsense"])
async def test_a_redirect_to_where_the_token_may_not_go_is_refused(url: str) -> None:
    async with ScriptedHub(negotiated=lambda _: web.json_response({"url": url})) as hub:
        assert "may not send the token" in str(await refused(hub_settings(hub.url), read_token=lambda: "T"))


async def test_a_redirect_to_another_origin_gets_no_token_of_ours() -> None:
    async with ScriptedHub() as far:

        def away(_: web.Request) -> web.Response:
            return web.json_response({"url": far.url})

        async with ScriptedHub(negotiated=away) as near:
            await make_rig(hub_settings(near.url), read_token=lambda: "0UR-T0KEN").hub.try_once()
            assert near.negotiates[0].headers["Authorization"] == "Bearer 0UR-T0KEN"
        assert [request.headers.get("Authorization") for request in far.requests] == [None, None]


async def test_a_redirect_to_another_path_of_the_same_origin_keeps_our_token() -> None:
    async with ScriptedHub() as hub:
        plain = hub.normally

        def onwards(request: web.Request) -> web.Response:
            return plain(request) if "moved" in request.query else web.json_response({"url": f"{hub.url}?moved=1"})

        hub.negotiated = onwards
        await make_rig(hub_settings(hub.url), read_token=lambda: "0UR-T0KEN").hub.try_once()
        assert {request.headers["Authorization"] for request in hub.requests} == {"Bearer 0UR-T0KEN"}


async def test_https_never_redirects_to_http_not_even_to_this_machine(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("hub")
    async with ScriptedHub() as plain:
        answer = {"url": plain.url, "accessToken": "T"}
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate, key)
        async with ScriptedHub(negotiated=lambda _: web.json_response(answer), tls=tls) as hub:
            for allow_insecure in (False, True):
                failure = await refused(hub_settings(hub.url, ca_file=authority.file, allow_insecure=allow_insecure))
                assert "may not send the token" in str(failure)
        assert plain.requests == []


async def test_a_token_that_the_hub_repeats_is_shown_nowhere() -> None:
    canary = "0paque+CANARY/42"
    async with ScriptedHub(negotiated=lambda _: web.json_response({"error": f"bad token {canary}" + " x" * 400_000})) as hub:
        rig = make_rig(hub_settings(hub.url), read_token=lambda: canary)
        async with running(rig):
            await eventually(lambda: len(rig.clock.sleeps) >= 2)
        shown = repr(rig.capture.entries) + repr(rig.hub.status)
        assert "refuses the connection: bad token ***" in shown
        assert "CANARY" not in shown
        assert max(len(str(entry)) for entry in rig.capture.entries) < 1000


async def test_a_token_that_a_hub_method_repeats_is_in_no_error() -> None:
    async def script(wire: Wire) -> None:
        call = await wire.listen()
        assert call is not None
        await wire.say({"type": 3, "invocationId": call["invocationId"], "error": "no rights for 0paque-CANARY"})
        await wire.say({"type": 7, "error": "0paque-CANARY is out"})
        await wire.until_gone()

    async with ScriptedHub(script) as hub, running(hub_settings(hub.url), read_token=lambda: "0paque-CANARY") as rig:
        session = await rig.hub.session()
        with pytest.raises(InvocationError, match=r"no rights for \*\*\*"):
            await session.invoke("SendSyncBatch", [])
        await session.lost.wait()
        assert "CANARY" not in str(session.loss) + repr(rig.capture.entries)


async def test_two_hubs_without_sticky_sessions_are_called_so_and_work_without_negotiation(tmp_path: Path) -> None:
    async with RefHub() as one, RefHub() as two, Haproxy(tmp_path, one.port, two.port) as balancer:
        url = f"http://127.0.0.1:{balancer.port}/hubs/sync"
        failure = await refused(hub_settings(url))
        assert failure.status == 404
        assert "sticky sessions" in str(failure)
        assert "hub.skip_negotiation" in str(failure)
        for _ in range(4):
            async with running(hub_settings(url, skip_negotiation=True)) as rig:
                session = await rig.hub.session()
                assert session.connection_id is None
                assert await session.invoke("Heartbeat", BEAT) is None
        states = [await hub.state() for hub in (one, two)]
        assert [state["connects"] for state in states] == [2, 2]
        assert sum(int(str(state["negotiates"])) for state in states) == 1


async def test_no_hub_at_all_is_called_so_with_and_without_negotiation(refhub: RefHub) -> None:
    for skip_negotiation in (False, True):
        failure = await refused(hub_settings(refhub.url("/nowhere"), skip_negotiation=skip_negotiation))
        assert "check hub.url" in str(failure)


async def test_without_negotiation_the_token_and_who_we_are_go_along_with_the_upgrade() -> None:
    async with ScriptedHub() as hub:
        await make_rig(hub_settings(hub.url, skip_negotiation=True), read_token=lambda: "T0K.EN").hub.try_once()
        (upgrade,) = hub.requests
        assert upgrade.headers["Authorization"] == "Bearer T0K.EN"
        assert upgrade.raw_path == "/hub?storeId=7"


async def token(hub: RefHub, seconds: float) -> str:
    return str(await hub.control("POST", f"token?store=7&seconds={seconds}"))


async def test_an_expired_token_closes_the_connection_and_the_renewed_file_opens_it_again(tmp_path: Path) -> None:
    file = tmp_path / "token"
    async with RefHub("--auth=1") as hub:
        file.write_text(await token(hub, 3))
        async with running(hub_settings(hub.url(), access_token_file=file)) as rig:
            session = await rig.hub.session()
            file.write_text(await token(hub, 600))
            await session.lost.wait()
            assert isinstance(session.loss, ClosedByHub)
            assert (session.loss.error, session.loss.allow_reconnect) == (None, True)
            assert await (await rig.hub.session()).invoke("Heartbeat", BEAT) is None
            assert rig.clock.sleeps[0] >= 1
            assert not rig.hub.status.auth_rejected


async def test_a_rejected_token_is_said_tried_once_more_soon_and_then_slowly_until_the_file_is_renewed(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("wrong.1.x\n")
    async with RefHub("--auth=1") as hub, running(hub_settings(hub.url(), access_token_file=file)) as rig:
        await eventually(lambda: len(rig.clock.sleeps) >= 4)
        assert 1 <= rig.clock.sleeps[0] <= 3
        assert all(delay >= 24 for delay in rig.clock.sleeps[1:4])
        assert rig.hub.status.auth_rejected
        assert "HQ does not accept the access token (HTTP 401" in rig.last_error
        file.write_text(await token(hub, 600))
        await rig.hub.session()
        assert not rig.hub.status.auth_rejected


async def test_a_missing_token_is_said_as_such() -> None:
    async with RefHub("--auth=1") as hub:
        failure = await refused(hub_settings(hub.url()))
        assert isinstance(failure, AuthenticationRejected)
        assert "set hub.access_token_file" in str(failure)


async def test_a_token_that_cannot_be_read_is_a_failure_like_any_other(tmp_path: Path) -> None:
    def broken() -> str:
        raise ConfigurationError("the vault is closed")

    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    (empty := tmp_path / "empty").touch()
    url = "http://127.0.0.1:9/h"
    assert "No such file" in str(await refused(hub_settings(url, access_token_file=tmp_path / "none")))
    assert "it is no text" in str(await refused(hub_settings(url, access_token_file=binary)))
    assert "is empty" in str(await refused(hub_settings(url, access_token_file=empty)))
    assert "the vault is closed" in str(await refused(hub_settings(url), read_token=broken))


async def test_a_certificate_of_an_unknown_authority_is_refused_and_our_own_is_trusted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("hub")
    trusting = ssl.create_default_context(cafile=authority.file)
    async with RefHub(f"--cert={certificate}", f"--key={key}", ssl=trusting) as hub:
        assert "is not trusted" in str(await refused(hub_settings(hub.url())))
        other = Authority(tmp_path, "Other CA")
        assert "is not trusted" in str(await refused(hub_settings(hub.url(), ca_file=other.file)))
        async with running(hub_settings(hub.url(), ca_file=authority.file)) as rig:
            assert await (await rig.hub.session()).invoke("Heartbeat", BEAT) is None


async def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("hub")
    async with RefHub(f"--cert={certificate}", f"--key={key}", ssl=False) as hub:
        failure = await refused(hub_settings(hub.url().replace("127.0.0.1", "localhost"), ca_file=authority.file))
        assert "is not trusted: Hostname mismatch" in str(failure)


@pytest.mark.parametrize(("from_day", "why"), [(-3, "certificate has expired"), (1, "certificate is not yet valid")])
async def test_a_certificate_that_is_out_of_time_lets_a_person_look_at_the_clock(tmp_path: Path, from_day: int, why: str) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("hub", from_day=from_day)
    async with RefHub(f"--cert={certificate}", f"--key={key}", ssl=False) as hub:
        failure = await refused(hub_settings(hub.url(), ca_file=authority.file))
        assert f"is not trusted: {why}; or this PC's clock is wrong" in str(failure)


async def test_mutual_tls_shows_our_certificate_and_says_so_when_it_is_wanted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("hub")
    ours, our_key = authority.issue("store7")
    stranger, stranger_key = Authority(tmp_path, "Stranger CA").issue("stranger")
    async with RefHub(f"--cert={certificate}", f"--key={key}", f"--client-ca={authority.file}", ssl=False) as hub:
        options = hub_settings(hub.url(), ca_file=authority.file, client_certificate_file=ours, client_key_file=our_key)
        async with running(options) as rig:
            assert await (await rig.hub.session()).invoke("Heartbeat", BEAT) is None
        await refused(hub_settings(hub.url(), ca_file=authority.file))
        await refused(hub_settings(hub.url(), ca_file=authority.file, client_certificate_file=stranger, client_key_file=stranger_key))


async def test_certificate_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, locked = authority.issue("store7", password="secret")
    (junk := tmp_path / "junk.pem").write_text("junk")
    url = "https://127.0.0.1:9/h"
    assert "hub.ca_file" in str(await refused(hub_settings(url, ca_file=junk)))
    assert "No such file" in str(await refused(hub_settings(url, ca_file=tmp_path / "none")))
    failure = await refused(hub_settings(url, client_certificate_file=certificate, client_key_file=locked))
    assert "hub.client_key_file" in str(failure)
    assert "without a password" in str(failure)


async def test_plain_http_at_a_tls_port_and_tls_at_a_plain_one_are_failures_in_words(refhub: RefHub) -> None:
    assert "TLS" in str(await refused(hub_settings(refhub.url().replace("http:", "https:"))))


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_negotiate_and_socket_take_the_same_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    authority = Authority(tmp_path)
    certificate, key = authority.issue("hub.test")
    arguments = [f"--cert={certificate}", f"--key={key}"] if scheme == "https" else []
    async with RefHub(*arguments, ssl=False) as hub, HttpProxy() as proxy:
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://127.0.0.1:{proxy.port}")
        other = "HTTP" if scheme == "https" else "HTTPS"
        monkeypatch.setenv(f"{other}_PROXY", "http://127.0.0.1:9")
        url = f"{scheme}://hub.test:{hub.port}/hubs/sync"
        async with running(hub_settings(url, ca_file=authority.file, allow_insecure=True)) as rig:
            assert await (await rig.hub.session()).invoke("Heartbeat", BEAT) is None
        assert {authority for _, authority in proxy.asked} == {f"hub.test:{hub.port}"}
        assert len(proxy.asked) == 2
        monkeypatch.setenv("NO_PROXY", "hub.test")
        assert "cannot be resolved" in str(await refused(hub_settings(url, allow_insecure=True)))
        assert len(proxy.asked) == 2


@pytest.mark.parametrize("skip_negotiation", [False, True])
async def test_a_proxy_that_is_not_there_is_called_so(monkeypatch: pytest.MonkeyPatch, skip_negotiation: bool) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert "the proxy did not let us through to hub.test:443: it cannot be reached" in str(
        await refused(hub_settings("https://hub.test/h", skip_negotiation=skip_negotiation))
    )


async def test_close_without_leave_to_return_means_the_slow_schedule_not_never(refhub: RefHub) -> None:
    async with running(hub_settings(refhub.url())) as rig:
        session = await rig.hub.session()
        await eventually_state(refhub, connections=1)  # it counts a connection a moment after the handshake, and cuts those that count
        await refhub.control("POST", "cut")
        await session.lost.wait()
        assert isinstance(session.loss, ClosedByHub)
        assert not session.loss.allow_reconnect
        await rig.hub.session()
        assert rig.clock.sleeps[0] >= 24


async def test_a_handshake_that_is_refused_is_said() -> None:
    async with ScriptedHub(handshake='{"error":"The protocol \'json\' is not supported."}\x1e') as hub:
        assert "is not supported" in str(await refused(hub_settings(hub.url)))


async def test_a_hub_that_hangs_up_during_the_handshake_is_a_failure() -> None:
    async def hang_up(_: Wire) -> None:
        return

    async with ScriptedHub(hang_up, handshake=None) as hub:
        failure = await refused(hub_settings(hub.url))
        assert "during the SignalR handshake" in str(failure)
        assert not isinstance(failure, ConnectionLost)
