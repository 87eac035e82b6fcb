"""The boundary of every command: each error leaves as a message, a next step and an exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import typer

from workbench.cli.console import fail
from workbench.cli.payloads import KEYS
from workbench.errors import JobFailed, StorageFailed, UsageError, WorkbenchError
from workbench.redaction import redact

#: What a shell says of a program that Ctrl-C ended.
_STOPPED = 130


def commands(tree: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Path and command of every leaf of the tree, such as "jobs run"."""
    for name, command in tree.commands.items():
        path = f"{above} {name}".strip()
        if hasattr(command, "commands"):
            yield from commands(command, path)
        else:
            yield path, command


def document(tree: Any) -> None:
    """Say below the help of every command which keys its JSON object has."""
    for path, command in commands(tree):
        command.epilog = f"Keys of --json: {', '.join(KEYS.get(path, ()))}."


def run(build: Callable[[], Any], arguments: Sequence[str]) -> None:
    """Run one command of the tree that `build` makes, and leave with its exit code."""
    given = list(arguments)
    as_json = "--json" in given
    try:
        code = build().main(args=given, prog_name="workbench", standalone_mode=False)
    except WorkbenchError as error:
        fail(error, as_json)
    except typer.TyperException as error:
        fail(_usage_error(error, as_json), as_json)
    except (KeyboardInterrupt, typer.Abort):
        code = _STOPPED
    except OSError as error:
        step = "free space or mend the permissions, then run the command again: nothing is half-done"
        fail(StorageFailed(f"{error.filename or 'the disk'}: {error.strerror}", next_step=step), as_json)
    except Exception as error:  # the boundary: a defect is a failure with a trace, never a success
        print(redact(traceback.format_exc()), end="", file=sys.stderr)
        step = "this is a defect of workbench: report it with the lines above, and look at `workbench status`"
        fail(JobFailed(f"{type(error).__name__}: {error}", next_step=step), as_json)
    if code == _STOPPED:  # the parser turns Ctrl-C into this code
        print("stopped; what was done is recorded, run the same command to go on", file=sys.stderr)
    sys.exit(code or 0)


def _usage_error(error: typer.TyperException, as_json: bool) -> UsageError:
    """The parser's error in our words; a group without a command shows its help."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "workbench"
    message = error.format_message()
    if context is not None and message == context.get_help():
        if not as_json:
            print(message, file=sys.stderr)
            sys.exit(UsageError.exit_code)
        message = f"{path}: no command was given"
    return UsageError(message, next_step=f"{path} --help")
