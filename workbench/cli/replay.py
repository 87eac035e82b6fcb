"""The command that trades a recorded session again, steps through it, or asks what other terms had done."""

from __future__ import annotations

import dataclasses
import tomllib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.console import emit, rows_table
from workbench.cli.options import DEFAULT_CONFIG, AsJson, Config
from workbench.errors import ManifestMismatch, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from workbench.core.rewind import AccountState, Timeline
    from workbench.services.replay import ReplayReport
    from workbench.services.what_if import WhatIf

Run = Annotated[str, typer.Argument(help="JOB/DATE.N, or the folder of a run.")]
AcceptVersions = Annotated[
    bool,
    typer.Option("--accept-versions", help="Compare although versions are not those of the run; named."),
]
At = Annotated[int, typer.Option("--at", help="Show the state just after this event; nothing is run.")]
Move = Annotated[int, typer.Option("--step", help="So many steps after --at; a negative number goes back.")]
Steps = Annotated[bool, typer.Option("--steps", help="List the session's events; nothing is run.")]
Change = Annotated[
    list[str] | None,
    typer.Option("--what-if", help="KEY=VALUE: trade under another setting, model or cost_model instead."),
]
Session = Annotated[str, typer.Option("--session", help="Exchange session, ISO date; empty = all of them.")]
#: Keys of the object that belong to what was not asked for.
_NOTHING: dict[str, Any] = {
    "identical": None, "first_divergence": None, "recorded_digest": None, "replayed_digest": None,
    "differences": [], "decisions": None, "seconds": None, "state": None, "steps": None, "hypothetical": None,
}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the command to the command tree."""
    app.command("replay")(replay)
    app.command("timings")(timings)


def replay(
    run: Run,
    at: At = 0,
    step: Move = 0,
    steps: Steps = False,
    what_if: Change = None,
    accept_versions: AcceptVersions = False,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Trade a recorded session again from its recorded inputs; names the first difference.

    With --at or --steps it shows what the session had recorded instead, with --what-if how it would have
    gone under other terms. Nothing of the desk is changed by any of them.
    """
    from workbench.bootstrap import replay as replays

    if (bool(at or step) + steps + bool(what_if)) > 1:
        raise UsageError("--at, --steps and --what-if ask for different things", next_step="ask for one")
    if at or step or steps:
        _show(replays.timeline(run, config=config), run, at, step, as_json)
    elif what_if:
        changes = dict(_change(text) for text in what_if)
        _suppose(replays.what_if(run, changes, config=config, accept_versions=accept_versions), as_json)
    else:
        _compare(replays.replay(run, config=config, accept_versions=accept_versions), as_json)


def timings(
    session: Session = "",
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show how long each stage of cycles and sessions took beside its budget."""
    from workbench.bootstrap import open_workbench
    from workbench.config import load_settings

    table = open_workbench(load_settings(str(config))).timings(session)
    rows = [list(row) for row in table.itertuples(index=False)]
    emit(
        {"session": session, "stages": table.to_dict("records")},
        as_json,
        lambda out: out.print(rows_table("how long the stages took", list(table.columns), rows)),
    )


def _compare(report: ReplayReport, as_json: bool) -> None:
    first = report.first_divergence
    payload = {
        **_NOTHING, "run": report.run, "session": report.session, "identical": report.identical,
        "first_divergence": None if first is None else dataclasses.asdict(first),
        "recorded_digest": report.recorded_digest, "replayed_digest": report.replayed_digest,
        "differences": list(report.differences), "decisions": len(report.decisions),
        "seconds": report.seconds,
    }  # fmt: skip
    if first is not None:
        raise ManifestMismatch(
            f"the replay of {report.run} is not its record: {first}",
            next_step="look at `.tree` and `.decisions` of workbench.replay(run); differences: "
            + ("; ".join(report.differences) or "none of code or data"),
            **payload,
        )
    text = f"{report.run}: identical, {payload['decisions']} decisions, digest {report.recorded_digest[:12]}"
    if report.versions_differ:
        text += f"\nunder other versions: {'; '.join(report.differences)}"
    emit(payload, as_json, lambda out: out.print(text, markup=False))


def _show(line: Timeline, run: str, at: int, step: int, as_json: bool) -> None:
    payload = {**_NOTHING, "run": run, "session": line.session}
    if at or step:
        seq = at or line.first_seq
        state = line.move(seq, step) if step else line.at(seq)
        emit({**payload, "state": state.as_dict()}, as_json, lambda out: _print_state(out, state))
        return
    listed = [dataclasses.asdict(one) for one in line.steps()]

    def text(out: Console) -> None:
        rows = [[one["seq"], one["kind"], one["symbol"], one["text"]] for one in listed]
        out.print(rows_table(f"session {line.session}", ["seq", "kind", "symbol", "text"], rows))

    emit({**payload, "steps": listed}, as_json, text)


def _print_state(out: Console, state: AccountState) -> None:
    rows = [
        ["event", f"{state.seq} {state.kind} {state.text}"],
        ["permission", f"{state.permission}: {state.reason}"],
        ["cash USD", f"{state.cash_micro / 1e6:,.2f}"],
        *[[f"held {symbol}", f"{quantity / 1e9:g}"] for symbol, quantity in state.positions.items()],
        *[
            [f"open {o['symbol']}", f"{o['side']} {o['quantity_nano'] / 1e9:g}, {o['state']}"]
            for o in state.open_orders
        ],
        *[["halt", text] for text in state.halts],
        *[["disabled", symbol] for symbol in state.disabled],
        *[[f"limits.{name}", str(value)] for name, value in state.limits.items()],
    ]
    out.print(rows_table(f"after event {state.seq}", ["what", "value"], rows))


def _suppose(found: WhatIf, as_json: bool) -> None:
    tables = {name: getattr(found, name) for name in ("decisions", "orders", "fills")}
    hypothetical: dict[str, Any] = {
        "changes": dict(found.changes), "totals": {k: list(v) for k, v in found.totals.items()},
        "positions": {k: list(v) for k, v in found.positions.items()},
        **{name: table.to_dict("records") for name, table in tables.items()},
    }  # fmt: skip
    payload = {
        **_NOTHING, "run": found.run, "session": found.session, "differences": list(found.differences),
        "hypothetical": hypothetical,
    }  # fmt: skip

    def text(out: Console) -> None:
        changed = ", ".join(f"{key} = {value}" for key, value in found.changes.items())
        out.print(f"HYPOTHETICAL: {found.run} with {changed}; nothing of this happened", markup=False)
        rows = [[name, ours, theirs] for name, (ours, theirs) in found.totals.items()]
        out.print(rows_table("the session", ["what", "recorded", "hypothetical"], rows))
        shown = [
            [row["symbol"], row["state"], row["hypothetical_state"], row["why"]]
            for row in tables["orders"].to_dict("records")
        ]
        out.print(rows_table("orders that differ", ["symbol", "recorded", "hypothetical", "why"], shown))

    emit(payload, as_json, text)


def _change(text: str) -> tuple[str, Any]:
    """Key and value of "KEY=VALUE"; the value as in a settings file, or a word."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(
            f"{text!r} changes nothing", next_step="write KEY=VALUE, such as policy.max_weight=0.1"
        )
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()
