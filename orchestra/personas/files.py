"""Personas as Markdown files: front matter for names and numbers, sections for words."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from orchestra.errors import PersonaChangedError, PersonaInvalidError, PersonaStoreError
from orchestra.personas.rules import check_subjects, checked
from orchestra.types.persona import Example, Persona, Personas, same_words

_SECTIONS = ("Backstory", "Prompt", "Examples")


class PersonaFiles:
    """A folder with one Markdown file per persona; the file's name is the persona's id."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = f"files {folder.name}"

    async def load(self) -> Personas:
        """Read all personas, in the order of their file names.

        Raises:
            PersonaStoreError: the folder cannot be read or holds no persona.
            PersonaInvalidError: a file breaks a rule.
        """
        return await asyncio.to_thread(self._load)

    async def put(self, persona: Persona, before: Persona | None) -> None:
        """Write a persona's file, in one step.

        Raises:
            PersonaChangedError: the file is not what it was.
            PersonaInvalidError: a file cannot hold it.
            PersonaStoreError: the folder cannot be written.
        """

        def write() -> None:
            path = self._path(persona.id)
            there = read_persona(path) if path.exists() else None
            if (there and there.revision) != (before and before.revision):
                detail = f"{path.name} was edited" if there else f"{path.name} is gone"
                raise PersonaChangedError(persona.id, detail)
            part = path.with_suffix(".part")
            part.write_text(text, encoding="utf-8", newline="\n")
            part.replace(path)

        text = write_persona(persona)
        if not same_words(persona_of(f"{persona.id}.md", persona.id, text), persona):
            rule = "a file cannot hold it so that it is read back as it is"
            raise PersonaInvalidError(persona.id, "text", text, rule)
        await self._changed(write)

    async def remove(self, persona_id: str) -> None:
        """Remove a persona's file.

        Raises:
            PersonaStoreError: the folder cannot be written.
        """
        await self._changed(lambda: self._path(persona_id).unlink(missing_ok=True))

    def _path(self, persona_id: str) -> Path:
        """A persona's file, whose name may have capitals."""
        found = (one for one in self.folder.glob("*.md") if one.stem.lower() == persona_id)
        return next(found, self.folder / f"{persona_id}.md")

    async def _changed(self, change: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(change)
        except OSError as exc:
            message = f"{self.folder} cannot be written: {exc.strerror or exc}."
            raise PersonaStoreError(message) from exc

    def kept(self) -> Personas | None:
        """None: the files are the last good version themselves."""
        return None

    def distrust(self) -> None:
        """Files are read whole each time."""

    async def close(self) -> None:
        """Nothing is open."""

    def _load(self) -> Personas:
        try:
            paths = sorted(self.folder.glob("*.md"), key=lambda path: path.stem.lower())
            members = tuple(read_persona(path) for path in paths)
            _no_shared_id(paths)
        except OSError as exc:
            message = f"Personas cannot be read from {self.folder}: {exc.strerror or exc}."
            raise PersonaStoreError(message) from exc
        if not members:
            message = f"No persona in {self.folder}: put at least one NAME.md there."
            raise PersonaStoreError(message)
        check_subjects(members)
        return Personas(members=members, source=self.source)


def read_persona(path: Path) -> Persona:
    """Read one persona.

    Raises:
        PersonaInvalidError: the file breaks a rule.
        OSError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as exc:
        raise PersonaInvalidError(path.name, "text", exc.reason, "it must be UTF-8") from exc
    return persona_of(path.name, path.stem.lower(), text)


def persona_of(source: str, persona_id: str, text: str) -> Persona:
    """The persona that a file's text describes.

    Raises:
        PersonaInvalidError: it breaks a rule.
    """
    fields, body = _split(source, text)
    sections = _sections(source, body)
    fields |= {
        "id": persona_id,
        "backstory": _unescaped(sections.get("Backstory", "")),
        "template": _unescaped(sections.get("Prompt", "")),
        "examples": _examples(source, sections.get("Examples", "")),
    }
    return checked(source, fields)


def write_persona(persona: Persona) -> str:
    """Return the Markdown file of a persona; `read_persona` reads it back unchanged."""
    head = {
        "name": persona.name,
        "role": persona.role,
        "domains": list(persona.domains),
        "accent": persona.accent,
        "avatar": persona.avatar,
        "voice": persona.voice,
        "starters": list(persona.starters),
        "traits": persona.traits.model_dump(),
    }
    head |= {name: said for name in ("icon", "card") if (said := getattr(persona, name))}
    front = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=1000)
    examples = "\n\n".join(
        f"{_quoted(item.message)}\n\n{_escaped(item.reply)}" for item in persona.examples
    )
    return (
        f"---\n{front}---\n\n## Backstory\n\n{_escaped(persona.backstory)}\n\n"
        f"## Prompt\n\n{_escaped(persona.template)}\n\n## Examples\n\n{examples}\n"
    )


def _escaped(text: str) -> str:
    """With a backslash before what would begin a section or a message."""
    lines = re.sub(r"\r\n?", "\n", text)
    return re.sub(r"^(\\*(?:## |>))", r"\\\1", lines, flags=re.MULTILINE)


def _unescaped(text: str) -> str:
    return re.sub(r"^\\(\\*(?:## |>))", r"\1", text, flags=re.MULTILINE)


def _quoted(message: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in message.splitlines())


def _split(source: str, text: str) -> tuple[dict[str, Any], str]:
    match = re.match(r"\A---\s*\n(.*?)\n---\s*\n(.*)\Z", text, re.DOTALL)
    if match is None:
        rule = "the file must begin with '---', YAML and a second '---'"
        raise PersonaInvalidError(source, "front matter", text[:20], rule)
    try:
        fields = yaml.safe_load(match[1])
    except (yaml.YAMLError, ValueError) as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f"line {mark.line + 2}" if mark else "somewhere"
        problem = getattr(exc, "problem", None) or "not YAML"
        raise PersonaInvalidError(source, "front matter", where, f"YAML says: {problem}") from exc
    if not isinstance(fields, dict):
        raise PersonaInvalidError(source, "front matter", fields, "it must be 'field: value' lines")
    return {str(key): value for key, value in fields.items()}, match[2]


def _sections(source: str, body: str) -> dict[str, str]:
    """The text of each section by its title.

    Raises:
        PersonaInvalidError: a section is unknown or stands there twice, or text belongs to none.
    """
    pieces = re.split(r"^## +(.+?) *$", body, flags=re.MULTILINE)
    sections: dict[str, str] = {}
    if pieces[0].strip():
        rule = "text belongs below a section such as '## Backstory'"
        raise PersonaInvalidError(source, "text", pieces[0].strip(), rule)
    for title, text in zip(pieces[1::2], pieces[2::2], strict=True):
        if title not in _SECTIONS:
            rule = f"the sections are {', '.join(_SECTIONS)}"
            raise PersonaInvalidError(source, "section", title, rule)
        if title in sections:
            raise PersonaInvalidError(source, "section", title, "it stands there twice")
        sections[title] = text.strip()
    return sections


def _examples(source: str, text: str) -> list[Example]:
    """Pairs of a quoted message ('> …') and the reply below it.

    Raises:
        PersonaInvalidError: a message or a reply is missing.
    """
    pieces = re.split(r"^((?:>.*\n?)+)", text, flags=re.MULTILINE)
    if pieces[0].strip():
        rule = "each example begins with the message behind '> '"
        raise PersonaInvalidError(source, "Examples", pieces[0].strip(), rule)
    pairs = zip(pieces[1::2], pieces[2::2], strict=True)
    examples = []
    for message, reply in pairs:
        if not reply.strip():
            raise PersonaInvalidError(
                source, "Examples", message, "each message needs a reply below it"
            )
        said = re.sub(r"^> ?", "", message, flags=re.MULTILINE).strip()
        examples.append(Example(message=said, reply=_unescaped(reply.strip())))
    return examples


def _no_shared_id(paths: list[Path]) -> None:
    """Check that no two files stand for one persona.

    Raises:
        PersonaInvalidError: two file names differ in capitals alone.
    """
    known: dict[str, str] = {}
    for path in paths:
        twin = known.setdefault(path.stem.lower(), path.name)
        if twin != path.name:
            raise PersonaInvalidError(path.name, "file name", path.stem, f"{twin} has the same id")
