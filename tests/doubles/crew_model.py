"""What a scripted model says to a crew: plans, work, and verdicts, told apart by the prompts."""

from __future__ import annotations

import json
from typing import Any

from tests.doubles.llm import Reply

APPROVED = json.dumps({"approved": True, "reasons": "It does what was asked for."})
REFUSED = json.dumps({"approved": False, "reasons": "Name the dates."})


def verdict(*, approved: bool, reasons: str = "") -> Reply:
    return Reply(json.dumps({"approved": approved, "reasons": reasons}))


def kind_of(body: dict[str, Any]) -> str:
    """What a request asks for: plan, review of plan, review of result, or the work of a role."""
    system, user = (body["messages"][0]["content"], body["messages"][-1]["content"])
    if "Answer with nothing but JSON" in user:
        return (
            "review of plan" if "The plan that your crew hands in" in user else "review of result"
        )
    if "Write the plan" in user:
        return "plan"
    return "work of " + system.removeprefix("You are ").split(". ")[0]


def agreeable(body: dict[str, Any]) -> Reply:
    """Everything goes well."""
    kind = kind_of(body)
    return Reply(APPROVED) if kind.startswith("review") else Reply(f"The {kind}.")
