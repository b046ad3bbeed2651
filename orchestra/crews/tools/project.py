"""Tools of the project subject: what is to be done, when it can be done, and by whom."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import sqlalchemy as sa
from pydantic import Field

from orchestra.crews.tools.charts import Span, gantt_picture, live_chart
from orchestra.crews.tools.tables import markdown
from orchestra.crews.tools.tool import Arguments, Bench, Outcome, Tool
from orchestra.database import now, take_turns
from orchestra.errors import ToolError
from orchestra.tables import work_items

if TYPE_CHECKING:
    import networkx as nx
    import plotly.graph_objects as go

_MOST_ACTIVITIES = 200


class Item(Arguments):
    """Something that somebody has to do."""

    action: Literal["add", "done", "list"] = Field(
        description="add: note or change it. done: it was done. list: show all."
    )
    title: str = Field("", max_length=200, description="What; not for list.")
    owner: str = Field("", max_length=100, description="Who has to do it.")
    due: dt.date | None = Field(None, description="By when, as 2026-05-31.")


class Activity(Arguments):
    """One piece of a plan."""

    name: str = Field(min_length=1, max_length=100)
    days: float = Field(gt=0, le=3650, description="Working time, in calendar days.")
    after: list[str] = Field(default_factory=list, description="Names of what must be over before.")


class Timeline(Arguments):
    """A plan of activities."""

    title: str = Field("Timeline", max_length=100)
    start: dt.date = Field(description="First day, as 2026-05-01.")
    activities: list[Activity] = Field(min_length=1, max_length=_MOST_ACTIVITIES)


class Person(Arguments):
    """Somebody who can work."""

    name: str = Field(min_length=1, max_length=100)
    hours: float = Field(ge=0, le=10_000, description="How long there is time.")
    skills: list[str] = Field(default_factory=list, description="What kinds of work; none: any.")


class Work(Arguments):
    """Something to be done."""

    name: str = Field(min_length=1, max_length=100)
    hours: float = Field(gt=0, le=10_000)
    skill: str | None = Field(None, description="What kind of work; null: any.")
    value: float = Field(1, gt=0, le=1_000_000, description="Worth of an hour of it, to compare.")


class Allocation(Arguments):
    """Who could do what."""

    people: list[Person] = Field(min_length=1, max_length=100)
    work: list[Work] = Field(min_length=1, max_length=200)


async def track(item: Item, bench: Bench) -> Outcome:
    """Note what somebody has to do, or show all of it.

    Raises:
        ToolError: there is no title, or nothing of that title.
        StorageError: it could not be kept.
    """
    if item.action != "list" and not item.title:
        message = f"Say what is to be {'noted' if item.action == 'add' else 'done'}: give a title."
        raise ToolError(message)
    own = (work_items.c.user_id == bench.user_id) & (work_items.c.title == item.title)

    def change(connection: sa.Connection) -> int:
        take_turns(connection, f"work items of {bench.user_id}")
        if item.action == "done":
            done = {"status": "done", "changed_at": now()}
            return connection.execute(work_items.update().where(own).values(**done)).rowcount
        told = {"owner": item.owner, "due": item.due.isoformat() if item.due else ""}
        known = {name: cell for name, cell in told.items() if cell}
        change = work_items.update().where(own).values(**known, changed_at=now())
        if connection.execute(change).rowcount:
            return 1
        row = {
            "user_id": bench.user_id,
            "title": item.title,
            **told,
            "status": "open",
            "task_id": bench.task_id,
            "changed_at": now(),
        }
        return connection.execute(work_items.insert().values(**row)).rowcount

    if item.action != "list" and not await bench.database.write(change):
        message = f"There is nothing called '{item.title}'. Use list to see what there is."
        raise ToolError(message)
    columns = (work_items.c.title, work_items.c.owner, work_items.c.due, work_items.c.status)
    query = sa.select(*columns).where(work_items.c.user_id == bench.user_id)
    rows = await bench.database.fetch(query.order_by(work_items.c.due, work_items.c.title))
    if not rows:
        return Outcome("Nothing is to be done.")
    return Outcome(markdown(["what", "who", "by", "status"], [tuple(row) for row in rows]))


async def schedule(timeline: Timeline, bench: Bench) -> Outcome:
    """Work out when each activity can happen, and which must not be late; draws a Gantt chart.

    Raises:
        ToolError: a name comes twice, is not there, or activities wait for one another.
    """
    del bench
    return await asyncio.to_thread(_scheduled, timeline)


async def allocate(allocation: Allocation, bench: Bench) -> Outcome:
    """Give work to people so that the most valuable hours are done.

    Raises:
        ToolError: a name comes twice.
    """
    del bench
    _no_twins([one.name for one in allocation.people])
    _no_twins([one.name for one in allocation.work])
    return await asyncio.to_thread(_allocated, allocation)


TOOLS = (
    Tool(
        "task_tracker",
        frozenset({"project", "marketing", "general"}),
        "Notes what somebody has to do, by when; marks it done; lists everything that is open.",
        Item,
        track,
        lambda _: {"action": "list"},
    ),
    Tool(
        "timeline_generator",
        frozenset({"project", "marketing", "general"}),
        "Dates for activities that depend on one another: critical path, slack, a Gantt chart.",
        Timeline,
        schedule,
    ),
    Tool(
        "resource_allocator",
        frozenset({"project"}),
        "The best assignment of work to people within their hours and skills.",
        Allocation,
        allocate,
    ),
)


def _no_twins(names: Sequence[str]) -> None:
    """Make sure that each name is one thing.

    Raises:
        ToolError: one comes twice.
    """
    for name in names:
        if names.count(name) > 1:
            message = f"'{name}' comes twice. Give each its own name."
            raise ToolError(message)


def _scheduled(timeline: Timeline) -> Outcome:
    """The critical path method.

    Source: Kelley and Walker (1959), "Critical-path planning and scheduling".
    """
    graph = _graph(timeline)
    starts, ends = _earliest(graph)
    whole = max(ends.values())
    latest = _latest(graph, whole)
    spans, rows = [], []
    for name in sorted(graph, key=lambda one: (starts[one], one)):
        days, slack = graph.nodes[name]["days"], latest[name] - starts[name]
        first, last = _day(timeline.start, starts[name]), _day(timeline.start, ends[name])
        is_critical = slack < 1e-9  # noqa: PLR2004  # of a day: none but the rounding of sums
        spans.append(Span(name, starts[name], days, f"{first} to {last}", is_critical))
        rows.append((name, first, last, f"{days:g}", f"{slack:g}"))
    table = markdown(["activity", "from", "to", "days", "slack"], rows)
    over = _day(timeline.start, whole)
    critical = ", ".join(one.name for one in spans if one.is_critical)
    text = f"{table}\n\nOver on {over}, after {whole:g} days. Critical: {critical}."
    files = (
        live_chart(timeline.title, _gantt(timeline, spans)),
        gantt_picture(timeline.title, spans),
    )
    return Outcome(text, files)


def _graph(timeline: Timeline) -> nx.DiGraph[str]:
    """The activities, each behind what it waits for.

    Raises:
        ToolError: a name comes twice, is not there, or activities wait for one another.
    """
    import networkx as nx  # noqa: PLC0415  # a quarter of a second, for who needs it

    _no_twins([one.name for one in timeline.activities])
    graph: nx.DiGraph[str] = nx.DiGraph()
    for one in timeline.activities:
        graph.add_node(one.name, days=one.days)
    for one in timeline.activities:
        for before in one.after:
            if before not in graph:
                message = f"'{one.name}' waits for '{before}', which is no activity of the plan."
                raise ToolError(message)
            graph.add_edge(before, one.name)
    if not nx.is_directed_acyclic_graph(graph):
        around = " -> ".join(edge[0] for edge in nx.find_cycle(graph))
        message = f"These wait for one another: {around}. Take one of the dependencies away."
        raise ToolError(message)
    return graph


def _earliest(graph: nx.DiGraph[str]) -> tuple[dict[str, float], dict[str, float]]:
    """Days from the start at which each activity can begin, and be over."""
    import networkx as nx  # noqa: PLC0415  # as above

    starts: dict[str, float] = {}
    ends: dict[str, float] = {}
    for name in nx.topological_sort(graph):
        starts[name] = max((ends[before] for before in graph.predecessors(name)), default=0.0)
        ends[name] = starts[name] + graph.nodes[name]["days"]
    return starts, ends


def _latest(graph: nx.DiGraph[str], whole: float) -> dict[str, float]:
    """Days from the start at which each activity must begin, if nothing is to be late."""
    import networkx as nx  # noqa: PLC0415  # as above

    latest: dict[str, float] = {}
    for name in reversed(list(nx.topological_sort(graph))):
        must_end = min((latest[behind] for behind in graph.successors(name)), default=whole)
        latest[name] = must_end - graph.nodes[name]["days"]
    return latest


def _day(start: dt.date, days: float) -> str:
    moment = dt.datetime.combine(start, dt.time()) + dt.timedelta(days=days)
    return f"{moment:%Y-%m-%d}" if moment.time() == dt.time() else f"{moment:%Y-%m-%d %H:%M}"


def _gantt(timeline: Timeline, spans: Sequence[Span]) -> go.Figure:
    import plotly.graph_objects as go  # noqa: PLC0415  # half a second, for who needs it

    figure = go.Figure()
    for one in spans:
        figure.add_bar(
            y=[one.name],
            base=[_day(timeline.start, one.begins)],
            x=[one.days * 86_400_000],
            orientation="h",
            marker_color=one.colour,
            name="critical" if one.is_critical else "has slack",
            hovertext=one.dates,
        )
    figure.update_layout(showlegend=False, xaxis={"type": "date"})
    figure.update_yaxes(autorange="reversed")
    return figure


def _allocated(allocation: Allocation) -> Outcome:
    """Hours of work per person: a linear programme.

    Source: HiGHS (Huangfu and Hall 2018), by scipy.optimize.linprog.
    """
    import numpy as np  # noqa: PLC0415  # with the next one
    from scipy.optimize import linprog  # noqa: PLC0415  # half a second, for who needs it

    people, work = allocation.people, allocation.work
    able = np.array(
        [
            [not one.skills or job.skill is None or job.skill in one.skills for job in work]
            for one in people
        ]
    )
    gain = np.array([[job.value for job in work]] * len(people))
    limits = np.vstack(
        [
            np.kron(np.eye(len(people)), np.ones(len(work))),
            np.kron(np.ones(len(people)), np.eye(len(work))),
        ]
    )
    most = [one.hours for one in people] + [job.hours for job in work]
    bounds = [(0, None if can else 0) for can in able.ravel()]
    found = linprog(-gain.ravel(), A_ub=limits, b_ub=most, bounds=bounds, method="highs")
    hours = found.x.reshape(able.shape)
    rows = [
        (job.name, one.name, f"{hours[i, j]:.1f}")
        for j, job in enumerate(work)
        for i, one in enumerate(people)
        if hours[i, j] > 0.05  # noqa: PLR2004  # of an hour
    ]
    left = [
        f"{job.name} lacks {job.hours - hours[:, j].sum():.1f} hours"
        for j, job in enumerate(work)
        if job.hours - hours[:, j].sum() > 0.05  # noqa: PLR2004  # as above
    ]
    idle = [
        f"{one.name} has {one.hours - hours[i].sum():.1f} hours left"
        for i, one in enumerate(people)
        if one.hours - hours[i].sum() > 0.05  # noqa: PLR2004  # as above
    ]
    told = [markdown(["work", "by", "hours"], rows) if rows else "Nobody can do any of it."]
    told.append(f"Undone: {'; '.join(left)}." if left else "All of it is done.")
    told += [f"Free: {'; '.join(idle)}."] if idle else []
    return Outcome("\n\n".join(told))
