"""HALT pressed in a real browser ends a loop that is sending to a venue over sockets."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from opened_pages import CHROMIUM, Server, Visit

from tests.support.kill_world import Loop, VenueApart, desk_at, posts_after
from workbench.bootstrap.admin import permission

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no browser: install chromium, or name one in CHROMIUM"),
]


def test_halt_on_the_page_ends_a_running_loop(browser: Any, tmp_path: Path) -> None:
    venue = VenueApart(tmp_path)
    loop = server = None
    try:
        settings = desk_at(tmp_path / "desk", venue)
        server = Server(tmp_path / "desk")
        visit = Visit(browser, f"{server.root}/desk")
        visit.shows("orders may be sent")
        loop = Loop(settings, 5)  # ready: orders are open, and it goes on sending
        names = visit.page.locator("input[type=text]:visible")
        names.nth(0).fill("ada")
        names.nth(1).fill("a strange price")
        names.nth(1).press("Tab")
        visit.page.locator("input[type=checkbox]").check()
        assert len(posts_after(venue, 0)) > 5  # it did send until now
        visit.page.get_by_role("button", name="HALT").click()
        visit.shows("nothing may be sent until a person resumes")
        halted_ns = time.time_ns()
        assert permission(settings).state == "HALTED"
        time.sleep(0.1)  # a loop that had not heard of it would send some ten orders now
        ended = loop.stop()
        loop = None
        assert ended["sent"] > 0
        assert ended["refused"] > 0  # it went on asking, and was refused
        assert posts_after(venue, halted_ns, within_ms=0.0) == []
        visit.shows("by ada")
        visit.page.close()
    finally:
        if loop is not None:
            loop.kill()
        if server is not None:
            server.close()
        venue.close()
