"""Tools of the sales subject: customers, drafts of emails, one-page pitches."""

from __future__ import annotations

import asyncio
import html
import uuid
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Literal

import sqlalchemy as sa
from pydantic import Field, field_validator

from orchestra.crews.tools.tables import file_named, markdown, table_of
from orchestra.crews.tools.tool import Arguments, Bench, Outcome, Tool
from orchestra.database import now, take_turns
from orchestra.errors import ToolError
from orchestra.tables import contact_notes, contacts, deals
from orchestra.types.task import File

_MOST_IMPORTED = 5_000
_SHOWN = 25
_HEADINGS = {
    "name": ("name", "contact", "full name"),
    "company": ("company", "organisation", "organization", "account"),
    "email": ("email", "e-mail", "mail"),
    "phone": ("phone", "telephone", "mobile"),
}


class Crm(Arguments):
    """Something about customers."""

    action: Literal["find", "add_contact", "add_deal", "add_note", "import_csv"]
    name: str = Field("", max_length=200, description="Contact or deal; for find: part of a name.")
    company: str = Field("", max_length=200)
    email: str = Field("", max_length=254)
    phone: str = Field("", max_length=60)
    contact: str = Field("", max_length=200, description="Whose deal or note it is.")
    stage: Literal["lead", "qualified", "proposal", "won", "lost"] = "lead"
    amount: float = Field(0, ge=0, le=1e12)
    text: str = Field("", max_length=10_000, description="Of a note.")
    file: str = Field("", description="Name of an attached CSV or Excel file with contacts.")


class Email(Arguments):
    """A draft."""

    to: list[str] = Field(min_length=1, max_length=50)
    subject: str = Field(min_length=1, max_length=200)
    body: str = Field(min_length=1, max_length=20_000)
    sender: str | None = Field(None, description="Whom it is from; null: whoever sends it.")

    @field_validator("to")
    @classmethod
    def _addresses(cls, given: list[str]) -> list[str]:
        for one in given:
            _address(one)
        return given

    @field_validator("subject")
    @classmethod
    def _one_line(cls, given: str) -> str:
        return " ".join(given.split())


class Pitch(Arguments):
    """What goes onto the one page."""

    product: str = Field(min_length=1, max_length=100)
    audience: str = Field(min_length=1, max_length=200)
    problem: str = Field(min_length=1, max_length=800)
    solution: str = Field(min_length=1, max_length=800)
    benefits: list[str] = Field(min_length=1, max_length=6)
    proof: str = Field("", max_length=500, description="Customers, figures; only what is true.")
    ask: str = Field(min_length=1, max_length=300, description="What the reader is to do next.")


async def keep_customers(crm: Crm, bench: Bench) -> Outcome:
    """Find or note customers, deals and what was said.

    Raises:
        ToolError: something that is needed is missing.
        StorageError: it could not be kept.
    """
    if crm.action == "find":
        return Outcome(await _found(crm.name, bench))
    rows = await _rows(crm, bench)

    def write(connection: sa.Connection) -> None:
        take_turns(connection, f"customers of {bench.user_id}")
        for table, row in rows:
            key = [column for column in table.primary_key.columns if column.name in row]
            same = sa.and_(*(column == row[column.name] for column in key))
            told = {name: cell for name, cell in row.items() if cell not in {"", 0.0}}
            # What is known already stays, unless something else was said.
            if not connection.execute(table.update().where(same).values(**told)).rowcount:
                connection.execute(table.insert().values(**row))

    await bench.database.write(write)
    if crm.action == "import_csv":
        return Outcome(f"Imported {len(rows)} contacts from {crm.file}.")
    return Outcome(await _found(crm.contact or crm.name, bench))


async def draft_email(email: Email, bench: Bench) -> Outcome:
    """Make a draft that every mail program opens.

    Raises:
        ToolError: the sender's address is none.
    """
    del bench
    message = EmailMessage()
    if email.sender:
        try:
            message["From"] = _address(email.sender)
        except ValueError as exc:
            raise ToolError(str(exc)) from exc
    message["To"] = [_address(one) for one in email.to]
    message["Subject"] = email.subject
    message["Date"] = formatdate(localtime=False)
    message["Message-ID"] = make_msgid(domain="orchestra.invalid")
    message["X-Unsent"] = "1"  # so that mail programs open it for writing
    message.set_content(email.body)
    file = File(f"{email.subject[:60]}.eml", "message/rfc822", message.as_bytes())
    return Outcome(f"Drafted an email to {', '.join(email.to)}: {email.subject}", (file,))


async def make_pitch(pitch: Pitch, bench: Bench) -> Outcome:
    """Make a one-page document to send or print."""
    del bench
    page = await asyncio.to_thread(_one_page, pitch)
    file = File(f"{pitch.product} pitch.html", "text/html", page.encode())
    words = len(" ".join([pitch.problem, pitch.solution, *pitch.benefits, pitch.proof]).split())
    return Outcome(f"Made a one-page pitch of {words} words for {pitch.audience}.", (file,))


TOOLS = (
    Tool(
        "crm",
        frozenset({"sales"}),
        "Customers: find contacts, deals and notes; add them; import contacts from a CSV file.",
        Crm,
        keep_customers,
        lambda _: {"action": "find"},
    ),
    Tool(
        "email_generator",
        frozenset({"sales", "marketing"}),
        "Makes a draft of an email (.eml) that can be opened and sent.",
        Email,
        draft_email,
    ),
    Tool(
        "pitch_creator",
        frozenset({"sales", "marketing"}),
        "Makes a one-page pitch as a document.",
        Pitch,
        make_pitch,
    ),
)


