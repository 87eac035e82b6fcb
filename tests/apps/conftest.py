"""A desk that has traded, for pages to show."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from workbench.config import Settings


@pytest.fixture(scope="session")
def traded(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A desk with two closed sessions."""
    from drive import trade

    from workbench.config import load_settings

    folder = tmp_path_factory.mktemp("pages") / "desk"
    shutil.copytree(prepared, folder)
    settings = load_settings(str(folder / "workbench.toml"))
    for session in ("2013-02-01", "2013-02-04"):
        trade(settings, session)
    return settings
