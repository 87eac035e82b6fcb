"""An executed notebook as one HTML page: no script of its own runs, nothing is fetched."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

#: What the server says about such a page: pictures may be part of it, nothing else is loaded or run.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
_STYLE = """
:root { color-scheme: light dark; --line: #8885; --soft: #8881; --bad: #c93c37; }
body { font: 14px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 24px auto; padding: 0 16px; }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: 6px; padding: 8px 10px;
  overflow-x: auto; font-size: 12.5px; margin: 6px 0; }
pre.out { background: none; } pre.err { border-color: var(--bad); }
table { border-collapse: collapse; font-size: 12.5px; display: block; overflow-x: auto; }
th, td { border: 1px solid var(--line); padding: 3px 8px; text-align: right; }
img { max-width: 100%; } .n { opacity: .6; font-size: 12px; }
"""
_ANSI = re.compile("\x1b\\[[0-9;]*[A-Za-z]")


def executed_notebook(notebook: Mapping[str, Any], *, title: str) -> str:
    """The page: text, code and outputs of every cell in order.

    Outputs of kind HTML are shown as they are; the page's policy (`POLICY`) keeps scripts in them from
    running. Text is escaped.
    """
    cells = "".join(_cell(cell) for cell in notebook["cells"])
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>'
        f'{html.escape(title)}</title><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY.rpartition(";")[0]}">'
        f'<style>{_STYLE}</style></head><body><p class="n">{html.escape(title)}</p>{cells}</body></html>'
    )


def _cell(cell: Mapping[str, Any]) -> str:
    source = _text(cell["source"])
    if cell["cell_type"] == "markdown":
        return _markdown(source)
    if cell["cell_type"] != "code":
        return f"<pre>{html.escape(source)}</pre>"
    number = f'<div class="n">[{html.escape(str(cell.get("execution_count") or " "))}]</div>'
    return f"{number}<pre>{html.escape(source)}</pre>" + "".join(_output(one) for one in cell["outputs"])


def _output(output: Mapping[str, Any]) -> str:
    kind = output["output_type"]
    if kind == "stream":
        return f'<pre class="out">{html.escape(_plain(output["text"]))}</pre>'
    if kind == "error":
        return f'<pre class="out err">{html.escape(_plain(output["traceback"]))}</pre>'
    data = output.get("data", {})
    if "image/png" in data:
        encoded = re.sub(r"[^A-Za-z0-9+/=]", "", _text(data["image/png"]))
        return f'<img alt="output of the cell" src="data:image/png;base64,{encoded}">'
    if "text/html" in data:
        return f"<div>{_text(data['text/html'])}</div>"
    return f'<pre class="out">{html.escape(_plain(data.get("text/plain", "")))}</pre>'


def _markdown(source: str) -> str:
    """Headings, paragraphs, bold and code; everything else of the notation stays as it was typed."""
    shown = []
    for block in re.split(r"\n\s*\n", source):
        level = len(block) - len(block.lstrip("#"))
        if 1 <= level <= 4:
            shown.append(f"<h{level}>{html.escape(block.lstrip('#').strip())}</h{level}>")
        else:
            text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", html.escape(block))
            text = re.sub(r"`(.+?)`", r"<code>\1</code>", text)
            shown.append(f'<p style="white-space: pre-line">{text}</p>')
    return "".join(shown)


def _text(value: Any) -> str:
    return "".join(value) if isinstance(value, list) else str(value)


def _plain(value: Any) -> str:
    """Text without the colours of a terminal; lines of a traceback below each other."""
    joined = (
        "\n".join(value)
        if isinstance(value, list) and value and not value[0].endswith("\n")
        else _text(value)
    )
    return _ANSI.sub("", joined)
