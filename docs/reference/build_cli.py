"""Write ``cli.md`` beside this file: every command, what it takes and prints, and the exit codes.

Run it after a command was added or changed: ``python docs/reference/build_cli.py`` or ``make docs``.
A test compares the page with what this script would write.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench import errors
from workbench.cli.app import build, commands
from workbench.cli.payloads import ERROR_KEYS, KEYS

FOLDER = Path(__file__).parent
_HEAD = """\
# Command line

Written by `docs/reference/build_cli.py`; do not edit.

Every command has `--help`. With `--json` it prints exactly one JSON object on standard output, with the
keys listed here, and progress nowhere; without it, text for people. Results go to standard output, progress
and errors to standard error. Commands read `workbench.toml` in the present folder unless `--config` names
another file.

## Exit codes

| code | families of errors | what to do |
|---|---|---|
"""
_AFTER_CODES = """
A command that was stopped with Ctrl-C leaves with 130, as every program does; what was done is recorded.

An error is a message that names the thing, then `next:` and what to do. With `--json` it is an object:

"""
_COMMON = {"config", "as_json", "help"}
_STEPS = {
    0: "nothing: the work is done",
    2: "correct the input and run again",
    3: "look at the guard that said no; nothing was sent",
    4: "resolve the order with the venue before anything else",
    5: "mend the machine or the job, then run it again; what was done is recorded",
}


def pages() -> dict[str, str]:
    """File name and whole text of each page that this script writes."""
    parts = [_HEAD + _codes() + _AFTER_CODES + _keys(ERROR_KEYS)]
    parts += [_command(path, command) for path, command in sorted(commands(build()))]
    return {"cli.md": "\n".join(parts)}


def _codes() -> str:
    families: dict[int, list[str]] = {code: [] for code in _STEPS}
    for name, kind in sorted(vars(errors).items()):
        root = errors.WorkbenchError
        if isinstance(kind, type) and issubclass(kind, root) and kind is not root:
            families[kind.exit_code].append(f"`{name}`")
    rows = (
        f"| {code} | {', '.join(families[code]) or '(none)'} | {step} |\n" for code, step in _STEPS.items()
    )
    return "".join(rows)


def _command(path: str, command: Any) -> str:
    parameters = [each for each in command.params if each.name not in _COMMON]
    text = f"## workbench {path}\n\n{' '.join(command.help.split())}\n"
    if parameters:
        text += "\n| takes | meaning |\n|---|---|\n" + "".join(map(_parameter, parameters))
    return f"{text}\n{_keys(KEYS[path])}"


def _parameter(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        names = f"`{parameter.name.upper()}`"
    else:
        names = ", ".join(f"`{option}`" for option in parameter.opts)
    note = " Required." if parameter.required else ""
    if not parameter.required and parameter.default not in (None, "", False):
        note = f" Default `{parameter.default}`."
    return f"| {names} | {parameter.help}{note} |\n"


def _keys(keys: dict[str, str]) -> str:
    rows = "".join(f"| `{key}` | {meaning} |\n" for key, meaning in keys.items())
    return f"| JSON key | meaning |\n|---|---|\n{rows}"


if __name__ == "__main__":
    for _name, _text in pages().items():
        (FOLDER / _name).write_text(_text, encoding="utf-8")
