"""One flush for many: tasks of an event loop hand in events and wait until these are durable."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from workbench.core.ports import Event, Lease, RecordedEvent
from workbench.errors import StorageFailed, UsageError, WorkbenchError


class Commits(Protocol):
    """What is needed of a journal."""

    def commit(self, events: Sequence[Event], *, lease: Lease | None = None) -> tuple[RecordedEvent, ...]:
        """Append all events in one durable transaction."""
        ...


class _Waiting:
    """The events of one task and its promise."""

    __slots__ = ("done", "events")

    def __init__(self, events: Sequence[Event], done: asyncio.Future[tuple[RecordedEvent, ...]]) -> None:
        self.events = events
        self.done = done


class GroupCommit:
    """Commits what tasks hand in while the former flush runs, together, and answers each after its flush.

    Each task's events stay together and in order. When the database refuses a group, each task's events
    are tried alone, so that one task's conflict is answered to that task and to no other. A storage
    failure is answered to all of the group: nothing of it is acknowledged.

    Parameters
    ----------
    journal : JournalDatabase or another with its `commit`
        Used from one worker thread at a time.
    lease : Lease or None
        Under which all of it is written; assign a renewed lease to `lease`.
    most_events : int, default 4096
        A flush takes whole tasks until it has this many events.

    Examples
    --------
    >>> async def send(journal, intents):  # doctest: +SKIP
    ...     async with GroupCommit(journal) as group:
    ...         await asyncio.gather(*(group.commit([intent]) for intent in intents))
    """

    def __init__(self, journal: Commits, *, lease: Lease | None = None, most_events: int = 4096) -> None:
        self.lease = lease
        self._journal = journal
        self._most_events = most_events
        self._waiting: list[_Waiting] = []
        self._flusher: asyncio.Task[None] | None = None
        self._closed = False

    async def commit(self, events: Sequence[Event]) -> tuple[RecordedEvent, ...]:
        """The recorded events, once they are durable.

        A task that is cancelled while it waits may still find its events recorded.

        Raises
        ------
        UsageError
            The group is closed, or one of the events is none.
        LeaseLost, JournalConflict, IllegalTransition, StorageFailed
            As `Journal.commit`; nothing of these events was written.
        """
        if self._closed:
            raise UsageError("this group is closed", next_step="make a new GroupCommit")
        if not events:
            return ()
        waiting = _Waiting(events, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush())
        return await waiting.done

    async def close(self) -> None:
        """Flush what waits and take no more."""
        self._closed = True
        if self._flusher is not None:
            await self._flusher

    async def __aenter__(self) -> GroupCommit:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def _flush(self) -> None:
        try:
            while self._waiting:
                group = self._take()
                await asyncio.to_thread(self._write, group, asyncio.get_running_loop())
        finally:
            self._flusher = None

    def _take(self) -> list[_Waiting]:
        count = events = 0
        for waiting in self._waiting:
            events += len(waiting.events)
            if count and events > self._most_events:
                break
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group

    def _write(self, group: list[_Waiting], loop: asyncio.AbstractEventLoop) -> None:
        """Commit a group in a worker thread and answer its tasks in their own."""
        answers: list[tuple[_Waiting, tuple[RecordedEvent, ...] | BaseException]] = []
        try:
            recorded = self._journal.commit(
                [e for waiting in group for e in waiting.events], lease=self.lease
            )
            at = 0
            for waiting in group:
                answers.append((waiting, recorded[at : at + len(waiting.events)]))
                at += len(waiting.events)
        except (WorkbenchError, TypeError, ValueError, OverflowError) as error:
            if len(group) == 1 or isinstance(error, StorageFailed):
                answers = [(waiting, error) for waiting in group]
            else:
                for waiting in group:
                    self._write([waiting], loop)
        except BaseException as error:
            answers = [(waiting, error) for waiting in group]
        if answers:
            loop.call_soon_threadsafe(_answer, answers)


def _answer(answers: list[tuple[_Waiting, tuple[RecordedEvent, ...] | BaseException]]) -> None:
    for waiting, answer in answers:
        if waiting.done.done():  # cancelled meanwhile
            continue
        if isinstance(answer, BaseException):
            waiting.done.set_exception(answer)
        else:
            waiting.done.set_result(answer)
