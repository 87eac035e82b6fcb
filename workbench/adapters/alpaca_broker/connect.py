"""The way to a broker: venue, account and keys are seen to belong together before anything is asked of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workbench.adapters.alpaca_broker.broker import AlpacaBroker
from workbench.adapters.alpaca_broker.budget import RateBudget
from workbench.adapters.alpaca_broker.gates import environment_of
from workbench.adapters.alpaca_broker.transport import AlpacaTransport
from workbench.core.types import Mode
from workbench.errors import ConfigError


def alpaca_broker(
    *, mode: Mode, url: str, data_url: str, key: str, secret: str, account: str, account_id: str,
    connect_s: float, read_s: float, per_minute: int, reserve: int, feed: str = "iex",
    barred: Callable[[], str] = str,
) -> AlpacaBroker:  # fmt: skip
    """A broker at an address that belongs to the mode; nothing has been asked of the venue yet.

    Raises
    ------
    ConfigError
        Mode, address and keys do not belong together, or alpaca-py is not the examined one.
    """
    environment_of(url, mode=mode, key=key)
    lines = {"key": key, "secret": secret, "connect_s": connect_s, "read_s": read_s}
    return AlpacaBroker(
        AlpacaTransport(url=url, barred=barred, **lines),  # type: ignore[arg-type]
        AlpacaTransport(url=data_url, data=True, **lines),  # type: ignore[arg-type]
        account=account, account_id=account_id, budget=RateBudget(per_minute=per_minute, reserve=reserve),
        feed=feed,
    )  # fmt: skip


def connect_alpaca(*, account: str, account_id: str, **terms: Any) -> AlpacaBroker:
    """A broker of these terms whose venue and account have been seen to be the right ones.

    Raises
    ------
    ConfigError, OutcomeUnknown
        Also when the keys open another account; when the venue does not answer.
    """
    broker = alpaca_broker(account=account, account_id=account_id, **terms)
    try:
        theirs = broker.account()
        if theirs.account != account:
            raise ConfigError(
                f"the keys open account {theirs.account} at the venue, not {account_id}",
                next_step="set venue.account_id and the keys of one and the same account",
            )
    except BaseException:
        broker.close()
        raise
    return broker
