"""What must hold before anything is sent: right venue, open account, tradable asset, legal price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from workbench.adapters.alpaca_broker.rows import BadRow, mapping, text
from workbench.core.fills import tick_micro
from workbench.core.orders import WITH_LIMIT, WITH_STOP, OrderIntent
from workbench.core.types import MICRO, NANO, Mode, OrderType, Side, TimeInForce
from workbench.errors import ConfigError

LIVE_HOST, PAPER_HOST = "api.alpaca.markets", "paper-api.alpaca.markets"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
#: All must be there and false; absent counts as blocked (the SDK would make it None).
BLOCK_FLAGS = ("account_blocked", "trading_blocked", "trade_suspended_by_user", "transfers_blocked")
_AUCTIONS = {OrderType.MARKET_ON_OPEN: ("market", "opg"), OrderType.MARKET_ON_CLOSE: ("market", "cls")}


def environment_of(url: str, *, mode: Mode, key: str) -> str:
    """The kind of venue behind the address: "live", "paper" or "loopback".

    Raises
    ------
    ConfigError
        Address, mode and key do not belong together; nothing has been sent.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    kinds = {LIVE_HOST: "live", PAPER_HOST: "paper", **dict.fromkeys(LOOPBACK, "loopback")}
    kind = kinds.get(host, "")
    allowed = {Mode.LIVE: {"live"}, Mode.PAPER: {"paper", "loopback"}, Mode.REPLAY: {"loopback"}}
    if kind not in allowed.get(mode, set()):
        raise ConfigError(
            f"venue.url: {host or 'no host'} is no venue of mode {mode}",
            next_step=f"use https://{LIVE_HOST} for live, https://{PAPER_HOST} for paper, a loopback venue "
            "for replay",
        )
    if kind != "loopback" and parts.scheme != "https":
        raise ConfigError(f"venue.url: {host} needs https", next_step=f"set venue.url to https://{host}")
    # Key ids of live accounts begin with AK, of paper accounts with PK: a key is not sent to the other side.
    if (kind != "live" and key.startswith("AK")) or (kind == "live" and key.startswith("PK")):
        raise ConfigError(
            f"secrets.venue_key is a key of the other kind of account than mode {mode}",
            next_step="set the key pair of this mode's account",
        )
    return kind


def account_trouble(row: Mapping[str, Any]) -> str:
    """Why the account may not trade; "" only when the venue says in so many words that it may."""
    if row.get("status") != "ACTIVE":
        return f"account status is {str(row.get('status'))[:30]!r}, not ACTIVE"
    for flag in BLOCK_FLAGS:
        if row.get(flag) is not False:
            return f"account flag {flag} is {str(row.get(flag, 'absent'))[:30]}, not false"
    return ""


@dataclass(frozen=True)
class Asset:
    """What the venue allows with one symbol.

    Attributes
    ----------
    borrow : str
        "easy_to_borrow" or another word; "" when the venue says nothing.
    """

    symbol: str
    tradable: bool
    fractionable: bool
    shortable: bool
    borrow: str


def asset_row(value: Any) -> Asset:
    """One asset; what is not said in so many words is not allowed."""
    row = mapping(value)
    if row.get("class", row.get("asset_class")) != "us_equity":
        raise BadRow("class is not us_equity")
    borrow = row.get("borrow_status")
    if borrow is None and row.get("easy_to_borrow") is True:  # deprecated 2026-06
        borrow = "easy_to_borrow"
    return Asset(
        text(row, "symbol"),
        row.get("tradable") is True and row.get("status") == "active",
        row.get("fractionable") is True,
        row.get("shortable") is True,
        borrow if isinstance(borrow, str) else "",
    )


def asset_trouble(asset: Asset, intent: OrderIntent, held_nano: int) -> str:
    """Why this order may not be sent, in the venue's words where it has some; "" = nothing against it.

    Parameters
    ----------
    held_nano : int
        Position at the venue's last word; a sale beyond it is a short sale.
    """
    if asset.symbol != intent.symbol:
        return f'could not find asset "{intent.symbol}"'
    if not asset.tradable:
        return f'asset "{intent.symbol}" is not tradable'
    if intent.quantity_nano % NANO and not asset.fractionable:
        return f'asset "{intent.symbol}" is not fractionable'
    sells_short = intent.side is Side.SELL and 0 >= held_nano - intent.quantity_nano and held_nano <= 0
    if sells_short and not asset.shortable:
        return f'asset "{intent.symbol}" cannot be sold short'
    if sells_short and asset.borrow != "easy_to_borrow":
        return f'asset "{intent.symbol}" cannot be sold short: borrow status {asset.borrow or "unknown"}'
    return ""


def price_trouble(intent: OrderIntent) -> str:
    """Why limit or stop are off the price grid (17 CFR 242.612); "" = they are on it."""
    for name, price in (("limit_price", intent.limit_micro), ("stop_price", intent.stop_micro)):
        if price and price % tick_micro(price):
            words = "sub-penny increment does not fulfill minimum pricing criteria"
            return f"invalid {name} {price_text(price)}. {words}"
    return ""


def order_fields(intent: OrderIntent) -> dict[str, Any]:
    """The JSON of a submit: exact decimal strings and our own id; a float never touches an order."""
    kind, force = _AUCTIONS.get(
        intent.order_type, (intent.order_type.word, TimeInForce(intent.time_in_force).word)
    )
    fields: dict[str, Any] = {
        "symbol": intent.symbol,
        "qty": quantity_text(intent.quantity_nano),
        "side": intent.side.word,
        "type": kind,
        "time_in_force": force,
        "client_order_id": intent.client_order_id,
    }
    if intent.order_type in WITH_LIMIT:
        fields["limit_price"] = price_text(intent.limit_micro)
    if intent.order_type in WITH_STOP:
        fields["stop_price"] = price_text(intent.stop_micro)
    return fields


def quantity_text(nano: int) -> str:
    """A quantity as exact decimal text, such as "100" or "0.5"."""
    whole, rest = divmod(nano, NANO)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".") if rest else str(whole)


def price_text(micro: int) -> str:
    """A price as exact decimal text with at least two decimals, such as "100.50" or "0.1234"."""
    whole, rest = divmod(micro, MICRO)
    decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{whole}.{decimals}"
