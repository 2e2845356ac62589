from __future__ import annotations

import time

import pytest

from syncd.redaction import redact, redact_value

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxNyJ9.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("bearer s3cr3t, and more", "bearer ***, and more"),
        ("Authorization: Basic dXNlcjpwdw==", "Authorization: Basic ***"),
        ("wss://hq/hub?id=c0nn3ct10n&storeId=17", "wss://hq/hub?id=***&storeId=17"),
        ("https://hq/hub?a=1&access_token=s3cr3t#x", "https://hq/hub?a=1&access_token=***#x"),
        ("https://user:s3cr3t@hq/hub", "https://***@hq/hub"),
        (f"token was {JWT}!", "token was ***!"),
        ('{"payload": "{\\"total\\": 12.50}", "id": 1}', '{"payload": "***", "id": 1}'),
        ("{'access_token': 's3cr3t'}", "{'access_token': \"***\"}"),
        ("Bearer token expired", "Bearer token expired"),
        ('WWW-Authenticate: Bearer error="invalid_token"', 'WWW-Authenticate: Bearer error="invalid_token"'),
        ("Basic checks passed for id=5", "Basic checks passed for id=5"),
    ],
)
def test_secrets_leave_a_text_and_the_rest_stays(text: str, expected: str) -> None:
    assert redact(text) == expected


def test_names_decide_at_any_depth() -> None:
    assert redact_value("context", {"hub": [{"access_token": "x", "token": 5, "payload": {"a": 1}}], "access_token_file": "/t"}) == {
        "hub": [{"access_token": "***", "token": "***", "payload": "***"}],
        "access_token_file": "/t",
    }


def test_what_is_no_secret_keeps_its_type() -> None:
    assert redact_value("rows", 5) == 5
    assert redact_value("token", None) is None
    assert redact_value("has_token", True) is True


def test_bytes_are_counted_and_errors_are_told() -> None:
    assert redact_value("frame", b"12345") == "(5 bytes)"
    assert redact_value("error", ValueError("Bearer abc")) == "ValueError: Bearer ***"


@pytest.mark.parametrize(
    "part", ["x", "eyJ", "eyJ-", "://", "http://a", "token=", 'token="', "Bearer ", "?id=", "authorization: ", "\\", "payload: '"]
)
def test_a_long_text_takes_time_in_proportion(part: str) -> None:
    text = part * (1_000_000 // len(part))
    began = time.perf_counter()
    redact(text)
    assert time.perf_counter() - began < 5
