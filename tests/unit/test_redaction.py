from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote

import pytest

from syncd.redaction import LONGEST_FOREIGN_TEXT, LONGEST_SECRET, KnownSecrets, foreign, known_secrets, redact, redact_value

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


SECRET = 'pa/ss#w@rd "1"+é'


@pytest.mark.parametrize(
    "shown",
    [
        SECRET,
        SECRET.upper(),
        quote(SECRET),
        quote(SECRET, safe=""),
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        repr(SECRET),
        *(base64.b64encode(f"{'u' * length}:{SECRET}".encode()).decode() for length in range(1, 5)),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
    ],
)
def test_a_secret_in_use_is_hidden_in_whatever_form_somebody_repeats_it(shown: str) -> None:
    secrets = KnownSecrets()
    secrets.add(SECRET)
    hidden = secrets.hide(f"bad token {shown}!")
    assert "***" in hidden
    for length in (4, 6, 8):
        assert not [part for part in (SECRET, quote(SECRET, safe=""), shown.strip("'\"")) if part[-length:] in hidden[:-1]]


def test_the_secrets_in_use_are_hidden_everywhere_a_text_is_redacted() -> None:
    known_secrets.add("0paque-canary")
    assert redact("bad token 0paque-canary") == "bad token ***"
    assert redact_value("error", ValueError("0PAQUE-CANARY")) == "ValueError: ***"


def test_a_secret_of_three_letters_does_not_take_half_of_every_sentence_with_it() -> None:
    secrets = KnownSecrets()
    secrets.add("hub", None, "")
    assert secrets.hide("the hub") == "the hub"


def test_old_secrets_are_forgotten_and_one_still_in_use_is_not() -> None:
    secrets = KnownSecrets()
    secrets.add("in-use")
    for number in range(KnownSecrets.MOST_SECRETS):
        secrets.add(f"token-{number}")
        secrets.add("in-use")
    assert secrets.hide("in-use") == "***"
    assert secrets.hide("token-0 ") == "token-0 "


def test_the_longest_secret_is_hidden_in_a_moment_and_no_beginning_of_it_is_shown() -> None:
    secret = "".join(chr(33 + (n * 7) % 90) for n in range(LONGEST_SECRET))
    secrets = KnownSecrets()
    for number in range(KnownSecrets.MOST_SECRETS):
        secrets.add(f"{number}{secret}")
    assert sum(len(form) for forms in secrets._forms.values() for form in forms) < 12_000_000
    known_secrets.add(secret)
    assert foreign(f"bad token {quote(secret, safe='')}").startswith("bad token ***")


def test_what_others_write_is_cut_and_no_half_of_a_secret_is_left_at_the_cut() -> None:
    known_secrets.add("c" * 40)
    for before in range(LONGEST_FOREIGN_TEXT - 41, LONGEST_FOREIGN_TEXT + 1):
        shown = foreign("x" * before + "c" * 40 + "x" * 1_000_000)
        assert len(shown) <= LONGEST_FOREIGN_TEXT
        assert "c" not in shown
