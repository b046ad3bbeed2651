"""Tools of the content subject: finished texts, grammar, and what was taken from elsewhere."""

from __future__ import annotations

import asyncio
import html
import re
import threading
from functools import cache
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from orchestra.crews.tools.documents import document_of
from orchestra.crews.tools.tables import file_named
from orchestra.crews.tools.tool import Arguments, Bench, Outcome, Tool
from orchestra.errors import ToolError
from orchestra.types.task import File

if TYPE_CHECKING:
    import harper

_MOST_LINTS = 40
_ALIKE = 85
"""Of 100: sentences that differ in a word or two are above, others on the same matter below."""
_MOST_MEMORIES = 500
_MOST_COMPARED = 500_000
"""Characters of each text that is compared with."""
_MOST_SENTENCES = 20_000
_SHORTEST_WORDS = 6
"""Sentences below this are alike by chance."""
_READING_WORDS = 238
"""A minute. Source: Brysbaert (2019), reading rate of non-fiction in English, silently."""


class Page(Arguments):
    """A finished text."""

    title: str = Field(min_length=1, max_length=150)
    kind: Literal["article", "post", "newsletter", "page", "document"] = "document"
    body: str = Field(min_length=1, max_length=60_000, description="The whole text, as Markdown.")


class Draft(Arguments):
    """A text to be looked at."""

    text: str = Field(min_length=1, max_length=60_000)
    dialect: Literal["american", "british"] = "american"


class Compared(Arguments):
    """A text, and where it may have been taken from."""

    text: str = Field(min_length=1, max_length=60_000)
    sources: list[str] = Field(
        default_factory=list, max_length=50, description="Texts to compare it with."
    )
    files: list[str] = Field(
        default_factory=list, description="Names of attached documents, or of pages that were read."
    )
    memory: bool = Field(default=True, description="Whether to compare with earlier results too.")


async def publish(page: Page, bench: Bench) -> Outcome:
    """Make files of a finished text, as Markdown and as a web page, and say how it reads."""
    del bench
    return await asyncio.to_thread(_published, page)


def _published(page: Page) -> Outcome:
    words = re.findall(r"[\w'’-]+", page.body)
    sentences = _sentences(page.body)
    long = [one for one in sentences if len(one.split()) > 30]  # noqa: PLR2004  # hard to follow
    said = (
        f"Made a {page.kind} of {len(words)} words, {max(1, round(len(words) / _READING_WORDS))} "
        f"minutes to read, {len(sentences)} sentences, {len(long)} of more than 30 words."
    )
    if long:
        said += f" The first: '{long[0][:160]}'"
    name = re.sub(r"[^\w .-]", "", page.title).strip()[:80] or page.kind
    text = f"# {page.title}\n\n{page.body.strip()}\n"
    return Outcome(
        said,
        (
            File(f"{name}.md", "text/markdown", text.encode()),
            File(f"{name}.html", "text/html", _web_page(page).encode()),
        ),
    )


async def proofread(draft: Draft, bench: Bench) -> Outcome:
    """Check spelling and grammar, offline."""
    del bench
    return Outcome(await asyncio.to_thread(_linted, draft))


async def compare(compared: Compared, bench: Bench) -> Outcome:
    """Find sentences that stand, nearly so, in other texts.

    Raises:
        ToolError: there is nothing to compare with.
    """
    sources = {f"source {n}": text for n, text in enumerate(compared.sources, start=1)}
    for name in compared.files:
        file = file_named(bench, name)
        document = await asyncio.to_thread(document_of, file)
        sources[file.name] = document.text
    if compared.memory and bench.memory is not None:
        kept = await bench.memory.newest(bench.user_id, limit=_MOST_MEMORIES)
        sources |= {f"memory: {one.task[:60]}": one.decision for one in kept}
    if not sources:
        message = "There is nothing to compare with: give sources, or the names of files."
        raise ToolError(message)
    return Outcome(await asyncio.to_thread(_overlaps, compared.text, sources))


TOOLS = (
    Tool(
        "content_generator",
        frozenset({"content", "marketing"}),
        "Makes files of a finished text (Markdown and web page) and says how it reads.",
        Page,
        publish,
    ),
    Tool(
        "grammar_checker",
        frozenset({"content"}),
        "Finds mistakes of spelling and grammar in an English text, with corrections.",
        Draft,
        proofread,
        lambda bench: {"text": bench.description},
    ),
    Tool(
        "plagiarism_detector",
        frozenset({"content"}),
        "Finds sentences of a text that stand, nearly so, in other texts or attached files.",
        Compared,
        compare,
    ),
)


def _sentences(text: str) -> list[str]:
    plain = re.sub(r"(?m)^[ \t]*(?:[#>*+-]{1,8}|\d{1,4}[.)])[ \t]*", "", text)
    return [one.strip() for one in re.split(r"(?<=[.!?])\s|\n[ \t]*\n", plain) if one.strip()]


def _web_page(page: Page) -> str:
    from markdown_it import MarkdownIt  # noqa: PLC0415  # for who needs it

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(page.body)
    title = html.escape(page.title)
    style = "body{font:17px/1.6 Georgia,serif;max-width:42rem;margin:3rem auto;padding:0 1rem}"
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{style}</style>\n<h1>{title}</h1>\n{body}</html>\n"
    )


_one_at_a_time = threading.Lock()


@cache
def _linter(dialect: str) -> harper.Linter:
    import harper  # noqa: PLC0415  # loads a dictionary

    return harper.Linter(dialect=harper.Dialect[dialect.upper()])


def _linted(draft: Draft) -> str:
    with _one_at_a_time:  # a linter is no good to two threads at once
        lints = _linter(draft.dialect).lint(draft.text)
    lines = []
    for one in lints[:_MOST_LINTS]:
        span = one.span
        fixes = [fix.replacement_text for fix in one.suggestions if fix.replacement_text][:3]
        instead = f" Instead: {', '.join(fixes)}." if fixes else ""
        around = draft.text[max(0, span.start - 20) : span.end + 20].replace("\n", " ")
        wrong = draft.text[span.start : span.end]
        lines.append(f"- '{wrong}' in '…{around}…': {one.message}{instead}")
    more = f"\n… and {len(lints) - _MOST_LINTS} more" if len(lints) > _MOST_LINTS else ""
    return f"{len(lints)} findings.\n" + "\n".join(lines) + more if lints else "No mistakes found."


def _overlaps(text: str, sources: dict[str, str]) -> str:
    from rapidfuzz import fuzz, process  # noqa: PLC0415  # for who needs it

    own = [one for one in _sentences(text) if len(one.split()) >= _SHORTEST_WORDS]
    others = [
        (name, other)
        for name, source in sources.items()
        for other in _sentences(source[:_MOST_COMPARED])
        if len(other.split()) >= _SHORTEST_WORDS - 1
    ][:_MOST_SENTENCES]
    lowered = [other.lower() for _, other in others]
    lines, taken = [], 0
    for sentence in own:
        found = process.extractOne(
            sentence.lower(), lowered, scorer=fuzz.ratio, score_cutoff=_ALIKE
        )
        if found is not None:
            name, other = others[found[2]]
            taken += len(sentence.split())
            lines.append(f"- {found[1]:.0f} % alike, {name}: '{sentence}' / '{other}'")
    whole = sum(len(one.split()) for one in own)
    if not lines:
        return f"None of {len(own)} sentences stands in the {len(sources)} texts."
    share = f"{taken / whole:.0%} of the words stand, nearly so, in other texts"
    return f"{len(lines)} of {len(own)} sentences, {share}:\n" + "\n".join(lines[:_MOST_LINTS])
