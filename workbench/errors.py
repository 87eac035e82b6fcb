"""Errors in families by what the caller must do next; each carries facts, a next step and an exit code.

=====  =====================================  =========================================
code   family                                 the caller must
=====  =====================================  =========================================
0      (none)                                 nothing: the work is done
2      `UsageError`, `ConfigError`            correct the input and run again
3      `Refused` and its children             look at the guard that said no; nothing was sent
4      `OutcomeUnknown`                       resolve the order with the venue before anything else
5      `JobFailed`, `StorageFailed`           mend it, then run again; what was done is kept
=====  =====================================  =========================================
"""

from __future__ import annotations

from typing import ClassVar


class WorkbenchError(Exception):
    """Root of all errors that this package raises on purpose.

    Parameters
    ----------
    message : str
        What is wrong, naming the thing.
    next_step : str, default ""
        What a person should do now, as one sentence or a command.
    **facts : object
        Values that belong to the error; each becomes an attribute and survives pickling.
    """

    exit_code: ClassVar[int] = 5

    def __init__(self, message: str, *, next_step: str = "", **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.facts = facts
        for name, value in facts.items():
            setattr(self, name, value)

    def __str__(self) -> str:
        return f"{self.message}\n  next: {self.next_step}" if self.next_step else self.message

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.next_step, self.facts))


def _rebuild(
    kind: type[WorkbenchError], message: str, next_step: str, facts: dict[str, object]
) -> WorkbenchError:
    return kind(message, next_step=next_step, **facts)


class UsageError(WorkbenchError):
    """An argument of a command or a call cannot be used."""

    exit_code = 2


class ConfigError(WorkbenchError):
    """The configuration is wrong, incomplete or contradicts itself."""

    exit_code = 2


class Refused(WorkbenchError):
    """A guard said no; nothing was sent and nothing was lost."""

    exit_code = 3


class DataError(Refused):
    """Market data cannot be trusted: missing, stale, half-written or impossible."""


class TradingHalted(Refused):
    """Permission to trade is absent: the desk is HALTED or cannot prove that it is not."""


class LeaseLost(Refused):
    """Another process holds, or has taken, the right to send for this account."""


class BrokerRefused(Refused):
    """The venue refused a request for a known reason."""


class ApprovalRequired(Refused):
    """A registered person has to decide first."""


class ManifestMismatch(Refused):
    """A model, cost model, feature, config or code hash is not the one that was accepted."""


class JournalCorrupt(Refused):
    """The journal was altered or truncated; the first bad row is named."""


class JournalConflict(Refused):
    """A write contradicts what the journal holds, such as a second open order of a symbol."""


class IllegalTransition(Refused):
    """An order event is not in the transition table; the order is quarantined."""


class OutcomeUnknown(WorkbenchError):
    """A request may or may not have reached the venue; it is neither success nor failure."""

    exit_code = 4


class StorageFailed(WorkbenchError):
    """The disk or the database could not keep what was written: no persist, no send."""

    exit_code = 5


class JobFailed(WorkbenchError):
    """A job ended without its own proof of success."""

    exit_code = 5
