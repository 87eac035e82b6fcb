"""Where independent pieces of research are worked on: here, in threads, or on other machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol


class Workers(Protocol):
    """Works on pieces; what comes back is the same wherever that was."""

    def map(
        self, work: Callable[..., Any], pieces: Sequence[Any], *, shared: Sequence[Any] = ()
    ) -> Iterator[Any]:
        """Result of `work(*shared, piece)` for every piece, in the order given.

        Parameters
        ----------
        work : callable
            A function of a module, pure: a piece that is lost with its worker is worked on again.
        pieces : sequence
        shared : sequence
            What every piece needs; sent once.
        """
        ...


class InTurn:
    """Works on one piece after the other in this thread; what all others must equal."""

    def map(
        self, work: Callable[..., Any], pieces: Sequence[Any], *, shared: Sequence[Any] = ()
    ) -> Iterator[Any]:
        """Result of `work(*shared, piece)` for every piece, each when it is asked for."""
        return (work(*shared, piece) for piece in pieces)


#: Where there is nothing to be gained by more.
HERE = InTurn()
