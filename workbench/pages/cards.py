"""Cards with which a person commands: the kill switch, approvals, alerts. The server judges every press."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd

from workbench.pages.drawer import why_link
from workbench.pages.parts import BOX, card, facts
from workbench.pages.tables import table

if TYPE_CHECKING:
    from workbench.screens.commands import DeskCommands, Said


def halt_card(commands: DeskCommands, *, person: str = "") -> Any:
    """The kill switch: a name, a reason, and a second thought.

    Parameters
    ----------
    person : str
        Who has logged in; "" = whoever presses types a name.
    """
    import panel as pn

    name, reason = name_field(person), reason_field()
    sure = pn.widgets.Checkbox(label="Yes, stop sending now")
    button = pn.widgets.Button(label="HALT", button_type="danger", width=160)
    answer = card()

    def press(_: Any) -> None:
        if not sure.value:
            answer.object = '<span class="warn">Not halted: tick the box to confirm.</span>'
            return
        answer.object = said_words(commands.halt(person or name.value, reason.value))
        sure.value = False

    button.on_click(press)
    return pn.Column(
        card("<h2>Kill switch</h2>"), name, reason, pn.FlexBox(sure, button), answer,
        sizing_mode="stretch_width", styles=BOX, margin=(5, 10),
    )  # fmt: skip


def approvals_card(commands: DeskCommands, *, person: str = "") -> tuple[Any, Callable[[pd.DataFrame], None]]:
    """Orders that wait for a person, the chosen one in full, and the answer; with the setter of the rows.

    Parameters
    ----------
    person : str
        Who has logged in; "" = whoever answers types a name.
    """
    import panel as pn

    shown: dict[str, Any] = {"rows": pd.DataFrame(), "chosen": {"id": ""}}
    detail, answer = card(), card()
    name, reason = name_field(person), reason_field()
    passphrase = pn.widgets.PasswordInput(label="Passphrase, to sign the answer", sizing_mode="stretch_width")
    approve = pn.widgets.Button(label="Approve", button_type="success", width=120)
    decline = pn.widgets.Button(label="Decline", button_type="danger", width=120)
    form = pn.Column(
        name, reason, passphrase, pn.Row(approve, decline), visible=False, styles=BOX, margin=(5, 10)
    )

    def choose(at: int) -> None:
        row = shown["rows"].iloc[at].to_dict()
        shown["chosen"] = row
        title = f"{row['side']} {row['shares']:,} {row['symbol']}"
        detail.object = facts(title, _labelled(row), whole=f"pending/{row['id']}")
        form.visible = commands.may_command(person)

    def give(verdict: str) -> Callable[[Any], None]:
        def press(_: Any) -> None:
            secret, passphrase.value = passphrase.value, ""
            # also what waits no longer: the journal says who answered it, and that somebody came second
            answer.object = said_words(
                commands.answer(
                    shown["chosen"], verdict, person=person or name.value, reason=reason.value,
                    passphrase=secret,
                )
            )  # fmt: skip

        return press

    approve.on_click(give("approved"))
    decline.on_click(give("declined"))
    box, show_rows = table(
        "Orders that wait for a person", empty="Nothing waits for a person.", choose=choose, why="pending"
    )

    def show(frame: pd.DataFrame) -> None:
        shown["rows"] = frame
        show_rows(frame[[*_COLUMNS]])
        if shown["chosen"]["id"] not in set(frame["id"]):
            form.visible, detail.object = False, ""

    return pn.Column(box, detail, form, answer, sizing_mode="stretch_width"), show


def alerts_card(commands: DeskCommands, *, person: str = "") -> tuple[Any, Callable[[pd.DataFrame], None]]:
    """Alerts that are open, with a way to take the chosen one over; with the setter of the rows."""
    import panel as pn

    shown: dict[str, Any] = {"rows": pd.DataFrame(), "chosen": -1}
    name, reason = name_field(person), reason_field()
    button = pn.widgets.Button(label="Acknowledge", button_type="primary", width=140)
    head, answer = card(), card()
    form = pn.Column(head, name, reason, button, visible=False, styles=BOX, margin=(5, 10))

    def choose(at: int) -> None:
        row = shown["rows"].iloc[at]
        shown["chosen"] = int(row["alert"])
        head.object = (
            f"<b>{html.escape(str(row['text']))}</b> {why_link(f'alerts/{row.alert}', 'where from?')}"
            f'<p class="muted">What to do: {html.escape(str(row["runbook"]))}</p>'
        )
        form.visible = commands.may_command(person) and not row["acknowledged_by"]

    def press(_: Any) -> None:
        answer.object = said_words(
            commands.acknowledge(shown["chosen"], person=person or name.value, reason=reason.value)
        )

    button.on_click(press)
    box, show_rows = table(
        "Alerts", empty="No alert is open.", choose=choose, why="alerts",
        colours={"critical": "bad", "warning": "warn", "undeliverable": "bad"},
    )  # fmt: skip

    def show(frame: pd.DataFrame) -> None:
        shown["rows"] = frame
        show_rows(frame.drop(columns="alert"))
        form.visible = False

    return pn.Column(box, form, answer, sizing_mode="stretch_width"), show


_COLUMNS = ("symbol", "side", "shares", "limit", "notional_usd", "expected_cost_bps", "waits_because")


def _labelled(row: dict[str, Any]) -> dict[str, object]:
    """Everything needed to decide on an order, labelled with its unit."""
    return {
        "Type": row["order_type"], "Limit, USD": row["limit"], "Decision price, USD": row["decision_price"],
        "Bid, USD": row["bid"], "Ask, USD": row["ask"], "Age of the quote, s": row["quote_age_s"],
        "Value, USD": row["notional_usd"], "Expected cost, bps": row["expected_cost_bps"],
        "Expected cost, USD": row["expected_cost_usd"], "Controls": row["verdict"],
        "Position before": row["position_before"], "Position after": row["position_after"],
        "Waits because": row["waits_because"], "Session": row["session"],
        "Under these settings": "yes" if row["same_settings"] else "NO: it cannot be approved",
    }  # fmt: skip


def name_field(person: str) -> Any:
    """Where a person types a name; hidden from who has logged in."""
    import panel as pn

    return pn.widgets.TextInput(label="Your name", sizing_mode="stretch_width", visible=not person)


def reason_field() -> Any:
    """Where a person says why."""
    import panel as pn

    return pn.widgets.TextInput(label="Reason", sizing_mode="stretch_width")


def said_words(said: Said) -> str:
    """What became of a command, as HTML."""
    return f'<b class="{"good" if said.done else "warn"}">{html.escape(said.text)}</b>'
