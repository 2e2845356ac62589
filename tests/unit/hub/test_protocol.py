from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pysignalr.messages import CloseMessage, CompletionMessage, InvocationMessage, Message, PingMessage, StreamItemMessage

from syncd.errors import ConnectionFailed, MessageTooLarge
from syncd.hub import protocol as protocol_module
from syncd.hub.incoming import Call, Unreadable, UnreadCall, oversized, read_message, read_whole
from syncd.hub.protocol import Encoded, HubProtocol, Oversized, check_handshake, invocation_size
from syncd.wire.json import Number, parse_json
from syncd.wire.large import Broken, LargeList


def a_protocol(limit: int = 32768) -> HubProtocol:
    return HubProtocol(limit)


async def heard(raw: str | bytes, protocol: HubProtocol | None = None) -> list[Message]:
    """The messages that come of this piece of the stream."""
    messages: list[Message | None] = []
    for record in (protocol or a_protocol()).records(raw.encode() if isinstance(raw, str) else raw):
        if isinstance(record, Oversized):
            messages.append(await oversized(record.beginning, protocol_module.MAX_INBOUND_BYTES).read())
        else:
            messages.append(await read_whole(record) if record else None)
    return [message for message in messages if message is not None]


def sent(message: Any) -> Any:
    raw = a_protocol().dump(message)
    assert raw.endswith(b"\x1e")
    return json.loads(raw[:-1])


def test_an_invocation_has_type_id_target_and_arguments_and_nothing_else() -> None:
    message = InvocationMessage("1", "Heartbeat", [{"a": None}], headers={"Authorization": "secret"})
    assert sent(message) == {"type": 1, "invocationId": "1", "target": "Heartbeat", "arguments": [{"a": None}]}


def test_a_completion_has_a_result_even_when_it_is_null_or_an_error_but_not_both() -> None:
    assert sent(CompletionMessage("s1")) == {"type": 3, "invocationId": "s1", "result": None}
    assert sent(CompletionMessage("s1", {"a": 1}, "no")) == {"type": 3, "invocationId": "s1", "error": "no"}
    assert sent(CompletionMessage("s1", None, "")) == {"type": 3, "invocationId": "s1", "error": ""}


def test_ping_and_close_hold_no_null_that_the_server_would_hang_up_for() -> None:
    assert sent(PingMessage()) == {"type": 6}
    assert sent(CloseMessage(None, None)) == {"type": 7}


def test_rows_that_are_json_already_go_out_byte_for_byte() -> None:
    raw = a_protocol().dump(InvocationMessage("1", "M", [orjson.Fragment(b'[{"price": 12.50}]')]))
    assert b'"arguments":[[{"price": 12.50}]]' in raw


@pytest.mark.parametrize("argument", [b"[]", b"null", '[{"payload":"M\u00fcsli null"}]'.encode()])
def test_an_argument_that_is_json_already_is_written_as_any_other(argument: bytes) -> None:
    as_fragment = a_protocol().dump(InvocationMessage("17", "M", [orjson.Fragment(argument)]))
    assert a_protocol().dump(InvocationMessage("17", "M", [Encoded(argument)])) == as_fragment
    with pytest.raises(MessageTooLarge):
        HubProtocol(len(as_fragment) - 1).dump(InvocationMessage("17", "M", [Encoded(argument)]))


def test_text_goes_out_as_utf_8_not_as_escapes() -> None:
    assert "Müsli 麵".encode() in a_protocol().dump(InvocationMessage("1", "M", ["Müsli 麵"]))


def test_a_number_keeps_its_text_on_the_way_out_too() -> None:
    assert b'"arguments":[12.50]' in a_protocol().dump(InvocationMessage("1", "M", [Number("12.50")]))


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"a": [{"b": -float("inf")}]}])
def test_nan_and_infinity_never_go_out(value: object) -> None:
    with pytest.raises(ValueError, match="NaN"):
        a_protocol().dump(InvocationMessage("1", "M", [value]))


def test_what_is_not_json_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(TypeError):
        a_protocol().dump(InvocationMessage("1", "M", [object()]))
    with pytest.raises(TypeError):
        a_protocol().dump(StreamItemMessage("1", 2))


def test_the_limit_counts_bytes_and_the_separator() -> None:
    message = InvocationMessage("1", "M", ["ü"])
    size = len(a_protocol().dump(message))
    assert len(HubProtocol(size).dump(message)) == size
    with pytest.raises(MessageTooLarge) as refused:
        HubProtocol(size - 1).dump(message)
    assert (refused.value.size, refused.value.limit) == (size, size - 1)


@given(method=st.text(st.characters(codec="utf-8"), max_size=20), argument=st.text(st.characters(codec="utf-8"), max_size=50))
def test_a_size_told_ahead_is_never_too_small_and_off_by_the_ids_digits_only(method: str, argument: str) -> None:
    encoded = orjson.dumps(argument)
    for identity in ("1", "9" * protocol_module.ID_DIGITS):
        size = len(a_protocol(10**6).dump(InvocationMessage(identity, method, [Encoded(encoded)])))
        assert invocation_size(method, len(encoded)) == size + protocol_module.ID_DIGITS - len(identity)