async def _rows(crm: Crm, bench: Bench) -> list[tuple[sa.Table, dict[str, object]]]:
    """What is to be kept.

    Raises:
        ToolError: something that is needed is missing.
    """
    if crm.action == "import_csv":
        return await asyncio.to_thread(_imported, crm, bench)
    own = {"user_id": bench.user_id}
    needed = {"add_contact": crm.name, "add_deal": crm.name, "add_note": crm.contact and crm.text}
    if not needed[crm.action]:
        lacking = "contact and text" if crm.action == "add_note" else "name"
        message = f"{crm.action} needs {lacking}."
        raise ToolError(message)
    if crm.action == "add_contact":
        said = {"name": crm.name, "company": crm.company, "email": crm.email, "phone": crm.phone}
        return [(contacts, {**own, **said, "changed_at": now()})]
    if crm.action == "add_deal":
        said = {"title": crm.name, "contact": crm.contact, "stage": crm.stage}
        return [(deals, {**own, **said, "amount": crm.amount, "changed_at": now()})]
    note_id = uuid.uuid5(uuid.NAMESPACE_OID, f"{bench.task_id}\0{crm.contact}\0{crm.text}")
    said = {"id": str(note_id), "contact": crm.contact, "text": crm.text}
    return [(contact_notes, {**own, **said, "created_at": now()})]


def _imported(crm: Crm, bench: Bench) -> list[tuple[sa.Table, dict[str, object]]]:
    """The contacts of a file.

    Raises:
        ToolError: there is no such file, or no column of names in it.
    """
    table = table_of(file_named(bench, crm.file))
    columns = {title.strip().lower(): title for title in table.column_names}
    places = {
        field: next((columns[one] for one in names if one in columns), None)
        for field, names in _HEADINGS.items()
    }
    if places["name"] is None:
        message = f"{crm.file} has no column 'name'. Its columns: {', '.join(table.column_names)}."
        raise ToolError(message)
    rows: dict[str, tuple[sa.Table, dict[str, object]]] = {}
    if table.num_rows > _MOST_IMPORTED:
        message = (
            f"{crm.file} has {table.num_rows:,} rows; at most {_MOST_IMPORTED:,} are imported at "
            "once. Split it."
        )
        raise ToolError(message)
    for one in table.to_pylist():
        said = {
            field: str(one[title] if title and one[title] is not None else "").strip()
            for field, title in places.items()
        }
        if said["name"]:
            row = {"user_id": bench.user_id, **said, "changed_at": now()}
            rows[said["name"]] = (contacts, row)
    return list(rows.values())


async def _found(part: str, bench: Bench) -> str:
    """Contacts, deals and notes with these letters in a name."""
    pattern = f"%{part.replace('%', '').replace('_', ' ')}%"
    people = sa.select(
        contacts.c.name, contacts.c.company, contacts.c.email, contacts.c.phone
    ).where(
        contacts.c.user_id == bench.user_id,
        contacts.c.name.ilike(pattern) | contacts.c.company.ilike(pattern),
    )
    sales = sa.select(deals.c.title, deals.c.contact, deals.c.stage, deals.c.amount).where(
        deals.c.user_id == bench.user_id,
        deals.c.title.ilike(pattern) | deals.c.contact.ilike(pattern),
    )
    notes = sa.select(contact_notes.c.contact, contact_notes.c.text).where(
        contact_notes.c.user_id == bench.user_id, contact_notes.c.contact.ilike(pattern)
    )
    told = []
    for title, query, columns in (
        ("Contacts", people, ["name", "company", "email", "phone"]),
        ("Deals", sales, ["deal", "contact", "stage", "amount"]),
        ("Notes", notes, ["contact", "note"]),
    ):
        rows = [tuple(row) for row in await bench.database.fetch(query.limit(_SHOWN))]
        if rows:
            told.append(f"{title}\n\n{markdown(columns, rows)}")
    whose = f" of {part!r}" if part else ""
    return "\n\n".join(told) or f"No contact, deal or note{whose} is known."


def _address(given: str) -> Address:
    """An address as mail programs want one.

    Raises:
        ValueError: it is none.
    """
    name, _, rest = given.rpartition("<")
    spec = rest.rstrip("> ") if name else given.strip()
    try:
        return Address(display_name=name.strip(' "'), addr_spec=spec)
    except (HeaderParseError, ValueError, IndexError) as exc:
        rule = f"'{given}' is no email address"
        raise ValueError(rule) from exc


def _one_page(pitch: Pitch) -> str:
    said = {
        key: html.escape(value) for key, value in pitch.model_dump(exclude={"benefits"}).items()
    }
    points = "".join(f"<li>{html.escape(one)}</li>" for one in pitch.benefits)
    proof = f"<h2>Proof</h2><p>{said['proof']}</p>" if pitch.proof else ""
    style = (
        "@page{size:A4;margin:18mm}body{font:16px/1.5 Georgia,serif;max-width:44rem;margin:2rem "
        "auto;padding:0 1rem}h1{font-size:2rem}h2{font-size:1.1rem;margin-bottom:.2rem}"
        ".ask{border-top:3px solid;padding-top:.6rem;font-size:1.2rem}"
    )
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{said["product"]}</title>'
        f"<style>{style}</style>\n<h1>{said['product']}</h1><p>For {said['audience']}</p>"
        f"<h2>The problem</h2><p>{said['problem']}</p>"
        f"<h2>What we do about it</h2><p>{said['solution']}</p><ul>{points}</ul>{proof}"
        f'<p class="ask">{said["ask"]}</p></html>\n'
    )
