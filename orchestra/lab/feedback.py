"""What people liked and what they did not, counted from their thumbs."""

from __future__ import annotations

from collections import defaultdict

import sqlalchemy as sa

from orchestra.database import Database
from orchestra.lab.blind import wilson
from orchestra.tables import feedbacks, steps
from orchestra.types.conversation import shorten
from orchestra.types.lab import Comment, Feedback, Liking

_COMMENTS = 100
_ANSWER_CHARACTERS = 200
_UNKNOWN = "unknown"
"""What a thumb is filed under whose answer said no more, from before answers did."""


class FeedbackReport:
    """Counts when it is asked; nothing is kept."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> Feedback:
        """All thumbs, by persona and subject, and the newest comments.

        Raises:
            StorageError: the database does not answer.
        """
        who, what = feedbacks.c.persona_id, feedbacks.c.domain
        counted = sa.select(who, what, feedbacks.c.value, sa.func.count().label("number"))
        thumbs: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        for row in await self._database.fetch(counted.group_by(who, what, feedbacks.c.value)):
            thumbs[row.persona_id or _UNKNOWN, row.domain or _UNKNOWN][row.value] += row.number
        likings = [
            Liking(
                persona_id=persona_id,
                domain=domain,
                up=up,
                down=down,
                liked=wilson(up, up + down),
            )
            for (persona_id, domain), (down, up) in thumbs.items()
        ]
        return Feedback(
            likings=tuple(sorted(likings, key=lambda one: (one.liked.value, -one.down))),
            comments=tuple(await self._comments()),
        )

    async def _comments(self) -> list[Comment]:
        query = (
            sa.select(feedbacks, steps.c.text)
            .outerjoin(steps, steps.c.id == feedbacks.c.answer_id)
            .where(feedbacks.c.comment.is_not(None), feedbacks.c.comment != "")
            .order_by(feedbacks.c.created_at.desc())
            .limit(_COMMENTS)
        )
        return [
            Comment(
                persona_id=row.persona_id or _UNKNOWN,
                domain=row.domain or _UNKNOWN,
                up=row.value == 1,
                comment=row.comment,
                answer=shorten(row.text or "", _ANSWER_CHARACTERS),
                at=row.created_at,
            )
            for row in await self._database.fetch(query)
        ]
