"""A secret in every source, a session at a venue, leaks on purpose: no byte of the desk holds one."""

from __future__ import annotations

import base64
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import drive
import keyring
import pytest
from command_line import Answer, program, typed
from keyring_in_a_file import FileKeyring
from loopback_venue import UNIVERSE, VenueHands, pointed_at, venue_in_thread

from notebooks import DONE, GUARD, PARAMETERS, ROOT, request, write_notebook
from workbench.adapters.alpaca_broker.transport import AlpacaTransport
from workbench.adapters.notebook_runner import NotebookRunner
from workbench.bootstrap import killing, open_workbench
from workbench.bootstrap.desk import open_journal
from workbench.bootstrap.report import KINDS
from workbench.cli import desk as desk_commands
from workbench.config import load_settings
from workbench.core.ports import Event
from workbench.errors import WorkbenchError

SESSION = drive.FIRST
#: One for each source, so that a leak says where it came from; visibly made up.
CANARY = {
    "venue_key": "canary+key/of" + "-environment-1",
    "venue_secret": "canary+secret/of" + "-the-folder-2",
    "anchor_key": "canary+anchor/of" + "-the-keyring-3",
    "journal_password": "canary+word/of" + "-the-database-4",
}
WEBHOOK = "https://hooks.slack" + ".com/services/T0/B0/canary5webhook"
DATABASE = "postgresql+psycopg://desk:" + "canary6inurl" + "@127.0.0.1:1/journal"
LEAKS = f"""
import faulthandler, os, sys, threading, logging
from IPython.display import HTML, display
mine = {{name: value for name, value in os.environ.items() if "SECRETS__" in name}}
folder = os.environ["WORKBENCH_SECRETS_DIR"] + "/venue_secret"
secret = open(folder).read().strip()
print(mine, secret)
display(HTML(f"<b>{{secret}}</b>"))
os.write(2, repr(mine).encode() + b" " + secret.encode() + b"\\n")
logging.warning("posting to {WEBHOOK} with %s", secret)
faulthandler.dump_traceback(file=2)
class Answer:
    def __repr__(self):
        return secret
Answer()
"""
RAISES = "def ask(word):\n    raise RuntimeError(f'the venue refused {word}')\nask(mine)"


@dataclass
class Scene:
    """A desk with canaries, and everything that was ever printed."""

    folder: Path
    venue: VenueHands
    said: dict[str, str] = field(default_factory=dict)

    def hear(self, what: str, answer: Answer) -> Answer:
        self.said[what] = answer.out + answer.err
        return answer


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "venue_secret").write_text(CANARY["venue_secret"] + "\n")
    kept = tmp_path / "keyring.json"
    kept.write_text(json.dumps({"canary anchor_key": CANARY["anchor_key"]}))
    environment = {
        "WORKBENCH_SECRETS__VENUE_KEY": CANARY["venue_key"],
        "WORKBENCH_SECRETS__JOURNAL_PASSWORD": CANARY["journal_password"],
        "WORKBENCH_SECRETS_DIR": str(secrets),
        "WORKBENCH_SECRETS_KEYRING": "canary",
        "PYTHON_KEYRING_BACKEND": "keyring_in_a_file.FileKeyring",
        "KEYRING_FILE": str(kept),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'support'}",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(keyring.core, "_keyring_backend", FileKeyring())
    with venue_in_thread(
        symbols=UNIVERSE, matching="daily", start="2013-01-31T21:00:00Z", cash_usd=1_000_000,
        state=tmp_path / "venue.jsonl", key=CANARY["venue_key"], secret=CANARY["venue_secret"],
    ) as hands:  # fmt: skip
        drive.make_desk(tmp_path / "desk", pointed_at(hands))
        yield Scene(tmp_path / "desk", hands)


def leaks(content: bytes) -> set[str]:
    """Names of the canaries in the bytes, in any spelling."""
    secrets = {**CANARY, "webhook": "canary5webhook", "database_url": "canary6inurl"}
    found = set()
    for name, value in secrets.items():
        spellings = (
            value,
            quote(value, safe=""),
            json.dumps(value)[1:-1],
            base64.b64encode(value.encode()).decode(),
        )
        if any(each.rstrip("=").encode() in content for each in spellings):
            found.add(name)
    return found


def test_the_search_finds_each_canary() -> None:
    for name, value in CANARY.items():
        assert leaks(b"x" + value.encode() + b"y") == {name}
        assert leaks(quote(value, safe="").encode()) == {name}
    assert leaks(WEBHOOK.encode() + DATABASE.encode()) == {"webhook", "database_url"}


