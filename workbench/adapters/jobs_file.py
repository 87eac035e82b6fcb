"""The declared jobs, read strictly from `papermill-jobs/jobs.toml`."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from workbench.core.jobs import Job
from workbench.errors import ConfigError


def load_jobs(path: Path) -> dict[str, Job]:
    """Declared jobs by name; notebooks are found beside the file.

    Raises
    ------
    ConfigError
        Unreadable, unknown or missing key, a value of the wrong type or out of bounds, no such notebook.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", next_step="check the path") from error
    except ValueError as error:  # with line and column
        raise ConfigError(f"{path} is not TOML: {error}", next_step="correct that line") from error
    if not tables:
        raise ConfigError(f"{path} declares no job", next_step="add a table [JOB]")
    return {name: _job(path, name, table) for name, table in tables.items()}


_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "notebook": (str,),
    "purpose": (str,),
    "needs_session": (bool,),
    "timeout_s": (int, float),
    "sends_orders": (bool,),
}
#: The one job that may be declared to send orders.
_TRADING: Final = "trading_loop"


def _job(path: Path, name: str, table: Any) -> Job:
    where = f"{path}: job {name!r}"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or not isinstance(table, dict):
        raise ConfigError(f"{where} is not a table with a plain name", next_step="write it as [trading_loop]")
    for key, value in table.items():
        if key not in _TYPES:
            near = difflib.get_close_matches(key, _TYPES, n=1)
            step = f"write {near[0]}" if near else f"known keys: {', '.join(_TYPES)}"
            raise ConfigError(f"{where}: unknown key {key!r}", next_step=step)
        if type(value) not in _TYPES[key]:
            wanted = " or ".join(kind.__name__ for kind in _TYPES[key])
            raise ConfigError(f"{where}: {key} = {value!r} is not {wanted}", next_step="correct the value")
    missing = [key for key in _TYPES if key not in table]
    if missing:
        raise ConfigError(f"{where}: {missing[0]} is missing", next_step="add it; there are no defaults")
    timeout_s = float(table["timeout_s"])
    if not (math.isfinite(timeout_s) and 0 < timeout_s <= 86_400):
        raise ConfigError(f"{where}: timeout_s = {timeout_s}", next_step="give seconds, at most one day")
    notebook = path.parent / table["notebook"]
    if not notebook.is_file():
        raise ConfigError(f"{where}: there is no notebook {notebook}", next_step="correct its name")
    if table["sends_orders"] and name != _TRADING:
        raise ConfigError(f"{where}: only {_TRADING} may send orders", next_step="set sends_orders = false")
    return Job(name, notebook, table["purpose"], table["needs_session"], timeout_s, table["sends_orders"])
