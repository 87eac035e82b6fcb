"""State of one page: what it was read from, when, and what kept it from being read."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import param

from workbench.errors import WorkbenchError
from workbench.screens.questions import Answer, Source, answer

#: Readers of one page within this time share one look at the journal.
SHARED_S = 0.4


class Screen(param.Parameterized):
    """What a page shows; every reader of the page shares one object.

    A page never shows a green light that it did not just read: what could not be read is `problem`
    with a `next_step`, what was read carries its age.

    Parameters
    ----------
    desk : object
        A read-only desk with `journal`, `views` and `settings`.
    mark : callable () -> hashable
        Something cheap that changes whenever the page may have changed: the journal's end, the ARMED file.
    clock_s : callable () -> float, default time.monotonic
    """

    #: Whether what takes long waits until the first reader sees the page; None while nobody has opened it.
    held: bool | None = None
    #: How many pages show it now.
    readers = 0

    version = param.Integer(0, doc="Rises with every new reading.")
    problem = param.String("", doc="Why the page could not be read, empty when it could.")
    next_step = param.String("", doc="What to do about the problem.")

    def __init__(
        self,
        desk: Any,
        *,
        mark: Callable[[], Hashable],
        clock_s: Callable[[], float] = time.monotonic,
        **params: Any,
    ) -> None:
        super().__init__(**params)  # type: ignore[no-untyped-call]  # param's own
        self.desk = desk
        self._mark = mark
        self._clock_s = clock_s
        self._seen: Hashable = object()
        self._journal: Any = None
        self._looked_s = -float("inf")
        self._good_s = -float("inf")
        #: What the page's numbers and tables are made of, by the names that the page gives them.
        self.sources: Mapping[str, Source] = {}

    def poll(self) -> int:
        """Look whether something changed, read it if so, and return the version to compare with."""
        now_s = self._clock_s()
        if now_s - self._looked_s < SHARED_S:
            return self.version
        self._looked_s = now_s
        try:
            mark = self._mark()
            if mark != self._seen:
                self._renew_of(getattr(self.desk, "journal", None))
                self.read()
                self._seen = mark
                self.version += 1
            self._good_s = self._clock_s()
            if self.problem:
                self.problem = self.next_step = ""
                self.version += 1
        except (WorkbenchError, OSError) as error:  # the page says so instead of showing what it last saw
            self._fail(error)
        return self.version

    def _fail(self, error: WorkbenchError | OSError) -> None:
        step = error.next_step if isinstance(error, WorkbenchError) else "mend the disk, then reload the page"
        text = f"{type(error).__name__}: {error.message if isinstance(error, WorkbenchError) else error}"
        if (text, step or "") != (self.problem, self.next_step):
            self.problem, self.next_step = text, step or ""
            self.version += 1

    def _renew_of(self, journal: Any) -> None:
        """Begin anew where the desk has gone into another epoch: its journal counts from one again."""
        if self._journal is not None and journal is not self._journal:
            self.renew()
        self._journal = journal

    def renew(self) -> None:
        """Forget everything that was kept of a journal; a page that keeps something overrides this."""

    def read(self) -> None:
        """Read everything that the page shows; a page of its own overrides this."""
        raise NotImplementedError

    @property
    def urgent(self) -> Hashable:
        """What every reader has to see at once when it changes, however many they are."""
        return None

    def explain(self, question: str) -> Answer | None:
        """The journal rows behind a number: "TABLE" for all of a table, "TABLE/ROW" for one row.

        None where the page has nothing of that name.
        """
        source = self.source_of(question)
        return answer(self.desk.journal, question.replace("/", ": "), source) if source else None

    def source_of(self, question: str) -> Source | None:
        """What a question asks for; None where the page has nothing of that name."""
        name, _, row = question.partition("/")
        source = self.sources.get(question) or self.sources.get(name)
        return source.of_row(row) if source else None

    def age_s(self) -> float:
        """Seconds since the page was last known to be true; infinite when it never was."""
        return self._clock_s() - self._good_s
