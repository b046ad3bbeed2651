"""One message, everybody's answer side by side, and a vote."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import sqlalchemy as sa

from orchestra.database import Database, now
from orchestra.errors import LabClosedError, LabNotFoundError, MessageError
from orchestra.lab.interview import Interviewer
from orchestra.lab.together import Asked, together
from orchestra.personas.roster import Roster
from orchestra.tables import lab_comparisons
from orchestra.types.lab import Column, ColumnOver, Comparison, ComparisonEvent

TIE, NONE = "tie", "none"
LONGEST_QUESTION = 2_000


class Comparer:
    """Lets several personas answer one message at once."""

    def __init__(self, roster: Roster, interviewer: Interviewer, database: Database) -> None:
        self._roster = roster
        self._interviewer = interviewer
        self._database = database

    async def compare(
        self, tester: str, question: str, persona_ids: Sequence[str] = ()
    ) -> AsyncGenerator[ComparisonEvent, None]:
        """Yields Comparison, then ColumnText… and a ColumnOver per column, then Comparison.

        A persona that fails is told in its column; the others go on. Closing the generator stops
        them all; what was stopped is not kept.

        Args:
            tester: Who asks.
            question: The message.
            persona_ids: Who answers; nobody: everybody. The same one twice shows its own noise.

        Raises:
            MessageError: the message is empty or too long.
            PersonaError: no personas could be read, or one of these does not exist.
            StorageError: it could not be kept.
        """
        if not 0 < len(question.strip()) <= LONGEST_QUESTION:
            message = f"A message to compare has 1 to {LONGEST_QUESTION:,} characters."
            raise MessageError(message)
        personas = await self._roster.current()
        wanted = [personas.get(one) for one in persona_ids] or list(personas.members)
        everybody = [
            Asked(Column(key=key, persona_id=one.id, wording=one.wording), one, personas)
            for key, one in zip(_keys([one.id for one in wanted]), wanted, strict=True)
        ]
        columns = {one.column.key: one.column for one in everybody}
        comparison = Comparison(
            id=str(uuid.uuid4()),
            question=question,
            model=self._interviewer.model,
            columns=tuple(columns.values()),
        )
        yield comparison
        async with aclosing(together(self._interviewer, question, everybody)) as events:
            async for event in events:
                if isinstance(event, ColumnOver):
                    columns[event.column.key] = event.column
                yield event
        comparison = comparison.model_copy(update={"columns": tuple(columns.values())})
        await self._keep(tester, comparison, {one.id: one.revision for one in wanted})
        yield comparison

    async def _keep(self, tester: str, comparison: Comparison, revisions: dict[str, str]) -> None:
        row = {
            "id": comparison.id,
            "user_id": tester,
            "question": comparison.question,
            "model": comparison.model,
            "columns": json.dumps([one.model_dump() for one in comparison.columns]),
            "revisions": json.dumps(revisions),
            "created_at": now(),
        }
        await self._database.write(
            lambda connection: connection.execute(lab_comparisons.insert().values(**row))
        )

    async def get(self, tester: str, comparison_id: str) -> Comparison:
        """A comparison of this tester's.

        Raises:
            LabNotFoundError: there is none.
            StorageError: the database does not answer.
        """
        own = (lab_comparisons.c.id == comparison_id) & (lab_comparisons.c.user_id == tester)
        for row in await self._database.fetch(sa.select(lab_comparisons).where(own)):
            return Comparison(
                id=row.id,
                question=row.question,
                model=row.model,
                columns=json.loads(row.columns),
                vote=row.vote,
            )
        message = f"There is no comparison '{comparison_id}' of yours. Compare again."
        raise LabNotFoundError(message)

    async def vote(self, tester: str, comparison_id: str, best: str) -> None:
        """Say which answer was best: a column's key, 'tie' or 'none'; the first vote counts.

        Raises:
            LabNotFoundError: there is no such comparison of this tester's, or no such column.
            LabClosedError: it was voted on before.
            StorageError: it could not be kept.
        """
        kept = await self.get(tester, comparison_id)
        answered = [one.key for one in kept.columns if not one.error]
        if best not in {*answered, TIE, NONE}:
            known = ", ".join([*answered, TIE, NONE])
            message = f"'{best}' cannot be voted for; there are {known}."
            raise LabNotFoundError(message)
        change = lab_comparisons.update().where(
            lab_comparisons.c.id == kept.id, lab_comparisons.c.vote.is_(None)
        )
        change = change.values(vote=best, voted_at=now())
        if not await self._database.write(lambda connection: connection.execute(change).rowcount):
            message = "This comparison was voted on before; the first vote counts."
            raise LabClosedError(message)

    async def votes(self) -> dict[str, int]:
        """How often each persona, 'tie' and 'none' was voted for, where several answered.

        Raises:
            StorageError: the database does not answer.
        """
        query = sa.select(lab_comparisons).where(lab_comparisons.c.vote.is_not(None))
        counted: Counter[str] = Counter()
        for row in await self._database.fetch(query):
            who = {one["key"]: one["persona_id"] for one in json.loads(row.columns)}
            if len(set(who.values())) > 1:  # else one was compared with itself
                counted[who.get(row.vote, row.vote)] += 1
        return dict(counted.most_common())


def _keys(persona_ids: Sequence[str]) -> list[str]:
    """A key for each column: 'karen', and 'karen-2' for the same one again."""
    seen: Counter[str] = Counter()
    keys = []
    for one in persona_ids:
        seen[one] += 1
        keys.append(one if seen[one] == 1 else f"{one}-{seen[one]}")
    return keys
