"""People with keys: what is signed can be checked by anybody later, and nobody acts with another's word."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from journals import Desk

from workbench.adapters.journal import JournalDatabase
from workbench.adapters.signing import (
    Credentials,
    Ed25519Signing,
    PublicKey,
    derive,
    passphrase_key,
    read_passphrase,
    read_private_key,
    read_public_key,
)
from workbench.bootstrap.signing import credentials_of
from workbench.config import DEFAULT_TOML, load_settings
from workbench.core.ports import Event
from workbench.core.signed_acts import Act, subject_hash
from workbench.errors import ApprovalRequired, JournalConflict, Refused, UsageError
from workbench.services.people import People, act_of

PHRASE, OTHER = "correct horse battery", "an entirely other one"
CONFIG = "c" * 64


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.close()


@pytest.fixture
def journal(desk: Desk) -> JournalDatabase:
    return desk.open()


@pytest.fixture(scope="module")
def keys() -> dict[str, PublicKey]:
    return {phrase: passphrase_key(phrase) for phrase in (PHRASE, OTHER)}


def people(
    journal: JournalDatabase, phrase: str = "", *, required: bool = True, config: str = CONFIG
) -> People:
    signing = Ed25519Signing(Credentials(lambda: phrase))
    return People(journal, signing=signing, config_hash=config, signatures_required=required)


def register(journal: JournalDatabase, key: PublicKey, person: str = "ada", role: str = "approver") -> None:
    free = people(journal, required=False)
    free.add(person, role=role, public_key=key.public_key, key_source=key.key_source)


def said(journal: JournalDatabase) -> list[dict[str, Any]]:
    return [dict(event.payload) for event in journal.events(kinds=("act.recorded",))]


# --- keys ----------------------------------------------------------------------------------------------


def test_the_same_passphrase_and_salt_give_the_same_key_and_nothing_secret_is_kept(
    desk: Desk, journal: JournalDatabase, keys: dict[str, PublicKey]
) -> None:
    key = keys[PHRASE]
    again = derive(PHRASE, key.key_source)
    assert again.public_key().public_bytes_raw().hex() == key.public_key
    assert passphrase_key(PHRASE).public_key != key.public_key  # another salt
    register(journal, key)
    desk.close()
    content = desk.file.read_bytes()
    assert key.public_key.encode() in content
    assert PHRASE.encode() not in content
    assert again.private_bytes_raw().hex().encode() not in content


def test_a_short_passphrase_and_a_weakened_salt_are_refused(keys: dict[str, PublicKey]) -> None:
    with pytest.raises(UsageError, match="12 characters"):
        passphrase_key("short")
    weak = keys[PHRASE].key_source.replace("n=32768", "n=2")
    with pytest.raises(Refused, match="not described"):
        derive(PHRASE, weak)


def test_a_passphrase_from_a_descriptor_signs_more_than_one_act(tmp_path: Path) -> None:
    """`adopt --new-account` signs twice, and what came through a pipe can be read once."""
    made = tmp_path / "workbench.toml"
    made.write_text(DEFAULT_TOML)
    reading, writing = os.pipe()
    os.write(writing, f"{PHRASE}\n".encode())
    os.close(writing)
    key = credentials_of(load_settings(str(made)), passphrase_file=f"fd:{reading}")
    assert key.passphrase is not None
    assert (key.passphrase(), key.passphrase()) == (PHRASE, PHRASE)


def test_a_key_file_signs_and_is_opened_with_its_passphrase(tmp_path: Path, journal: JournalDatabase) -> None:
    key = Ed25519PrivateKey.generate()
    wrap = serialization.BestAvailableEncryption(b"words of the key file")
    private = tmp_path / "id_ed25519"
    form = serialization.PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, wrap))
    public = tmp_path / "id_ed25519.pub"
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        + b" ada@desk\n"
    )
    register(journal, read_public_key(public))
    credentials = Credentials(lambda: "words of the key file", private)
    mine = People(journal, signing=Ed25519Signing(credentials), config_hash=CONFIG, signatures_required=True)
    journal.commit(mine.require("ada", "looked", act="resume", subject={"epoch": 1}))
    assert mine.verify() == (1, 0, ())
    with pytest.raises(UsageError, match="cannot be opened"):
        read_private_key(private, "wrong")
    with pytest.raises(UsageError, match="no OpenSSH public key"):
        read_public_key(private)


def test_a_key_that_ssh_keygen_made_is_understood(tmp_path: Path) -> None:
    made = tmp_path / "id"
    try:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(made)], check=True)
    except FileNotFoundError:
        pytest.skip("no ssh-keygen on this machine")
    public = read_public_key(tmp_path / "id.pub")
    assert read_private_key(made, "").public_key().public_bytes_raw().hex() == public.public_key


def test_keys_of_another_type_are_refused(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

    key = generate_private_key(SECP256R1())
    public = tmp_path / "id.pub"
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    )
    with pytest.raises(UsageError, match="another type"):
        read_public_key(public)


def test_a_passphrase_comes_from_a_file_or_a_descriptor(tmp_path: Path) -> None:
    file = tmp_path / "phrase"
    file.write_text(PHRASE + "\nsecond line\n")
    assert read_passphrase(str(file)) == PHRASE
    with file.open() as stream:
        assert read_passphrase(f"fd:{stream.fileno()}") == PHRASE
        os.fstat(stream.fileno())  # the descriptor still belongs to whoever opened it
    file.write_text("\n")
    with pytest.raises(UsageError, match="no passphrase"):
        read_passphrase(str(file))
    with pytest.raises(UsageError, match="can be read"):
        read_passphrase(str(tmp_path / "absent"))


# --- acts ----------------------------------------------------------------------------------------------


def test_a_signed_act_is_checked_from_the_journal_alone(
    journal: JournalDatabase, keys: dict[str, PublicKey]
) -> None:
    register(journal, keys[PHRASE])
    subject = {"account": "demo", "epoch": 4}
    journal.commit(people(journal, PHRASE).require("ada", "looked", act="resume", subject=subject))
    (payload,) = said(journal)
    act = act_of(payload)
    assert (act.kind, act.subject_hash, act.config_hash) == ("resume", subject_hash(subject), CONFIG)
    checker = Ed25519Signing()
    key = keys[PHRASE].public_key
    assert checker.verify(act.text(), public_key=key, signature=payload["signature"])
    for name, value in {
        "reason": "x",
        "person": "eve",
        "config_hash": "d" * 64,
        "nonce": "0",
        "at_ns": 1,
    }.items():
        edited = Act(**{**act.__dict__, name: value})
        assert not checker.verify(edited.text(), public_key=key, signature=payload["signature"])
    assert people(journal).verify() == (1, 0, ())


def test_where_signatures_are_required_an_unsigned_word_is_refused(
    journal: JournalDatabase, keys: dict[str, PublicKey]
) -> None:
    register(journal, keys[PHRASE])
    for call in ({"act": "resume", "subject": {}}, {}):
        with pytest.raises(ApprovalRequired, match="signed acts only"):
            people(journal).require("ada", "looked", **call)
    with pytest.raises(Refused, match="does not belong"):
        people(journal, OTHER).require("ada", "looked", act="resume", subject={})
    assert said(journal) == []
    turned_away = [event.payload for event in journal.events(kinds=("act.refused",))]
    assert [one["act"] for one in turned_away] == ["resume", "act", "resume"]
    assert {one["person"] for one in turned_away} == {"ada"}


def test_elsewhere_an_unsigned_word_is_taken_and_recorded_as_such(journal: JournalDatabase) -> None:
    free = People(journal)
    free.add("ada", role="operator")
    for _ in range(2):
        journal.commit(free.require("ada", "looked", act="resume", subject={"epoch": 1}))
    assert [one["signature"] for one in said(journal)] == ["", ""]
    assert free.verify() == (0, 2, ())


def test_an_act_is_recorded_once(journal: JournalDatabase, keys: dict[str, PublicKey]) -> None:
    register(journal, keys[PHRASE])
    acts = people(journal, PHRASE).require("ada", "looked", act="resume", subject={"epoch": 1})
    journal.commit(acts)
    with pytest.raises(JournalConflict, match="acts already holds nonce"):
        journal.commit(acts)


def test_a_forged_signature_is_found_although_the_chain_is_whole(
    journal: JournalDatabase, keys: dict[str, PublicKey]
) -> None:
    """Somebody with the journal's file and its key writes a word that ada never gave."""
    register(journal, keys[PHRASE])
    register(journal, keys[OTHER], person="eve", role="viewer")
    act = Act("resume", "0" * 64, "ada", "looked", CONFIG, 1, "n1")
    forged = derive(OTHER, keys[OTHER].key_source).sign(act.text().encode()).hex()
    payload = {
        "act": act.kind, "subject_hash": act.subject_hash, "person": "ada", "reason": act.reason,
        "under": CONFIG, "signed_at_ns": 1, "nonce": "n1", "signature": forged,
    }  # fmt: skip
    journal.commit([Event("act.recorded", payload)])
    assert journal.verify().ok
    _, _, problems = people(journal).verify()
    assert len(problems) == 1
    assert "is not signed with the key of ada" in problems[0]
    assert not people(journal).proves(payload)


