"""The declared jobs, read strictly from a `jobs.toml`; every error names its line."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from workbench.core.jobs import KINDS, Job, Parameter
from workbench.errors import ConfigError

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "notebook": (str,),
    "purpose": (str,),
    "needs_session": (bool,),
    "timeout_s": (int, float),
    "sends_orders": (bool,),
    "schedule": (str,),
    "needs": (list,),
    "misfire": (str,),
    "start_within_s": (int, float),
    "attempts": (int,),
    "resume_until": (str,),
    "holds_account": (bool,),
    "venue_keys": (bool,),
    "repeats": (bool,),
    "alert_on": (list,),
    "keep_days": (int,),
}
_PARAMETER_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "kind": (str,),
    "default": (str, int, float, bool),
    "meaning": (str,),
    "low": (int, float),
    "high": (int, float),
    "choices": (list,),
}
_OPTIONAL: Final = frozenset({"low", "high", "choices"})
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "misfire": ("skip", "catch_up"),
    "alert_on": ("failed", "missed"),
    "kind": tuple(KINDS),
}
#: Bounds of numbers, both included.
_BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "timeout_s": (1, 86_400),
    "start_within_s": (1, 86_400),
    "attempts": (1, 9),
    "keep_days": (1, 36_500),
}
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


def load_jobs(
    path: Path,
    *,
    notebooks: Sequence[Path] = (),
    secret_like: Callable[[str, object], str] = lambda name, value: "",
) -> dict[str, Job]:
    """Declared jobs by name.

    Parameters
    ----------
    notebooks : sequence of Path
        Folders where a notebook is looked for when it is not beside the file.
    secret_like : callable (name, value) -> str
        What kind of secret a parameter looks like, in words; "" when it does not.

    Raises
    ------
    ConfigError
        Unreadable, unknown or missing key, a value of the wrong type or out of bounds, no such notebook, a
        parameter that looks like a secret. The message names the line, the next step says what to write.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", next_step="check the path") from error
    place = JobsText(path, text)
    try:
        tables = tomllib.loads(text)
    except ValueError as error:  # with line and column
        raise ConfigError(f"{path} is not TOML: {error}", next_step=place.remedy(str(error))) from error
    if not tables:
        raise ConfigError(f"{path} declares no job", next_step="add a table [JOB]")
    folders = (path.parent, *notebooks)
    return {name: _Table(place, name, table).job(folders, secret_like) for name, table in tables.items()}


