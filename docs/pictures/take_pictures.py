"""Take the pictures of the README from a demo desk: `python docs/pictures/take_pictures.py DESK_FOLDER`.

DESK_FOLDER is where `workbench demo` was run; it is only read. Names of pictures after it take only those.
The browser is Chromium on the path, or the one that CHROMIUM names. Each picture has to stay under 200 kB.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
MOST_BYTES = 200_000
SOON_MS = 90_000
#: Picture -> address, what has to be read on the page before it is taken, and a button to press first.
PICTURES = {
    "desk": ("desk", "Limits in use", ""),
    "execution": ("tca", "Quantiles with 90 % intervals", ""),
    "drift": ("drift", "Feature by feature", "Compare"),
    "overfitting": ("overfitting?theme=dark", "The best variants of the sample family", "Judge"),
    "replay": ("replay?session=2013-02-05", "Decisions, with the reason for each", ""),
}


def main(folder: Path, names: list[str]) -> None:
    """Serve the desk, open each page, and write the pictures beside this file."""
    command = [sys.executable, "-c", "from workbench.cli import main; main()", "dashboards", "--port", "0"]
    server = subprocess.Popen([*command, "--json"], cwd=folder, stdout=subprocess.PIPE, text=True)
    if server.stdout is None:
        raise SystemExit("the server says nothing")
    root = json.loads(server.stdout.readline())["address"].rpartition("/")[0]
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
            )
            for name in names or PICTURES:
                address, words, button = PICTURES[name]
                take(browser, f"{root}/{address}", HERE / f"{name}.png", words, button)
            browser.close()
    finally:
        server.terminate()
        server.wait(timeout=30)


def take(browser: Any, address: str, path: Path, words: str, button: str) -> None:
    """One picture of a page that has been drawn."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(SOON_MS)
    page.goto(address)
    page.get_by_text("Up to date").first.wait_for(timeout=SOON_MS)
    if button:
        page.get_by_role("button", name=button).click()
    page.get_by_text(words).first.wait_for(timeout=SOON_MS)
    page.wait_for_timeout(4_000)  # pictures on the page are drawn after its words
    page.wait_for_function("!document.documentElement.classList.contains('silent')", timeout=SOON_MS)
    page.screenshot(path=str(path))
    page.close()
    size = path.stat().st_size
    print(f"{path.name}: {size / 1000:.0f} kB")
    if size >= MOST_BYTES:
        raise SystemExit(f"{path.name} has {size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