# --- rotation and revocation -----------------------------------------------------------------------------


def test_a_new_key_is_admitted_by_the_old_one_and_old_words_stay_proved(
    journal: JournalDatabase, keys: dict[str, PublicKey]
) -> None:
    register(journal, keys[PHRASE])
    journal.commit(people(journal, PHRASE).require("ada", "looked", act="resume", subject={}))
    new = {"public_key": keys[OTHER].public_key, "key_source": keys[OTHER].key_source}
    with pytest.raises(Refused, match="does not belong"):
        people(journal, OTHER).set_key("ada", **new, by="ada", reason="rotation")
    people(journal, PHRASE).set_key("ada", **new, by="ada", reason="rotation")
    with pytest.raises(Refused, match="does not belong"):
        people(journal, PHRASE).require("ada", "looked", act="resume", subject={})
    journal.commit(people(journal, OTHER).require("ada", "looked", act="resume", subject={}))
    assert people(journal).verify() == (3, 0, ())


def test_a_revoked_person_may_not_act_and_gets_no_new_key(
    journal: JournalDatabase, keys: dict[str, PublicKey]
) -> None:
    register(journal, keys[PHRASE])
    register(journal, keys[OTHER], person="bob", role="operator")
    acts = people(journal, OTHER).require("bob", "looked", act="resume", subject={})
    with pytest.raises(ApprovalRequired, match="takes an approver"):
        people(journal, OTHER).revoke("ada", by="bob", reason="no")
    people(journal, PHRASE).revoke("bob", by="ada", reason="left the desk")
    with pytest.raises(ApprovalRequired, match="revoked by ada: left the desk"):
        people(journal, OTHER).require("bob", "looked", act="resume", subject={})
    with pytest.raises(JournalConflict, match="revoked"):
        journal.commit(acts)  # signed before, committed after
    with pytest.raises(JournalConflict, match="revoked"):
        people(journal, PHRASE).set_key(
            "bob", public_key="0" * 64, key_source="ssh-ed25519", by="ada", reason="back"
        )
    assert people(journal).acting() == ("ada",)


