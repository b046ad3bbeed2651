"""The tables of the house; SQL is the source of truth for all that it stores."""

from __future__ import annotations

import sqlalchemy as sa

tables = sa.MetaData()

_UTC = sa.DateTime(timezone=True)

memories = sa.Table(
    "memories",
    tables,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(36), nullable=False, unique=True),
    sa.Column("user_id", sa.String(200), nullable=False),
    sa.Column("persona_id", sa.String(40), nullable=False),
    sa.Column("conversation_id", sa.String(200)),
    sa.Column("domain", sa.String(80), nullable=False),
    sa.Column("task", sa.Text, nullable=False),
    sa.Column("decision", sa.Text, nullable=False),
    sa.Column("day", sa.String(40), nullable=False),
    sa.Column("scope", sa.String(40), nullable=False),
    sa.Column("importance", sa.Float, nullable=False),
    sa.Column("pinned", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("times", sa.Integer, nullable=False, server_default="1"),
    sa.Column("rejected", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("created_at", _UTC, nullable=False),
    sa.Column("indexed", sa.Boolean, nullable=False, server_default=sa.false()),
    # With all that an owner's version is counted from: no row has to be read for it.
    sa.Index("memories_by_owner", "user_id", "persona_id", "number", "indexed", "pinned"),
    sa.Index("memories_by_conversation", "user_id", "conversation_id", "created_at"),
    sa.Index("memories_to_index", "indexed"),
    sqlite_autoincrement=True,
)
"""What each persona decided for each person.

`number` is never used twice. `day` is the date in words and `scope` one word for the owner: both
are searched as text. `indexed` says whether the vectors know the row; one that its person
`rejected` is not recalled.
"""

forgotten = sa.Table(
    "forgotten",
    tables,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("persona_id", sa.String(40), nullable=False),
)
"""Memories whose vector still has to be removed."""

merged_memories = sa.Table(
    "merged_memories",
    tables,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("kept_id", sa.String(36), nullable=False, index=True),
)
"""Memories that a newer one took the place of: answers still name them by the old id."""

lessons = sa.Table(
    "lessons",
    tables,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("user_id", sa.String(200), nullable=False, index=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("persona_id", sa.String(40), nullable=False),
    sa.Column("created_at", _UTC, nullable=False),
)
"""What people taught the router."""

accounts = sa.Table(
    "accounts",
    tables,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("password_hash", sa.Text, nullable=False),
    sa.Column("key_digest", sa.String(64), nullable=False, unique=True),
    sa.Column("created_at", _UTC, nullable=False),
)
"""Who may sign in with a password, and the digest of their API key."""

people = sa.Table(
    "people",
    tables,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False, unique=True),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
)
"""Everybody who ever opened the chat screen."""

threads = sa.Table(
    "threads",
    tables,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("person_id", sa.String(36), sa.ForeignKey("people.id", ondelete="CASCADE")),
    sa.Column("name", sa.Text),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("changed_at", sa.String(40), nullable=False),
    sa.Index("threads_by_person", "person_id", "changed_at"),
)
"""Conversations on the chat screen."""

steps = sa.Table(
    "steps",
    tables,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("thread_id", sa.String(36), nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.Index("steps_by_thread", "thread_id", "created_at"),
)
"""What a conversation shows, each as the screen's own JSON; `text` is for searching."""

elements = sa.Table(
    "elements",
    tables,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("thread_id", sa.String(36), nullable=False, index=True),
    sa.Column("details", sa.Text, nullable=False),
)
"""Things attached to steps, each as the screen's own JSON."""

feedbacks = sa.Table(
    "feedbacks",
    tables,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("step_id", sa.String(36), nullable=False, unique=True),
    sa.Column("thread_id", sa.String(36), index=True),
    sa.Column("persona_id", sa.String(40), index=True),
    sa.Column("value", sa.Integer, nullable=False),
    sa.Column("comment", sa.Text),
    sa.Column("created_at", _UTC, nullable=False),
    sa.Column("domain", sa.String(80)),
    sa.Column("revision", sa.String(12)),
    sa.Column("memory_id", sa.String(36)),
    sa.Column("answer_id", sa.String(36)),
)
"""Thumbs, up (1) or down (0), each for one answer: of whom, on what, and how it is remembered.

`step_id` is what the page named: the answer's step, `answer_id`, or the turn around it.
"""

_SCORES = (
    "openness",
    "conscientiousness",
    "extraversion",
    "agreeableness",
    "neuroticism",
    "humor",
    "formality",
)

personas = sa.Table(
    "personas",
    tables,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("name", sa.String(40), nullable=False),
    sa.Column("role", sa.String(80), nullable=False),
    sa.Column("voice", sa.Text, nullable=False),
    sa.Column("backstory", sa.Text, nullable=False),
    *(sa.Column(name, sa.Float, nullable=False) for name in _SCORES),
    sa.Column("template", sa.Text, nullable=False),
    sa.Column("domains", sa.Text, nullable=False),
    sa.Column("examples", sa.Text, nullable=False),
    sa.Column("starters", sa.Text, nullable=False),
    sa.Column("accent", sa.String(7), nullable=False),
    sa.Column("avatar", sa.String(200), nullable=False),
    sa.Column("icon", sa.String(16), nullable=False),
    sa.Column("card", sa.Text, nullable=False),
    sa.Column("changed_at", _UTC, nullable=False),
    *(sa.CheckConstraint(f"{name} BETWEEN 0 AND 1", f"{name}_from_0_to_1") for name in _SCORES),
)
"""Who answers, where personas live in the database; domains, examples and starters are JSON."""

persona_versions = sa.Table(
    "persona_versions",
    tables,
    sa.Column("persona_id", sa.String(40), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("revision", sa.String(12), nullable=False),
    sa.Column("content", sa.Text),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("author", sa.String(200), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("seen_at", _UTC, nullable=False),
)
"""Each content that a persona had, as JSON, from 1 on; one without content: it was removed."""

audit = sa.Table(
    "audit",
    tables,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", _UTC, nullable=False),
    sa.Column("author", sa.String(200), nullable=False),
    sa.Column("action", sa.String(20), nullable=False),
    sa.Column("persona_id", sa.String(40), nullable=False, index=True),
    sa.Column("before", sa.String(12), nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
)
"""What administrators did or tried to do to personas, with the revision before."""

tasks = sa.Table(
    "tasks",
    tables,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("user_id", sa.String(200), nullable=False),
    sa.Column("status", sa.String(10), nullable=False),
    sa.Column("worker", sa.String(80), nullable=False, server_default=""),
    sa.Column("request_key", sa.String(200)),
    sa.Column("task", sa.Text, nullable=False),
    sa.Column("created_at", _UTC, nullable=False),
    sa.Column("finished_at", _UTC),
    sa.Index("tasks_by_person", "user_id", "created_at", "id"),
    sa.Index("tasks_by_status", "status", "finished_at"),
    sa.Index("tasks_by_request", "user_id", "request_key"),
)
"""What crews work on: how each stands, as JSON; `request_key` names the request it came with."""

task_events = sa.Table(
    "task_events",
    tables,
    sa.Column(
        "task_id", sa.String(36), sa.ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("event", sa.Text, nullable=False),
)
"""What happened to each task, from 1 on, as JSON."""

workers = sa.Table(
    "workers",
    tables,
    sa.Column("id", sa.String(80), primary_key=True),
    sa.Column("seen_at", _UTC, nullable=False),
)
"""Processes that work on tasks, and when each was last alive."""

work_items = sa.Table(
    "work_items",
    tables,
    sa.Column("user_id", sa.String(200), primary_key=True),
    sa.Column("title", sa.String(200), primary_key=True),
    sa.Column("owner", sa.String(100), nullable=False),
    sa.Column("status", sa.String(10), nullable=False),
    sa.Column("due", sa.String(10), nullable=False),
    sa.Column("task_id", sa.String(36), nullable=False),
    sa.Column("changed_at", _UTC, nullable=False),
)
"""What crews noted that people have to do; `due` is a date as it is written, or ''."""

contacts = sa.Table(
    "contacts",
    tables,
    sa.Column("user_id", sa.String(200), primary_key=True),
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("company", sa.String(200), nullable=False),
    sa.Column("email", sa.String(254), nullable=False),
    sa.Column("phone", sa.String(60), nullable=False),
    sa.Column("changed_at", _UTC, nullable=False),
)
"""Whom somebody sells to."""

deals = sa.Table(
    "deals",
    tables,
    sa.Column("user_id", sa.String(200), primary_key=True),
    sa.Column("title", sa.String(200), primary_key=True),
    sa.Column("contact", sa.String(200), nullable=False),
    sa.Column("stage", sa.String(20), nullable=False),
    sa.Column("amount", sa.Float, nullable=False),
    sa.Column("changed_at", _UTC, nullable=False),
)
"""What somebody hopes to sell; `contact` is a name that need not be known."""

contact_notes = sa.Table(
    "contact_notes",
    tables,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("user_id", sa.String(200), nullable=False),
    sa.Column("contact", sa.String(200), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("created_at", _UTC, nullable=False),
    sa.Index("contact_notes_by_contact", "user_id", "contact", "created_at"),
)
"""What was said to a contact, or about one."""

artifacts = sa.Table(
    "artifacts",
    tables,
    sa.Column(
        "task_id", sa.String(36), sa.ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("content_type", sa.String(100), nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("created_at", _UTC, nullable=False),
)
"""Files that came of a task."""

attachments = sa.Table(
    "attachments",
    tables,
    sa.Column("user_id", sa.String(200), primary_key=True),
    sa.Column("conversation_id", sa.String(200), primary_key=True),
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("content_type", sa.String(100), nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("created_at", _UTC, nullable=False),
)
"""Files that people attached to a conversation, for its crews."""

lab_trials = sa.Table(
    "lab_trials",
    tables,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("user_id", sa.String(200), nullable=False),
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("persona_id", sa.String(40), nullable=False),
    sa.Column("wording", sa.String(12), nullable=False),
    sa.Column("model", sa.String(200), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("guess", sa.String(40)),
    sa.Column("created_at", _UTC, nullable=False),
    sa.Column("guessed_at", _UTC),
    sa.Column("revision", sa.String(12)),
    sa.UniqueConstraint("user_id", "question", name="lab_trials_once"),
)
"""Answers without names, and whose a tester guessed they are.

`wording` is what the model was told of the persona, `revision` all that it was.
"""

lab_comparisons = sa.Table(
    "lab_comparisons",
    tables,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("user_id", sa.String(200), nullable=False),
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("model", sa.String(200), nullable=False),
    sa.Column("columns", sa.Text, nullable=False),
    sa.Column("vote", sa.String(60)),
    sa.Column("created_at", _UTC, nullable=False),
    sa.Column("voted_at", _UTC),
    sa.Column("revisions", sa.Text),
    sa.Index("lab_comparisons_by_vote", "vote"),
)
"""Answers side by side as JSON, and which one was voted best: a column's key, 'tie' or 'none'.

`revisions` is JSON too: by persona, which revision of it answered.
"""
