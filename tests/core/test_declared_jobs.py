"""What is wrong with declared jobs is refused before anything runs, with line and remedy."""

from __future__ import annotations

import ast
import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from notebooks import PARAMETERS, ROOT, write_notebook
from workbench.bootstrap.declared import read_jobs
from workbench.core.job_export import TARGETS, Calls, calls_of, export
from workbench.core.jobs import Parameter
from workbench.errors import ConfigError, UsageError
from workbench.services.jobs import parameters_of

SHIPPED = ROOT / "papermill-jobs" / "jobs.toml"
JOBS = read_jobs(SHIPPED)


def test_only_what_neither_sends_nor_holds_the_account_nor_has_keys_may_start_warm() -> None:
    assert {job.name for job in JOBS.values() if job.is_analysis} == {
        "tca_daily", "calibrate_costs", "drift_report", "train_candidate"
    }  # fmt: skip


def changed(folder: Path, old: str, new: str, *, job: str = "") -> Path:
    """The shipped file with one change, in the table of a job when it is named."""
    text = SHIPPED.read_text()
    start = text.index(f"[{job}]") if job else 0
    assert old in text[start:]
    path = folder / "jobs.toml"
    path.write_text(text[:start] + text[start:].replace(old, new, 1))
    return path


BAD = [
    # job, what stands there, what is written instead, words of the message, words of the remedy
    ("tca_daily", "timeout_s = 300", "timout_s = 300", "unknown key 'timout_s'", "write timeout_s"),
    ("tca_daily", "timeout_s = 300", "timeout_s = nan", "timeout_s = nan", "finite"),
    ("tca_daily", "timeout_s = 300", "timeout_s = 0", "timeout_s = 0", "from 1 to 86400"),
    ("tca_daily", "timeout_s = 300", 'timeout_s = "300"', "is not int or float", "correct the value"),
    ("tca_daily", "attempts = 2", "attempts = 99", "attempts = 99", "from 1 to 9"),
    ("tca_daily", 'needs = ["trading_loop"]', 'needs = ["trading_lop"]', "there is no job", "trading_loop"),
    ("tca_daily", 'needs = ["trading_loop"]', 'needs = ["calibrate_costs"]', "a circle", "take one"),
    ("tca_daily", 'needs = ["trading_loop"]', 'needs = ["tca_daily"]', "a circle", "take one"),
    ("tca_daily", 'needs = ["trading_loop"]', 'needs = ["train_candidate"]', "for ever", "a time"),
    ("tca_daily", '"close+30m"', '"0 18 31 2 *"', "never comes", "close.10m"),
    ("tca_daily", '"close+30m"', '"at noon"', "is no schedule", "close.10m"),
    ("tca_daily", 'misfire = "catch_up"', 'misfire = "catchup"', "unknown", "write catch_up"),
    ("tca_daily", "repeats = false\n", "", "repeats is missing", "there are no defaults"),
    ("tca_daily", "needs_session = true", "needs_session = false", "belongs to sessions", "true"),
    ("tca_daily", "sends_orders = false", "sends_orders = true", "only trading_loop", "sends_orders = false"),
    ("tca_daily", "tca_daily.ipynb", "absent.ipynb", "there is no notebook", "correct its name"),
    ("tca_daily", "tca_daily.ipynb", "../jobs.toml", "there is no notebook", "correct its name"),
    ("trading_loop", 'misfire = "skip"', 'misfire = "catch_up"', "never run late", "skip"),
    ("trading_loop", 'resume_until = "close"', 'resume_until = ""', "an end of its window", "close"),
    ("trading_loop", 'resume_until = "close"', 'resume_until = "0 16 * * *"', "no time", "close"),
    ("trading_loop", "holds_account = true", "holds_account = false", "holds the account", "true"),
    ("trading_loop", 'alert_on = ["failed", "missed"]', 'alert_on = ["failed"]', "heard of", "missed"),
    ("trading_loop", 'alert_on = ["failed", "missed"]', 'alert_on = ["fialed"]', "unknown", "write failed"),
    ("drift_report", "default = 0.01", "default = 0.5", "above 0.2", "correct the default"),
    ("drift_report", "default = 0.01", 'default = "0.01"', "is not a number", "correct the default"),
    ("drift_report", "default = 60", "default = 60.5", "is not a whole", "correct the default"),
    ("drift_report", "default = 60", "default = true", "is not a whole", "correct the default"),
    ("drift_report", 'kind = "whole"', 'kind = "hole"', "unknown", "write whole"),
    ("drift_report", "alpha = {", "venue_secret = {", "looks like a secret", "environment"),
    ("ingest", 'default = "inbox"', 'default = "https://me:{}@h/x"'.format("pw"), "a secret", "environment"),
    ("ingest", 'default = "auto"', 'default = "atuo"', "is none of auto", "correct the default"),
]  # fmt: skip


