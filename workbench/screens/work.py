"""Answers that take seconds: computed once in the background and shared by all readers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any

from workbench.errors import WorkbenchError

#: Answers that are kept; the oldest goes first.
KEPT = 8
#: Rest after a computation that nobody asked for by hand, as a multiple of the time that it took.
REST = 4.0
#: How long a reader waits for sums before the page is shown without them, seconds.
SOON_S = 0.3

Tell = Callable[[str], None]


class Work:
    """One long computation at a time; its progress, its answer, or what went wrong with it.

    Attributes
    ----------
    version : int
        Rises whenever there is something new to show.
    progress : str
        What is being done now; empty when nothing is.
    resting : bool
        Whether the last computation took so long, so lately, that the machine is left to the loop.
    problem, next_step : str
        Why the last computation gave no answer, and what to do.

    Examples
    --------
    >>> work = Work()
    >>> work.start("two", lambda tell: 1 + 1)
    True
    >>> work.wait(10.0)
    >>> work.answer("two")
    2
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.version = 0
        self._clock_s = clock_s
        self._rest_until_s = -float("inf")
        self.progress = self.problem = self.next_step = ""
        self._answers: dict[Hashable, Any] = {}
        self._thread: threading.Thread | None = None
        self._one = threading.Lock()

    def answer(self, question: Hashable) -> Any | None:
        """The answer to a question, None while there is none."""
        return self._answers.get(question)

    @property
    def resting(self) -> bool:
        """Whether what follows the journal by itself should wait; what a person asks for never does."""
        return self._clock_s() < self._rest_until_s

    @property
    def latest(self) -> Any | None:
        """The answer that was computed last, whatever was asked; None before the first."""
        return self._answers[next(reversed(self._answers))] if self._answers else None

    def start(self, question: Hashable, compute: Callable[[Tell], Any]) -> bool:
        """Begin to compute an answer; False when another is being computed.

        Parameters
        ----------
        question : hashable
            Everything on which the answer depends.
        compute : callable (tell) -> answer
            `tell` takes a word about the present step.
        """
        with self._one:
            if self.progress:
                return False
            self.progress, self.problem, self.next_step = "starting", "", ""
        self.version += 1
        self._thread = threading.Thread(target=self._run, args=(question, compute), daemon=True)
        self._thread.start()
        return True

    def wait(self, timeout_s: float) -> None:
        """Return when the present computation is over, or the time is."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self, question: Hashable, compute: Callable[[Tell], Any]) -> None:
        began_s = self._clock_s()
        try:
            answer = compute(self._tell)
            while len(self._answers) >= KEPT:
                self._answers.pop(next(iter(self._answers)))
            self._answers[question] = answer
        except WorkbenchError as error:
            self.problem = f"{type(error).__name__}: {error.message}"
            self.next_step = error.next_step or ""
        except (OSError, ValueError) as error:
            self.problem = f"{type(error).__name__}: {error}"
            self.next_step = "choose other settings, or mend the data"
        except BaseException as error:  # a defect: said on the page, raised for the server's log
            self.problem = f"{type(error).__name__}: {error}"
            self.next_step = "this is a defect; the server's output has the details"
            raise
        finally:
            now_s = self._clock_s()
            self._rest_until_s = now_s + REST * (now_s - began_s)
            self.progress = ""
            self.version += 1

    def _tell(self, step: str) -> None:
        self.progress = step
        self.version += 1
