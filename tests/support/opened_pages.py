"""The dashboards served by the real program, and pages of them opened in a real browser."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from command_line import PROGRAM
from playwright.sync_api import TimeoutError as NotYet

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
SOON_MS = 120_000  #: longer than any machine needs; a page that is ready sooner is not waited for
AGAIN_MS = 10_000  #: after which a person would press once more


class Server:
    """`workbench dashboards` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [str(PROGRAM), "dashboards", "--port", "0", "--json"],
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.root = json.loads(self.process.stdout.readline())["address"].rpartition("/")[0]

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)
        assert self.process.stdout is not None
        self.process.stdout.close()


class Visit:
    """One opened page, with what it complained about and where it asked for files."""

    def __init__(self, browser: Any, address: str, *, width: int = 1280) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900})
        self.page.set_default_timeout(SOON_MS)
        self.complaints: list[str] = []
        self.asked: set[str] = set()
        self.page.on("console", lambda said: self._hear(said))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.add(request.url))
        self.page.goto(address)

    def _hear(self, said: Any) -> None:
        if said.type == "error":
            self.complaints.append(said.text)

    def shows(self, text: str) -> None:
        """Wait until the text can be read on the live page, not only in the server's first answer."""
        self.page.locator("#shell").wait_for(state="detached", timeout=SOON_MS)
        self.page.get_by_text(text).first.wait_for(timeout=SOON_MS)

    def press_until(self, pressed: Any, text: str) -> None:
        """Press until the text can be read: as a person would who pressed before the page listened."""
        wanted = self.page.get_by_text(text).first
        for _ in range(SOON_MS // AGAIN_MS):
            pressed.click()
            try:
                wanted.wait_for(timeout=AGAIN_MS)
            except NotYet:
                continue
            return
        raise AssertionError(f"pressed again and again, and {text!r} did not appear")

    def opens(self, pressed: Any) -> Any:
        """The page that a link opens in a window of its own, pressed until it opens.

        A table that is drawn anew between the two halves of a click takes the click with it.
        """
        for _ in range(SOON_MS // AGAIN_MS):
            try:
                with self.page.context.expect_page(timeout=AGAIN_MS) as opened:
                    pressed.click()
            except NotYet:
                continue
            return opened.value
        raise AssertionError("pressed again and again, and no page opened")

    def foreign(self, root: str) -> set[str]:
        """Addresses outside this machine that the page asked for."""
        return {
            url
            for url in self.asked
            if not url.startswith((root, root.replace("http", "ws"), "data:", "blob:"))
        }
