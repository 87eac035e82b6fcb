"""Every command as a person types it: help that teaches, one JSON object, one table of exit codes."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import ROOT, Answer, program, typed
from object_service import object_service
from staging import put_to_shadow
from waiting import make_denied, make_wait

from workbench import errors
from workbench.bootstrap import demo
from workbench.bootstrap.declared import declared_jobs
from workbench.bootstrap.desk import open_journal
from workbench.cli import desk as desk_commands
from workbench.cli.app import build, commands
from workbench.cli.payloads import ERROR_KEYS, KEYS
from workbench.config import Settings, load_settings
from workbench.core.ports import Event

TREE = dict(commands(build()))
GROUPS = {"", *(path.rpartition(" ")[0] for path in TREE)}
SESSION, BEFORE = "2013-02-01", "2013-01-31"
WHO = ("--person", "operator", "--reason", "test of the command line")
#: The one table, written out: what the commands are held to.
EXIT_CODES = {
    2: {"UsageError", "ConfigError"},
    3: {"Refused", "DataError", "TradingHalted", "LeaseLost", "BrokerRefused", "ApprovalRequired"}
    | {"ManifestMismatch", "JournalCorrupt", "JournalConflict", "IllegalTransition"},
    4: {"OutcomeUnknown"},
    5: {"WorkbenchError", "StorageFailed", "JobFailed"},
}
FAMILIES = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.WorkbenchError)
]


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Answer]]:
    """A desk taken from nothing through a session to a halt, and what each command answered."""
    folder = tmp_path_factory.mktemp("walked")
    answers: dict[str, Answer] = {}

    def do(path: str, *arguments: str) -> dict[str, Any]:
        answers[path] = typed(folder, *path.split(), *arguments, "--json")
        assert answers[path].code == 0, (path, answers[path])
        return answers[path].payload

    do("init")
    for name in ("show", "check", "hash"):
        do(f"config {name}")
    do("data ingest")
    do("data status")
    do("features")
    do("data compact")
    do("new", "feature", "weekly_range")
    do("people add", "operator", "--role", "operator")
    do("people list")
    phrase = folder / "phrase"
    phrase.write_text("several words nobody guesses\n")
    do("people add", "grace", "--role", "approver", "--new-passphrase-file", str(phrase))
    do("people add", "temp", "--role", "operator")
    sign = ("--person", "grace", "--reason", "test", "--passphrase-file", str(phrase))
    do("people revoke", "temp", *sign)
    do("people key", "operator", "--new-passphrase-file", str(phrase), *sign)
    do("people verify")
    earlier = do("train", "--until", BEFORE, "--alpha", "50")["model_id"]
    beside = do("train", "--until", BEFORE, "--alpha", "90")["model_id"]
    signed = ("--person", "operator", "--passphrase-file", str(phrase))
    model = do("train", "--until", BEFORE, *signed)["model_id"]
    do("candidates")
    do("trials")
    do("verdict", model, "--stage", "replay")
    do("promote", earlier, *WHO)
    do("promote", model, *WHO)
    put_to_shadow(load_settings(str(folder / "workbench.toml")), beside)
    do("calibrate", "--prior", "--as-of", BEFORE, *WHO)
    do("adopt", "--as-of", BEFORE, *WHO)
    do("resume", *WHO)
    do("preflight")
    do("jobs list")
    do("jobs check")
    do("jobs next", "--day", SESSION)
    do("jobs run", "trading_loop", "--session", SESSION)
    do("jobs history")
    do("jobs logs", f"trading_loop/{SESSION}.1")
    do("jobs export", "--target", "cron", "--to", str(folder / "units"))
    for name in set(declared_jobs(load_settings(str(folder / "workbench.toml")))) - {"reconcile"}:
        do("jobs pause", name, *WHO)
    do("jobs prune")
    do("jobs serve", "--first", "2013-02-04", "--last", "2013-02-04")
    do("jobs resume", "reconcile", *WHO)
    do("status")
    do("monitor")
    do("pending")
    do("reconcile")
    do("adjust")
    do("report", "--kind", "self-assessment")
    do("replay", f"trading_loop/{SESSION}.1")
    do("timings")
    do("surveil", "--session", SESSION)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "LAST_SESSION", demo.FIRST_SESSION)  # the session that is done already
        do("demo")
    disabled = {"account": "demo", "symbol": "AAPL", "reason": "test", "at_ns": 1}
    journal = open_journal(load_settings(str(folder / "workbench.toml")), read_only=False)
    journal.commit([Event("symbol.disabled", disabled)])
    journal.close()
    do("limits")
    do("enable", "AAPL", *WHO)
    do("shadow", beside)
    do("retire", beside, *WHO)
    do("rollback", *WHO)
    do("jobs skip", "--to", "2013-02-05", *WHO)
    do("reduce", *WHO)
    do("halt", *WHO)
    do("venue serve", "--seconds", "0.01")
    config = folder / "workbench.toml"
    plain = config.read_text()
    assert "holdout_sessions = 0" in plain
    config.write_text(plain.replace("holdout_sessions = 0", "holdout_sessions = 40"))
    held_back = typed(folder, "train", "--until", BEFORE, "--json").payload["model_id"]
    do("holdout", held_back)
    config.write_text(plain.replace("max_order_shares = 20_000", "max_order_shares = 30_000"))
    do("accept-limits", *WHO)
    config.write_text(plain)
    for answer in ("approve", "decline"):
        do(answer, make_wait(folder, answer, SESSION), *sign)
    do("override", make_denied(folder), *WHO)
    do("alerts test")
    do("watchdog", "--once")
    do("alerts deliver", "--once")
    number = do("alerts list")["alerts"][0]["alert"]
    do("alerts acknowledge", str(number), *WHO)
    do("alerts judge", str(number), "real", *WHO)
    with object_service() as address, pytest.MonkeyPatch.context() as patch:
        far = plain.replace('storage = ""', 'storage = "s3://desk/walked"')
        config.write_text(far.replace('storage_endpoint = ""', f'storage_endpoint = "{address}"'))
        for name in ("KEY", "SECRET"):
            patch.setenv(f"WORKBENCH_SECRETS__STORAGE_{name}", "made-up")
        do("storage push")
        do("storage pull")
        do("storage status")
        config.write_text(plain)
    do("journal verify")
    do("epochs")
    do("journal migrate")
    do("journal export", "--to", str(folder / "exported"))
    do("journal archive", "--before", SESSION, "--to", str(folder / "old.parquet"), *WHO)
    return folder, answers


# --- help ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(TREE))
def test_the_help_of_a_command_teaches_it_and_everything_it_takes(path: str, tmp_path: Path) -> None:
    command = TREE[path]
    assert len(command.help) > 20
    for parameter in command.params:
        assert len(parameter.help or "") > 10, f"{path}: {parameter.name} has no help"
    answer = typed(tmp_path, *path.split(), "--help")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(f"Usage: workbench {path} ")
    words = "".join(answer.out.split())
    for text in (command.help, *(option for each in command.params for option in each.opts)):
        assert "".join(text.split()) in words
    assert {"--config", "--json"} <= {option for each in command.params for option in each.opts}
    assert all(key in words.partition("Keysof--json:")[2] for key in KEYS[path])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", sorted(GROUPS))
def test_a_group_lists_its_commands(path: str, tmp_path: Path) -> None:
    inside = {name[len(path) :].split()[0] for name in TREE if name.startswith(path)}
    asked = typed(tmp_path, *path.split(), "--help")
    assert asked.code == 0
    listed = {line.split()[0] for line in asked.out.partition("Commands:")[2].splitlines() if line.strip()}
    assert inside <= listed
    bare = typed(tmp_path, *path.split())
    assert (bare.code, bare.out) == (2, "")
    assert bare.err == asked.out


# --- --json ----------------------------------------------------------------------------------------------


def test_the_documented_objects_are_those_of_the_tree() -> None:
    assert set(KEYS) == set(TREE)


#: These answer for as long as they run; their own tests read the first line: tests/apps.
SERVING = {"dashboards"}


@pytest.mark.parametrize("path", sorted(set(TREE) - SERVING))
def test_a_command_prints_one_object_with_the_documented_keys(
    path: str, walked: tuple[Path, dict[str, Answer]]
) -> None:
    assert set(walked[1][path].payload) == set(KEYS[path])


def test_what_the_objects_say_agrees(walked: tuple[Path, dict[str, Answer]]) -> None:
    said = {path: answer.payload for path, answer in walked[1].items()}
    assert {said[path]["config_hash"] for path in ("init", "config hash", "status")} == {
        said["config show"]["config_hash"]
    }
    assert said["people list"]["people"] == [{"person": "operator", "role": "operator"}]
    assert said["people verify"] == {"signed": 2, "unsigned": 0, "problems": []}
    (*_, listed) = said["candidates"]["models"]
    manifest = said["train"]["manifest"]
    assert (listed["model_id"], listed["stage"]) == (said["train"]["model_id"], "candidate")
    assert (listed["estimator"], listed["label"]) == ("ridge", "forward_return")
    assert (listed["features"], listed["folds"]) == (manifest["features"], len(said["train"]["folds"]))
    assert listed["net_bps"] == manifest["metrics"]["mean_net_bps"]
    assert set(said["features"]["used"]) == set(manifest["features"])
    assert said["data status"]["rows"] == said["data ingest"]["accepted"] > 0
    assert said["adopt"]["cash_micro"] == 1_000_000_000_000
    assert said["status"]["model_id"] == said["promote"]["model_id"]
    assert said["status"]["cost_model_id"] == said["calibrate"]["cost_model_id"]
    assert (said["status"]["sessions_run"], said["status"]["last_session"]) == (1, SESSION)
    assert said["status"]["state"] == said["resume"]["state"] == "ACTIVE"
    assert said["reconcile"] == {"clean": True, "breaks": []}
    assert said["jobs history"]["runs"][0]["run_id"] == said["jobs run"]["run_id"]
    assert said["demo"]["runs"][0]["message"] == "already done: nothing sent"
    (row,) = said["demo"]["sessions"]
    assert row["digest"] == said["status"]["digests"][SESSION]
    assert isinstance(row["orders"], int)


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("status", "HALTED, test of the command line"),
        ("config show", "limits.max_order_shares"),
        ("people list", "operator"),
        ("candidates", "replay"),
        ("features", "momentum_20"),
        ("limits", "GROSS"),
        ("data status", "MSFT"),
        ("jobs list", "trading_loop"),
        ("jobs history", f"trading_loop/{SESSION}.1"),
        ("reconcile", "clean"),
        ("journal verify", "agree"),
        (f"jobs run trading_loop --session {SESSION}", "decisions"),
    ],
)
def test_people_get_words_instead(path: str, named: str, walked: tuple[Path, dict[str, Answer]]) -> None:
    answer = typed(walked[0], *path.split())
    assert answer.code == 0, answer.err
    assert named in answer.out
    assert not answer.out.lstrip().startswith("{")


def test_the_installed_program_says_the_same(walked: tuple[Path, dict[str, Answer]]) -> None:
    folder, answers = walked
    answer = program(folder, "config", "hash", "--json")
    assert (answer.code, answer.payload, answer.err) == (0, answers["config hash"].payload, "")
    refused = program(folder, "resume", "--person", "nobody", "--reason", "test")
    assert (refused.code, refused.out) == (3, "")
    assert "nobody" in refused.err
    assert "workbench people add" in refused.err


# --- exit codes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "code", "named", "step"),
    [
        ("jobz", 2, "'jobz'", "workbench --help"),
        ("jobs rum", 2, "'rum'", "workbench jobs --help"),
        ("status --jsn", 2, "--jsn", "workbench status --help"),
        ("jobs run trading_loop", 2, "--session", "workbench jobs run --help"),
        ("jobs run", 2, "job", "workbench jobs run --help"),
        ("status --config nowhere.toml", 2, "nowhere.toml", "workbench init"),
        ("jobs run trading_lop --session 2013-02-01", 2, "'trading_lop'", "workbench jobs run trading_loop"),
        ("data ingest nowhere.parquet", 2, "nowhere.parquet", "name a Parquet file"),
        ("people add eve --role boss", 2, "boss", "approver"),
        (
            "calibrate -p operator -r test --as-of 2013-01-31",
            2,
            "exactly one of",
            "workbench calibrate --session",
        ),
        ("train --until 2013-02-18", 2, "2013-02-18", "2013-02-15"),
        ("train --until 2013-01-31 --label forward_retrun", 2, "'forward_retrun'", "forward_return"),
        ("train --until 2013-01-31 --estimator random_forest", 2, "sklearn.tree._tree.Tree", "ridge"),
        ("train --until 2013-01-31 --estimator ridg", 2, "'ridg'", "did you mean ridge?"),
        ("train --until 2013-01-31 --alpha -1", 2, "alpha = -1", "--alpha from"),
        ("train --until 2013-01-31 --features gap_2", 2, "did you mean 'gap_1'", "workbench features"),
        ("candidates --sort net_bp", 2, "'net_bp'", "did you mean net_bps?"),
        ("promote 0123 -p operator -r test", 3, "0123", "in full"),
        ("promote 0123 -p nobody -r test", 3, "nobody", "workbench people add"),
        ("resume -p nobody -r test", 3, "nobody", "workbench people add"),
        ("enable MSFT -p operator -r test", 3, "not disabled", "workbench limits"),
        ("enable AAPL -p nobody -r test", 3, "nobody", "workbench people add"),
        ("adopt -p operator -r test --as-of 2013-01-31", 3, "open already", "workbench reconcile"),
    ],
)
def test_a_refusal_names_the_thing_and_the_next_step(
    line: str, code: int, named: str, step: str, walked: tuple[Path, dict[str, Answer]]
) -> None:
    answer = typed(walked[0], *line.split())
    assert (answer.code, answer.out) == (code, "")
    first, _, rest = answer.err.strip().partition("\n")
    assert named in answer.err
    assert "Traceback" not in answer.err
    assert "  next: " in rest, answer.err
    assert step in answer.err.partition("  next: ")[2]
    as_json = typed(walked[0], *line.split(), "--json")
    assert (as_json.code, as_json.err) == (code, "")
    assert set(as_json.payload) == set(ERROR_KEYS)
    assert as_json.payload["exit_code"] == code
    assert first == f"{as_json.payload['error']}: {as_json.payload['message']}".partition("\n")[0]


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_family_of_errors_leaves_with_its_code(
    kind: type[errors.WorkbenchError],
    walked: tuple[Path, dict[str, Answer]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(settings: object) -> None:
        raise kind("order wb1-a [red] is odd", next_step="look", order="wb1-a", missing=float("nan"))

    monkeypatch.setattr(desk_commands, "desk_status", broken)
    answer = typed(walked[0], "status")
    assert kind.__name__ in EXIT_CODES[answer.code]
    assert answer.out == ""
    assert answer.err == f"{kind.__name__}: order wb1-a [red] is odd\n  next: look\n"
    found = typed(walked[0], "status", "--json").payload
    assert (found["error"], found["exit_code"]) == (kind.__name__, answer.code)
    assert found["facts"] == {"order": "wb1-a", "missing": None}


@pytest.mark.parametrize(
    ("error", "code", "named"),
    [
        (OSError(28, "No space left on device", "journal.sqlite"), 5, "journal.sqlite: No space left"),
        (ZeroDivisionError("a defect"), 5, "ZeroDivisionError: a defect"),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
)
def test_whatever_else_happens_is_no_success(
    error: BaseException,
    code: int,
    named: str,
    walked: tuple[Path, dict[str, Answer]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(settings: object) -> None:
        raise error

    monkeypatch.setattr(desk_commands, "desk_status", broken)
    answer = typed(walked[0], "status")
    assert (answer.code, answer.out) == (code, "")
    assert named in answer.err


def test_a_desk_that_cannot_be_made_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    answer = typed(tmp_path, "init", "--json")
    assert answer.code == answer.payload["exit_code"] == 5
    assert str(tmp_path / "data") in answer.payload["message"]


@pytest.mark.parametrize("state", ["no settings", "no desk", "new desk"])
@pytest.mark.parametrize("path", ["status", "people list", "candidates", "data status", "jobs history"])
def test_a_person_who_comes_too_early_is_told_so(path: str, state: str, tmp_path: Path) -> None:
    if state != "no settings":
        (tmp_path / "workbench.toml").write_text((ROOT / "workbench.toml").read_text())
    if state == "new desk":
        assert typed(tmp_path, "init").code == 0
    answer = typed(tmp_path, *path.split())
    assert "Traceback" not in answer.err
    assert answer.code == (0 if state == "new desk" or answer.out else 2)
    if answer.code:
        assert "workbench init" in answer.err.partition("  next: ")[2]


def test_a_new_desk_is_halted_and_init_keeps_what_there_is(tmp_path: Path) -> None:
    assert typed(tmp_path, "init").code == 0
    config = tmp_path / "workbench.toml"
    config.write_text(config.read_text() + "# mine\n")
    assert typed(tmp_path, "init").code == 0
    assert config.read_text().endswith("# mine\n")
    assert json.loads(typed(tmp_path, "status", "--json").out)["state"] == "HALTED"


# --- what is said about commands ---------------------------------------------------------------------------

#: A command in a document or in a message: its words, then what follows up to the end of the quotation.
SPOKEN = re.compile(r"(?m)(?:^|[`\"']|bin/)workbench ([a-z][^`\"'#{\n]*)")
#: An attribute error of the package, and the first line of a file.
NO_COMMANDS = {"has no public name", "bars 1\\n"}
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
SOURCES = sorted((ROOT / "workbench").rglob("*.py"))


@pytest.mark.parametrize("files", [PAGES, SOURCES], ids=["documents", "messages"])
def test_every_command_that_is_named_exists_with_its_options(files: list[Path]) -> None:
    spoken = [
        (file.name, line.strip())
        for file in files
        for line in SPOKEN.findall(file.read_text(encoding="utf-8"))
    ]
    assert len(spoken) > 10
    wrong = []
    for name, line in spoken:
        if line in NO_COMMANDS:
            continue
        words = re.split("[,;:]", line)[0].split()
        path = next((p for p in (" ".join(words[:2]), words[0]) if p in TREE), None)
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        if path is None:
            wrong += [f"{name}: workbench {line}"] if " ".join(words) not in GROUPS else []
        elif not options <= {option for each in TREE[path].params for option in (*each.opts, "--help")}:
            wrong.append(f"{name}: workbench {line}")
    assert wrong == []


# --- reference -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", ["build_cli", "build_orders", "build_proofs"])
def test_the_reference_pages_are_what_the_code_says(script: str) -> None:
    pages = runpy.run_path(str(ROOT / f"docs/reference/{script}.py"))["pages"]()
    assert pages
    for name, text in pages.items():
        written = (ROOT / "docs/reference" / name).read_text(encoding="utf-8")
        assert written == text, f"run: make docs ({name})"


def test_a_run_uses_the_settings_file_that_was_named(new_desk: Callable[[str], Settings]) -> None:
    folder = new_desk("other").folder
    (folder / "workbench.toml").rename(folder / "other.toml")
    answer = typed(
        folder, "jobs", "run", "trading_loop", "-s", "2013-02-01", "--config", "other.toml", "--json"
    )
    assert (answer.code, answer.payload["status"]) == (0, "done"), answer.out
    assert not (folder / "workbench.toml").exists()
