"""The admin port: market, time, faults, and what the venue knows of itself; no client sees it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workbench.adapters.venue_server.faults import KNOBS, STREAM_ACTIONS, TROUBLES
from workbench.adapters.venue_server.intake import submit_command
from workbench.adapters.venue_server.market import quote_move
from workbench.adapters.venue_server.oracles import violations
from workbench.adapters.venue_server.wire import Answer, money, parse_decimal, parse_time, when
from workbench.core.types import MICRO, NANO
from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.adapters.venue_server.server import VenueServer

Action = Callable[[dict[str, Any]], Any]


class Admin:
    """What the admin port can do; bodies and answers are JSON objects."""

    def __init__(self, server: VenueServer) -> None:
        self._server = server
        self._venue = server.venue

    def routes(self) -> dict[str, Action]:
        """Action of each endpoint."""
        return {
            "GET /_/": self.index,
            "GET /_/state": self.state,
            "GET /_/ledger": self.ledger,
            "GET /_/requests": self.requests,
            "GET /_/findings": self.findings,
            "GET /_/faults": self.armed,
            "GET /_/oracle": self.oracle,
            "POST /_/oracle": self.oracle,
            "POST /_/fault": self.fault,
            "DELETE /_/faults": self.clear,
            "POST /_/quote": self.quote,
            "POST /_/market": self.quote,
            "POST /_/advance": self.advance,
            "POST /_/clock": self.clock,
            "POST /_/partial": self.partial,
            "POST /_/release": self.release,
            "POST /_/reject": self.reject,
            "POST /_/order": self.order,
            "POST /_/fill": self.fill,
            "POST /_/cash": self.cash,
            "POST /_/corporate": self.corporate,
            "POST /_/halt": self.halt,
            "POST /_/early_close": self.early_close,
            "POST /_/bust": self.bust,
            "POST /_/account": self.account,
            "POST /_/asset": self.asset,
            "POST /_/lag": self.lag,
            "POST /_/stream": self.stream,
            "POST /_/pause": self.pause,
            "POST /_/restart": self.restart,
        }

    def index(self, body: dict[str, Any]) -> Any:
        """Every endpoint and every fault, with what it does."""
        about = {
            name: (action.__doc__ or "").strip().partition("\n")[0] for name, action in self.routes().items()
        }
        knobs = {kind: meaning for kind, (_, meaning) in KNOBS.items()}
        return {
            "endpoints": about, "faults": knobs, "stream_actions": dict(STREAM_ACTIONS),
            "accept_then_* and before_accept_*": dict(TROUBLES),
        }  # fmt: skip

    # --- looking -----------------------------------------------------------------------------------

    def state(self, body: dict[str, Any]) -> Any:
        """Time, session, counts."""
        venue = self._venue
        venue.advance()
        return {
            "now": when(venue.now_ns()), "now_ns": venue.now_ns(), "session": venue.state.venue.session,
            "phase": venue.state.venue.phase, "orders": len(venue.state.orders),
            "open_orders": len(venue.state.open_ids), "fills": len(venue.state.venue.fills_after(0)),
            "listeners": self._server.streams.listeners, "events": self._server.streams.emitted,
            "digest": venue.state.venue.digest(),
        }  # fmt: skip

    def ledger(self, body: dict[str, Any]) -> Any:
        """The truth: account, positions, every order and activity."""
        state = self._venue.state
        return {
            "account": state.account(), "positions": state.positions(), "activities": state.activities,
            "orders": [record.present for record in state.orders.values()],
            "cash": money(state.venue.cash_micro),
        }  # fmt: skip

    def requests(self, body: dict[str, Any]) -> Any:
        """The request log, oldest first; it never held a header."""
        return {"requests": list(self._server.door.requests)}

    def findings(self, body: dict[str, Any]) -> Any:
        """What no client should have done."""
        door = self._server.door
        return {"unknown_endpoints": door.unknown, "over_budget": door.over_budget}

    def oracle(self, body: dict[str, Any]) -> Any:
        """What the invariants say about the view of a client, posted as in `oracles`."""
        found = violations(
            self._venue.state, list(self._server.door.requests), self._server.door.unknown, body
        )
        return {"ok": not found, "violations": found}

    # --- faults ------------------------------------------------------------------------------------

    def armed(self, body: dict[str, Any]) -> Any:
        """The armed faults, with how often each was met and acted."""
        return {"faults": self._server.faults.armed()}

    def fault(self, body: dict[str, Any]) -> Any:
        """Arm a fault: {"fault", "endpoint", "client_order_id", "nth", "count", "after", ...its own}."""
        after_ns = parse_time(str(body["after"])) if "after" in body else 0
        return self._server.faults.arm(body, after_ns=after_ns).view()

    def clear(self, body: dict[str, Any]) -> Any:
        """Disarm the fault {"id"}, or all."""
        self._server.faults.clear(int(body.get("id", 0)))
        return {"faults": self._server.faults.armed()}

    def lag(self, body: dict[str, Any]) -> Any:
        """Let reads lag: {"reads": n} or {"ms": n}; neither ends it."""
        self._server.published.lag(reads=int(body.get("reads", 0)), ms=float(body.get("ms", 0)))
        return {"lagging": self._server.published.lagging}

    def stream(self, body: dict[str, Any]) -> Any:
        """Do {"action"} to the open streams of trade updates at once."""
        action = str(body.get("action", ""))
        if action not in STREAM_ACTIONS:
            raise UsageError(
                f"action {action!r} is unknown", next_step=f"use one of {', '.join(STREAM_ACTIONS)}"
            )
        return {"streams": self._server.streams.act(action)}

    def pause(self, body: dict[str, Any]) -> Any:
        """Stop the whole process for {"seconds"}, at most 60."""
        time.sleep(min(float(body.get("seconds", 1.0)), 60.0))
        return {"paused": True}

    def restart(self, body: dict[str, Any]) -> Any:
        """Drop every connection and begin again from the journal, without its last {"lose"} records."""
        return {"lost": self._server.restart(lose=int(body.get("lose", 0)))}

    # --- time and market ---------------------------------------------------------------------------

    def quote(self, body: dict[str, Any]) -> Any:
        """Set quotes: {"symbol", "bid", "ask"} or {"quotes": [...]}; open orders see them."""
        filled: list[str] = []
        for row in body.get("quotes", [body]):
            move = quote_move(row)
            if move.symbol not in self._venue.state.venue.symbols:
                raise UsageError(f"the venue does not know {move.symbol!r}", next_step="see GET /v2/assets")
            filled += self._venue.quote(move.symbol, move.bid_micro, move.ask_micro)["execution_ids"]
            self._server.show_quote(move.symbol)
        return {"executions": len(filled)}

    def advance(self, body: dict[str, Any]) -> Any:
        """Go forward: {"seconds"}, {"to": time}, or {"to": "open" | "close"}, the next of them."""
        venue, clock, calendar = self._venue, self._venue.clock, self._venue.calendar
        now_ns = venue.advance()
        to = str(body.get("to", ""))
        if to == "open":
            clock.set(calendar.session_open_ns(calendar.session_after_ns(now_ns)))
        elif to == "close":
            trading = venue.state.venue.phase == "open"
            session = venue.state.venue.session if trading else calendar.session_after_ns(now_ns)
            clock.set(calendar.session_close_ns(session))
        elif to:
            clock.set(parse_time(to))
        else:
            clock.step(int(float(body.get("seconds", 0)) * NANO))
        venue.advance()
        venue.keep_time()
        return self.state({})

    def clock(self, body: dict[str, Any]) -> Any:
        """Set {"rate"} (0 stands still), {"skew_seconds"} (what clients see), {"freeze_quotes"} (stamps)."""
        if "rate" in body:
            self._venue.clock.run(float(body["rate"]))
        if "skew_seconds" in body:
            self._venue.clock.skew_ns = int(float(body["skew_seconds"]) * NANO)
        self._server.data.frozen = bool(body.get("freeze_quotes", self._server.data.frozen))
        return self.state({})

    def halt(self, body: dict[str, Any]) -> Any:
        """Halt trading in {"symbol"}, or resume it with {"halted": false}."""
        self._venue.do("halt", symbol=str(body["symbol"]), halted=bool(body.get("halted", True)))
        return self.state({})

    def early_close(self, body: dict[str, Any]) -> Any:
        """Close the open session {"minutes"} from now; the calendar endpoint does not know of it."""
        venue = self._venue
        now_ns = venue.advance()
        if venue.state.venue.phase != "open":
            raise UsageError("no session is open", next_step="advance to the next open first")
        early_ns = now_ns + int(float(body.get("minutes", 1)) * 60 * NANO)
        venue.calendar.early[venue.state.venue.session] = early_ns
        return {"session": venue.state.venue.session, "close": when(early_ns)}

    # --- orders and account ------------------------------------------------------------------------

    def partial(self, body: dict[str, Any]) -> Any:
        """Script fills of {"client_order_id"}: at most {"shares": [3, 0, 4]} by event, then it rests."""
        self._venue.caps[str(body["client_order_id"])] = [int(count) for count in body["shares"]]
        return {"client_order_id": body["client_order_id"], "shares": body["shares"]}

    def release(self, body: dict[str, Any]) -> Any:
        """End the script of {"client_order_id"}; a stuck cancel is carried out."""
        key = str(body["client_order_id"])
        self._venue.caps.pop(key, None)
        record = self._venue.state.orders[key]
        if record.status == "pending_cancel":
            self._venue.cancel(record)
        else:
            self._venue.match_again(record)
        return record.present

    def reject(self, body: dict[str, Any]) -> Any:
        """Reject the accepted order {"client_order_id"}, with {"reason"}."""
        record = self._venue.state.orders[str(body["client_order_id"])]
        self._venue.reject(record, str(body.get("reason", "rejected by the exchange")))
        return record.present

    def order(self, body: dict[str, Any]) -> Any:
        """An order that somebody else placed in this account; a body as of POST /v2/orders."""
        command = submit_command(body)
        found = command if isinstance(command, Answer) else self._venue.submit(command, source="human")
        return found if isinstance(found, Answer) else found.present

    def fill(self, body: dict[str, Any]) -> Any:
        """Fill {"client_order_id"}: {"shares"} of it (all) at {"price"} (its limit, or the market)."""
        record = self._venue.state.orders[str(body["client_order_id"])]
        price = int(parse_decimal(body["price"]) * MICRO) if "price" in body else 0
        self._venue.fill_up(record, count=int(body.get("shares", 0)), price_micro=price)
        return record.present

    def bust(self, body: dict[str, Any]) -> Any:
        """Take back the last execution of {"client_order_id"}, or correct it to {"price"}."""
        key, venue = str(body["client_order_id"]), self._venue
        fills = [fill for fill in venue.state.venue.fills_after(0) if fill.client_order_id == key]
        if not fills:
            raise UsageError(f"order {key} has no execution", next_step="see GET /_/ledger")
        if "price" in body:
            price = {"price_micro": int(parse_decimal(body["price"]) * MICRO)}
            reply = venue.do("correct", execution_id=fills[-1].execution_id, **price)
        else:
            reply = venue.do("bust", execution_id=fills[-1].execution_id)
        return {"ok": reply["ok"], "reason": reply["reason"]}

    def cash(self, body: dict[str, Any]) -> Any:
        """Post {"activity", "amount", "symbol", "memo"}: CSD, CSW, INT, JNLC, or a type nobody knows."""
        amount = int(parse_decimal(body["amount"]) * MICRO)
        reply = self._venue.do(
            "post", activity=str(body["activity"]), symbol=str(body.get("symbol", "")), amount_micro=amount,
            memo=str(body.get("memo", "")),
        )  # fmt: skip
        return {
            "ok": reply["ok"],
            "reason": reply["reason"],
            "cash": money(self._venue.state.venue.cash_micro),
        }

    def corporate(self, body: dict[str, Any]) -> Any:
        """Before the next open: {"kind", "symbol"}, split (new, old), dividend (amount), rename (to)."""
        return {"planned": self._venue.corporate.add(body)}

    def account(self, body: dict[str, Any]) -> Any:
        """Overlay fields of GET /v2/account, such as {"trading_blocked": true}; null and absence too."""
        self._server.account.flags |= body
        return self._server.account.flags

    def asset(self, body: dict[str, Any]) -> Any:
        """Overlay fields of the asset {"symbol"}, such as {"tradable": false}."""
        symbol = str(body["symbol"])
        changed = self._server.account.assets_changed.setdefault(symbol, {})
        changed |= {name: value for name, value in body.items() if name != "symbol"}
        return changed
