"""The hash chain over events and its anchor outside the database.

The chain shows an altered, deleted or swapped row; only the anchor shows a cut or re-hashed tail, because
whoever can rewrite the database can also rewrite its hashes but does not hold the anchor's key.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from workbench.errors import JournalCorrupt, StorageFailed

#: What the first event continues.
GENESIS = "0" * 64
SLOT_BYTES = 256
_MAGIC = b"WBA1"


class Mark(NamedTuple):
    """One place of the chain: a sequence number and the hash of that event."""

    seq: int
    hash: str


START = Mark(0, GENESIS)


class Signed(NamedTuple):
    """A mark and the bytes of a slot that say so."""

    mark: Mark
    slot: bytes


def event_hash(seq: Any, at_ns: Any, kind: Any, payload: Any, config_hash: Any, prev_hash: Any) -> str:
    """Hex sha256 over all stored fields of one event.

    Fields are joined by line feeds; none can hold one (canonical JSON escapes it), so different
    events have different bytes.
    """
    digest = _EMPTY.copy()
    digest.update(f"{seq}\n{at_ns}\n{prev_hash}\n{config_hash}\n{kind}\n{payload}".encode())
    return digest.hexdigest()


#: A copy costs less than finding the algorithm anew.
_EMPTY = hashlib.sha256()


class Anchor:
    """The proof, outside the database, of how far the chain has come.

    Two slots of fixed size are written in turn, so a torn write spoils at most the older truth: the
    valid slot with the larger sequence number counts. A lock on the file orders writers of several
    processes. The file is made durable when it is created and closed, not at each commit: after a
    power cut it may lag behind the events, which is legal, and never lead them.

    Parameters
    ----------
    path : Path
        The anchor file; its folder is created.
    key : bytes
        Secret of the HMAC; empty only to read slots without proof of their origin.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        self.path = path
        self._key = key
        self._inner, self._outer = _keyed(key)
        self._descriptor = -1
        #: What the file held last, which of its slots is the best, and that slot's sequence number.
        self._seen: tuple[bytes, int, int] = (b"", 0, -1)

    def open_for_writing(self) -> None:
        """Open the file, creating an empty one; `initialise` gives an empty one its content."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def initialise(self) -> None:
        """Write and make durable a first slot that says: no events yet."""
        self._write_slot(0, self.signed(START).slot)
        os.ftruncate(self._descriptor, 2 * SLOT_BYTES)
        os.fsync(self._descriptor)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        """Make the file durable and close it; a second call does nothing."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the file's lock; writers and openers of all processes take turns."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    @property
    def empty(self) -> bool:
        """Whether no whole slot was ever written: the state between creation and `initialise`."""
        return os.fstat(self._descriptor).st_size < SLOT_BYTES

    def signed(self, mark: Mark) -> Signed:
        """What `advance` writes; made before the flush, whose wait would make it several times as dear."""
        body = b"%b %020d %b" % (_MAGIC, mark.seq, mark.hash.encode())
        return Signed(mark, (b"%b %b\n" % (body, self._sign(body))).ljust(SLOT_BYTES))

    def advance(self, signed: Signed) -> None:
        """Record a mark in the slot that does not hold the best mark; an older mark changes nothing.

        Raises
        ------
        StorageFailed
            The file cannot be written. The events are safe; the caller commits nothing more.
        """
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            try:
                content = self._read_open()
                if content != self._seen[0]:  # another process wrote, or this one has not yet
                    slots = self._slots(content)
                    best = max(range(2), key=lambda number: _seq_of(slots[number]))
                    self._seen = (content, best, _seq_of(slots[best]))
                _, best, seq = self._seen
                if seq < signed.mark.seq:
                    slot = signed.slot
                    self._write_slot(1 - best, slot)
                    both = slot + content[SLOT_BYTES:] if best else content[:SLOT_BYTES] + slot
                    self._seen = (both, 1 - best, signed.mark.seq)
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        except OSError as error:
            raise StorageFailed(
                f"anchor {self.path} cannot be written: {error.strerror or error}",
                next_step="free space or mend the disk, then start again; nothing was lost",
                path=str(self.path),
            ) from error

    def marks(self) -> list[Mark]:
        """Valid marks, best first.

        Raises
        ------
        JournalCorrupt
            The file is missing or no slot carries a valid signature of this key.
        """
        try:
            content = self._read_open() if self._descriptor >= 0 else self.path.read_bytes()
        except FileNotFoundError:
            raise JournalCorrupt(
                f"anchor {self.path} is missing although the journal has events",
                next_step="restore the anchor file from the backup that belongs to this journal",
                path=str(self.path),
            ) from None
        found = [mark for mark in self._slots(content) if mark is not None]
        if not found:
            raise JournalCorrupt(
                f"anchor {self.path} holds no slot signed with this desk's anchor key",
                next_step="check that the anchor key is the one the journal was made with, "
                "else restore the anchor file from a backup",
                path=str(self.path),
            )
        return sorted(found, key=lambda mark: -mark.seq)

    def _read_open(self) -> bytes:
        return os.pread(self._descriptor, 2 * SLOT_BYTES, 0)

    def _slots(self, content: bytes) -> list[Mark | None]:
        return [self._decode(content[at : at + SLOT_BYTES]) for at in (0, SLOT_BYTES)]

    def _write_slot(self, number: int, slot: bytes) -> None:
        written = os.pwrite(self._descriptor, slot, number * SLOT_BYTES)
        if written != SLOT_BYTES:
            raise OSError(f"only {written} of {SLOT_BYTES} bytes were written")

    def _sign(self, body: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(body)
        outer.update(inner.digest())
        return outer.hexdigest().encode()

    def _decode(self, slot: bytes) -> Mark | None:
        """The mark of a slot, or None when it is torn, empty or not signed with this key."""
        words = slot.split()
        if len(slot) != SLOT_BYTES or len(words) != 4 or words[0] != _MAGIC or not words[1].isdigit():
            return None
        body = b" ".join(words[:3])
        if self._key and not hmac.compare_digest(self._sign(body), words[3]):
            return None
        return Mark(int(words[1]), words[2].decode("ascii", "replace"))


def _keyed(key: bytes) -> tuple[hashlib._Hash, hashlib._Hash]:
    """Both hashes of an HMAC (RFC 2104) after their keys: made once, a signature costs a quarter."""
    block = hashlib.sha256().block_size
    padded = (hashlib.sha256(key).digest() if len(key) > block else key).ljust(block, b"\0")
    inner, outer = (hashlib.sha256(bytes(byte ^ mask for byte in padded)) for mask in (0x36, 0x5C))
    return inner, outer


def _seq_of(mark: Mark | None) -> int:
    return -1 if mark is None else mark.seq
