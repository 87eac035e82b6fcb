"""How a step of a session ends: cleanly when nothing is under way, otherwise only a recovery may follow."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from workbench.errors import (
    IllegalTransition,
    JournalConflict,
    JournalCorrupt,
    LeaseLost,
    OutcomeUnknown,
    Refused,
)


class Session(Protocol):
    """What the end of a step asks of its session."""

    def left_open(self) -> bool:
        """Whether an order is under way, or waits to be sent."""
        ...

    def under_way(self) -> bool:
        """Whether the venue may hold an order, or may yet receive it."""
        ...

    def release(self) -> None:
        """Give the account back."""
        ...


Trading = TypeVar("Trading", bound=Session)
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def orderly(
    step: Callable[Concatenate[Trading, Arguments], Result],
) -> Callable[Concatenate[Trading, Arguments], Result]:
    """Give the lease back when a step is refused, or the venue is silent, and nothing is under way.

    That is a clean end: the session may be run again. Any other error, and a refusal that leaves orders
    open, keeps the lease: the next start finds it and halts until a person has looked.

    Raises
    ------
    Refused
        Also where the venue gave no answer and nothing of this session has left: no outcome is open then.
    """

    @functools.wraps(step)
    def guarded(trading: Trading, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return step(trading, *args, **kwargs)
        except (LeaseLost, JournalCorrupt, JournalConflict, IllegalTransition):
            raise
        except Refused:
            if not trading.left_open():  # with something under way only a recovery may follow
                trading.release()
            raise
        except OutcomeUnknown as error:
            if trading.under_way():
                raise
            trading.release()
            raise Refused(
                f"the venue is silent, and nothing has left: {error.message}",
                next_step="run the session again once the venue answers; what was decided stands",
            ) from error

    return guarded
