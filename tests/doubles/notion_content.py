"""What Notion's API checks and gives back: cells, blocks, and a page as Markdown."""

from __future__ import annotations

import re
import uuid
from typing import Any, NoReturn

TEXTS = frozenset({"title", "rich_text"})
BLOCKS = {
    "heading_1": "# ",
    "heading_2": "## ",
    "heading_3": "### ",
    "quote": "> ",
    "bulleted_list_item": "- ",
    "numbered_list_item": "1. ",
    "paragraph": "",
    "code": "",
}


class RefusedError(Exception):
    """The request breaks a rule; the message is the API's."""


def refuse(message: str) -> NoReturn:
    """Refuse the request in these words."""
    raise RefusedError(message)


def cell(kind: str, value: Any, column_id: str) -> dict[str, Any]:
    """A cell as the API gives it."""
    content: Any = value
    if kind in TEXTS:
        content = [text(value)] if value else []
    elif kind == "multi_select":
        content = [{"id": str(uuid.uuid4()), "name": one, "color": "gray"} for one in value or []]
    return {"id": column_id, "type": kind, kind: content}


def text(words: str) -> dict[str, Any]:
    """A text object; what was written in pieces comes back as one."""
    return {"type": "text", "text": {"content": words, "link": None}, "plain_text": words}


def checked_cells(
    given: dict[str, Any], schema: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The cells that a request writes, as they are kept."""
    by_id = {one["id"]: name for name, one in schema.items()}
    wrong, cells = [], {}
    for key, value in given.items():
        name = key if key in schema else by_id.get(key)
        if name is None:
            wrong.append(f"{key} is not a property that exists.")
            continue
        kind = schema[name]["type"]
        if not isinstance(value, dict) or kind not in value:
            said = next(iter(value), "nothing") if isinstance(value, dict) else "nothing"
            wrong.append(f"{name} is expected to be {kind}. {said} was given.")
            continue
        cells[name] = cell(kind, _content(name, kind, value[kind]), schema[name]["id"])
    if wrong:
        refuse(" ".join(wrong))
    return cells


def _content(name: str, kind: str, value: Any) -> Any:
    path = f"body failed validation: body.properties.{name}.{kind}"
    if kind in TEXTS:
        return words_of(value, path)
    if kind == "number" and not (value is None or type(value) in {int, float}):
        refuse(f"{path} should be a number or `null`, instead was `{value!r}`.")
    if kind == "checkbox" and not isinstance(value, bool):
        refuse(f"{path} should be a boolean, instead was `{value!r}`.")
    if kind == "multi_select":
        names = [one["name"] for one in value]
        for one in names:
            if "," in one:
                refuse(f"Invalid select option, commas not allowed: {one}")
        return names
    if kind in {"formula", "rollup"}:
        refuse(f"{path} cannot be written.")
    return value


def words_of(pieces: Any, path: str) -> str:
    """The words of rich text that somebody sends."""
    if not isinstance(pieces, list):
        refuse(f"{path} should be an array, instead was `{pieces!r}`.")
    if len(pieces) > 100:
        refuse(f"{path}.length should be ≤ `100`, instead was `{len(pieces)}`.")
    for place, one in enumerate(pieces):
        length = len(one["text"]["content"])
        if length > 2000:
            said = f"{path}[{place}].text.content.length should be ≤ `2000`, instead was"
            refuse(f"{said} `{length}`.")
    return "".join(one["text"]["content"] for one in pieces)


def checked_blocks(given: Any) -> list[tuple[str, str]]:
    """The blocks that a request adds, each as its kind and its words."""
    if not isinstance(given, list):
        refuse("body failed validation: body.children should be an array.")
    if len(given) > 100:
        said = "body failed validation: body.children.length should be ≤ `100`, instead was"
        refuse(f"{said} `{len(given)}`.")
    blocks = []
    for place, one in enumerate(given):
        kind = one.get("type")
        if kind not in BLOCKS:
            refuse(f"body failed validation: body.children[{place}].type is unknown.")
        blocks.append((kind, words_of(one[kind]["rich_text"], f"body.children[{place}].{kind}")))
    return blocks


def block(kind: str, words: str) -> dict[str, Any]:
    """A block as the API gives it."""
    content: dict[str, Any] = {"rich_text": [text(words)] if words else [], "color": "default"}
    if kind == "code":
        content["language"] = "json"
    return {
        "object": "block",
        "id": str(uuid.uuid4()),
        "type": kind,
        kind: content,
        "has_children": False,
        "in_trash": False,
    }


def typed(body: str) -> list[dict[str, Any]]:
    """What a person types into a page, a block per line."""
    blocks = []
    fences = re.split(r"^```\w*\n([\s\S]*?)\n```$", body, flags=re.MULTILINE)
    for place, piece in enumerate(fences):
        if place % 2:
            blocks.append(block("code", piece))
            continue
        for line in filter(str.strip, piece.splitlines()):
            kind = next(one for one, prefix in BLOCKS.items() if line.startswith(prefix))
            blocks.append(block(kind, line.removeprefix(BLOCKS[kind])))
    return blocks


def markdown(blocks: list[dict[str, Any]]) -> str:
    """A page as Markdown: no blank lines, signs with a backslash before them."""
    lines = []
    for one in blocks:
        kind = one["type"]
        if kind == "image":
            lines.append("![](https://example.org/picture.png)")
            continue
        words = "".join(piece["plain_text"] for piece in one[kind]["rich_text"])
        if kind == "code":
            lines.append(f"```json\n{words}\n```")
            continue
        escaped = re.sub(r"([\\*~`$\[\]<>{}|^])", r"\\\1", words)
        escaped = re.sub(r"\A#", r"\#", escaped) if kind == "paragraph" else escaped
        lines.append(BLOCKS[kind] + escaped.replace("\n", "<br>"))
    return "\n".join(lines)


def parsed(said: str) -> list[dict[str, Any]]:
    """Markdown that a program sends, as blocks."""
    blocks = typed(said)
    for one in blocks:
        kind = one["type"]
        if kind != "code":
            words = one[kind]["rich_text"][0]["plain_text"] if one[kind]["rich_text"] else ""
            plain = re.sub(r"\\([\\*~`$\[\]<>{}|^#])", r"\1", words.replace("<br>", "\n"))
            one[kind]["rich_text"] = [text(plain)] if plain else []
    return blocks
