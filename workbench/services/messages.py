"""A session's talk with its venue: heard while it runs, and given again in a replay.

What is recorded is what the session was told, at its ports: every question to the broker, clock and stream
with the answer, in order. In a replay the same question gets the recorded answer. A question that was never
asked then has no answer: a read is unknown, a submit is UNKNOWN; nothing is invented.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from workbench.core.canonical import canonical_json
from workbench.core.messages import read, written
from workbench.core.ports import LookupResult, SubmitOutcome, SubmitResult
from workbench.core.types import NANO
from workbench.errors import OutcomeUnknown, WorkbenchError

#: First word of the line that says at which stage the session was.
STAGE: Final = "stage"
_NEVER_ASKED: Final = "this was not asked in the recorded run"


class Heard:
    """A port whose every question and answer is told to `tell`; satisfies what the port satisfies.

    Parameters
    ----------
    port : object
        Broker, clock or stream.
    name : str
        How its questions are called: "broker", "clock" or "stream".
    tell : callable ([question, arguments, answer] or [question, arguments, None, error]) -> None
    """

    def __init__(self, port: Any, name: str, tell: Callable[[Sequence[Any]], None]) -> None:
        self._port, self._name, self._tell = port, name, tell

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        question = f"{self._name}.{name}"
        if not callable(found):
            self._record(question, (), {}, found)
            return found

        def asked(*args: Any, **kwargs: Any) -> Any:
            try:
                answer = found(*args, **kwargs)
            except OutcomeUnknown as error:
                self._tell([question, _arguments(args, kwargs), None, [error.message, error.next_step]])
                raise
            self._record(question, args, kwargs, answer)
            return answer

        return asked

    def _record(self, question: str, args: Sequence[Any], kwargs: dict[str, Any], answer: Any) -> None:
        """Tell the answer; one that cannot be written is told as none, and never stops the session."""
        try:
            message = [question, _arguments(args, kwargs), written(answer)]
        except TypeError as error:
            message = [question, [], None, [str(error), "extend core.messages"]]
        self._tell(message)


def _arguments(args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any]:
    return [written(args), written(kwargs)] if args or kwargs else []


class Talk:
    """The recorded messages of a run, given again one by one.

    Attributes
    ----------
    strayed : list of str
        Questions that came in another order than then, or were never asked; empty in a replay that keeps
        to its record.
    """

    def __init__(self, messages: Sequence[Sequence[Any]]) -> None:
        self._messages = [message for message in messages if message[0] != STAGE]
        self._asked = [canonical_json(message[:2]) for message in self._messages]
        self._used = [False] * len(self._messages)
        self._at = 0
        self.strayed: list[str] = []
        stages = [str(message[1]) for message in messages if message[0] == STAGE]
        first = stages.index("recover") if "recover" in stages else 0
        #: How often the run asked the preflight questions before it started.
        self.looks_before_start = stages[:first].count("preflight")

    def heard(self, port: str) -> bool:
        """Whether the run had that port."""
        return any(str(message[0]).startswith(f"{port}.") for message in self._messages)

    def answer(self, question: str, *args: Any, **kwargs: Any) -> Any:
        """The recorded answer to the next such question.

        Raises
        ------
        OutcomeUnknown
            The recorded answer was none, or it was never asked.
        """
        arguments = _arguments(args, kwargs)
        at = self._find(canonical_json([question, arguments]), question)
        if at is None:
            raise OutcomeUnknown(f"{question}: {_NEVER_ASKED}", next_step="the replay has left its record")
        found = self._messages[at]
        if len(found) > 3:
            raise OutcomeUnknown(found[3][0], next_step=found[3][1])
        return read(found[2])

    def upcoming(self, question: str) -> Any | None:
        """The answer if the clock was asked that before anything else was asked, else None; it is used up."""
        self._skip()
        at = self._at
        while at < len(self._messages) and (self._used[at] or self._messages[at][0].startswith("clock.")):
            if not self._used[at] and self._messages[at][0] == question:
                self._used[at] = True
                return read(self._messages[at][2])
            at += 1
        return None

    def _find(self, asked: str, question: str) -> int | None:
        at = self._at
        while at < len(self._asked):
            if not self._used[at] and self._asked[at] == asked:
                if at > self._at and any(
                    not self._used[i] and not self._messages[i][0].startswith("clock.")
                    for i in range(self._at, at)
                ):
                    self.strayed.append(f"{question} came before its turn")
                else:
                    self._at = at
                self._used[at] = True
                self._skip()
                return at
            at += 1
        self.strayed.append(f"{question}: {_NEVER_ASKED}")
        return None

    def _skip(self) -> None:
        while self._at < len(self._used) and self._used[self._at]:
            self._at += 1


class ToldBroker:
    """The venue of a record; satisfies `Broker` and sends nothing anywhere."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: self._talk.answer(f"broker.{name}", *args, **kwargs)

    def submit(self, intent: Any) -> SubmitResult:
        """What the venue said then; UNKNOWN for an order that was not sent then."""
        try:
            answer: SubmitResult = self._talk.answer("broker.submit", intent)
        except OutcomeUnknown as error:
            return SubmitResult(SubmitOutcome.UNKNOWN, reason=error.message)
        return answer

    def cancel(self, client_order_id: str) -> SubmitResult:
        """What the venue said then; UNKNOWN where no cancel was asked for then."""
        try:
            answer: SubmitResult = self._talk.answer("broker.cancel", client_order_id)
        except OutcomeUnknown as error:
            return SubmitResult(SubmitOutcome.UNKNOWN, reason=error.message)
        return answer

    def lookup(self, client_order_id: str) -> LookupResult:
        """What the venue said then; no answer where nobody looked then."""
        try:
            answer: LookupResult = self._talk.answer("broker.lookup", client_order_id)
        except OutcomeUnknown as error:
            return LookupResult(found=False, answered=False, reason=error.message)
        return answer


