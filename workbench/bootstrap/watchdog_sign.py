"""Whether a watchdog lives: what status shows, and what a session asks that needs one."""

from __future__ import annotations

from typing import Any

from workbench.adapters.kernel_guard import dead_holder
from workbench.adapters.watchdog_file import WatchdogFile
from workbench.bootstrap.desk import Desk
from workbench.config import Settings
from workbench.services.preflight import Check


def watchdog_file(settings: Settings) -> WatchdogFile:
    """The watchdog's sign of life."""
    return WatchdogFile(Desk(settings).paths.root / "watchdog.heartbeat")


def watchdog_state(settings: Settings) -> dict[str, Any]:
    """Whether a watchdog lives: required, alive, age_s (None = never seen), holder."""
    beat = watchdog_file(settings).read()
    limit_s = settings.watchdog.silent_after_s
    alive = beat is not None and abs(beat.age_s) <= limit_s and not dead_holder(beat.holder)
    return {
        "required": settings.watchdog.required,
        "alive": alive,
        "age_s": None if beat is None else beat.age_s,
        "holder": "" if beat is None else beat.holder,
    }


def watchdog_trouble(settings: Settings) -> str:
    """Why nothing may be sent for want of a watchdog; "" = one lives, or none is required."""
    if not settings.watchdog.required:
        return ""
    state = watchdog_state(settings)
    if state["alive"]:
        return ""
    age_s = state["age_s"]
    return "no watchdog lives" if age_s is None else f"the watchdog was last seen {age_s:.1f} s ago"


def watchdog_check(settings: Settings) -> Check:
    """The line of the preflight table."""
    trouble = watchdog_trouble(settings)
    found = trouble or ("alive" if settings.watchdog.required else "not required")
    return Check("watchdog", not trouble, found, "start `workbench watchdog`, in a process of its own")
