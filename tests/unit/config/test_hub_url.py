from __future__ import annotations

import pytest

from syncd.config.hub_url import check_url, shown


@pytest.mark.parametrize(
    "url",
    [
        "https://hq.example.com/hubs/sync",
        "wss://hq.example.com/hubs/sync?tenant=4",
        "https://10.0.0.1:8443/h",
        "https://[2001:db8::1]/h",
        "http://localhost:5000/h",
        "http://127.0.0.1/h",
        "http://127.9.9.9/h",
        "ws://[::1]:5000/h",
        "HTTPS://HQ.EXAMPLE.COM/h",
    ],
)
def test_a_safe_url_is_accepted(url: str) -> None:
    check_url(url, allow_insecure=False)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "no scheme"),
        ("hq.example.com/hubs/sync", "no scheme"),
        ("ftp://hq.example.com/", "'ftp'"),
        ("https:///hubs/sync", "no host"),
        ("https://hq.example.com:0/h", "no port 0"),
        ("https://hq.example.com:99999/h", "not a URL"),
        ("https://[::1/h", "not a URL"),
        ("https://hq.example.com/h ", "blank"),
        ("https://hq.example.com/h\n", "blank"),
        ("https://hq.example.com/h#top", "fragment"),
        ("https://user:secret@hq.example.com/h", "user name"),
        ("https://hq.example.com/h?ACCESS_TOKEN=secret", "token"),
        ("http://hq.example.com/h", "clear text"),
        ("ws://192.168.1.5/h", "clear text"),
        ("http://hub.localhost/h", "clear text"),
        ("http://127.0.0.1.example.com/h", "clear text"),
    ],
)
def test_any_other_is_refused_by_key_value_and_what_is_allowed(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"hub\.url") as refused:
        check_url(url, allow_insecure=False)
    text = str(refused.value)
    assert why in text
    assert "allowed are https:// and wss://" in text
    assert "secret" not in text


def test_clear_text_passes_where_it_is_allowed() -> None:
    check_url("http://hq.example.com/h", allow_insecure=True)
    with pytest.raises(ValueError, match="user name"):
        check_url("http://u@hq.example.com/h", allow_insecure=True)


@pytest.mark.parametrize(
    ("url", "visible"),
    [
        ("https://u:p@hq.example.com:8443/h?storeId=7&key=abc#x", "https://hq.example.com:8443/h?storeId=7&key=***"),
        ("wss://hq.example.com/h?id=T0K3N", "wss://hq.example.com/h?id=***"),
        ("https://u:p@[::1/h?a=b", "[::1/h"),
    ],
)
def test_what_is_shown_holds_no_secret(url: str, visible: str) -> None:
    assert shown(url) == visible
