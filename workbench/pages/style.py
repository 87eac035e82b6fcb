"""Colours, type and spacing of every page, and the clock that runs in the reader's browser."""

from __future__ import annotations

#: Age in seconds from which a page says that it is late: its server, or the machine, is busy.
LATE_S = 5.0
#: Age in seconds from which a page is grey: it may no longer be true.
STALE_S = 12.0

STYLE = """
:root { --ink: #1b1f24; --muted: #59636e; --line: #d0d7de; --card: #ffffff; --good: #1a7f37; --warn: #9a6700;
        --bad: #b3261e; --page: #f6f8fa; --accent: #1f5fa8; }
[data-bs-theme=dark] { --ink: #e6edf3; --muted: #9198a1; --line: #3d444d; --card: #161b22; --good: #3fb950;
        --warn: #d29922; --bad: #ff7b72; --page: #0d1117; --accent: #79b8ff; }
body, #container, #content, #main, .main-content { background: var(--page) !important; color: var(--ink); }
#header { flex-wrap: wrap; height: auto; min-height: 56px; }
.late #header::after { content: "Late: nothing has been heard from the desk for some seconds. The machine "
  "may be busy; the page turns grey when it stays silent."; background: #9a6700; color: #fff;
  padding: 4px 14px; width: 100%; }
.silent #main { filter: grayscale(1); opacity: .45; }
.silent #header::after { content: "Nothing has been heard from the desk for some seconds: what this page "
  "shows may no longer be true. It comes back by itself, or look at the terminal of workbench dashboards.";
  background: #b3261e; color: #fff; padding: 8px 14px; width: 100%; font-weight: 600; }
"""

PARTS = """
:host { color: var(--ink); font-family: system-ui, sans-serif; }
a { color: var(--accent); }
a:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
h2 { font-size: 15px; margin: 0 0 6px; font-weight: 600; }
h2::after { content: var(--age, ""); float: right; color: var(--muted); font-size: 12px; font-weight: 400; }
h2 a, dd a { color: inherit; text-decoration: underline dotted var(--line); text-underline-offset: 3px; }
dd a:hover { text-decoration-color: var(--accent); }
h2 a { font-size: 12px; margin-left: 8px; color: var(--muted); font-weight: 400; }
nav { display: flex; flex-wrap: wrap; }
nav a { color: #ffffff; margin: 0 10px 0 0; text-decoration: none; padding: 6px 8px; border-radius: 6px; }
nav a[aria-current=page], nav a:hover, nav a:focus { background: rgba(255, 255, 255, .22); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; }
.facts { display: grid; gap: 10px 18px; margin: 0;
  grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
.facts + p { margin: 14px 0 0; }
.facts.wide { grid-template-columns: repeat(auto-fit, minmax(230px, 1fr)); }
.facts dt { color: var(--muted); font-size: 12px; margin: 0; font-weight: 400; }
.facts dd { font-size: 15px; margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.state { font-size: 26px; font-weight: 700; letter-spacing: .02em; }
.ACTIVE { color: var(--good); } .REDUCING { color: var(--warn); } .HALTED { color: var(--bad); }
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
.muted { color: var(--muted); font-size: 13px; }
.problem { border-left: 4px solid var(--bad); }
.bar { height: 10px; border-radius: 5px; background: var(--line); overflow: hidden; }
.bar > span { display: block; height: 100%; background: var(--accent); }
.bar > span.warn { background: var(--warn); } .bar > span.bad { background: var(--bad); }
pre { background: var(--page); border: 1px solid var(--line); border-radius: 6px; padding: 8px; margin: 6px 0;
  white-space: pre-wrap; overflow-wrap: anywhere; font-size: 12px; }
"""

#: Runs with every beat of the server: the page says how old it is and turns grey when no beat comes.
#: `cb_obj.value` is "number age"; every panel shows the age through a property that shadow roots inherit.
BEAT = """
const page = document.documentElement;
window.deskBeat = {heard: Date.now(), age: Number(cb_obj.value.split(' ')[1])};
if (!window.deskWatch) {
  let looked = Date.now(), heldUp = false;
  const watch = () => {
    // a look that comes late shows that the browser itself was busy or asleep: beats may wait in its queue,
    // so the next look judges, half a second later
    const gap = (Date.now() - looked) / 1000;
    looked = Date.now();
    heldUp = gap > 3 && !heldUp;
    if (heldUp) return;
    const silent = (Date.now() - window.deskBeat.heard) / 1000;
    const age = window.deskBeat.age + silent;
    const words = !isFinite(age) ? 'never read' : age < 120 ? Math.round(age) + ' s old'
      : Math.round(age / 60) + ' min old';
    page.style.setProperty('--age', '"' + words + '"');
    page.classList.toggle('silent', silent > STALE_S);
    page.classList.toggle('late', silent > LATE_S && silent <= STALE_S);
  };
  window.deskWatch = setInterval(watch, 500);
  watch();
}
""".replace("STALE_S", str(STALE_S)).replace("LATE_S", str(LATE_S))
