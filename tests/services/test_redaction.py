"""Secrets are masked in text of every kind, from every source, and ordinary text is left alone."""

from __future__ import annotations

import base64
import json
import logging
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import keyring
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring

from workbench import redaction
from workbench.adapters.journal import JournalDatabase
from workbench.adapters.log import open_log
from workbench.adapters.notebook_runner.redacted_output import RedactedLog, redact_notebook
from workbench.config import Secret, load_settings
from workbench.core.ports import Event
from workbench.errors import ConfigError, UsageError
from workbench.redaction import (
    MASK,
    any_holds_a_secret,
    may_hold_a_secret,
    redact,
    redact_lines,
    redact_values,
)
from workbench.services.jobs import JobService

# put together here, so that no file holds one; visibly made up
FAKE = "N0T4REAL" * 6
WORD = "made-up" + "-word-1"
BEGIN, END = "-----BEGIN OPENSSH " + "PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----"
KEY = "\n".join((BEGIN, FAKE, FAKE, END))
SHAPES = {
    "database_url": ("could not connect to postgresql+psycopg://desk:" + WORD + "@db/journal", WORD),
    "user_of_a_url": (f"https://{WORD}@feed.example/bars", WORD),
    "query": (f"GET https://feed.example/bars?symbol=IBM&api_key={WORD}&limit=5", WORD),
    "slack": ("posting to https://hooks.slack" + f".com/services/T0/B0/{FAKE[:24]} failed", FAKE[:24]),
    "discord": ("https://discord" + f".com/api/webhooks/123/{FAKE[:30]}", FAKE[:30]),
    "apprise": (f"slack://{WORD}/tokens/here", WORD),
    "alpaca_key": ("APIError: key PK" + FAKE[:18] + " is not allowed", "PK" + FAKE[:18]),
    "alpaca_long_key": ("AK" + FAKE[:24], "AK" + FAKE[:24]),
    "aws": ("AKIA" + FAKE[:16], "AKIA" + FAKE[:16]),
    "github": ("ghp_" + FAKE[:36], "ghp_" + FAKE[:36]),
    "jwt": (f"eyJ{FAKE[:20]}.{FAKE[:20]}.{FAKE[:20]}", FAKE[:20]),
    "private_key": (f"read\n{KEY}\nfrom the file", FAKE),
    "half_a_private_key": (KEY.partition("\n-----END")[0], FAKE),
    "header": (f"APCA-API-SECRET-KEY: {WORD}", WORD),
    "header_in_json": (json.dumps({"APCA-API-KEY-ID": WORD}), WORD),
    "header_in_python": (repr([(b"apca-api-secret-key", WORD.encode())]), WORD),
    "bearer": (f"Authorization: Bearer {WORD}", WORD),
    "assignment": (f"api_secret={WORD}", WORD),
    "environment": (f"environ({{'WORKBENCH_SECRETS__VENUE_SECRET': '{WORD}'}})", WORD),
    "json": (json.dumps({"nested": json.dumps({"password": WORD})}), WORD),
    "prose": (f"the password: {WORD}", WORD),
}  # fmt: skip
ORDINARY = [
    "account demo is HALTED: the ARMED file is absent or unreadable",
    "set WORKBENCH_SECRETS__VENUE_KEY and WORKBENCH_SECRETS__VENUE_SECRET in this process",
    '{"account":"demo","holder":"host:boot:1:1","token":5,"until_wall_ns":1}',
    "postgresql+psycopg://desk@db.example:5432/workbench",
    "the secret, once seen, is rotated: nothing else helps",
    "order wb1-abcdefghijklmnopqrstuvwxyz234567 at the venue is FILLED, ours is SENT",
    "https://docs.example/guide?page=2",
    "keys of the market: AAPL, MSFT",
]


@pytest.fixture
def known() -> Iterator[str]:
    """A secret that this process has loaded; forgotten afterwards."""
    before = dict(redaction._KNOWN), list(redaction._KNOWN_PATTERN)
    value = 'made up: "quoted"/ and+spaced é ' + FAKE[:12]
    Secret(value)
    yield value
    redaction._KNOWN.clear()
    redaction._KNOWN.update(before[0])
    redaction._KNOWN_PATTERN[:] = before[1]


