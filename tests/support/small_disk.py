"""Fill a small disk under a journal: ``python small_disk.py FOLDER SIZE_KB`` prints JSON of what happened.

The disk is a memory file system of that size, mounted on FOLDER in a name space of this process alone, so
nothing is left of it afterwards and no right of the administrator is needed where the system lets a user
make name spaces.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path

from journals import Desk, alert, texts

from workbench.errors import Refused, StorageFailed

NEW_USER, NEW_MOUNTS, PRIVATE_RECURSIVE = 0x10000000, 0x00020000, (1 << 18) | (1 << 14)
LIBC = ctypes.CDLL(None, use_errno=True)


def called(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(folder: Path, size_kb: int) -> None:
    """Mount a disk of that size, seen by this process alone."""
    if os.geteuid():
        user, group = os.getuid(), os.getgid()
        called(LIBC.unshare(NEW_USER | NEW_MOUNTS))
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    else:
        called(LIBC.unshare(NEW_MOUNTS))
    called(LIBC.mount(b"none", b"/", None, PRIVATE_RECURSIVE, None))
    called(LIBC.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, f"size={size_kb}k".encode()))


def fill(desk: Desk, first: int) -> tuple[list[str], str]:
    """Commit until the disk is full; what was acknowledged, and the refusal."""
    acknowledged: list[str] = []
    journal = desk.open()
    for n in range(first, first + 10_000):
        try:
            journal.commit([alert(f"{n} a" + "z" * 3000), alert(f"{n} b" + "z" * 3000)])
        except StorageFailed as error:
            return acknowledged, f"{error.message} | {error.next_step}"
        acknowledged += [f"{n} a", f"{n} b"]
    raise AssertionError("the disk never filled")


def main(folder: Path, size_kb: int) -> dict[str, object]:
    mount(folder, size_kb)
    reserve = folder / "reserve"
    reserve.write_bytes(os.urandom(size_kb * 1024 // 4))
    desk = Desk(folder)
    acknowledged, refusal = fill(desk, 0)
    journal = desk._opened[-1]
    again = ""
    try:
        journal.commit([alert("while it is full" + "z" * 3000)])
    except StorageFailed as error:
        again = error.message
    unwritten = []
    for name, step in (
        ("archive", lambda: journal.archive("2013-02-04", folder / "old.parquet", person="ann", reason="r")),
        ("export", lambda: journal.export(folder / "out")),
    ):
        try:
            step()
            unwritten.append(f"{name} found room")
        except (StorageFailed, Refused) as error:
            unwritten.append(f"{name}: {type(error).__name__}")
    reserve.unlink()
    recorded = journal.commit([alert("room again")])[0]
    journal.close()
    with desk.open() as reopened:
        report = reopened.verify()
        kept = [text.rstrip("z") for text in texts(reopened)]
    left = sorted(path.name for path in folder.rglob("*.unfinished"))
    return {
        "acknowledged": acknowledged, "refusal": refusal, "again": again, "kept": kept, "ok": report.ok,
        "reason": report.reason, "last": recorded.seq, "unwritten": unwritten, "left": left,
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
