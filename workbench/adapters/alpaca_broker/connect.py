"""The way to a broker: venue, account and keys are seen to belong together before anything is asked of it."""

from __future__ import annotations

from workbench.adapters.alpaca_broker.broker import AlpacaBroker
from workbench.adapters.alpaca_broker.budget import RateBudget
from workbench.adapters.alpaca_broker.gates import environment_of
from workbench.adapters.alpaca_broker.transport import AlpacaTransport
from workbench.core.types import Mode
from workbench.errors import ConfigError


def connect_alpaca(
    *, mode: Mode, url: str, data_url: str, key: str, secret: str, account: str, account_id: str,
    connect_s: float, read_s: float, per_minute: int, reserve: int, feed: str = "iex",
) -> AlpacaBroker:  # fmt: skip
    """A broker whose venue, account and clock have been seen to be the right ones.

    Raises
    ------
    ConfigError
        Mode, address, keys and account id do not belong together, or alpaca-py is not the examined one.
    OutcomeUnknown
        The venue does not answer.
    """
    environment_of(url, mode=mode, key=key)
    broker = AlpacaBroker(
        AlpacaTransport(key=key, secret=secret, url=url, connect_s=connect_s, read_s=read_s),
        AlpacaTransport(
            key=key, secret=secret, url=data_url, connect_s=connect_s, read_s=read_s, data=True
        ),
        account=account, account_id=account_id, budget=RateBudget(per_minute=per_minute, reserve=reserve),
        feed=feed,
    )  # fmt: skip
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