@pytest.mark.parametrize(("job", "old", "new", "words", "remedy"), BAD)
def test_a_wrong_declaration_is_refused_with_line_and_remedy(
    job: str, old: str, new: str, words: str, remedy: str, tmp_path: Path
) -> None:
    path = changed(tmp_path, old, new, job=job)
    with pytest.raises(ConfigError, match=re.escape(words)) as caught:
        read_jobs(path)
    found = re.search(r"jobs\.toml, line (\d+): job '([a-z_]+)'", caught.value.message)
    assert found is not None
    assert re.search(remedy, caught.value.next_step)
    above = path.read_text().splitlines()[: int(found[1])]
    assert [line for line in above if line.startswith("[")][-1].strip("[]").split(".")[0] == found[2]
    if new and not found[2] == job:
        assert words == "a circle"
    if words.startswith(("unknown", "is not", "there is no", "timeout", "attempts", "never", "above")):
        assert new.splitlines()[0] in above[-1]


def test_two_jobs_with_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.toml"
    path.write_text(SHIPPED.read_text() + "\n[ingest]\n")
    with pytest.raises(ConfigError, match="line") as caught:
        read_jobs(path)
    assert "two jobs cannot have one name" in caught.value.next_step


@pytest.mark.parametrize("tags", [{}, {1: ["parameters"]}, {0: ["parameters"], 1: ["parameters"]}])
def test_a_notebook_without_its_tagged_cell_is_refused(tags: dict[int, list[str]], tmp_path: Path) -> None:
    write_notebook(tmp_path / "tca_daily.ipynb", PARAMETERS, "1 + 1", tags=tags)
    (tmp_path / "jobs.toml").write_text(SHIPPED.read_text())
    with pytest.raises(ConfigError, match=r"line \d+: job 'tca_daily': .* has the tag 'parameters'"):
        read_jobs(tmp_path / "jobs.toml")


def test_a_desk_may_bring_its_own_notebook_and_takes_the_others_from_the_package(tmp_path: Path) -> None:
    own = write_notebook(tmp_path / "tca_daily.ipynb", PARAMETERS)
    (tmp_path / "jobs.toml").write_text(SHIPPED.read_text())
    jobs = read_jobs(tmp_path / "jobs.toml")
    assert jobs["tca_daily"].notebook == own
    assert jobs["ingest"].notebook == ROOT / "papermill-jobs" / "ingest.ipynb"


# --- parameters ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [("whole", "7", 7), ("number", "1e-3", 0.001), ("flag", "false", False), ("text", "007", "007")],
)
def test_a_typed_value_has_the_declared_kind(kind: str, text: str, value: Any) -> None:
    found = Parameter("x", kind, value, "").parse(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "text"),
    [("whole", "7.0"), ("whole", "x"), ("number", "nan"), ("number", "inf"), ("flag", "False"), ("flag", "0"),
     ("flag", "off")],
)  # fmt: skip
def test_a_typed_value_of_another_kind_is_refused(kind: str, text: str) -> None:
    with pytest.raises(ValueError, match="x = "):
        Parameter("x", kind, 1, "").parse(text)


