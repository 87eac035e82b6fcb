"""Tracked files name no machine's folders, no package index host and no working data."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

MACHINE_PATH = re.compile(
    rb"(?<![\w.:/~-])/(?:home|root|Users|work|opt|mnt|srv|media|private|builds|tmp|var/(?:lib|tmp|folders))/[\w.-]+"
)
WINDOWS_PATH = re.compile(rb"(?<![\w])[A-Z]:\\\\?(?:Users|Documents|work)\b")
INDEX_HOST = re.compile(
    rb"(?i)https?://[\w.:-]+/(?:[\w.-]+/)*\+?simple\b|files\.pythonhosted\.org|--(?:extra-)?index-url|--find-links"
)
LARGEST_BYTES = 2_000_000


def traces(content: bytes) -> list[str]:
    """What ties the content to one machine or one package index."""
    found = [
        match.group() for rule in (MACHINE_PATH, WINDOWS_PATH, INDEX_HOST) for match in rule.finditer(content)
    ]
    return [one.decode(errors="replace") for one in found]


def test_no_tracked_file_names_a_machine_or_an_index(tracked_files: list[Path], root: Path) -> None:
    own = Path(__file__)
    found = {str(path.relative_to(root)): traces(path.read_bytes()) for path in tracked_files if path != own}
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "content",
    [
        b'path = "/home/somebody/desk"',
        b"cd /root/project",
        b"/Users/me/notebooks/x.ipynb",
        b"see /tmp/run1/out.txt",
        b'"C:\\\\Users\\\\me"',
        b"https://packages.example.org/simple",
        b"https://packages.example.org:8080/root/dev/+simple/simple/",
        b"pip install --index-url x",
    ],
)
def test_a_trace_is_found(content: bytes) -> None:
    assert traces(content)


@pytest.mark.parametrize(
    "content",
    [
        b"data/desk/journal.sqlite",
        b"#!/usr/bin/env bash",
        b"~/desk/home/x",
        b"workbench/work/x",
        b"docs/how-to/opt/in",
    ],
)
def test_an_ordinary_path_passes(content: bytes) -> None:
    assert traces(content) == []


def test_nothing_that_the_desk_writes_is_tracked(tracked_files: list[Path], root: Path) -> None:
    names = [path.relative_to(root) for path in tracked_files]
    wrong = [
        name
        for name in names
        if name.parts[:2] == ("data", "desk")
        or name.name == "ARMED"
        or name.suffix in {".sqlite", ".sqlite-wal", ".tmp", ".pyc", ".pem", ".key", ".nbi", ".nbc"}
        or name.name.startswith(".env")
    ]
    assert wrong == []


def test_no_tracked_file_is_large(tracked_files: list[Path]) -> None:
    assert {path.name: size for path in tracked_files if (size := path.stat().st_size) > LARGEST_BYTES} == {}
