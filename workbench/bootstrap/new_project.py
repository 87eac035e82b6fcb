"""Start something of one's own: the worked example of its kind, copied under another name."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from workbench.bootstrap.resources import jobs_folder, template_folder
from workbench.errors import UsageError

#: Worked examples that are copied, by kind; a test runs each where it stands.
TEMPLATES: Mapping[str, str] = MappingProxyType(
    {
        "strategy": "docs/tutorials/own-strategy",
        "feature": "docs/how-to/own-feature",
        "job": "docs/how-to/own-job",
    }
)
#: Kinds that nothing outside the package can add, with the reason and the page that says how they are added.
INSIDE: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "control": (
            "a control that a package could bring, a package could also take away: all of them are compiled "
            "into one function that every order passes",
            "docs/how-to/add-a-control.md",
        ),
        "cost": (
            "costs are one model for simulator, policy and report; a term of its own would price them apart",
            "docs/how-to/own-strategy-feature-job.md",
        ),
        "broker": (
            "a broker decides what is known of an order, so each is an adapter that this package proves; the "
            "contract that it has to meet runs outside: pytest --pyargs workbench.testing",
            "docs/how-to/own-strategy-feature-job.md",
        ),
    }
)
KINDS = (*TEMPLATES, *INSIDE)
_TABLE_OF = "tca_daily"  #: the declared job whose table a new one starts from
_LEFT_OUT = ("__pycache__", ".pytest_cache", ".ipynb_checkpoints")


def new_project(kind: str, name: str, *, folder: Path) -> list[Path]:
    """Write the worked example of a kind under another name; the files that were written.

    Parameters
    ----------
    kind : str
        One of `KINDS`; those of `INSIDE` are refused with the reason.
    name : str
        At least two lower-case words joined by underscores: the name of a package, a column or a job.
    folder : Path
        Where it is written: a project in a folder of its name; a job beside the settings, in `jobs.toml`.

    Raises
    ------
    UsageError
        The kind or the name cannot be used, or something of that name is there already.
    """
    if kind in INSIDE:
        reason, page = INSIDE[kind]
        raise UsageError(f"a new {kind} is written inside the package: {reason}", next_step=f"see {page}")
    if kind not in TEMPLATES:
        raise UsageError(f"there is no kind {kind!r}", next_step=f"use one of: {', '.join(TEMPLATES)}")
    if not re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", name) or keyword.iskeyword(name):
        raise UsageError(
            f"{name!r} is no name for a {kind}",
            next_step="use at least two lower-case words joined by underscores, such as weekly_reversal",
        )
    source = template_folder(TEMPLATES[kind])
    old = source.name.replace("-", "_")
    return _job(source, old, name, folder) if kind == "job" else _project(source, old, name, folder)


def _project(source: Path, old: str, name: str, folder: Path) -> list[Path]:
    target = folder / name.replace("_", "-")
    if target.exists():
        raise UsageError(f"{target} exists already", next_step="choose another name, or remove the folder")
    written = []
    for path in sorted(source.rglob("*")):
        if path.is_dir() or set(_LEFT_OUT) & set(path.relative_to(source).parts):
            continue
        to = target / _renamed(path.relative_to(source).as_posix(), old, name)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(_renamed(path.read_text(encoding="utf-8"), old, name), encoding="utf-8")
        written.append(to)
    return written


def _job(source: Path, old: str, name: str, folder: Path) -> list[Path]:
    """The notebook, and its table at the end of the desk's own `jobs.toml`, which starts as the package's."""
    notebook, jobs = folder / f"{name}.ipynb", folder / "jobs.toml"
    declared = (jobs if jobs.exists() else jobs_folder() / "jobs.toml").read_text(encoding="utf-8")
    if notebook.exists() or f"[{name}]" in declared:
        raise UsageError(f"there is a job {name!r} already", next_step="choose another name")
    table = re.search(
        rf"(?ms)^\[{_TABLE_OF}\]\n.*?(?=^\[|\Z)", (jobs_folder() / "jobs.toml").read_text(encoding="utf-8")
    )
    if table is None:
        raise UsageError(f"the package declares no job {_TABLE_OF}", next_step="install the package again")
    text = re.sub(r"(?m)^purpose = .*$", 'purpose = "What it answers, in one sentence."', table.group())
    text = re.sub(r"(?m)^schedule = .*$", 'schedule = ""  # only when a person starts it', text)
    notebook.write_text(
        _renamed((source / f"{old}.ipynb").read_text(encoding="utf-8"), old, name), encoding="utf-8"
    )
    jobs.write_text(f"{declared.rstrip()}\n\n{text.replace(_TABLE_OF, name).rstrip()}\n", encoding="utf-8")
    return [notebook, jobs]


def _renamed(text: str, old: str, name: str) -> str:
    return text.replace(old, name).replace(old.replace("_", "-"), name.replace("_", "-"))
