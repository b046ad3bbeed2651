"""The blind test: who wrote this? Nobody learns the truth before the guess.

Source: interval of Wilson (1927), "Probable inference, the law of succession, and statistical
inference"; one-sided exact binomial test against guessing.
"""

from __future__ import annotations

import math
import random
import uuid
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import sqlalchemy as sa

from orchestra.database import Database, now
from orchestra.errors import LabClosedError, LabNotFoundError, StorageError
from orchestra.lab.interview import Interviewer, Said
from orchestra.lab.questions import QUESTIONS
from orchestra.lab.redaction import redacted
from orchestra.personas.roster import Roster
from orchestra.tables import lab_trials
from orchestra.types.lab import BlindScore, Guessed, Interval, Trial
from orchestra.types.persona import Persona, Personas

_Z = 1.959964
_RARE = 0.05


class BlindTest:
    """Gives testers answers to guess, and counts."""

    def __init__(
        self,
        roster: Roster,
        interviewer: Interviewer,
        database: Database,
        questions: Sequence[str] = QUESTIONS,
    ) -> None:
        self._roster = roster
        self._interviewer = interviewer
        self._database = database
        self._questions = questions

    async def next(self, tester: str) -> Trial:
        """An answer to guess: the one that waits for this tester's guess, or a new one.

        Raises:
            LabClosedError: this tester has seen every question.
            PersonaError: no personas could be read.
            LLMError: the model did not answer.
            StorageError: it could not be kept.
        """
        personas = await self._roster.current()
        mine = await self._trials(tester)
        waiting = _waiting(mine, personas)
        if waiting:
            return self._shown(waiting[0], mine, personas)
        seen = {row.question for row in mine}
        fresh = [question for question in self._questions if question not in seen]
        if not fresh:
            message = f"You have seen all {len(self._questions)} questions. Thank you!"
            raise LabClosedError(message)
        # Which question and who: not to be foreseen, and no secret either.
        question = random.choice(fresh)  # noqa: S311
        persona = random.choice(personas.members)  # noqa: S311
        text = await self._answer(persona, personas, question)
        row = {
            "id": str(uuid.uuid4()),
            "user_id": tester,
            "question": question,
            "persona_id": persona.id,
            "wording": persona.wording,
            "revision": persona.revision,
            "model": self._interviewer.model,
            "text": text,
            "created_at": now(),
        }
        try:
            await self._database.write(
                lambda connection: connection.execute(lab_trials.insert().values(**row))
            )
        except StorageError:  # the same tester, in another tab, was given this question meanwhile
            mine = await self._trials(tester)
            if question not in {one.question for one in mine}:
                raise
            return await self.next(tester)
        mine = await self._trials(tester)
        return self._shown(next(one for one in mine if one.id == row["id"]), mine, personas)

    def _shown(self, row: sa.Row[Any], mine: Sequence[sa.Row[Any]], personas: Personas) -> Trial:
        """A trial as its tester sees it."""
        guessed = sum(one.guess is not None for one in mine)
        over = len(mine) - len(_waiting(mine, personas))
        return Trial(
            id=row.id,
            question=row.question,
            text=row.text,
            number=guessed + 1,
            left=max(1, len(self._questions) - over),
        )

    async def _answer(self, persona: Persona, personas: Personas, question: str) -> str:
        """What is left of a persona's answer without names.

        Raises:
            LLMError: the model did not answer.
        """
        said = Said()
        asking = self._interviewer.ask(persona, personas, question, said)
        async with aclosing(asking) as pieces:
            async for _ in pieces:
                pass
        return redacted(said.text, personas)

    async def guess(self, tester: str, trial_id: str, persona_id: str) -> Guessed:
        """Take a guess; the first one counts.

        Raises:
            LabNotFoundError: there is no such answer for this tester.
            LabClosedError: it was guessed before.
            PersonaNotFoundError: there is no such persona.
            StorageError: it could not be kept.
        """
        guess = (await self._roster.current()).get(persona_id).id
        own = (lab_trials.c.id == trial_id) & (lab_trials.c.user_id == tester)
        change = lab_trials.update().where(own, lab_trials.c.guess.is_(None))
        change = change.values(guess=guess, guessed_at=now())
        taken = await self._database.write(lambda connection: connection.execute(change).rowcount)
        rows = await self._database.fetch(sa.select(lab_trials).where(own))
        if not rows:
            message = f"There is no answer '{trial_id}' for you to guess."
            raise LabNotFoundError(message)
        if not taken:
            message = "This one was guessed before; the first guess counts."
            raise LabClosedError(message)
        return Guessed(right=rows[0].persona_id == guess, truth=rows[0].persona_id)

    async def score(self, tester: str | None = None) -> BlindScore:
        """How well a tester, or everybody, tells the personas of today apart.

        Raises:
            PersonaError: no personas could be read.
            StorageError: the database does not answer.
        """
        ids = (await self._roster.current()).ids
        rows = [
            row for row in await self.guesses(tester) if {row["persona"], row["guess"]} <= {*ids}
        ]
        right = sum(row["guess"] == row["persona"] for row in rows)
        chance = 1 / len(ids)
        return BlindScore(
            guesses=len(rows),
            right=right,
            share=wilson(right, len(rows)) if rows else None,
            chance=round(chance, 4),
            beats_chance=bool(rows) and at_least(right, len(rows), chance) < _RARE,
            confusion={
                one: {
                    other: sum((row["persona"], row["guess"]) == (one, other) for row in rows)
                    for other in ids
                }
                for one in ids
            },
            testers=len({row["tester"] for row in rows}),
        )

    async def guesses(self, tester: str | None = None) -> list[dict[str, Any]]:
        """Every guess, oldest first, for who wants to count otherwise.

        Raises:
            StorageError: the database does not answer.
        """
        query = sa.select(lab_trials).where(lab_trials.c.guess.is_not(None))
        if tester is not None:
            query = query.where(lab_trials.c.user_id == tester)
        return [
            {
                "tester": row.user_id,
                "question": row.question,
                "text": row.text,
                "persona": row.persona_id,
                "guess": row.guess,
                "wording": row.wording,
                "revision": row.revision,
                "model": row.model,
                "guessed_at": row.guessed_at.isoformat(),
                "seconds": round((row.guessed_at - row.created_at).total_seconds(), 1),
            }
            for row in await self._database.fetch(query.order_by(lab_trials.c.guessed_at))
        ]

    async def _trials(self, tester: str) -> Sequence[sa.Row[Any]]:
        query = sa.select(lab_trials).where(lab_trials.c.user_id == tester)
        return await self._database.fetch(query.order_by(lab_trials.c.created_at))


def _waiting(mine: Sequence[sa.Row[Any]], personas: Personas) -> list[sa.Row[Any]]:
    """What a tester can still guess: whose writer was removed meanwhile cannot be told any more."""
    return [row for row in mine if row.guess is None and row.persona_id in personas.ids]


def wilson(right: int, of: int) -> Interval:
    """A share of independent trials with its 95 % interval."""
    share = right / of
    middle = (share + _Z**2 / (2 * of)) / (1 + _Z**2 / of)
    half = _Z / (1 + _Z**2 / of) * math.sqrt(share * (1 - share) / of + _Z**2 / (4 * of**2))
    return Interval(
        value=round(share, 4),
        low=round(max(0.0, middle - half), 4),
        high=round(min(1.0, middle + half), 4),
    )


def at_least(right: int, of: int, chance: float) -> float:
    """How likely guessing is right at least so often."""
    return sum(
        math.comb(of, times) * chance**times * (1 - chance) ** (of - times)
        for times in range(right, of + 1)
    )
