"""Processes that write to a journal until they are killed, forked by one that has imported everything.

A fresh interpreter imports for seconds before it opens its journal, and most of a time that is meant for
killing writers would go there. The process here opens no database and starts no thread: what a writer holds
(connection, anchor, rows in memory) it opens itself after the fork, and it is killed by a signal like any
other process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path


class Writer:
    """A forked process, and the file of what it was told is durable."""

    def __init__(self, nursery: Nursery, process_id: int, lines: Path) -> None:
        self._nursery = nursery
        self._process_id = process_id
        self._lines = lines

    @property
    def is_open(self) -> bool:
        """Whether it has opened its journal."""
        return self._lines.exists() and self._lines.stat().st_size > 0

    def kill(self) -> list[str]:
        """Kill it; the lines of what it acknowledged."""
        os.kill(self._process_id, signal.SIGKILL)
        status = self._nursery.wait_for(self._process_id)
        assert os.WIFSIGNALED(status), f"it ended by itself: {os.waitstatus_to_exitcode(status)}"
        assert os.WTERMSIG(status) == signal.SIGKILL
        if not self._lines.exists():
            return []
        whole, _, _unfinished = self._lines.read_text().rpartition("\n")
        return whole.splitlines()[1:]


class Nursery:
    """The process that forks; it ends, with what it forked, when it is closed."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(folder), url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        self._answer()

    def new_writer(self, name: str) -> Writer:
        """Fork a writer whose orders bear this name."""
        return Writer(self, self._ask(f"fork {name}"), self._folder / f"{name}.lines")

    def wait_for(self, process_id: int) -> int:
        """The wait status of a process that was forked and has ended."""
        return self._ask(f"wait {process_id}")

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=60)

    def _ask(self, question: str) -> int:
        assert self._process.stdin is not None
        print(question, file=self._process.stdin)
        return self._answer()

    def _answer(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


def _write_until_killed(folder: Path, url: str, name: str) -> None:
    from journals import changed, fill, intended

    from workbench.adapters.journal import JournalDatabase

    lines = os.open(folder / f"{name}.lines", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    journal = JournalDatabase(
        url, anchor_path=folder / "anchor", anchor_key=b"key", config_hash="c", wall_ns=time.time_ns
    )
    os.write(lines, b"open\n")
    n = 0
    while True:
        n += 1
        order = f"{name}-{n}"
        journal.commit([intended(order, symbol=order), changed("SENT", order)])
        recorded = journal.commit(
            [fill(order, f"x{order}", symbol=order), changed("PARTIALLY_FILLED", order, filled_nano=10**9)]
        )
        os.write(lines, f"{recorded[-1].seq} {recorded[-1].hash} {order}\n".encode())


def _main(folder: Path, url: str) -> None:
    import journals  # noqa: F401
    import psycopg  # noqa: F401
    import sqlalchemy.dialects.postgresql.psycopg
    import sqlalchemy.dialects.sqlite.pysqlite  # noqa: F401

    print(0, flush=True)
    for line in sys.stdin:
        word, what = line.split()
        if word == "wait":
            print(os.waitpid(int(what), 0)[1], flush=True)
        elif child := os.fork():
            print(child, flush=True)
        else:
            try:
                _write_until_killed(folder, url, what)
            finally:
                os._exit(70)  # never back into the loop of the one that forked it


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2])
