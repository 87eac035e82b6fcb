"""Payloads that are encoded by their shape have the bytes, and the refusals, of the general way."""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journals import alert, decision, fill, intent

from workbench.adapters.journal import encoding
from workbench.adapters.journal.chain import Anchor
from workbench.adapters.journal.encoding import encode, encode_all
from workbench.adapters.journal.kinds import FIELDS, check_event
from workbench.core.canonical import canonical_json
from workbench.core.orders import OrderState
from workbench.core.ports import Event

WORDS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(['"', "\\", "\x00", "\\u0000", "\n", "\x7f", "\u2028", "é", "%s", "%(n)d", "\ud7ff", ""]),
)
INTEGERS = st.one_of(st.integers(), st.sampled_from([2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 0]))
VALUES = {"text": WORDS, "int": INTEGERS, "bool": st.booleans(), "list": st.just([]), "dict": st.just({})}
WRONG = st.one_of(st.none(), st.booleans(), st.floats(), WORDS, INTEGERS, st.just([1]), st.just({"a": 1}))


@st.composite
def payloads(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A declared kind with its fields in any order, most of them right."""
    kind = draw(st.sampled_from(sorted(FIELDS)))
    names = draw(st.permutations(sorted(FIELDS[kind])))
    payload = {name: draw(VALUES[FIELDS[kind][name][0]]) for name in names}
    match draw(st.integers(0, 7)):
        case 0:
            del payload[names[0]]
        case 1:
            payload[names[0]] = draw(WRONG)
        case 2:
            payload["nonsense"] = 1
    for name, (_, optional) in FIELDS[kind].items():
        if optional and draw(st.booleans()):
            payload.pop(name, None)
    return kind, payload


def outcome(call: Any, *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except (TypeError, ValueError, OverflowError) as error:
        return type(error), str(error)
    except Exception as error:
        return type(error), str(error)


def general(kind: str, payload: dict[str, Any]) -> tuple[str, dict[str, Any], str]:
    values = check_event(kind, payload)
    return kind, values, canonical_json(values)


@settings(max_examples=600, deadline=None, derandomize=True)
@given(payloads())
def test_every_payload_has_the_bytes_or_the_refusal_of_the_general_way(
    event: tuple[str, dict[str, Any]],
) -> None:
    assert outcome(encode, *event) == outcome(general, *event)


@st.composite
def batches(draw: st.DrawFn) -> list[Event]:
    """Events of one kind and one order of fields, all right but perhaps one."""
    kind = draw(
        st.sampled_from(["order.intended", "order.changed", "alert.raised", "fill.booked", "state.changed"])
    )
    names = draw(st.permutations(sorted(FIELDS[kind])))
    given = {"list": [], "dict": {}, "bool": True, "int": 7, "text": "a"}
    rows = [{name: given[FIELDS[kind][name][0]] for name in names} for _ in range(draw(st.integers(1, 7)))]
    for row in rows:
        if FIELDS[kind][names[0]][0] == "text":
            row[names[0]] = draw(WORDS)
    spoilt = rows[draw(st.integers(0, len(rows) - 1))]
    match draw(st.integers(0, 5)):
        case 0:
            spoilt[draw(st.sampled_from(names))] = draw(WRONG)
        case 1:
            del spoilt[draw(st.sampled_from(names))]
        case 2:
            spoilt["nonsense"] = 1
        case 3:
            spoilt[names[0]] = spoilt.pop(names[0])  # in another order
        case 4:
            spoilt[draw(st.sampled_from(names))] = OrderState.SENT
    return [Event(kind, row) for row in rows]


def general_all(events: list[Event]) -> list[tuple[str, dict[str, Any], str]]:
    return [general(event.kind, dict(event.payload)) for event in events]


@settings(max_examples=600, deadline=None, derandomize=True)
@given(batches())
def test_events_of_one_shape_have_the_bytes_or_the_first_refusal_of_the_general_way(
    events: list[Event],
) -> None:
    assert outcome(encode_all, events) == outcome(general_all, events)


@pytest.mark.parametrize("name", ["quantity_nano", "leg"])
@pytest.mark.parametrize(
    "value", [2**63 - 1, 2**63, -(2**63) - 1, True, None, 1.0, "x", "\0", "\ud800", OrderState.SENT], ids=repr
)
def test_one_value_in_a_batch_is_judged_as_alone(name: str, value: Any) -> None:
    payloads = [{**intent(n), "verdict": "allowed"} for n in range(5)]
    payloads[3][name] = value
    events = [Event("order.intended", payload) for payload in payloads]
    assert outcome(encode_all, events) == outcome(general_all, events)


def test_a_batch_of_intents_is_encoded_column_by_column(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the speed is gone and nobody notices."""

    def slow(*_: Any) -> Any:
        raise AssertionError("one by one")

    monkeypatch.setattr(encoding, "_encoded", slow)
    events = [Event("order.intended", {**intent(n), "verdict": "allowed"}) for n in range(64)]
    assert encode_all(events) == general_all(events)
    assert all(
        values is not event.payload for (_, values, _), event in zip(encode_all(events), events, strict=True)
    )
    with pytest.raises(AssertionError):
        encode_all([*events, alert()])


@pytest.mark.parametrize(
    "text", ["plain", 'a "quote"', "back\\slash", "\\u0000", "line\nfeed", "é", "\u00a0", "100 % %s"]
)
def test_text_that_needs_an_escape_is_escaped(text: str) -> None:
    event = alert(text)
    assert encode(event.kind, event.payload) == general(event.kind, dict(event.payload))


def test_the_hot_kinds_are_encoded_by_their_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the speed is gone and nobody notices."""

    def slow(*_: Any) -> Any:
        raise AssertionError("the general way")

    monkeypatch.setattr(encoding, "check_event", slow)
    encode("order.intended", {**intent(), "verdict": "allowed"})
    encode("order.intended", {**intent(), "verdict": "allowed", "time_in_force": "gtc", "stop_micro": 0})
    sent = {"client_order_id": "a", "state": "SENT", "at_ns": 1}
    encode("order.changed", sent)
    encode("order.changed", {**sent, "venue_order_id": "v", "filled_nano": 1, "reason": ""})
    encode("fill.booked", fill().payload)
    encode("decision.made", decision().payload)
    with pytest.raises(AssertionError):
        encode("order.changed", {**sent, "filled_nano": None})


def test_the_caller_keeps_its_dict(monkeypatch: pytest.MonkeyPatch) -> None:
    payload = {**intent(), "verdict": "allowed"}
    _, values, _ = encode("order.intended", payload)
    assert values == payload
    assert values is not payload


def test_made_up_orders_of_fields_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "_SHAPES", {})
    monkeypatch.setattr(encoding, "_MOST_SHAPES", 2)
    names = list(alert().payload)
    for shift in range(len(names)):
        turned = [*names[shift:], *names[:shift]]
        event = {name: alert().payload[name] for name in turned}
        assert encode("alert.raised", event) == general("alert.raised", event)
    assert len(encoding._SHAPES) == 2


PLAIN = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), WORDS,
        st.text(st.characters(exclude_characters="\0"), max_size=6),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(WORDS, inner, max_size=4)),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=600, deadline=None, derandomize=True)
@given(PLAIN)
def test_whatever_a_record_may_hold_has_the_canonical_bytes_or_is_left_to_them(value: Any) -> None:
    """Sorting, escapes, text beyond ASCII, halves of characters, 64 bits."""
    event = ("alert.raised", {**alert().payload, "text": "x"})
    nested = ("decision.made", {**decision().payload, "rows": [value]})
    assert outcome(encode, *nested) == outcome(general, *nested)
    assert outcome(encode, *event) == outcome(general, *event)
    try:
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:
        assert any(0xD800 <= ord(letter) < 0xE000 for letter in canonical_json(value))
    else:
        assert text == canonical_json(value)


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        2**63,
        -(2**63) - 1,
        (1, [2]),
        {1: "a"},
        {"a": {2.5}},
        b"x",
        OrderState.SENT,
        ["\0"],
        "\ud800",
    ],
    ids=repr,
)
def test_nested_values_that_are_not_plain_are_changed_or_refused_as_in_the_general_way(value: Any) -> None:
    event = ("decision.made", {**decision().payload, "rows": [{"symbol": value}]})
    assert outcome(encode, *event) == outcome(general, *event)


def test_records_nested_too_deeply_for_the_fast_encoder_have_the_same_text() -> None:
    value: Any = 1
    for _ in range(300):
        value = [value]
    event = ("decision.made", {**decision().payload, "rows": value})
    assert encode(*event) == general(*event)


def test_changing_what_was_handed_in_changes_no_record() -> None:
    payload = fill().payload
    _, values, _ = encode("fill.booked", payload)
    payload["postings"][0]["memo"] = "changed later"
    assert values["postings"][0]["memo"] == ""


@pytest.mark.parametrize("length", [0, 1, 31, 32, 63, 64, 65, 200])
def test_the_anchor_signs_with_an_hmac_whatever_its_keys_length(length: int) -> None:
    key = bytes(range(length))
    anchor = Anchor(Path("unused"), key)
    for body in (b"", b"WBA1 7 abc"):
        assert anchor._sign(body) == hmac.digest(key, body, "sha256").hex().encode()
