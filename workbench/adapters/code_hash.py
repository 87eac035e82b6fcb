"""The identity of the code that may trade: package sources and the code of a production notebook."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from workbench.core.canonical import sha256_of
from workbench.errors import ConfigError

PACKAGE: Final = Path(__file__).resolve().parents[1]


_NO_EXTENSIONS: Final[Mapping[str, Path]] = {}


def code_hash(
    notebook: Path, *, package: Path = PACKAGE, extensions: Mapping[str, Path] = _NO_EXTENSIONS
) -> str:
    """Hex sha256 of every Python source of the package, of its extensions and of the notebook's code cells.

    Parameters
    ----------
    notebook : Path
        Outputs, execution counts, prose and editor metadata do not count; the order, source and tags
        of the code cells and the kernel's name do.
    package : Path, default the running package
        Folder whose `*.py` files count, by relative name and content.
    extensions : mapping of str to Path, default none
        Folder, or single file, of every other package whose code a desk lets decide, by name.

    Raises
    ------
    ConfigError
        A file cannot be read, or the notebook is not one.
    """
    hashed: dict[str, Any] = {"package": _sources(package), "notebook": _code_cells(notebook)}
    if extensions:
        hashed["extensions"] = {name: _sources(path) for name, path in extensions.items()}
    return sha256_of(hashed)


def package_hash() -> str:
    """Hex sha256 of every Python source of the running package."""
    return sha256_of(_sources(PACKAGE))


def code_stamp(*, package: Path = PACKAGE) -> str:
    """What tells at a glance whether a source of the package was changed: names, sizes and times of change.

    For processes that have loaded the code already. What may trade is told by `code_hash`.
    """
    found = []
    for folder, _, names in os.walk(package):  # a few times faster than paths: a run waits for it
        for name in names:
            if name.endswith(".py"):
                file = f"{folder}{os.sep}{name}"
                stat = os.stat(file)
                found.append([file, stat.st_size, stat.st_mtime_ns])
    return sha256_of(sorted(found))


def _sources(package: Path) -> dict[str, str]:
    if package.is_file():
        package, files = package.parent, [package]
    else:
        files = sorted(package.rglob("*.py"))
    if not files:
        raise ConfigError(f"{package} holds no Python sources", next_step="install the package again")
    try:
        return {
            file.relative_to(package).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in files
        }
    except OSError as error:
        raise ConfigError(
            f"{error.filename} cannot be read: {error.strerror}", next_step="install the package again"
        ) from error


def _code_cells(notebook: Path) -> dict[str, Any]:
    try:
        content = json.loads(notebook.read_bytes())
        cells = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
        return {
            "kernel": content["metadata"].get("kernelspec", {}).get("name", ""),
            "cells": [
                {"source": "".join(cell["source"]), "tags": sorted(cell["metadata"].get("tags", []))}
                for cell in cells
            ],
        }
    except OSError as error:
        raise ConfigError(
            f"notebook {notebook} cannot be read: {error.strerror}",
            next_step="check the path in papermill-jobs/jobs.toml",
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{notebook} is not a notebook: {error}", next_step="restore the file from version control"
        ) from error