@pytest.mark.parametrize("kind", SHAPES)
def test_every_kind_of_secret_is_masked(kind: str) -> None:
    text, secret = SHAPES[kind]
    assert secret in text
    assert may_hold_a_secret(text)
    masked = redact(text)
    assert secret not in masked
    assert MASK in masked
    assert redact(masked) == masked


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_comes_back_as_it_is(text: str) -> None:
    assert redact(text) == text


@settings(derandomize=True, deadline=None)
@given(st.text(max_size=200), st.sampled_from(sorted(SHAPES)), st.text(max_size=50))
def test_what_stands_around_a_secret_does_not_hide_it(before: str, kind: str, after: str) -> None:
    text, secret = SHAPES[kind]
    assert secret not in redact(f"{before}\n{text} {after}")


@settings(derandomize=True, deadline=None)
@given(st.text())
def test_the_cheap_look_never_misses_what_redaction_finds(text: str) -> None:
    assert may_hold_a_secret(text) or redact(text) == text


@settings(derandomize=True, deadline=None)
@given(st.sets(st.one_of(st.text(max_size=80), st.sampled_from([text for text, _ in SHAPES.values()]))))
def test_texts_looked_at_together_hold_a_secret_exactly_when_one_of_them_would_be_masked(
    texts: set[str],
) -> None:
    for _ in range(2):  # what was looked at before is answered from memory
        assert any_holds_a_secret(set(texts)) == any(redact(text) != text for text in texts)


def test_a_word_that_was_clean_is_looked_at_again_once_it_is_known_for_a_secret() -> None:
    before = dict(redaction._KNOWN), list(redaction._KNOWN_PATTERN)
    word = f"clean-{FAKE[:12].lower()}"
    assert not any_holds_a_secret({word})
    assert word in redaction._CLEAN[0]
    older = redaction._CLEAN[0]
    Secret(word)
    older.add(word)  # as a thread does that looked by the older pattern
    assert any_holds_a_secret({word, "demo"})
    redaction._KNOWN.clear()
    redaction._KNOWN.update(before[0])
    redaction._KNOWN_PATTERN[:] = before[1]


def test_only_so_many_short_words_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_CLEAN", [set()])
    monkeypatch.setattr(redaction, "_MOST_CLEAN", 5)
    for n in range(20):
        assert not any_holds_a_secret({f"word {n}", "long " * 50})
        assert f"word {n}" in redaction._CLEAN[0]
    assert len(redaction._CLEAN[0]) <= 5


def test_a_loaded_secret_is_masked_in_every_spelling(known: str) -> None:
    spellings = (
        known, quote(known, safe=""), json.dumps({"x": known}), json.dumps(known, ensure_ascii=False),
        repr(known), base64.b64encode(known.encode()).decode(),
    )  # fmt: skip
    for text in spellings:
        assert MASK in redact(f"before {text} after"), text
        assert FAKE[:12] not in redact(f"before {text} after")


def test_a_short_value_masks_no_ordinary_words() -> None:
    Secret("the")
    assert redact("the desk") == "the desk"


def test_values_inside_values_are_masked_and_numbers_kept(known: str) -> None:
    found = redact_values({"a": [known, 5, None, {"b": (known, True)}]})
    assert found == {"a": [MASK, 5, None, {"b": [MASK, True]}]}


def test_lines_of_a_private_key_become_one_mask() -> None:
    lines = f"before\n{KEY}\nafter\n".splitlines(keepends=True)
    assert "".join(redact_lines(lines)) == f"before\n{MASK}\nafter\n"


# --- where it is applied -----------------------------------------------------------------------------------


