"""Write ``halts-and-alerts.md`` beside this file: every halt reason and alert code with its runbook.

Run it after one was added: ``python docs/reference/build_halts.py`` or ``make docs``. A test
compares the page with what this script would write.
"""

from __future__ import annotations

from pathlib import Path

from workbench.core.alerts import RULES, AlertRule
from workbench.core.halt_reasons import BY_A_PERSON, HALT_REASONS, HaltReason

FOLDER = Path(__file__).parent
_HEAD = """\
# Halt reasons and alert codes

Written by `docs/reference/build_halts.py`; do not edit.

A halted account sends nothing until a person resumes it. `workbench status` shows the reason in words and its
runbook; so do the refusal of every command and the alert. Each runbook names the test that drills it.

## Halt reasons

Recognised by the words with which the reason begins.

| reason | begins with | meaning |
|---|---|---|
"""
_ALERTS = """
## Alert codes

A critical alert that nobody acknowledges goes on to the next group of channels. Alerts of one code
and subject within the window are one alert that counts up.

| code | severity | window, s | meaning |
|---|---|---|---|
"""


def pages() -> dict[str, str]:
    """File name and whole text of each page that this script writes."""
    reasons = "".join(_reason(reason) for reason in (*HALT_REASONS, BY_A_PERSON))
    alerts = "".join(_alert(rule) for rule in RULES.values())
    return {"halts-and-alerts.md": _HEAD + reasons + _ALERTS + alerts}


def _reason(reason: HaltReason) -> str:
    begins = f"`{reason.begins}`".replace("|", "\\|") if reason.begins else "anything else"
    return f"| [{reason.code}]({_link(reason.runbook)}) | {begins} | {reason.meaning} |\n"


def _alert(rule: AlertRule) -> str:
    return (
        f"| [{rule.code}]({_link(rule.runbook)}) | {rule.severity} | {rule.window_s:,} | {rule.meaning} |\n"
    )


def _link(runbook: str) -> str:
    return f"../{runbook.removeprefix('docs/')}"


if __name__ == "__main__":
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
