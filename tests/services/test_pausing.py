"""To pause a job takes a word; to let it go on takes a signature where acts are signed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from workbench.bootstrap.desk import open_journal
from workbench.bootstrap.scheduling import pause_job, resume_job
from workbench.bootstrap.signing import add_person, credentials_of, new_key
from workbench.config import Settings, load_settings
from workbench.errors import ApprovalRequired, UsageError

JOB = "trading_loop"
PHRASE = "several words nobody guesses"


@pytest.fixture
def signing_desk(new_desk: Callable[[], Settings]) -> Settings:
    """A desk on which acts are signed, with one person who has a key."""
    settings = new_desk()
    add_person(settings, "grace", role="approver", key=new_key(ssh_key=None, passphrase=PHRASE))
    file = Path(str(settings.file))
    file.write_text(file.read_text().replace("signatures_required = false", "signatures_required = true"))
    return load_settings(str(file))


@pytest.fixture
def phrase(tmp_path: Path) -> str:
    path = tmp_path / "phrase"
    path.write_text(PHRASE)
    return str(path)


def paused(settings: Settings) -> bool:
    with open_journal(settings, read_only=True) as journal:
        rows = journal.rows("pauses", job=JOB)
        return bool(rows and rows[-1]["paused"])


def test_a_pause_needs_no_key_and_going_on_does(signing_desk: Settings, phrase: str) -> None:
    pause_job(signing_desk, JOB, person="operator", reason="the feed is late")
    assert paused(signing_desk)
    with pytest.raises(ApprovalRequired, match="sign"):
        resume_job(signing_desk, JOB, person="operator", reason="the feed is back")
    assert paused(signing_desk)
    key = credentials_of(signing_desk, passphrase_file=phrase)
    resume_job(signing_desk, JOB, person="grace", reason="the feed is back", credentials=key)
    assert not paused(signing_desk)
    with open_journal(signing_desk, read_only=True) as journal:
        (word,) = [row for row in journal.rows("acts") if row["act"] == "resume job"]
    assert word["signature"]


def test_who_is_not_registered_or_says_nothing_pauses_nothing(signing_desk: Settings) -> None:
    with pytest.raises(ApprovalRequired, match="mallory"):
        pause_job(signing_desk, JOB, person="mallory", reason="fun")
    with pytest.raises(UsageError, match="reason"):
        pause_job(signing_desk, JOB, person="operator", reason=" ")
    assert not paused(signing_desk)
