"""What the documents say about the code is so."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from workbench import errors


def test_the_exit_codes_of_the_readme_are_those_of_the_errors(root: Path) -> None:
    section = (
        (root / "README.md").read_text(encoding="utf-8").partition("### Exit codes")[2].partition("\n## ")[0]
    )
    families = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)
    ]
    assert set(map(int, re.findall(r"^\| (\d) \|", section, re.MULTILINE))) == {0} | {
        kind.exit_code for kind in families
    }


@pytest.mark.parametrize("pattern", ["README.md", "CHANGELOG.md", "docs/**/*.md", "data/**/*.md"])
def test_links_lead_somewhere(root: Path, pattern: str) -> None:
    broken = [
        f"{page.relative_to(root)}: {link}"
        for page in root.glob(pattern)
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert broken == []


def test_every_make_target_that_is_named_exists(root: Path) -> None:
    pages = [root / "README.md", root / "CHANGELOG.md", *(root / "docs").rglob("*.md")]
    named = {
        word for page in pages for word in re.findall(r"(?m)(?:`|^)make ([a-z]+)\b", page.read_text("utf-8"))
    }
    listed = subprocess.run(["make", "help"], cwd=root, check=True, capture_output=True, text=True).stdout
    assert {"demo", "test"} <= named <= set(re.findall(r"make ([a-z]+)", listed)) | {"help"}


def test_decisions_are_numbered_without_gaps_and_say_their_status(root: Path) -> None:
    pages = sorted((root / "docs" / "decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        title, _, status = page.read_text(encoding="utf-8").split("\n")[:3]
        assert title.startswith(f"# {int(page.name[:4])}. "), page.name
        assert re.match(r"Status: (accepted|replaced by \d{4})$", status), page.name