def test_parameters_of_a_run_are_the_declared_ones() -> None:
    drift = JOBS["drift_report"]
    assert parameters_of(drift, {"alpha": 0.05}) == {"latest_sessions": 60, "alpha": 0.05}
    with pytest.raises(UsageError, match="takes no parameter 'alfa'") as caught:
        parameters_of(drift, {"alfa": 0.05})
    assert caught.value.next_step == "write alpha"
    for wrong in (0.5, "0.05", True, float("nan")):
        with pytest.raises(UsageError, match="alpha = "):
            parameters_of(drift, {"alpha": wrong})


# --- exports ---------------------------------------------------------------------------------------------

PLACES = {
    "program": "/usr/desk/bin/workbench", "config": "/usr/share/desk/workbench.toml",
    "folder": "/usr/share/desk",
    "zone": "America/New_York",
}  # fmt: skip
SCHEDULED = {name for name, job in JOBS.items() if job.schedule}


def run_of(job: str) -> str:
    return f"/usr/desk/bin/workbench jobs run {job} --session due --config /usr/share/desk/workbench.toml"


def test_calls_cover_the_usual_close_and_the_half_day() -> None:
    assert calls_of(JOBS["tca_daily"]) == Calls((13 * 60 + 30, 16 * 60 + 30), (0, 1, 2, 3, 4))
    assert calls_of(JOBS["trading_loop"]) == Calls((9 * 60,), (0, 1, 2, 3, 4))
    assert calls_of(JOBS["train_candidate"]) == Calls((18 * 60,), (4,))
    assert calls_of(Calls and JOBS["ingest"].__class__(
        "late", Path("x"), "", True, 1.0, False, schedule="close+600m"
    )) == Calls((2 * 60, 23 * 60), (0, 1, 2, 3, 4, 5))  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_paths_that_a_target_would_read_as_its_own_words_are_refused(target: str) -> None:
    for bad in (
        "/usr/share/my desk",
        "/usr/share/%h",
        "/usr/share/$HOME",
        '/usr/share/"x',
        "/usr/share/a\nb",
    ):
        with pytest.raises(ValueError, match="holds a character"):
            export(JOBS, target, **{**PLACES, "folder": bad})


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(ValueError, match="none of systemd"):
        export(JOBS, "windows", **PLACES)


def unit(text: str) -> dict[str, dict[str, list[str]]]:
    """A systemd unit, strictly: sections, then KEY=VALUE; a key may come again."""
    found: dict[str, dict[str, list[str]]] = {}
    section = ""
    for line in text.splitlines():
        if header := re.fullmatch(r"\[([A-Z][A-Za-z]+)\]", line):
            section = header[1]
            assert section not in found
            found[section] = {}
        elif line:
            key, equals, value = line.partition("=")
            assert re.fullmatch(r"[A-Z][A-Za-z]+", key)
            assert equals
            assert value == value.strip() != ""
            found[section].setdefault(key, []).append(value)
    return found


ON_CALENDAR = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)(?:,(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun))* )?"
    r"\*-(?:\*|\d\d(?:,\d\d)*)-(?:\*|\d\d(?:,\d\d)*) [0-2]\d:[0-5]\d:00 America/New_York"
)


