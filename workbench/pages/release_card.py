"""The card with which a person promotes a model or takes one back; the server judges every press."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from workbench.pages.cards import name_field, reason_field, said_words
from workbench.pages.parts import BOX, card

if TYPE_CHECKING:
    from workbench.screens.release import ReleaseCommands

STAGES = ("shadow", "paper", "live")


def release_card(
    commands: ReleaseCommands, *, person: str = ""
) -> tuple[Any, Callable[[Sequence[str]], None]]:
    """A model, a stage, a reason and a signature; with the setter of the models.

    Parameters
    ----------
    person : str
        Who has logged in; "" = whoever presses types a name.
    """
    import panel as pn

    name, reason, answer = name_field(person), reason_field(), card()
    model = pn.widgets.Select(label="Model", options={}, sizing_mode="stretch_width")
    stage = pn.widgets.Select(label="Stage", options=list(STAGES), width=160)
    passphrase = pn.widgets.PasswordInput(label="Passphrase, to sign", sizing_mode="stretch_width")
    typed = pn.widgets.TextInput(label="Alone on a desk: what is confirmed", sizing_mode="stretch_width")
    ask = pn.widgets.Button(label="Ask or confirm", button_type="primary", width=160)
    sure = pn.widgets.Checkbox(label="Yes, retire the model that decides now")
    back = pn.widgets.Button(label="Roll back", button_type="danger", width=140)

    def promote(_: Any) -> None:
        secret, passphrase.value = passphrase.value, ""
        answer.object = said_words(
            commands.promote(
                str(model.value or ""), str(stage.value), person=person or name.value, reason=reason.value,
                passphrase=secret, typed=typed.value,
            )
        )  # fmt: skip

    def roll_back(_: Any) -> None:
        secret, passphrase.value = passphrase.value, ""
        if not sure.value:
            answer.object = '<span class="warn">Not rolled back: tick the box to confirm.</span>'
            return
        sure.value = False
        answer.object = said_words(
            commands.roll_back(person=person or name.value, reason=reason.value, passphrase=secret)
        )

    def show(models: Sequence[str]) -> None:
        chosen = model.value if model.value in models else (models[0] if models else None)
        model.param.update(options={one[:12]: one for one in models}, value=chosen)

    ask.on_click(promote)
    back.on_click(roll_back)
    box = pn.Column(
        card("<h2>Promote, or roll back</h2>"), pn.Row(model, stage), name, reason, passphrase, typed,
        pn.FlexBox(ask, sure, back), answer, sizing_mode="stretch_width", styles=BOX, margin=(5, 10),
        visible=commands.may_command(person),
    )  # fmt: skip
    return box, show