async def test_several_messages_in_a_frame_and_one_over_several_frames_are_read() -> None:
    protocol = a_protocol()
    assert await heard('{"type":6}\x1e{"type":3,"invocationId":"1","result":"ü"}\x1e', protocol) == [
        PingMessage(), CompletionMessage("1", "ü"),
    ]  # fmt: skip
    raw = '{"type":1,"target":"M","arguments":["ü"]}\x1e'.encode()
    pieces = [await heard(raw[at : at + 1], protocol) for at in range(len(raw))]
    assert [message for piece in pieces for message in piece] == [Call(None, "M", ["ü"], record=raw[:-1])]


@pytest.mark.parametrize(
    ("rest", "identity", "read"),
    [
        ('M","arguments":[1.50]}', None, Call),
        ('M","arguments":[1],"invocationId":"s1"}', "s1", Call),
        ('M","arguments":[NaN]}', None, Unreadable),
        ('M","arguments":', None, Unreadable),
        ('M","arguments":[],"type":6}', None, PingMessage),
    ],
)
async def test_a_call_as_asp_net_core_writes_it_is_read_when_its_turn_comes(rest: str, identity: str | None, read: type[Message]) -> None:
    record = f'{{"type":1,"target":"{rest}'.encode()
    call = await read_message(record)
    assert call == UnreadCall(record)
    assert (call.size, call.whole_record, call.invocation_id) == (len(record), record, identity)
    assert isinstance(await read_whole(record), read)
    assert isinstance(await read_message(record + b" " * 300_000), read)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x1e"), max_size=30), max_size=5), st.data())
def test_however_a_stream_is_cut_the_same_records_come_out(texts: list[str], data: st.DataObject) -> None:
    records = [orjson.dumps({"type": 1, "target": "M", "arguments": [text]}) for text in texts]
    raw = b"".join(record + b"\x1e" for record in records)
    protocol, out = a_protocol(), list[object]()
    while raw:
        cut = data.draw(st.integers(1, len(raw)))
        out += [record for record in protocol.records(raw[:cut]) if record]
        raw = raw[cut:]
    assert out == records


async def test_numbers_with_a_fraction_keep_their_text_and_whole_ones_are_integers() -> None:
    (message,) = await heard('{"type":3,"invocationId":"1","result":[12.50,1E400,7,-0.10]}\x1e')
    assert isinstance(message, CompletionMessage)
    assert message.result == ["12.50", "1E400", 7, "-0.10"]
    assert [type(value) for value in message.result] == [Number, Number, int, Number]


async def test_unknown_types_and_fields_are_ignored() -> None:
    raw = '{"type":8,"sequenceId":1}\x1e{"type":9,"sequenceId":1}\x1e{"type":99}\x1e{}\x1e{"type":2,"invocationId":"1"}\x1e'
    assert await heard(raw) == []
    (message,) = await heard('{"new":1,"type":1,"target":"M","arguments":[],"headers":{},"streamIds":[]}\x1e')
    assert isinstance(message, Call)


async def test_a_close_tells_error_and_whether_we_may_come_back() -> None:
    close = '{"type":7,"error":"no","allowReconnect":true}\x1e{"type":7}\x1e{"type":7,"error":null,"allowReconnect":"yes"}\x1e'
    assert await heard(close) == [CloseMessage("no", True), CloseMessage(None, False), CloseMessage(None, False)]


@pytest.mark.parametrize("bad", ["nonsense", "[1]", "3", '{"type":1', "[" * 100_000, '{"type":1,"x":"\x01"}'])
async def test_a_message_that_cannot_be_read_costs_itself_only(bad: str) -> None:
    first, second = await heard(f'{bad}\x1e{{"type":6}}\x1e')
    assert isinstance(first, Unreadable)
    assert (first.kind if first.kind != 1 else None, first.invocation_id) == (None, None)
    assert second == PingMessage()


async def test_bytes_that_are_not_utf_8_cost_their_message_only() -> None:
    assert [type(message) for message in await heard(b'{"type":1,"x":"\xff"}\x1e{"type":6}\x1e')] == [
        Unreadable,
        PingMessage,
    ]


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ('{"type":3,"invocationId":"5","result":NaN}', 3),
        ('{"type":3,"invocationId":"5","result":' + "9" * 10_000 + "}", 3),
        ('{"type":3,"invocationId":"5","error":7}', 3),
        ('{"type":1,"invocationId":"5","target":"M","arguments":[Infinity]}', 1),
        ('{"type":1,"invocationId":"5","target":"M"}', 1),
        ('{"type":1,"invocationId":"5","target":"M","arguments":["\\ud800', 1),
        ('{"type":1,"invocationId":"5","target":"M","arguments":' + "[" * 200_000, 1),
        ('{"type":1,"invocationId":"5","target":"M","arguments":[{"a":' + "[" * 200_000 + "]" * 200_000 + "}]}", 1),
        (b'{"type":1,"invocationId":"5","target":"M","arguments":["\xff"]}', 1),
        ('{"type":1,"invocationId":"5","target":null,"arguments":[]}', 1),
    ],
)
async def test_whom_an_unreadable_message_concerned_is_made_out_and_its_beginning_kept(raw: str | bytes, kind: int) -> None:
    record = raw.encode() if isinstance(raw, str) else raw
    (message,) = await heard(record + b"\x1e")
    assert isinstance(message, Unreadable)
    assert (message.kind, message.invocation_id) == (kind, "5")
    assert message.target == ("M" if b'"target":"M"' in record else None)
    assert message.reason
    assert message.raw == record.decode(errors="backslashreplace")[: 64 * 1024]


