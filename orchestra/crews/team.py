"""Who works on a task: by its subject and by how complex it is."""

from __future__ import annotations

import re

from orchestra.types.persona import GENERAL
from orchestra.types.task import Complexity, Member, Seniority

COMPLEMENTS = {
    "sales": "marketing",
    "research": "data",
    "data": "research",
    "content": "research",
    "project": "content",
}
"""The subject that supports another; for any other it is research."""

_TITLES = {
    "sales": "Sales Strategist",
    "marketing": "Marketing Strategist",
    "project": "Project Planner",
    "research": "Research Analyst",
    "data": "Data Analyst",
    "content": "Content Editor",
    GENERAL: "Business Strategist",
}
_RANKS: dict[Seniority, str] = {
    "lead": "Lead {0}",
    "expert": "Senior {0}",
    "support": "{0}, Support",
    "specialist": "{0}",
}

_BREADTH = re.compile(
    r"\b(plan|strategy|strategic|launch|campaign|roadmap|roll-?out|programme|program|proposal|"
    r"report|analysis|analyse|analyze|compare|comparison|forecast|budget|business case|"
    r"go-to-market|migration|audit|evaluate|research)\b",
    re.IGNORECASE,
)
_DEPTH = re.compile(
    r"\b(comprehensive|complete|detailed|in depth|in-depth|end to end|end-to-end|thorough|full|"
    r"step by step|with (?:dates|owners|risks|figures|numbers|sources|milestones))\b",
    re.IGNORECASE,
)
_PARTS = re.compile(r"(?m)^\s*(?:[-*•]|\d+[.)])\s+|;|\band (?:then|also|a|an|the)\b", re.IGNORECASE)
_LONG_WORDS = 40


def complement_of(domain: str) -> str:
    """The subject whose people support those of this one."""
    return COMPLEMENTS.get(domain, "research")


def team_for(domain: str, complexity: Complexity) -> tuple[Member, ...]:
    """The crew, in the order in which it works: whoever leads comes last and brings it together.

    Args:
        domain: The subject of the task.
        complexity: low: one specialist. medium: a lead, and support from the complementary
            subject. high: likewise, with an expert of the subject itself.
    """
    if complexity == "low":
        return (_member(domain, "specialist"),)
    support, lead = _member(complement_of(domain), "support"), _member(domain, "lead")
    if complexity == "medium":
        return (support, lead)
    return (_member(domain, "expert"), support, lead)


def estimated_complexity(description: str) -> tuple[Complexity, str]:
    """How complex a task looks, and why, in words for people."""
    signs = []
    broad = {found.lower() for found in _BREADTH.findall(description)}
    if broad:
        signs.append(f"it asks for {' and '.join(sorted(broad)[:3])}")
    if len(broad) > 1 or _DEPTH.search(description):
        signs.append("it asks for depth")
    parts = len(_PARTS.findall(description))
    if parts > 1:
        signs.append(f"it has {parts + 1} parts")
    words = len(description.split())
    if words > _LONG_WORDS:
        signs.append(f"it has {words} words")
    levels: tuple[Complexity, ...] = ("low", "medium", "high", "high", "high")
    found = levels[len(signs)]
    return found, f"estimated as {found}: {', '.join(signs) or 'one thing is asked for'}"


def _member(domain: str, seniority: Seniority) -> Member:
    title = _TITLES.get(domain, f"{domain.title()} Specialist")
    return Member(role=_RANKS[seniority].format(title), domain=domain, seniority=seniority)
