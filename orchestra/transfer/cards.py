"""Character cards: V2 and V3, as JSON or inside a PNG; what we have no use for is kept.

A card that comes in is kept whole beside the persona. When the persona goes out again, the card is
that one with the fields changed that its author changed here since; what a card has no field for
(traits, subjects, colour) goes into its `extensions`, as both specifications ask for.

Source: github.com/malfoyslastname/character-card-spec-v2, spec_v2.md;
github.com/kwaroran/character-card-spec-v3, SPEC_V3.md.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
from collections.abc import Mapping
from typing import Any

from PIL import Image, ImageDraw, PngImagePlugin, UnidentifiedImageError

from orchestra.errors import PersonaInvalidError
from orchestra.personas.kept import plain_id
from orchestra.personas.rules import checked
from orchestra.types.persona import DEFAULT_TEMPLATE, Persona, Traits

OURS = "orchestra"
"""The name of our part of a card's `extensions`."""

_SPECS = {2: ("chara_card_v2", "2.0"), 3: ("chara_card_v3", "3.0")}
_CHUNKS = {2: "chara", 3: "ccv3"}
_PNG = b"\x89PNG\r\n\x1a\n"
_MIDDLE = dict.fromkeys(Traits.model_fields, 0.5)
_ROLE = "Guest"
_SIDE_PIXELS = 512
_EMPTY: dict[str, Any] = {
    "name": "",
    "description": "",
    "personality": "",
    "scenario": "",
    "first_mes": "",
    "mes_example": "",
    "creator_notes": "",
    "system_prompt": "",
    "post_history_instructions": "",
    "alternate_greetings": [],
    "tags": [],
    "creator": "",
    "character_version": "",
    "extensions": {},
}


def is_card(content: object) -> bool:
    """Whether parsed JSON is a card of a version that we read."""
    known = [spec for spec, _ in _SPECS.values()]
    return isinstance(content, Mapping) and content.get("spec") in known


def is_ours(persona: Persona) -> bool:
    """Whether it came from an export of ours, and so is whoever had that id, not a namesake."""
    return not persona.card or bool(_ours(json.loads(persona.card)["data"]))


def is_picture(raw: bytes) -> bool:
    """Whether it is a PNG."""
    return raw.startswith(_PNG)


def read(content: Mapping[str, Any], source: str) -> Persona:
    """The persona of a card.

    Args:
        content: Parsed JSON.
        source: Where it is from, for messages.

    Raises:
        PersonaInvalidError: a field breaks a rule.
    """
    data = content.get("data")
    if not isinstance(data, Mapping):
        rule = "a card has its fields in 'data'"
        raise PersonaInvalidError(source, "data", type(data).__name__, rule)
    persona = checked(source, {**_as_fields(data, source), **_ours(data)})
    version = next(one for one, (spec, _) in _SPECS.items() if spec == content["spec"])
    if card_of(persona, version) == content:  # one of ours: there is nothing beyond the persona
        return persona
    return checked(source, {**persona.model_dump(), "card": dict(content)})


def read_picture(raw: bytes, source: str) -> Persona:
    """The persona of a card inside a PNG.

    Raises:
        PersonaInvalidError: it is no such picture, or a field breaks a rule.
    """
    try:
        with Image.open(io.BytesIO(raw)) as picture:
            picture.load()
            texts = dict(getattr(picture, "text", {}))
    except (
        OSError,
        ValueError,
        SyntaxError,
        UnidentifiedImageError,
        Image.DecompressionBombError,
    ) as exc:
        raise PersonaInvalidError(source, "picture", str(exc), "it must be a sound PNG") from exc
    said = texts.get(_CHUNKS[3]) or texts.get(_CHUNKS[2])
    if said is None:
        rule = "it must carry a card (a text named 'ccv3' or 'chara')"
        raise PersonaInvalidError(source, "picture", "without one", rule)
    try:
        content = json.loads(base64.b64decode(said, validate=True))
    except (binascii.Error, ValueError, RecursionError) as exc:
        rule = "it must be JSON in base64"
        raise PersonaInvalidError(source, "card", str(exc), rule) from exc
    if not is_card(content):
        rule = "it must be of the specification V2 or V3"
        raise PersonaInvalidError(source, "spec", str(content)[:40], rule)
    return read(content, source)