class ToldClock:
    """The clock of a record; where the replay has left the record, time goes on with every sleep.

    Parameters
    ----------
    talk : Talk
    start_ns, start_wall_ns : int
        Trading and wall-clock time before the first question, UTC nanoseconds.

    Attributes
    ----------
    latest_ns, latest_wall_ns : int
        What was told last, for who must not use up an answer.
    """

    def __init__(self, talk: Talk, start_ns: int, *, start_wall_ns: int) -> None:
        self._talk = talk
        self.latest_ns, self.latest_wall_ns = start_ns, start_wall_ns

    def now_ns(self) -> int:
        """Trading time as it was read then."""
        told = self._talk.upcoming("clock.now_ns")
        self.latest_ns = max(self.latest_ns, told if told is not None else 0)
        return self.latest_ns

    def wall_ns(self) -> int:
        """Wall-clock time as it was read then."""
        told = self._talk.upcoming("clock.wall_ns")
        self.latest_wall_ns = told if told is not None else self.latest_wall_ns
        return self.latest_wall_ns

    def sleep_until(self, at_ns: int) -> None:
        """Return at once; time is then what the record says, and never before `at_ns`."""
        self._talk.upcoming("clock.sleep_until")
        self.latest_ns = max(self.latest_ns, at_ns)


class ToldStream:
    """The stream of a record; satisfies `Hints`."""

    def __init__(self, talk: Talk, clock: ToldClock) -> None:
        self._talk, self._clock = talk, clock

    @property
    def generation(self) -> int:
        """Number of connections, as then."""
        return int(self._or("stream.generation", 1))

    def trouble(self) -> str:
        """As then."""
        return str(self._or("stream.trouble", ""))

    def silent_s(self) -> float:
        """As then."""
        return float(self._or("stream.silent_s", 0.0))

    def reconciled(self, generation: int) -> None:
        """Nobody listens to this."""
        self._or("stream.reconciled", None, generation)

    def expect(self, client_order_id: str) -> None:
        """Nobody listens to this."""
        self._or("stream.expect", None, client_order_id)

    def forget(self, client_order_id: str) -> None:
        """Nobody listens to this."""
        self._or("stream.forget", None, client_order_id)

    def take(self) -> tuple[Any, ...]:
        """The hints that were taken then."""
        return tuple(self._or("stream.take", ()))

    def wait(self, seconds: float) -> bool:
        """Whether something was heard then; time passes where the record has none."""
        try:
            return bool(self._talk.answer("stream.wait", seconds))
        except OutcomeUnknown:
            self._clock.sleep_until(self._clock.latest_ns + max(int(seconds * NANO), 1))
            return False

    def _or(self, question: str, otherwise: Any, *args: Any) -> Any:
        try:
            return self._talk.answer(question, *args)
        except WorkbenchError:
            return otherwise
