"""The content of a page: sections under headings, as Markdown and as blocks.

Notion's Markdown puts a backslash before signs that would mean something, leaves blank lines out
and writes <br> for a line end within a block. A section's text is kept as Notion wrote it until
somebody asks for it `plain`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

SECTIONS = ("prompt", "examples", "backstory", "voice", "starters", "technical")
"""Headings that mean something here; what stands under others is its author's own."""

LONGEST_TEXT = 2000
"""Characters of one text object that the API takes."""

_BEYOND_TEXT = re.compile(r"(?<!\\)(?:!\[|<(?!br\b)[a-z/])")
"""Pictures, tables, pages and the like, in Notion's Markdown: signs in text have a backslash."""
_FENCED = re.compile(r"^```[\s\S]*?^```$", re.MULTILINE)
_PREFIXES = {
    "heading_1": "# ",
    "heading_2": "## ",
    "heading_3": "### ",
    "quote": "> ",
    "bulleted_list_item": "- ",
    "numbered_list_item": "1. ",
    "to_do": "- ",
}
_PIECE = re.compile(
    r"^```(?P<language>.*)\n(?P<code>[\s\S]*?)\n```$|^(?P<quote>>.*(?:\n>.*)*)|^(?P<line>.+)$",
    re.MULTILINE,
)
_PLAIN_BLOCKS = frozenset({"paragraph", "callout", "toggle"})


def sections_of(markdown: str) -> dict[str, str]:
    """The text below each heading that means something here, by the heading in lower case.

    A heading of another name belongs to the text, unless it stands as high as the section's own.
    """
    found: dict[str, list[str]] = {}
    for section, line, is_title in _lines(markdown):
        if section and not is_title:
            found.setdefault(section, []).append(line)
    texts = {section: "\n".join(lines).strip() for section, lines in found.items()}
    return {section: text for section, text in texts.items() if text}


def with_sections(markdown: str, texts: Mapping[str, str]) -> str:
    """The same content with these sections instead of its own; an empty text takes one away."""
    kept: list[str] = []
    written: set[str] = set()
    for section, line, _ in _lines(markdown):
        if section not in texts:
            kept.append(line)
        elif section not in written:
            written.add(section)
            kept += [line, texts[section]] if texts[section] else []
    missing = [one for one in SECTIONS if texts.get(one) and one not in written]
    kept += [f"## {one.capitalize()}\n{texts[one]}" for one in missing]
    return "\n".join(kept).strip()


def is_text(markdown: str) -> bool:
    """Whether there is nothing but words, which can be written anew without a loss."""
    return _BEYOND_TEXT.search(_FENCED.sub("", markdown)) is None


def plain(markdown: str) -> str:
    """The words, without pictures, and without Notion's escapes and <br>."""
    words = re.sub(r"^!\[.*\]\(.*\)\n?", "", markdown, flags=re.MULTILINE)
    broken = re.sub(r"<br */?>", "\n", words)
    return re.sub(r"\\([\\*~`$\[\]<>{}|^_#-])", r"\1", broken)


def escaped(words: str) -> str:
    """Words as Notion's Markdown; the other way round than `plain`."""
    signs = re.sub(r"([\\*~`$\[\]<>{}|^])", r"\\\1", words)
    return re.sub(r"^#", r"\#", signs, flags=re.MULTILINE)


def markdown_of(blocks: Sequence[Mapping[str, Any]]) -> tuple[str, bool]:
    """The Markdown of blocks, and whether that is all of them."""
    lines, is_whole = [], True
    for block in blocks:
        kind = str(block["type"])
        content = block.get(kind) or {}
        said = "".join(str(one.get("plain_text", "")) for one in content.get("rich_text", ()))
        if kind == "code":
            lines.append(f"```{content.get('language', '')}\n{said}\n```")
        elif kind == "divider":
            lines.append("---")
        elif kind in _PREFIXES or kind in _PLAIN_BLOCKS:
            prefix = _PREFIXES.get(kind, "")
            # Within a block, a line end is no new block.
            lines.append(prefix + escaped(said).replace("\n", "<br>"))
        else:
            is_whole = False
        if block.get("children"):
            below, whole = markdown_of(block["children"])
            lines.append(below)
            is_whole = is_whole and whole
    return "\n".join(line for line in lines if line), is_whole


def blocks_of(markdown: str) -> list[dict[str, Any]]:
    """Markdown as blocks, one for each line, quote or fenced text."""
    blocks: list[dict[str, Any]] = []
    for kind, said, language in _pieces(markdown):
        content: dict[str, Any] = {"rich_text": texts_of(said)}
        if kind == "code":
            content["language"] = language or "plain text"
        blocks.append({"object": "block", "type": kind, kind: content})
    return blocks


def texts_of(words: str) -> list[dict[str, Any]]:
    """Words as text objects that the API takes."""
    pieces, piece, length = [], "", 0
    for sign in words:
        width = length_of(sign)
        if length + width > LONGEST_TEXT:
            pieces.append(piece)
            piece, length = "", 0
        piece, length = piece + sign, length + width
    return [{"type": "text", "text": {"content": one}} for one in (*pieces, piece) if one]


def length_of(words: str) -> int:
    """How long the API takes words to be: many an emoji counts twice."""
    return len(words.encode("utf-16-le")) // 2


def _pieces(markdown: str) -> Iterator[tuple[str, str, str]]:
    """Kind, words and language of each block."""
    for found in _PIECE.finditer(markdown):
        if found["code"] is not None:
            yield "code", found["code"], found["language"]
        elif found["quote"] is not None:
            yield "quote", plain(re.sub(r"^> ?", "", found["quote"], flags=re.MULTILINE)), ""
        else:
            yield (*_line(found["line"]), "")


def _line(line: str) -> tuple[str, str]:
    for kind, prefix in _PREFIXES.items():
        if kind != "to_do" and line.startswith(prefix):
            return kind, plain(line.removeprefix(prefix))
    return "paragraph", plain(line)


def _lines(markdown: str) -> Iterator[tuple[str, str, bool]]:
    """Every line, with the section it belongs to ('' for none) and whether it is its heading."""
    section, depth, fenced = "", 0, False
    for line in markdown.splitlines():
        fenced ^= line.startswith("```")
        heading = None if fenced else re.fullmatch(r"(#{1,3}) +(.+?)(?: *\{[^{}]*\})? *", line)
        title = heading[2].strip().lower() if heading else ""
        begins = heading is not None and (title in SECTIONS or len(heading[1]) <= depth)
        if heading is not None and begins:
            section, depth = (title, len(heading[1])) if title in SECTIONS else ("", 0)
        yield section, line, begins
