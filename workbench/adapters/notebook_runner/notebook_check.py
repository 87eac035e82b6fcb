"""Which notebooks are fit for production: one literal parameter, and no way past an error."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Final

from workbench.errors import ConfigError

_FORBIDDEN_TAGS: Final = frozenset({"raises-exception", "skip-execution", "injected-parameters"})


def check_notebook(path: Path) -> None:
    """Refuse a notebook that papermill would run with other parameters or past an error.

    Raises
    ------
    ConfigError
        Unreadable; not exactly one cell tagged `parameters`, or not the first code cell; that cell does
        anything but give `params_file` a literal text; a cell may raise or is skipped.
    """
    try:
        cells = json.loads(path.read_bytes())["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        tags = [set(cell["metadata"].get("tags", [])) for cell in code]
        sources = ["".join(cell["source"]) for cell in code]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"notebook {path} cannot be read: {error}", next_step="restore it from version control"
        ) from error
    for number, cell_tags in enumerate(tags, start=1):
        for tag in sorted(cell_tags & _FORBIDDEN_TAGS):
            raise ConfigError(
                f"code cell {number} of {path} is tagged {tag!r}",
                next_step="remove the tag: a production notebook stops at its first error",
            )
    tagged = [number for number, cell_tags in enumerate(tags) if "parameters" in cell_tags]
    if tagged != [0]:
        found = f"{len(tagged)} cells" if len(tagged) != 1 else f"code cell {tagged[0] + 1}"
        raise ConfigError(
            f"{path} has the tag 'parameters' on {found}", next_step="tag its first code cell, and no other"
        )
    if not _defines_only_params_file(sources[0]):
        raise ConfigError(
            f'the parameters cell of {path} must be one line: params_file = ""',
            next_step="everything else comes from the parameters file",
        )


def _defines_only_params_file(source: str) -> bool:
    try:
        statements = ast.parse(source).body
    except SyntaxError:
        return False
    match statements:
        case [ast.Assign(targets=[ast.Name(id="params_file")], value=ast.Constant(value=str()))]:
            return True
        case [ast.AnnAssign(target=ast.Name(id="params_file"), value=ast.Constant(value=str()))]:
            return True
        case _:
            return False