class JobsText:
    """The text of a jobs file, for the line of a table or a key."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self._lines: dict[tuple[str, ...], int] = {}
        table: tuple[str, ...] = ()
        for number, line in enumerate(text.splitlines(), start=1):
            if header := re.match(r"\s*\[([^\[\]]+)\]", line):
                table = tuple(part.strip().strip("\"'") for part in header[1].split("."))
                self._lines.setdefault(table, number)
            elif key := re.match(r"\s*([A-Za-z0-9_-]+)\s*=", line):
                self._lines.setdefault((*table, key[1]), number)

    def line(self, *names: str) -> int:
        """Line of the key, else of the nearest table around it."""
        while names and names not in self._lines:
            names = names[:-1]
        return self._lines.get(names, 1)

    def refuse(self, names: Sequence[str], message: str, step: str) -> NoReturn:
        """Raise the error of one place in the file."""
        line = self.line(*names)
        raise ConfigError(
            f"{self.path}, line {line}: job {names[0]!r}: {message}", next_step=step, line=line, job=names[0]
        )

    def remedy(self, error: str) -> str:
        """What to do about a text that is not TOML; a name that is there twice is the usual cause."""
        if "overwrite" in error or "twice" in error or "already" in error or "declare" in error.lower():
            return "one of two tables or keys with that name has to go: two jobs cannot have one name"
        return "correct that line"


class _Table:
    """One job's table."""

    def __init__(self, place: JobsText, name: str, table: Any) -> None:
        self._place = place
        self._name = name
        if not _NAME.fullmatch(name) or not isinstance(table, dict):
            place.refuse([name], "is not a table with a plain name", "write it as [trading_loop]")
        self._table: dict[str, Any] = dict(table)
        self._parameters: Any = self._table.pop("parameters", {})

    def job(self, folders: Sequence[Path], secret_like: Callable[[str, object], str]) -> Job:
        """The job, or the first thing that is wrong with it."""
        self._check((self._name,), self._table, _TYPES)
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in self._table.items()
        }
        for key in ("timeout_s", "start_within_s"):
            values[key] = float(values[key])
        found = [folder / values["notebook"] for folder in folders if (folder / values["notebook"]).is_file()]
        if not found or Path(values["notebook"]).name != values["notebook"]:
            self._refuse("notebook", f"there is no notebook {values['notebook']}", "correct its name")
        values["notebook"] = found[0]
        if not isinstance(self._parameters, dict):
            self._refuse("parameters", "parameters is not a table", "write [JOB.parameters]")
        parameters = {name: self._parameter(name, table) for name, table in self._parameters.items()}
        for parameter in parameters.values():
            if kind := secret_like(parameter.name, parameter.default):
                self._refuse(
                    f"parameters.{parameter.name}",
                    f"parameter {parameter.name} looks like a secret ({kind})",
                    "secrets come from the environment; parameters are written into records",
                )  # fmt: skip
        return Job(name=self._name, parameters=parameters, **values)

    def _parameter(self, name: str, table: Any) -> Parameter:
        where = (self._name, "parameters", name)
        if not _NAME.fullmatch(name) or not isinstance(table, dict):
            self._place.refuse(
                where, f"parameter {name!r} is not a plain name with a table",
                'write it as alpha = { kind = "number", default = 0.05, meaning = "..." }',
            )  # fmt: skip
        self._check(where, table, _PARAMETER_TYPES)
        parameter = Parameter(
            name, table["kind"], table["default"], table["meaning"], table.get("low"), table.get("high"),
            tuple(table.get("choices", ())),
        )  # fmt: skip
        numeric = parameter.kind in ("whole", "number")
        if not numeric and not (parameter.low is parameter.high is None):
            self._place.refuse(where, f"{name} is a {parameter.kind} with bounds", "take low and high away")
        if words := parameter.problem(parameter.default):
            self._place.refuse(where, f"default: {words}", "correct the default or its bounds")
        return parameter

    def _check(self, where: tuple[str, ...], table: dict[str, Any], types: Mapping[str, Any]) -> None:
        for key, value in table.items():
            if key not in types:
                near = difflib.get_close_matches(key, types, n=1)
                step = f"write {near[0]}" if near else f"known keys: {', '.join(types)}"
                self._place.refuse((*where, key), f"unknown key {key!r}", step)
            self._check_value((*where, key), key, value, types[key])
        missing = [key for key in types if key not in table and key not in _OPTIONAL]
        if missing:
            self._place.refuse(where, f"{missing[0]} is missing", "add it; there are no defaults")

    def _check_value(self, where: tuple[str, ...], key: str, value: Any, types: tuple[type, ...]) -> None:
        if type(value) not in types or (isinstance(value, list) and not all(type(v) is str for v in value)):
            wanted = " or ".join("list of text" if kind is list else kind.__name__ for kind in types)
            self._place.refuse(where, f"{key} = {value!r} is not {wanted}", "correct the value")
        if isinstance(value, float) and not math.isfinite(value):
            self._place.refuse(where, f"{key} = {value}", "give a finite number")
        if key in _BOUNDS and not _BOUNDS[key][0] <= value <= _BOUNDS[key][1]:
            low, high = _BOUNDS[key]
            self._place.refuse(where, f"{key} = {value}", f"give a number from {low:g} to {high:g}")
        for word in value if isinstance(value, list) else [value]:
            if key in _CHOICES and word not in _CHOICES[key]:
                near = difflib.get_close_matches(str(word), _CHOICES[key], n=1)
                step = f"write {near[0]}" if near else f"use one of {', '.join(_CHOICES[key])}"
                self._place.refuse(where, f"{key}: {word!r} is unknown", step)

    def _refuse(self, key: str, message: str, step: str) -> NoReturn:
        self._place.refuse((self._name, *key.split(".")), message, step)
