"""An executed notebook as one page of HTML that needs nothing beside it, and its cells as plain facts."""

from __future__ import annotations

import html
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any, Final

_HEAD: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }}
pre {{ background: #f4f4f4; padding: .6rem; overflow-x: auto; font-size: 14px; }}
pre.error {{ background: #fde8e8; }}
table {{ border-collapse: collapse; font-size: 14px; }}
td, th {{ border: 1px solid #bbb; padding: .2rem .5rem; text-align: right; }}
.output {{ overflow-x: auto; }}
</style></head><body>
"""
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
#: The page's policy lets no script run; what frames print is kept, other markup is shown as text.
_TABLE: Final = re.compile(r"\s*(?:<div>\s*)?(?:<style scoped>.*?</style>\s*)?<(?:table|p)\b", re.DOTALL)


def write_page(notebook: Path) -> Path | None:
    """Write NOTEBOOK.html beside the executed notebook; None when there is no notebook to read."""
    try:
        cells = json.loads(notebook.read_bytes())["cells"]
    except (OSError, ValueError, KeyError):
        return None
    parts = [_HEAD.format(title=html.escape(f"{notebook.parent.parent.name}/{notebook.parent.name}"))]
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(_prose(source))
        elif source.strip():
            parts.append(f"<pre>{html.escape(source)}</pre>")
            parts += [_output(output) for output in cell.get("outputs", [])]
    page = notebook.with_suffix(".html")
    partial = page.with_name(f"{page.name}.tmp")
    partial.write_text("\n".join([*parts, "</body></html>\n"]), encoding="utf-8")
    partial.replace(page)
    return page


def cells_of(notebook: Path) -> list[dict[str, Any]]:
    """Number, seconds, error and printed text of every code cell that ran."""
    try:
        cells = json.loads(notebook.read_bytes())["cells"]
    except (OSError, ValueError, KeyError):
        return []
    found = []
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    for number, cell in enumerate(code, start=1):
        times = cell["metadata"].get("papermill", {})
        if times.get("start_time") is None:
            continue
        errors = [one for one in cell["outputs"] if one["output_type"] == "error"]
        printed = [_text(one["text"]) for one in cell["outputs"] if one["output_type"] == "stream"]
        found.append({
            "cell": number,
            "seconds": _seconds(times),
            "error": f"{errors[0]['ename']}: {errors[0]['evalue']}" if errors else "",
            "text": _COLOURS.sub("", "".join(printed)).strip(),
        })  # fmt: skip
    return found


def _seconds(times: dict[str, Any]) -> float | None:
    try:
        start, end = (datetime.fromisoformat(times[name]) for name in ("start_time", "end_time"))
    except (KeyError, TypeError, ValueError):
        return None
    return round((end - start).total_seconds(), 3)


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)


def _prose(source: str) -> str:
    lines = []
    for block in re.split(r"\n\s*\n", source.strip()):
        heading = re.match(r"(#{1,6})\s+(.*)", block)
        words = html.escape(heading[2] if heading else block)
        words = re.sub(r"`([^`]+)`", r"<code>\1</code>", words)
        words = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", words)
        level = len(heading[1]) if heading else 0
        lines.append(f"<h{level}>{words}</h{level}>" if heading else f"<p>{words}</p>")
    return "\n".join(lines)


def _output(output: dict[str, Any]) -> str:
    kind = output["output_type"]
    if kind == "stream":
        return f"<pre>{html.escape(_COLOURS.sub('', _text(output['text'])))}</pre>"
    if kind == "error":
        trace = _COLOURS.sub("", "\n".join(output["traceback"]))
        return f'<pre class="error">{html.escape(trace)}</pre>'
    data = output.get("data", {})
    if "image/png" in data:
        return f'<img alt="" src="data:image/png;base64,{html.escape(_text(data["image/png"]).strip())}">'
    if "text/html" in data and _TABLE.match(_text(data["text/html"])):
        return f'<div class="output">{_text(data["text/html"])}</div>'
    return f"<pre>{html.escape(_text(data.get('text/plain', '')))}</pre>"
