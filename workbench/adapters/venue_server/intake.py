"""From the body of `POST /v2/orders` to a command of the venue, or to Alpaca's refusal.

Order of the checks: authentication and rate (`door`), schema, duplicate id, asset, increments, session and
time in force, wash trade, quantity available, buying power. Whether Alpaca looks for a duplicate before or
after the risk checks is not known; before is the default here, a fault turns it round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from workbench.adapters.venue_server.state import AccountState
from workbench.adapters.venue_server.wire import Answer, money, parse_decimal, refusal, shares
from workbench.core.types import MICRO, NANO, OrderType, Side

DUPLICATE = "client_order_id must be unique"
TYPES = ("market", "limit", "stop", "stop_limit", "trailing_stop")
TIMES = ("day", "gtc", "opg", "cls", "ioc", "fok")
FORBIDDEN, INVALID, MALFORMED, NOT_FOUND = 40310000, 42210000, 40010001, 40410000
MAX_SHARES = 10**9


def submit_command(body: Mapping[str, Any]) -> dict[str, Any] | Answer:
    """The fields of a submit command, or why the body is none."""
    problem = _shape(body)
    if problem:
        return refusal(422, MALFORMED, problem)
    symbol, side = str(body["symbol"]), str(body["side"])
    word, tif = str(body["type"]), str(body["time_in_force"])
    beyond = _not_simulated(body)
    if beyond:
        return refusal(422, INVALID, beyond)
    try:
        quantity = _quantity(body, symbol)
        prices = {name: _price(body, name) for name in ("limit_price", "stop_price")}
    except _Refused as stop:
        return stop.answer
    if tif in ("opg", "cls"):
        if word != "market":
            return refusal(422, INVALID, f"{tif} {word} orders are not simulated by this venue")
        word, tif = ("market_on_open" if tif == "opg" else "market_on_close"), "day"
    return {
        "symbol": symbol, "side": int(Side.BUY if side == "buy" else Side.SELL), "quantity_nano": quantity,
        "order_type": word, "time_in_force": tif, "limit_micro": prices["limit_price"],
        "stop_micro": prices["stop_price"], "client_order_id": str(body.get("client_order_id") or ""),
    }  # fmt: skip


class _Refused(Exception):
    def __init__(self, answer: Answer) -> None:
        self.answer = answer


def _shape(body: Mapping[str, Any]) -> str:
    for name, allowed in (("side", ("buy", "sell")), ("type", TYPES), ("time_in_force", TIMES)):
        value = body.get(name)
        if value is None:
            return f"{name} is required"
        if value not in allowed:
            return f"invalid {name}"
    if not isinstance(body.get("symbol"), str) or not body["symbol"]:
        return "symbol is required"
    if not isinstance(body.get("client_order_id", ""), (str, type(None))):
        return "client_order_id must be a string"
    if (body.get("qty") is None) == (body.get("notional") is None):
        return "only one of qty or notional is accepted" if body.get("qty") else "qty or notional is required"
    return ""


def _not_simulated(body: Mapping[str, Any]) -> str:
    """What Alpaca knows and this venue does not, refused in so many words and never guessed at."""
    if body["type"] == "trailing_stop":
        return "trailing_stop orders are not simulated by this venue"
    if body.get("order_class") not in (None, "", "simple"):
        return f"order class {body['order_class']} is not simulated by this venue"
    if body.get("extended_hours"):
        return "extended hours are not simulated by this venue"
    return ""


def _quantity(body: Mapping[str, Any], symbol: str) -> int:
    if body.get("notional") is not None:
        raise _Refused(refusal(403, FORBIDDEN, f'asset "{symbol}" is not fractionable'))
    try:
        quantity = parse_decimal(body["qty"])
    except ValueError:
        raise _Refused(refusal(422, MALFORMED, "qty must be a number")) from None
    if quantity <= 0 or quantity > MAX_SHARES:
        raise _Refused(refusal(422, MALFORMED, "qty must be > 0" if quantity <= 0 else "qty is too large"))
    if quantity != quantity.to_integral_value():
        if quantity != round(quantity, 9):
            raise _Refused(refusal(422, MALFORMED, "qty must have at most 9 decimals"))
        raise _Refused(refusal(403, FORBIDDEN, f'asset "{symbol}" is not fractionable'))
    return int(quantity) * NANO


def _price(body: Mapping[str, Any], name: str) -> int:
    given = body.get(name)
    if given is None:
        return 0
    try:
        price = parse_decimal(given)
    except ValueError:
        raise _Refused(refusal(422, MALFORMED, f"{name} must be a number")) from None
    if price <= 0:
        raise _Refused(refusal(422, INVALID, f"{name} must be > 0"))
    if price * MICRO != (price * MICRO).to_integral_value():
        text = (
            f"invalid {name} {_plain(price)}. sub-penny increment does not fulfill minimum pricing criteria"
        )
        raise _Refused(refusal(422, INVALID, text))
    return int(price * MICRO)


def _plain(value: Decimal) -> str:
    return f"{value:f}"


def refused(reason: str, command: Mapping[str, Any], state: AccountState) -> Answer:
    """The venue's words as Alpaca's answer."""
    for start, answer in _ANSWERS:
        if reason.startswith(start):
            return answer(reason, command, state)
    return refusal(422, INVALID, reason)


def _wash(reason: str, command: Mapping[str, Any], state: AccountState) -> Answer:
    side = int(command["side"])
    opposite = [o for o in state.venue.open_orders(command["symbol"]) if o.side == -side]
    existing = state.orders[opposite[0].client_order_id].order_id if opposite else ""
    word = "limit" if opposite and opposite[0].order_type == OrderType.LIMIT else "market/stop"
    return refusal(
        403, FORBIDDEN, "potential wash trade detected. use complex orders", existing_order_id=existing,
        reject_reason=f"opposite side {word} order exists",
    )  # fmt: skip


def _available(reason: str, command: Mapping[str, Any], state: AccountState) -> Answer:
    symbol, venue = command["symbol"], state.venue
    wanted, held, free = command["quantity_nano"] // NANO, venue.held(symbol), venue.available(symbol)
    if not held:
        return refusal(403, FORBIDDEN, "account is not allowed to short")
    text = f"insufficient qty available for order (requested: {wanted}, available: {free})"
    return refusal(
        403, FORBIDDEN, text, available=shares(free), existing_qty=shares(held),
        held_for_orders=shares(held - free), symbol=symbol,
    )  # fmt: skip


def _power(reason: str, command: Mapping[str, Any], state: AccountState) -> Answer:
    price = command["limit_micro"] or state.venue.price_micro(command["symbol"])
    cost = command["quantity_nano"] // NANO * price
    return refusal(
        403, FORBIDDEN, "insufficient buying power", buying_power=money(state.venue.buying_power_micro),
        cost_basis=money(cost),
    )  # fmt: skip


def _malformed(reason: str, command: Mapping[str, Any], state: AccountState) -> Answer:
    return refusal(422, MALFORMED, reason)


_ANSWERS: tuple[tuple[str, Callable[[str, Mapping[str, Any], AccountState], Answer]], ...] = (
    ("client_order_id", _malformed),
    ("could not find asset", _malformed),
    ("qty must be integer", _malformed),
    ("limit orders require", _malformed),
    ("stop orders require", _malformed),
    ("potential wash trade", _wash),
    ("insufficient qty", _available),
    ("insufficient buying power", _power),
)