@pytest.mark.slow
def test_the_canary_is_in_no_byte_of_the_desk_and_in_no_output(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, hear = scene.folder, scene.hear
    run = hear("session", program(folder, "jobs", "run", "trading_loop", "--session", SESSION))
    assert run.code == 0, run
    settings = load_settings(str(folder / "workbench.toml"))
    assert {row["source"] for row in settings.table() if row["key"].startswith("secrets.")} >= {
        "WORKBENCH_SECRETS__VENUE_KEY", "keyring, user anchor_key",
    }  # fmt: skip

    # commands that answer, and commands that fail
    for words in ("status", "config show", "jobs history", "journal verify", "reconcile", "people list"):
        for form in ([], ["--json"]):
            hear(" ".join([words, *form]), typed(folder, *words.split(), *form))
    for kind in KINDS:
        assert hear(f"report {kind}", typed(folder, "report", "--kind", kind, "--json")).code == 0
    hear(
        "no date", typed(folder, "jobs", "run", "trading_loop", "--session", CANARY["venue_secret"], "--json")
    )
    monkeypatch.setenv("WORKBENCH_JOURNAL__URL", DATABASE)
    assert hear("database url", typed(folder, "status")).code == 2
    assert hear("database url --json", program(folder, "status", "--json")).code == 2
    monkeypatch.delenv("WORKBENCH_JOURNAL__URL")

    def defect(settings: object) -> None:
        raise RuntimeError(f"{CANARY['venue_key']} and {settings!r} at {DATABASE}")

    with monkeypatch.context() as patch:
        patch.setattr(desk_commands, "desk_status", defect)
        for form in ([], ["--json"]):
            trace = hear(f"defect {form}", typed(folder, "status", *form))
            assert trace.code == 5
            assert "Traceback" in trace.err
    hear("thread", in_a_process(f"import threading; threading.Thread(target=lambda: 1/0, name='x').start(); "
                                f"load(); raise ValueError({CANARY['venue_secret']!r})", folder))  # fmt: skip

    # what a person, the venue and a notebook may say
    killing.halt(settings, killing.HaltOrder("operator", f"was it {CANARY['venue_secret']}? see {WEBHOOK}"))
    journal = open_journal(settings, read_only=False)
    alert = {
        "account": settings.account,
        "code": "x",
        "text": f"{CANARY['venue_key']} {DATABASE}",
        "at_ns": 1,
    }
    journal.commit([Event("alert.raised", alert)])
    events = repr(journal.events()) + repr(journal.rows("alerts"))
    journal.close()
    runner = NotebookRunner(folder / "data" / "desk" / "runs")
    for number, last in enumerate((DONE, RAISES, "faulthandler._sigsegv()"), start=1):
        path = write_notebook(scene.folder.parent / f"leak{number}.ipynb", PARAMETERS, GUARD, LEAKS, last)
        result = runner.run(request(path, f"leak/2013-02-01.{number}", environment={}))
        assert (result.status == "done") == (last == DONE), result
        scene.said[f"run {number}"] = repr(result)
        executed = folder / "data" / "desk" / "runs" / "leak" / f"2013-02-01.{number}"
        assert "***" in (executed / "kernel.log").read_text()
        assert "***" in (executed / path.name).read_text()

    # everything that has a picture of itself
    opened = open_workbench(settings)
    scene.said["reprs"] = "".join(
        (
            repr(settings),
            settings._repr_html_(),
            repr(settings.secrets),
            repr(opened),
            opened._repr_html_(),
            events,
        )
    )
    transport = AlpacaTransport(
        key=CANARY["venue_key"],
        secret=CANARY["venue_secret"],
        url="http://127.0.0.1:1",
        connect_s=1,
        read_s=1,
    )
    scene.said["transport"] = repr(transport) + str(vars(transport)) if hasattr(transport, "__dict__") else ""
    scene.said["requests of the venue"] = json.dumps(scene.venue.requests()) + json.dumps(scene.venue.state())
    scene.said["errors"] = repr(caught(lambda: load_settings(None, overrides={"journal.url": DATABASE})))

    assert {what: found for what, text in scene.said.items() if (found := leaks(text.encode()))} == {}
    files = [path for path in folder.rglob("*") if path.is_file()] + [folder.parent / "venue.jsonl"]
    assert {
        "journal.sqlite",
        "parameters.json",
        "kernel.log",
        "outcome.json",
        "jobs-run-trading_loop.log",
    } <= {path.name for path in files}
    assert {str(path): found for path in files if (found := leaks(path.read_bytes()))} == {}
    assert not [path for path in folder.rglob("core*") if path.suffix not in (".py", ".ipynb")]


def in_a_process(code: str, folder: Path) -> Answer:
    """What a sealed process of the program says when it breaks, and that it may leave no core file."""
    start = """
import resource
from workbench.cli.sealing import seal_process
from workbench.config import load_settings
load = lambda: load_settings("workbench.toml")
seal_process()
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
"""
    done = subprocess.run([sys.executable, "-c", start + code], cwd=folder, capture_output=True, text=True)
    assert "ZeroDivisionError" in done.stderr
    assert "ValueError" in done.stderr
    return Answer(done.returncode, done.stdout, done.stderr)


def caught(act: object) -> WorkbenchError:
    """The error that the call ends with."""
    with pytest.raises(WorkbenchError) as error:
        act()  # type: ignore[operator]
    return error.value


def test_a_kernel_of_a_run_may_leave_no_core_file(tmp_path: Path) -> None:
    look = "import resource\nprint(resource.getrlimit(resource.RLIMIT_CORE))"
    path = write_notebook(tmp_path / "probe.ipynb", PARAMETERS, GUARD, look, DONE)
    hard = resource.getrlimit(resource.RLIMIT_CORE)
    result = NotebookRunner(tmp_path / "runs").run(request(path))
    assert result.status == "done"
    assert "(0, 0)" in Path(result.notebook).read_text()
    assert resource.getrlimit(resource.RLIMIT_CORE) == hard
