"""Packages outside of this one that a desk lets in, by name: their features and strategies are loaded."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution
from pathlib import Path

from workbench.errors import ConfigError

GROUPS = ("workbench.features", "workbench.strategies")


def load_extensions(names: Sequence[str]) -> dict[str, Path]:
    """Load what the named packages register; the folder or file of every loaded module's sources, by name.

    Parameters
    ----------
    names : sequence of str
        Names of installed distributions. A package that is installed and not named stays unloaded.

    Raises
    ------
    ConfigError
        A package is not installed, offers nothing, or cannot be imported.
    """
    found: dict[str, Path] = {}
    for name in names:
        points = _points(name)
        for point in points:
            try:
                point.load()
                top = importlib.import_module(point.module.partition(".")[0])
            except Exception as error:  # the boundary to somebody else's code: it does not get in
                raise ConfigError(
                    f"extension {name!r} cannot be loaded: {type(error).__name__}: {error}",
                    next_step=f"mend the package {name}, or take it out of model.extensions",
                ) from error
            if top.__file__ is None:
                raise ConfigError(
                    f"extension {name!r}: {top.__name__} has no file, so its code cannot be hashed",
                    next_step="give the package an __init__.py",
                )
            path = Path(top.__file__)
            found[top.__name__] = path.parent if path.name == "__init__.py" else path
    return found


def _points(name: str) -> list[EntryPoint]:
    try:
        points = [one for one in distribution(name).entry_points if one.group in GROUPS]
    except (PackageNotFoundError, ValueError):
        raise ConfigError(
            f"extension {name!r} is not installed here",
            next_step=f"install the package {name} into this environment, or take it out of model.extensions",
        ) from None
    if not points:
        raise ConfigError(
            f"package {name!r} offers no entry point of {' or '.join(GROUPS)}",
            next_step="declare one in its pyproject.toml: `workbench new strategy` shows how",
        )
    return points
