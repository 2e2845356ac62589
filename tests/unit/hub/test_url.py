from __future__ import annotations

import pytest

from syncd.hub.url import identity, negotiate_url, place, with_parameter, with_scheme


def test_negotiate_keeps_the_query_byte_for_byte() -> None:
    assert negotiate_url("wss://h/a/?x=%20y&z=1,2") == "https://h/a/negotiate?x=%20y&z=1,2&negotiateVersion=1"
    assert negotiate_url("http://h/a?negotiateversion=0") == "http://h/a/negotiate?negotiateversion=0"


def test_a_parameter_is_escaped_and_the_schemes_keep_their_safety() -> None:
    assert with_parameter("http://h/a", "id", "a+b/c==&") == "http://h/a?id=a%2Bb%2Fc%3D%3D%26"
    assert with_scheme("https://h/a?q=1", "ws") == "wss://h/a?q=1"
    assert with_scheme("ws://h/a", "http") == "http://h/a"


def test_a_place_has_its_port() -> None:
    assert place("https://HQ.example.com/h") == "hq.example.com:443"
    assert place("ws://[::1]:81/h") == "[::1]:81"


@pytest.mark.parametrize(
    "url",
    [
        "https://hq.example.com/hubs/sync",
        "https://HQ.Example.com:443/hubs/sync/",
        "wss://hq.example.com/hubs/sync",
    ],
)
def test_a_hub_is_the_same_however_its_url_is_written(url: str) -> None:
    assert identity(url) == "https://hq.example.com:443/hubs/sync"


def test_another_host_port_path_scheme_or_query_is_another_hub_and_nothing_of_the_query_is_kept() -> None:
    urls = [
        "https://hq/a",
        "https://hq2/a",
        "https://hq:8443/a",
        "https://hq/b",
        "http://hq/a",
        "https://hq/a?tenant=4",
        "https://hq/a?t=5",
    ]
    assert len({identity(url) for url in urls}) == len(urls)
    assert "s3cret" not in identity("https://hq/a?key=s3cret")