def test_systemd_units() -> None:
    files = export(JOBS, "systemd", **PLACES)
    assert set(files) == {f"workbench-{name}.{kind}" for name in SCHEDULED for kind in ("service", "timer")}
    for name in SCHEDULED:
        service, timer = (unit(files[f"workbench-{name}.{kind}"]) for kind in ("service", "timer"))
        assert set(service) == {"Unit", "Service"}
        assert service["Service"]["ExecStart"] == [run_of(name)]
        assert service["Service"]["KillMode"] == ["control-group"]
        assert service["Service"]["Type"] == ["oneshot"]
        assert set(timer) == {"Unit", "Timer", "Install"}
        assert all(ON_CALENDAR.fullmatch(line) for line in timer["Timer"]["OnCalendar"])
        persistent = "true" if JOBS[name].misfire == "catch_up" else "false"
        assert timer["Timer"]["Persistent"] == [persistent]
        configparser.ConfigParser(strict=False, interpolation=None).read_string(
            files[f"workbench-{name}.timer"]
        )


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
def test_systemd_itself_reads_the_units(tmp_path: Path) -> None:
    files = export(JOBS, "systemd", **{**PLACES, "program": "/bin/true", "folder": str(tmp_path)})
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    timers = [str(tmp_path / name) for name in files if name.endswith(".timer")]
    (tmp_path / "broken.timer").write_text("[Timer]\nOnCalendar=each Monday at noon or so\n")

    def verify(*paths: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True, check=False,
            env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        )  # fmt: skip

    broken = verify(str(tmp_path / "broken.timer"))
    if "broken.timer" not in broken.stderr:
        pytest.skip("systemd-analyze cannot judge units here")
    found = [line for line in verify(*timers).stderr.splitlines() if "workbench-" in line]
    assert found == []
    lines = sorted({line.partition("=")[2] for text in files.values() for line in text.splitlines()
                    if line.startswith("OnCalendar=")})  # fmt: skip
    judge = ["systemd-analyze", "calendar", *lines]
    read = subprocess.run(judge, capture_output=True, text=True, check=False)
    assert read.returncode == 0, read.stderr


def test_a_crontab() -> None:
    (text,) = export(JOBS, "cron", **PLACES).values()
    assert "CRON_TZ=America/New_York" in text.splitlines()
    lines = [line for line in text.splitlines() if re.match(r"\d", line)]
    assert len(lines) == len(SCHEDULED)
    for line in lines:
        minute, hours, days, months, weekdays, words = line.split(maxsplit=5)
        assert 0 <= int(minute) <= 59
        assert all(0 <= int(hour) <= 23 for hour in hours.split(","))
        assert (days, months) == ("*", "*")
        assert all(0 <= int(day) <= 6 for day in weekdays.split(","))
        assert words.startswith("cd /usr/share/desk && ")
        assert words.removeprefix("cd /usr/share/desk && ") in {run_of(name) for name in SCHEDULED}
    assert "30 13,16 * * 1,2,3,4,5 cd /usr/share/desk && " + run_of("tca_daily") in lines


def test_an_airflow_dag() -> None:
    (text,) = export(JOBS, "airflow", **PLACES).values()
    tree = ast.parse(text)
    compile(text, "workbench_jobs.py", "exec")
    (table,) = (
        node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "JOBS"
    )  # type: ignore[attr-defined]
    rows = {row["name"]: row for row in ast.literal_eval(table)}
    assert set(rows) == SCHEDULED
    assert rows["trading_loop"]["retries"] == 0
    assert rows["tca_daily"]["retries"] > 0
    assert {row["command"] for row in rows.values()} == {run_of(name) for name in SCHEDULED}
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert called == {"DAG", "BashOperator", "globals"}


def test_kubernetes_cron_jobs() -> None:
    files = export(JOBS, "kubernetes", **PLACES)
    assert len(files) == len(SCHEDULED)
    for text in files.values():
        found = yaml.safe_load(text)
        name = found["metadata"]["name"]
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)
        job = name.removeprefix("workbench-").replace("-", "_")
        assert (found["apiVersion"], found["kind"]) == ("batch/v1", "CronJob")
        spec = found["spec"]
        assert (spec["timeZone"], spec["concurrencyPolicy"]) == ("America/New_York", "Forbid")
        assert len(spec["schedule"].split()) == 5
        work = spec["jobTemplate"]["spec"]
        assert (work["backoffLimit"] == 0) is JOBS[job].sends_orders
        assert work["activeDeadlineSeconds"] > JOBS[job].timeout_s
        pod = work["template"]["spec"]
        assert pod["restartPolicy"] == "Never"
        (container,) = pod["containers"]
        assert " ".join(container["command"]) == run_of(job)
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
