"""One flush for many: tasks of an event loop hand in events and wait until these are durable."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from workbench.core.ports import Event, Lease, RecordedEvent
from workbench.errors import StorageFailed, UsageError, WorkbenchError


class Commits(Protocol):
    """What is needed of a journal."""

    def commit(self, events: Sequence[Event], *, lease: Lease | None = None) -> tuple[RecordedEvent, ...]:
        """Append all events in one durable transaction."""
        ...


#: The events of one task and its promise.
_Waiting = tuple[Sequence[Event], "asyncio.Future[tuple[RecordedEvent, ...]]"]
_Answer = tuple[_Waiting, "tuple[RecordedEvent, ...] | BaseException"]


class GroupCommit:
    """Commits what tasks hand in while the former flush runs, together, and answers each after its flush.

    Each task's events stay together and in order. When the database refuses a group, each task's events
    are tried alone, so that one task's conflict is answered to that task and to no other. A storage
    failure is answered to all of the group: nothing of it is acknowledged.

    Parameters
    ----------
    journal : JournalDatabase or another with its `commit`
        Used from one thread, which this group starts at its first flush and ends when it is closed.
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
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="group-commit")
        #: Done when nothing waits and no flush runs; None when that is so already.
        self._busy: asyncio.Future[None] | None = None
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
        loop = asyncio.get_running_loop()
        done: asyncio.Future[tuple[RecordedEvent, ...]] = loop.create_future()
        self._waiting.append((events, done))
        if self._busy is None:
            self._busy = loop.create_future()
            loop.call_soon(self._hand_over, loop)  # after the other tasks of this turn of the loop
        return await done

    async def close(self) -> None:
        """Flush what waits and take no more."""
        self._closed = True
        if self._busy is not None:
            await asyncio.shield(self._busy)
        self._writer.shutdown(wait=False)

    async def __aenter__(self) -> GroupCommit:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    # --- in the loop ----------------------------------------------------------------------------------

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give what waits to the writer; the flush that it is part of calls back once for all of it."""
        self._writer.submit(self._flush, self._take(), self.lease, loop)

    def _take(self) -> list[_Waiting]:
        count = events = 0
        for waiting, _done in self._waiting:
            events += len(waiting)
            if count and events > self._most_events:
                break
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group

    def _answer(self, answers: list[_Answer], loop: asyncio.AbstractEventLoop) -> None:
        for (_events, done), answer in answers:
            if done.done():  # cancelled meanwhile
                continue
            if isinstance(answer, BaseException):
                done.set_exception(answer)
            else:
                done.set_result(answer)
        if self._waiting:
            self._hand_over(loop)
        elif self._busy is not None:
            self._busy.set_result(None)
            self._busy = None

    # --- in the writer's thread -----------------------------------------------------------------------

    def _flush(self, group: list[_Waiting], lease: Lease | None, loop: asyncio.AbstractEventLoop) -> None:
        """Commit a group, then wake the loop once to answer all of its tasks."""
        loop.call_soon_threadsafe(self._answer, self._committed(group, lease), loop)

    def _committed(self, group: list[_Waiting], lease: Lease | None) -> list[_Answer]:
        try:
            recorded = self._journal.commit(
                [event for events, _done in group for event in events], lease=lease
            )
        except (WorkbenchError, TypeError, ValueError, OverflowError) as error:
            if len(group) == 1 or isinstance(error, StorageFailed):
                return [(waiting, error) for waiting in group]
            return [answer for waiting in group for answer in self._committed([waiting], lease)]
        except BaseException as error:
            return [(waiting, error) for waiting in group]
        answers: list[_Answer] = []
        at = 0
        for waiting in group:
            until = at + len(waiting[0])
            answers.append((waiting, recorded[at:until]))
            at = until
        return answers
