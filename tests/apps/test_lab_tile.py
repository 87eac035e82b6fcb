"""The dashboards from the launcher of a real JupyterLab, as after `make lab`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from jupyter_server_proxy.config import get_entrypoint_server_processes
from opened_pages import CHROMIUM, SOON_MS, Visit

from workbench.bootstrap.lab import launcher_entry
from workbench.config import Settings

ROOT = Path(__file__).resolve().parents[2]


def test_the_tile_is_installed_and_starts_the_dashboards_of_this_environment() -> None:
    """What the lab would start: the program beside this interpreter, on the port that the proxy fills in."""
    (found,) = [one for one in get_entrypoint_server_processes() if one.name == "workbench"]
    entry = launcher_entry()
    assert found.command == entry["command"]
    assert Path(found.command[0]).parent == Path(sys.executable).parent
    assert found.launcher_entry.title == "Workbench desk"
    assert found.launcher_entry.path_info == "workbench/desk"


class Lab:
    """JupyterLab over a desk's folder, with settings and files of its own."""

    def __init__(self, folder: Path, own: Path) -> None:
        self.runtime = own / "runtime"
        places = {
            "JUPYTER_RUNTIME_DIR": self.runtime, "JUPYTER_CONFIG_DIR": own / "config",
            "JUPYTER_DATA_DIR": own / "data", "IPYTHONDIR": own / "ipython",
        }  # fmt: skip
        self.log = own / "lab.log"
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            port = free.getsockname()[1]  # another process may take it: the lab then tries those behind it
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", f"--port={port}"],
                cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, **{name: str(path) for name, path in places.items()},
                     "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        self.address = self._address()

    def _address(self) -> str:
        """The address of the launcher, from the file that the server writes when it answers."""
        ends = time.monotonic() + SOON_MS / 1_000
        while time.monotonic() < ends and self.process.poll() is None:
            for file in self.runtime.glob("jpserver-*.json"):
                try:
                    info = json.loads(file.read_text())
                except json.JSONDecodeError:  # half written
                    break
                return f"{info['url']}lab?token={info['token']}"
            time.sleep(0.1)
        raise AssertionError(self.log.read_text()[-2_000:])

    def close(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)  # the lab and what it started
        self.process.wait(timeout=60)


@pytest.fixture
def lab(traded: Settings, tmp_path: Path) -> Iterator[Lab]:
    opened = Lab(traded.desk_path.parents[1], tmp_path)
    yield opened
    opened.close()


@pytest.mark.prove
@pytest.mark.skipif(CHROMIUM is None, reason="no browser: install chromium, or name one in CHROMIUM")
def test_the_tile_in_the_launcher_opens_the_desk_page(browser: Any, lab: Lab) -> None:
    visit = Visit(browser, lab.address)
    tile = visit.page.locator(".jp-LauncherCard", has_text="Workbench desk").first
    tile.wait_for(timeout=SOON_MS)
    with visit.page.expect_popup(timeout=SOON_MS) as popup:
        tile.click()
    page = popup.value
    page.get_by_text("Kill switch").first.wait_for(timeout=SOON_MS)
    page.get_by_text("Up to date").first.wait_for(timeout=SOON_MS)
    assert "/workbench/desk" in page.url