def test_nobody_makes_a_second_person_of_himself(
    journal: JournalDatabase, keys: dict[str, PublicKey]
) -> None:
    strict = people(journal, PHRASE)
    with pytest.raises(ApprovalRequired, match="needs a key"):
        strict.add("ada", role="approver")
    key = {"public_key": keys[PHRASE].public_key, "key_source": keys[PHRASE].key_source}
    other = {"public_key": keys[OTHER].public_key, "key_source": keys[OTHER].key_source}
    strict.add("ada", role="approver", **key)  # the first person of a desk
    with pytest.raises(UsageError, match="reason"):
        strict.add("bob", role="operator", **other)
    with pytest.raises(ApprovalRequired, match="not registered"):
        strict.add("bob", role="operator", **other, by="bob", reason="me")
    strict.add("bob", role="operator", **other, by="ada", reason="joined the desk")
    assert strict.acting() == ("ada", "bob")


def test_a_refolded_journal_knows_the_same_people(
    journal: JournalDatabase, keys: dict[str, PublicKey]
) -> None:
    register(journal, keys[PHRASE])
    journal.commit(people(journal, PHRASE).require("ada", "looked", act="resume", subject={}))
    before = {name: journal.rows(name) for name in ("people", "person_keys", "key_history", "acts")}
    journal.rebuild_projections()
    assert {name: journal.rows(name) for name in before} == before
    assert json.dumps(before).count(keys[PHRASE].public_key) == 2


def test_signatures_are_proved_although_their_events_are_archived(
    journal: JournalDatabase, keys: dict[str, PublicKey], tmp_path: Path
) -> None:
    register(journal, keys[PHRASE])
    journal.commit(people(journal, PHRASE).require("ada", "looked", act="resume", subject={}))
    session = {
        "account": "demo", "strategy": "trend", "session": "2013-02-01", "digest": "d", "equity_micro": 1,
        "cash_micro": 1, "positions": {}, "report": {},
    }  # fmt: skip
    journal.commit([Event("session.closed", session)])
    journal.archive("2013-02-01", tmp_path / "old.parquet", person="ada", reason="small again")
    assert journal.events(kinds=("act.recorded",)) == ()
    assert people(journal).verify() == (1, 0, ())
