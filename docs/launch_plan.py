"""What a scripted model says to a crew that plans the launch of a bakery, for the pictures."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from tests.doubles.crew_model import kind_of, verdict
from tests.doubles.llm import Reply

ASKED = "Karen, draft a launch plan for our bakery in May"
LAST_WORDS = "a day lost at the end"
_PACE_SECONDS = 0.04
_FIRST_PLAN = "1. Open the bakery.\n2. Tell people.\n3. Sell bread."
_PLAN = """1. **Positioning**, Senior Marketing Strategist: why we are worth the walk, in a line.
2. **Who comes**, Research Analyst: three groups of customers, and what each wants before nine.
3. **Timeline**, Lead Marketing Strategist: dates, what waits for what, the critical path."""
_PARTS = {
    "Senior": "*Bread worth the walk.* Warm rolls from six, and a face you know.",
    "Research": "Commuters want two minutes and coffee. Parents want rolls at half past seven. "
    "Pensioners want a chair, and a word.",
}
_RESULT = f"""## Bread worth the walk

We open on **Tuesday, 12 May**. The plan hangs on the permit: everything else has days to spare.

| When | What | Who |
| --- | --- | --- |
| 1 to 8 May | Permit; sign ordered, menu tasted by ten neighbours | Ann |
| 6 to 12 May | Oven built in, flyers at both stations | Ben |
| 12 May | Opening day, free rolls until ten | all |

The critical path runs through the permit and the oven: a day lost there is {LAST_WORDS}."""
_TIMELINE = {
    "title": "Launch of the bakery",
    "start": "2026-05-01",
    "activities": [
        {"name": "Permit", "days": 7},
        {"name": "Oven", "days": 4, "after": ["Permit"]},
        {"name": "Sign", "days": 5},
        {"name": "Flyers", "days": 3, "after": ["Sign"]},
        {"name": "Opening day", "days": 1, "after": ["Oven", "Flyers"]},
    ],
}


class LaunchPlan:
    """One crew's model: the first plan is sent back, the second one is good."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()

    def __call__(self, body: dict[str, Any]) -> Reply:
        """The reply to a request."""
        kind = kind_of(body)
        self._asked[kind] += 1
        if kind == "plan":
            plan = _FIRST_PLAN if self._asked[kind] == 1 else _PLAN
            return Reply(plan, pause_seconds=_PACE_SECONDS)
        if kind == "review of plan" and self._asked[kind] == 1:
            return verdict(approved=False, reasons="Who does what, and until when? Name both.")
        if kind.startswith("review"):
            return verdict(approved=True, reasons="Dated, owned, and I can sell it.")
        part = next((text for role, text in _PARTS.items() if f"work of {role}" in kind), None)
        if part is None and '"role": "tool"' not in json.dumps(body["messages"]):
            return Reply(tools=[("timeline_generator", _TIMELINE)])
        return Reply(part or _RESULT, pause_seconds=_PACE_SECONDS)