def card_of(persona: Persona, version: int) -> dict[str, Any]:
    """The card of a persona.

    Args:
        persona: Whom to write down.
        version: 2 or 3.
    """
    spec, spec_version = _SPECS[version]
    kept: dict[str, Any] = json.loads(persona.card) if persona.card else {}
    if kept and read(kept, "card") == persona and kept.get("spec") == spec:
        return kept
    data = {**_EMPTY, **kept.get("data", {})}
    whole = persona.model_dump(mode="json", exclude={"revision", "card"})
    known = _as_fields(data, "card") if kept else {}
    said_by = {
        "name": {"name": persona.name},
        "backstory": {"description": persona.backstory, "personality": "", "scenario": ""},
        "template": {"system_prompt": persona.template},
        "examples": {"mes_example": _spoken(persona)},
    }
    for field, cells in said_by.items():
        if known.get(field) != whole[field]:
            data |= cells
    derived = _as_fields(data, "card")
    beyond = {name: value for name, value in whole.items() if derived.get(name) != value}
    others = data["extensions"] if isinstance(data["extensions"], Mapping) else {}
    data["extensions"] = {**others, OURS: beyond}
    if version == 3:  # noqa: PLR2004  # the specification's number
        data = {"group_only_greetings": [], **data}
    return {**kept, "spec": spec, "spec_version": spec_version, "data": data}


def written(persona: Persona, version: int, *, as_picture: bool = False) -> bytes:
    """The file of a persona's card: JSON, or a PNG that carries it.

    Args:
        persona: Whom to write down.
        version: 2 or 3; a picture of 3 carries both, for older programs.
        as_picture: Whether to write a PNG.
    """
    if not as_picture:
        return json.dumps(card_of(persona, version), ensure_ascii=False, indent=2).encode()
    texts = PngImagePlugin.PngInfo()
    for one in range(2, version + 1):
        said = json.dumps(card_of(persona, one), ensure_ascii=False).encode()
        texts.add_text(_CHUNKS[one], base64.b64encode(said).decode())
    file = io.BytesIO()
    _picture(persona).save(file, "PNG", pnginfo=texts)
    return file.getvalue()


def _as_fields(data: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The fields of a persona that a card's own fields come to.

    Raises:
        PersonaInvalidError: one is not of the type that the specification gives.
    """
    texts = ("name", "description", "personality", "scenario", "system_prompt", "mes_example")
    for name in texts:
        if not isinstance(data.get(name) or "", str):
            rule = "the specification says that it is text"
            raise PersonaInvalidError(source, name, data[name], rule)
    name = str(data.get("name") or "").strip()
    parts = [str(data.get(one) or "").strip() for one in ("description", "personality", "scenario")]
    said = "\n\n".join(_named(part, name) for part in parts if part)
    return {
        "id": plain_id(name),
        "name": name,
        "role": _ROLE,
        "backstory": said or f"{name} says little about where they come from.",
        "traits": _MIDDLE,
        "template": _named(_prompt(str(data.get("system_prompt") or "")), name),
        "examples": _exchanges(str(data.get("mes_example") or ""), name),
    }


def _ours(data: Mapping[str, Any]) -> dict[str, Any]:
    """What an earlier export of ours said besides."""
    extensions = data.get("extensions")
    kept = extensions.get(OURS) if isinstance(extensions, Mapping) else None
    fields = dict(kept) if isinstance(kept, Mapping) else {}
    return {name: value for name, value in fields.items() if name != "card"}


def _named(text: str, name: str) -> str:
    """The text with the card's macros filled in."""
    return re.sub(r"(?i)\{\{char\}\}|<bot>", name, re.sub(r"(?i)\{\{user\}\}|<user>", "you", text))


def _prompt(text: str) -> str:
    """A card's prompt, in which ours stands where it says so, or where it says nothing."""
    return (
        re.sub(r"(?i)\{\{original\}\}", lambda _: DEFAULT_TEMPLATE, text).strip()
        or DEFAULT_TEMPLATE
    )


def _exchanges(text: str, name: str) -> list[dict[str, str]]:
    """Messages of the user, each with the reply that follows."""
    turns = re.split(r"(?im)^(\{\{user\}\}|\{\{char\}\}|<user>|<bot>|<start>)\s*:?", text)
    found, message = [], ""
    for who, said in zip(turns[1::2], turns[2::2], strict=True):
        speaker, words = who.lower(), _named(said, name).strip()
        if speaker in {"{{user}}", "<user>"}:
            message = words
        elif speaker in {"{{char}}", "<bot>"} and message and words:
            found.append({"message": message, "reply": words})
            message = ""
    return found


def _spoken(persona: Persona) -> str:
    return "\n".join(
        f"<START>\n{{{{user}}}}: {one.message}\n{{{{char}}}}: {one.reply}"
        for one in persona.examples
    )


def _picture(persona: Persona) -> Image.Image:
    """The initial in the persona's colour."""
    picture = Image.new("RGB", (_SIDE_PIXELS, _SIDE_PIXELS), "#f6f4f1")
    draw = ImageDraw.Draw(picture)
    edge = _SIDE_PIXELS // 16
    draw.ellipse((edge, edge, _SIDE_PIXELS - edge, _SIDE_PIXELS - edge), fill=persona.accent)
    middle = (_SIDE_PIXELS // 2, _SIDE_PIXELS // 2)
    draw.text(middle, persona.name[0].upper(), fill="white", anchor="mm", font_size=280)
    return picture