async def test_of_a_list_all_is_read_that_can_be() -> None:
    (call,) = await heard('{"type":1,"target":"M","arguments":[[1,NaN,{"a":' + "9" * 10_000 + '},"x"]]}\x1e')
    assert isinstance(call, Call)
    (long_list,) = call.arguments
    assert isinstance(long_list, LargeList)
    (elements,) = [piece async for piece in long_list.chunks()]
    assert [Broken if isinstance(element, Broken) else element for element in elements] == [1, Broken, Broken, "x"]
    (answer,) = await heard('{"type":3,"invocationId":"1","result":{"items":[1,NaN],"more":true}}\x1e')
    assert isinstance(answer, CompletionMessage)
    assert answer.result == {"items": [1, Broken("NaN is not JSON", b"NaN")], "more": True}


@pytest.mark.parametrize("value", ['{"a":1}', "1", "1.50"])
async def test_an_update_of_more_values_than_a_turn_allows_costs_itself_only(value: str) -> None:
    many = "[" + ",".join([value] * 60_000) + "]"
    call, ping = await heard(f'{{"type":1,"target":"M","arguments":[{{"x":{many}}}]}}\x1e{{"type":6}}\x1e')
    assert isinstance(call, Unreadable)
    assert (call.target, ping) == ("M", PingMessage())
    assert "JSON of more than 20,000 values" in call.reason
    (in_a_list,) = await heard(f'{{"type":1,"target":"M","arguments":[[{{"x":{many}}},{{"x":1}}]]}}\x1e')
    assert isinstance(in_a_list, Call)
    elements = [element async for chunk in in_a_list.arguments[0].chunks() for element in chunk]
    assert [Broken if isinstance(element, Broken) else element for element in elements] == [Broken, {"x": 1}]


async def test_an_answer_of_any_number_of_items_is_read_and_commas_within_texts_are_no_values() -> None:
    (answer,) = await heard('{"type":3,"invocationId":"1","result":{"items":[' + ",".join(['{"a":1}'] * 60_000) + "]}}\x1e")
    assert isinstance(answer, CompletionMessage)
    assert answer.result == {"items": [{"a": 1}] * 60_000}
    picture = 'M1,2 \\"[L3,4' * 50_000
    (call,) = await heard('{"type":1,"target":"M","arguments":[{"svg":' + json.dumps(picture) + "}]}\x1e")
    assert isinstance(call, Call)
    assert call.arguments == [{"svg": picture}]


async def test_a_message_above_the_bound_is_skipped_in_any_number_of_pieces_and_its_beginning_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol_module, "MAX_INBOUND_BYTES", 1000)
    protocol = a_protocol()
    beginning = b'{"type":1,"target":"M","arguments":["'
    assert await heard(beginning + b"x" * 600, protocol) == []
    (skipped,) = await heard(b"x" * 600, protocol)
    assert isinstance(skipped, Unreadable)
    assert (skipped.kind, skipped.target, skipped.reason) == (1, "M", "a message of more than 1,000 bytes was skipped")
    assert skipped.raw.startswith(beginning.decode() + "xxx")
    assert await heard(b"x" * 5000, protocol) == []
    assert await heard(b'x\x1e{"type":6}\x1e', protocol) == [PingMessage()]
    skipped, ping = await heard(beginning + b"x" * 1000 + b'"]}\x1e{"type":6}\x1e', protocol)
    assert isinstance(skipped, Unreadable)
    assert (skipped.target, ping) == ("M", PingMessage())


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b'{"error":"Requested protocol \'json\' is not available."}', "not available"),
        (b"<html>", "no SignalR hub"),
        (b"", "no SignalR hub"),
        (b"[]", "no SignalR hub"),
        (b"\xff\xfe", "no SignalR hub"),
    ],
)
def test_a_handshake_that_fails_says_why(raw: bytes, why: str) -> None:
    with pytest.raises(ConnectionFailed, match=why):
        check_handshake(raw)


@pytest.mark.parametrize(
    "bad", ["NaN", "[Infinity]", "-Infinity", "[" * 100_000, "9" * 5000, "[" + "1," * 200_001 + "1]", "{", b"\xff", b'"\xed\xa0\x80"', ""]
)
def test_parse_json_refuses_with_value_error_only(bad: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(bad)
