"""Historical bars, quotes and trades from Alpaca: whole, bounded, with what they are written beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import NoneType
from typing import Any, Protocol

from workbench.errors import DataError, UsageError

#: Our kind -> path, word in the answer, further fields.
KINDS: Mapping[str, tuple[str, str, Mapping[str, str]]] = {
    "daily": ("/stocks/bars", "bars", {"timeframe": "1Day", "adjustment": "raw"}),
    "minute": ("/stocks/bars", "bars", {"timeframe": "1Min", "adjustment": "raw"}),
    "quotes": ("/stocks/quotes", "quotes", {}),
    "trades": ("/stocks/trades", "trades", {}),
}
FEEDS = ("sip", "iex")
PAGE, MAX_PAGES = 10_000, 10_000


class Reply(Protocol):
    """What a request of market data came back with."""

    @property
    def status(self) -> int:
        """HTTP status; 0 = no complete answer."""
        ...

    @property
    def json(self) -> Any:
        """The body, None when it is no JSON."""
        ...

    @property
    def words(self) -> str:
        """What went wrong, in words."""
        ...


#: Sends a GET: path and query.
Ask = Callable[[str, Mapping[str, Any]], Reply]


@dataclass(frozen=True)
class Download:
    """A whole answer, joined from its pages.

    Attributes
    ----------
    kind, feed, adjustment : str
        What was asked for; "raw" prices, as the store applies splits itself; "" for ticks.
    first, last : str
        Bounds that were asked for, as the venue reads them.
    rows : mapping of str to list
        Symbol -> rows as they came.
    missing : tuple of str
        Symbols that were asked for and are not there.
    pages : int
    """

    kind: str
    feed: str
    adjustment: str
    first: str
    last: str
    rows: Mapping[str, list[Any]]
    missing: tuple[str, ...]
    pages: int = field(compare=False, default=0)

    @property
    def answer(self) -> dict[str, Any]:
        """The rows in the shape of one answer of Alpaca."""
        return {KINDS[self.kind][1]: dict(self.rows)}


def download(
    ask: Ask, symbols: Sequence[str], *, kind: str, first: str, last: str, feed: str, page: int = PAGE
) -> Download:
    """Everything of one kind between two moments, or an error; never a part of it.

    Parameters
    ----------
    symbols : sequence of str
    kind : str
        A key of `KINDS`.
    first, last : str
        RFC 3339 times or dates, both included by the venue.
    feed : str
        "sip": the whole market. "iex": one exchange, a few per cent of the volume, so no bars are taken
        from it: sizes and participation must never be judged by its volume.

    Raises
    ------
    UsageError
        Unknown kind or feed, no symbols, or bars of IEX.
    DataError
        An error of the venue, an answer of another shape, a token that repeats, pages without an end.
    """
    if kind not in KINDS or feed not in FEEDS or not symbols:
        raise UsageError(
            f"cannot download {kind!r} of feed {feed!r} for {len(symbols)} symbols",
            next_step=f"use one of {', '.join(KINDS)}, sip or iex, and name symbols",
        )
    path, word, more = KINDS[kind]
    if word == "bars" and feed == "iex":
        raise UsageError(
            "bars of IEX hold the volume of one exchange, which no order may be sized by",
            next_step="use --feed sip; history older than 15 minutes needs no subscription",
        )
    rows: dict[str, list[Any]] = {}
    fields: dict[str, Any] = {
        "symbols": ",".join(symbols), "start": first, "end": last, "feed": feed, "limit": page, "sort": "asc",
        **more,
    }  # fmt: skip
    seen: set[str] = set()
    for number in range(1, MAX_PAGES + 1):
        body = _body(ask(path, fields), word)
        for symbol, found in (body[word] or {}).items():
            if symbol not in symbols or not isinstance(found, list):
                raise _bad(kind, f"it holds {str(symbol)[:20]!r}, which was not asked for, or no rows")
            rows.setdefault(symbol, []).extend(_plain(row) for row in found)
        token = body.get("next_page_token")
        if token is None:
            missing = tuple(sorted(set(symbols) - {symbol for symbol, found in rows.items() if found}))
            adjustment = more.get("adjustment", "")
            return Download(kind, feed, adjustment, first, last, rows, missing, number)
        if not isinstance(token, str) or token in seen:
            raise _bad(kind, "a page token repeats")
        seen.add(token)
        fields["page_token"] = token
    raise _bad(kind, "its pages do not end")


def _body(reply: Reply, word: str) -> Mapping[str, Any]:
    body = reply.json
    if reply.status != 200:
        raise _bad(word, reply.words or f"status {reply.status}")
    if not isinstance(body, dict) or word not in body or not isinstance(body[word], dict | NoneType):
        raise _bad(word, "the answer has another shape")
    return body


def _plain(row: Any) -> Any:
    """The row with floats where the transport kept exact decimals: a bars store holds floats."""
    if not isinstance(row, dict):
        return row
    return {key: float(value) if isinstance(value, Decimal) else value for key, value in row.items()}


def _bad(what: str, why: str) -> DataError:
    return DataError(
        f"no {what} from Alpaca: {why}",
        next_step="nothing was ingested; ask for less or wait a minute, then run it again",
    )
