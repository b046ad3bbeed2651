"""What is counted of a persona, in a new database and in one of an earlier checkout."""

from __future__ import annotations

import json

import sqlalchemy as sa

from orchestra.database import now
from orchestra.personas.files import PersonaFiles
from orchestra.personas.statistics import Statistics
from orchestra.settings import ROOT
from orchestra.tables import feedbacks, steps


async def thumbs(database):
    members = (await PersonaFiles(ROOT / "personas_seed").load()).members
    figures = {one.id: await Statistics(database).of(one) for one in members}
    return {name: (one.thumbs_up, one.thumbs_down) for name, one in figures.items()}


def with_thumbs(connection, **column):
    """Two answers of Karen's and one of Sophia's, each with a thumb."""
    for step_id, persona_id, value in (("a", "karen", 1), ("b", "karen", 0), ("c", "sophia", 1)):
        details = json.dumps({"metadata": {"persona": persona_id}})
        step = {"id": step_id, "thread_id": "t", "created_at": "2026", "text": ""}
        connection.execute(steps.insert().values(**step, details=details))
        thumb = {"id": step_id, "step_id": step_id, "value": value, "created_at": now()}
        owner = dict.fromkeys(column, persona_id)
        connection.execute(feedbacks.insert().values(**thumb, **owner))


async def test_thumbs_are_counted_for_whom_they_are_on(database):
    await database.write(lambda connection: with_thumbs(connection, persona_id=True))
    assert await thumbs(database) == {"cherry": (0, 0), "karen": (1, 1), "sophia": (1, 0)}


async def test_thumbs_of_an_earlier_checkout_are_counted_too(database):
    def go_back(connection):
        for index in feedbacks.indexes:
            if "persona_id" in index.columns:
                index.drop(connection)
        connection.execute(sa.text("ALTER TABLE feedbacks DROP COLUMN persona_id"))
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'personas_in_sql'"))
        with_thumbs(connection)

    await database.write(go_back)
    await database.open()
    assert await thumbs(database) == {"cherry": (0, 0), "karen": (1, 1), "sophia": (1, 0)}
