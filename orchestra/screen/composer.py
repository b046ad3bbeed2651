"""What the composer offers: who answers, commands, and the settings of a chat."""

from __future__ import annotations

import chainlit as cl
from chainlit.input_widget import Select, Slider, Switch

from orchestra.house import Orchestra
from orchestra.screen import lab, sign_in

AUTO = "auto"
LENGTHS = ("short", "medium", "long")
CREW_SIZES = {
    "As the work needs": AUTO,
    "One specialist": "low",
    "A lead and support": "medium",
    "A lead, an expert and support": "high",
}
TABLE = "table:round"
"""Everybody in turn, in the picker; no persona's id has a colon in it."""
TOGETHER = (
    (TABLE, "Round table", "Everybody in turn, then a decision", "messages-square"),
    (lab.COMPARE, "Compare", "Everybody answers, side by side", "columns-3"),
    (lab.BLIND, "Blind test", "Guess who wrote it", "eye-off"),
)
COMMANDS = (
    ("Crew", "users-round", "Let a crew do bigger work, step by step"),
    ("Tasks", "list-checks", "What your crews do and did"),
    ("Memory", "brain", "Search what the personas remember"),
)


FOR_AUTHORS = (("Studio", "sliders-horizontal", "Shape who the personas are"),)


async def prepare_composer(house: Orchestra) -> None:
    """Offer on this page who can answer, what can be done, and how."""
    personas = await house.conversation.personas()
    cl.user_session.set("personas", personas)
    may_write = await sign_in.may_write(sign_in.person())
    cl.user_session.set("may_write", may_write)
    chosen = cl.context.session.chat_settings or {}
    options = [
        cl.ModeOption(
            id=AUTO, name="Auto", description="Whoever knows best", icon="sparkles", default=True
        )
    ]
    options += [
        cl.ModeOption(
            id=persona.id,
            name=persona.name,
            description=", ".join(persona.domains) or persona.role,
            icon=f"/public/avatars/of/{persona.id}",
        )
        for persona in personas.members
    ]
    options += [
        cl.ModeOption(id=key, name=name, description=told, icon=icon)
        for key, name, told, icon in TOGETHER
    ]
    emitter = cl.context.emitter
    await emitter.set_modes([cl.Mode(id="who", name="Who answers", options=options)])
    commands = COMMANDS + (FOR_AUTHORS if may_write else ())
    await emitter.set_commands(
        [{"id": name, "icon": icon, "description": told} for name, icon, told in commands]  # type: ignore[typeddict-item]  # Chainlit's own examples leave out the optional keys
    )
    await cl.ChatSettings(
        [
            Slider(
                id="temperature",
                label="Temperature",
                description="Lower is steadier, higher is livelier.",
                initial=chosen.get("temperature", 0.3),
                min=0,
                max=1.5,
                step=0.1,
            ),
            Select(
                id="length",
                label="Length of answers",
                items={length.capitalize(): length for length in LENGTHS},
                initial_value=chosen.get("length", "medium"),
            ),
            Select(
                id="crew_size",
                label="Size of crews",
                items=CREW_SIZES,
                initial_value=chosen.get("crew_size", AUTO),
            ),
            Switch(
                id="asks_first",
                label="Ask me before work starts",
                description="A crew shows its plan and waits for you.",
                initial=chosen.get("asks_first", False),
            ),
        ]
    ).send()