def test_the_journal_masks_before_it_hashes(tmp_path: Path, known: str) -> None:
    journal = JournalDatabase(
        f"sqlite:///{tmp_path}/journal.sqlite", anchor_path=tmp_path / "anchor", anchor_key=b"k" * 32,
        config_hash="c" * 64, wall_ns=lambda: 1,
    )  # fmt: skip
    alert = {"account": "demo", "code": "x", "text": f"no answer from {known}", "at_ns": 1}
    (recorded,) = journal.commit([Event("alert.raised", alert)])
    (general,) = journal.commit([Event("alert.raised", {**alert, "subject": None})])  # of no fast shape
    assert general.payload["text"] == f"no answer from {MASK}"
    pieces = [{"kind": "cash", "evidence": SHAPES["database_url"][0]}]
    done = {"account": "demo", "session": "", "at_ns": 1, "clean": False, "breaks": pieces}
    journal.commit([Event("reconciliation.done", done)])
    assert recorded.payload["text"] == f"no answer from {MASK}"
    assert journal.rows("alerts")[0]["text"] == f"no answer from {MASK}"
    assert journal.verify().ok
    assert journal.rows("reconciliations")[0]["breaks"][0]["evidence"].endswith(f"{MASK}@db/journal")
    journal.close()
    everything = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert FAKE[:12].encode() not in everything
    assert WORD.encode() not in everything


@pytest.mark.parametrize("count", [1, 2, 64])
def test_one_secret_anywhere_in_a_batch_is_masked_before_it_is_hashed(tmp_path: Path, count: int) -> None:
    """Alone, in a few and in many events, as plain text and in a text that is itself JSON."""
    with JournalDatabase(
        f"sqlite:///{tmp_path}/journal.sqlite", anchor_path=tmp_path / "anchor", anchor_key=b"k" * 32,
        config_hash="c" * 64, wall_ns=lambda: 1,
    ) as journal:  # fmt: skip
        for secret in (SHAPES["database_url"][0], json.dumps({"access_token": WORD + "1"})):
            for position in {0, count // 2, count - 1}:
                said = [f"line {n}" for n in range(count)]
                said[position] = secret
                journal.commit(
                    [Event("alert.raised", {"account": "demo", "code": "x", "text": text, "at_ns": 1})
                     for text in said]
                )  # fmt: skip
                kept = [row["text"] for row in journal.rows("alerts")][-count:]
                assert MASK in kept.pop(position)
                assert kept == said[:position] + said[position + 1 :]
        assert journal.verify().ok
    assert WORD.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_a_notebook_is_masked_and_stays_a_notebook(known: str) -> None:
    outputs = [{"output_type": "stream", "text": [f"{BEGIN}\n", f"{FAKE}\n"]}]
    cells = [{"cell_type": "code", "source": [f"print({known!r})\n", "1"], "outputs": outputs}]
    text = json.dumps({"cells": cells, "nbformat": 4, "metadata": {}})
    masked = json.loads(redact_notebook(text))
    assert masked["cells"][0]["source"][1] == "1"
    assert FAKE[:12] not in json.dumps(masked)
    assert redact_notebook("{}") == "{}"


def test_what_a_kernel_says_is_masked_on_its_way_to_the_file(tmp_path: Path, known: str) -> None:
    log = RedactedLog(tmp_path / "kernel.log")
    os.write(log.descriptor, f"starting\nTraceback: {known}\n{KEY}\nno line feed".encode())
    log.hand_over()
    log.finish()
    assert (tmp_path / "kernel.log").read_text() == f"starting\nTraceback: {MASK}\n{MASK}\nno line feed"


def test_a_log_masks_known_values_shapes_and_telling_names(
    tmp_path: Path, known: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with open_log(tmp_path / "logs", "test", account="demo") as log:
        try:
            raise RuntimeError(known)
        except RuntimeError:
            log.warning("refused", venue_secret="short", headers={"x-api-key": "z"}, exc_info=True)
        log.info("answer", body=[known, {"token": 5}], thing=Secret(known), price=1.5)
        logging.getLogger("a.library").warning("login with %s", SHAPES["header"][0])
    lines = [json.loads(line) for line in (tmp_path / "logs" / "test.log").read_text().splitlines()]
    assert [line["event"] for line in lines] == [
        "refused",
        "answer",
        f"login with APCA-API-SECRET-KEY: {MASK}",
    ]
    assert lines[0]["venue_secret"] == MASK
    assert lines[0]["headers"] == {"x-api-key": MASK}
    assert "RuntimeError" in lines[0]["exception"]
    assert lines[1]["body"] == [MASK, {"token": MASK}]
    assert lines[1]["price"] == 1.5
    assert {line.get("account") for line in lines[:2]} == {"demo"}
    shown = capsys.readouterr().err
    assert "refused" in shown
    assert "answer" not in shown  # information is for the file
    ours = repr([record.msg for record in caplog.records if record.name == "workbench"])
    for text in (shown, ours, (tmp_path / "logs" / "test.log").read_text()):
        assert FAKE[:12] not in text
        assert WORD not in text
    assert not [
        handler for handler in logging.getLogger().handlers if type(handler).__name__ == "RotatingFileHandler"
    ]


def test_a_parameter_that_holds_a_secret_is_refused_before_anything_is_kept(known: str) -> None:
    service = JobService(
        None, None, None, None,  # type: ignore[arg-type]  # nothing of it may be reached
        jobs={"trading_loop": None}, code_hash=lambda path: "", config_path="", desk_path="", account="",  # type: ignore[dict-item]
    )  # fmt: skip
    for value in (known, SHAPES["database_url"][0]):
        with pytest.raises(UsageError, match="holds a secret") as caught:
            service.run("trading_loop", "2013-02-01", overrides={"journal.url": value})
        assert value not in str(caught.value)


# --- the keyring -------------------------------------------------------------------------------------------


class Kept(KeyringBackend):
    """A keyring in memory."""

    priority = 1  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str]] = []
        self.passwords = {("desk", "venue_key"): "the-key-" + FAKE[:8], ("other", "venue_key"): "no"}

    def get_password(self, service: str, username: str) -> str | None:
        self.asked.append((service, username))
        return self.passwords.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError

    def delete_password(self, service: str, username: str) -> None:
        raise NotImplementedError


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Kept:
    kept = Kept()
    monkeypatch.setattr(keyring.core, "_keyring_backend", kept)
    return kept


