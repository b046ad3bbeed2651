"""What is wrong with persona files, in words, without putting them to use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestra.errors import PersonaInvalidError
from orchestra.personas.files import read_persona
from orchestra.types.persona import Persona, Personas, clashes, placeholders

KNOWN_PLACEHOLDERS = frozenset(
    {"task", "domain", "priority", "historical_decisions", "client_history", "context"}
)


@dataclass(frozen=True)
class Finding:
    """What was found in one file."""

    source: str
    ok: bool
    detail: str


def check(path: Path) -> list[Finding]:
    """Look at one persona file, or at all of a folder."""
    files = sorted(path.glob("*.md")) if path.is_dir() else [path]
    if not files:
        return [Finding(str(path), ok=False, detail="there is no persona file (NAME.md) here")]
    findings: list[Finding] = []
    readable: dict[str, Persona] = {}
    for file in files:
        try:
            persona = read_persona(file)
        except PersonaInvalidError as exc:
            said = str(exc).removeprefix(f"{file.name}: ")
            findings.append(Finding(file.name, ok=False, detail=said))
        except OSError as exc:
            said = f"cannot be read: {exc.strerror or exc}"
            findings.append(Finding(file.name, ok=False, detail=said))
        else:
            readable[file.name] = persona
            findings.append(_words_of(file.name, persona))
    for one, subject, owner in clashes(readable.values()):
        said = f"domain '{subject}' already belongs to {owner.name}"
        source = next(name for name, persona in readable.items() if persona is one)
        findings.append(Finding(source, ok=False, detail=said))
    return findings


def check_served(personas: Personas) -> list[Finding]:
    """Look at personas that were read already, and at what their store said of them."""
    findings = [Finding(personas.source, ok=False, detail=problem) for problem in personas.problems]
    return findings + [_words_of(persona.name, persona) for persona in personas.members]


def _words_of(source: str, persona: Persona) -> Finding:
    """Whether somebody fills in all that the persona's prompt asks for."""
    unknown = [name for name in placeholders(persona.template) if name not in KNOWN_PLACEHOLDERS]
    if unknown:
        listed = ", ".join(f"[{name}]" for name in unknown)
        known = ", ".join(f"[{name}]" for name in sorted(KNOWN_PLACEHOLDERS))
        detail = f"the prompt asks for {listed}, which nobody fills in. Known: {known}."
        return Finding(source, ok=False, detail=detail)
    return Finding(source, ok=True, detail=f"{persona.name}, revision {persona.revision}")
