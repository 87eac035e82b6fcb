"""The anchor file by itself: what may change it, what must not, and when it is durable."""

import fcntl
import os
import threading

import pytest

from workbench.adapters.journal.chain import SLOT_BYTES, Anchor, Mark
from workbench.errors import JournalCorrupt, StorageFailed

KEY = b"the anchor key under test"


@pytest.fixture
def new_anchor(tmp_path):
    opened = []

    def make(key=KEY):
        anchor = Anchor(tmp_path / "anchor", key)
        anchor.open_for_writing()
        if anchor.empty:
            anchor.initialise()
        opened.append(anchor)
        return anchor

    yield make
    for anchor in opened:
        anchor.close()


def advance(anchor, seq):
    anchor.advance(anchor.signed(Mark(seq, f"{seq:064x}")))


def held(anchor):
    return [mark.seq for mark in anchor.marks()]


def test_an_older_mark_changes_nothing(new_anchor):
    anchor = new_anchor()
    for seq in (4, 5):
        advance(anchor, seq)
    before = anchor.path.read_bytes()
    for seq in (3, 5):
        advance(anchor, seq)
    assert anchor.path.read_bytes() == before
    assert held(anchor) == [5, 4]


def test_what_another_process_wrote_is_read_before_the_next_mark_and_its_best_slot_is_kept(new_anchor):
    mine, other = new_anchor(), new_anchor()
    advance(mine, 5)
    advance(other, 7)
    advance(mine, 8)
    assert held(mine) == held(other) == [8, 7]
    advance(other, 6)
    assert held(mine) == [8, 7]


def test_writers_take_turns(new_anchor):
    anchor = new_anchor()
    descriptor = os.open(anchor.path, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    waiting = threading.Thread(target=advance, args=(anchor, 1))
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    assert held(anchor) == [0]
    os.close(descriptor)
    waiting.join(30)
    assert held(anchor) == [1, 0]


def test_it_is_durable_when_it_is_made_and_when_it_is_closed(tmp_path, monkeypatch):
    flushed = []
    fsync = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda number: (flushed.append(os.readlink(f"/proc/self/fd/{number}")), fsync(number))
    )
    anchor = Anchor(tmp_path / "anchor", KEY)
    anchor.open_for_writing()
    anchor.initialise()
    assert flushed == [str(tmp_path / "anchor"), str(tmp_path)]
    advance(anchor, 1)
    assert len(flushed) == 2  # the events' own flush is all that a commit waits for
    anchor.close()
    assert flushed[2:] == [str(tmp_path / "anchor")]


def test_a_slot_that_was_written_in_part_is_a_failure_by_name(new_anchor, monkeypatch):
    anchor = new_anchor()
    monkeypatch.setattr(os, "pwrite", lambda *_: SLOT_BYTES - 1)
    with pytest.raises(StorageFailed, match=r"anchor .* cannot be written: "):
        advance(anchor, 1)


def test_a_slot_that_is_cut_short_is_none_even_when_all_its_words_are_there(new_anchor):
    anchor = new_anchor()
    advance(anchor, 1)
    content = anchor.path.read_bytes()
    assert held(anchor) == [1, 0]
    anchor.path.write_bytes(content[:-1])
    assert held(anchor) == [0]


def test_a_slot_signed_with_another_key_is_none(new_anchor):
    advance(new_anchor(), 1)
    with pytest.raises(JournalCorrupt, match="no slot signed"):
        new_anchor(b"another key").marks()