SMALL: dict[str, Any] = {"account": "demo", "strategy": "trend", "universe": ["IBM"], "seed": 7}


def test_the_keyring_is_asked_only_when_a_service_is_named(backend: Kept) -> None:
    assert load_settings(None, overrides=SMALL, environ={}).secrets.venue_key is None
    assert backend.asked == []
    found = load_settings(None, overrides=SMALL, environ={"WORKBENCH_SECRETS_KEYRING": "desk"})
    assert found.secrets.venue_key == Secret("the-key-" + FAKE[:8])
    assert found.sources["secrets.venue_key"] == "keyring, user venue_key"
    assert found.secrets.venue_secret is None


def test_the_keyring_and_another_source_must_agree(backend: Kept) -> None:
    environ = {"WORKBENCH_SECRETS_KEYRING": "desk", "WORKBENCH_SECRETS__VENUE_KEY": "another-" + FAKE[:8]}
    with pytest.raises(ConfigError, match="two sources give different secrets") as caught:
        load_settings(None, overrides=SMALL, environ=environ)
    assert FAKE[:8] not in str(caught.value)


def test_a_keyring_that_does_not_answer_is_a_problem_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring.core, "_keyring_backend", NoKeyring())
    with pytest.raises(ConfigError, match=r"WORKBENCH_SECRETS_KEYRING.*NoKeyringError"):
        load_settings(None, overrides=SMALL, environ={"WORKBENCH_SECRETS_KEYRING": "desk"})


def test_a_backend_that_is_not_there_is_a_problem_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring.core, "_keyring_backend", None)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "no_such_module.Keyring")
    with pytest.raises(ConfigError, match="keyring that does not answer"):
        load_settings(None, overrides=SMALL, environ={"WORKBENCH_SECRETS_KEYRING": "desk"})


def test_a_copy_of_a_secret_holds_nothing_and_says_so() -> None:
    copied = pickle.loads(pickle.dumps(Secret(WORD)))  # noqa: S301  our own bytes
    with pytest.raises(ConfigError, match="keeps no secrets"):
        copied.reveal()


@pytest.mark.parametrize(
    "host", ["https://hooks.slack" + ".com/services/T0/", "my.host.example/api/" + "webhooks/7/"]
)
def test_a_hook_is_masked_whole_beside_words_of_a_million_letters(host: str) -> None:
    """A bundle of scripts in a notebook has such words; a search that starts at each letter would not end."""
    word = "abcdefghij" * 100_000
    text = f"{word}://{word} see {host}{word[:20]} end"
    assert redact(text) == f"{word}://{word} see {MASK} end"
