"""A desk that has traded, for pages to show."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, opened once for the tests of a file."""
    from opened_pages import ARGUMENTS, CHROMIUM
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()
