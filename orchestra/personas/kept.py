"""The last good version of each persona of a table, on disk: what a cold start has in an outage."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from orchestra.types.persona import Persona

log = logging.getLogger(__name__)


class KeptTable:
    """One file: the personas by page, who was only half understood, and which column meant what."""

    def __init__(self, path: Path, table: str) -> None:
        """Read the file, if there is one; a damaged one, or another table's, counts as none.

        Args:
            path: The file.
            table: What it is of.
        """
        self._path = path
        self._table = table
        self.rows: dict[str, Persona] = {}
        self.provisional: frozenset[str] = frozenset()
        """Pages whose persona had problems when it was first read: the next reading replaces it."""
        self.columns: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["table"] != table:
                return
            self.columns, self._ids = dict(content["columns"]), dict(content["ids"])
            self.provisional = frozenset(content["provisional"])
            self.rows = {
                page: Persona.model_validate(fields) for page, fields in content["personas"].items()
            }
        except FileNotFoundError:
            return
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as exc:
            log.warning("%s cannot be read and is made anew: %s", path, exc)

    def id_for(self, page_id: str, name: str, present: Collection[str]) -> str:
        """The id of a row's persona: the same for good, whatever the persona is called later.

        Args:
            page_id: The row's page.
            name: What it is called now, for a row that has no id yet.
            present: The pages of all rows there are; what others had is free again.
        """
        if page_id in self._ids:
            return self._ids[page_id]
        plain = plain_id(name)
        taken = {one for page, one in self._ids.items() if page in present}
        wanted, number = plain, 1
        while wanted in taken:
            number += 1
            wanted = f"{plain}-{number}"
        return wanted

    def keep_id(self, page_id: str, persona_id: str) -> None:
        """Note that a row's persona has this id from now on."""
        self._ids[page_id] = persona_id

    def keep(
        self,
        members: Mapping[str, Persona],
        provisional: Collection[str],
        columns: Mapping[str, str],
    ) -> None:
        """Replace what is kept, on disk in one step; a disk that refuses is logged."""
        personas = {page: one.model_dump(exclude={"revision"}) for page, one in members.items()}
        content = {
            "table": self._table,
            "personas": personas,
            "provisional": sorted(provisional),
            "columns": {**self.columns, **columns},
            "ids": self._ids,
        }
        before = (self.rows, self.provisional, self.columns)
        self.rows, self.provisional = dict(members), frozenset(provisional)
        self.columns = {**self.columns, **columns}
        if before == (self.rows, self.provisional, self.columns) and self._path.exists():
            return
        part = self._path.with_suffix(".part")
        try:
            part.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
            part.replace(self._path)
        except OSError as exc:
            log.warning("%s cannot be written, a start in an outage will miss it: %s", part, exc)


def plain_id(name: str) -> str:
    """The id that a persona of this name gets."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not plain:  # in another alphabet
        plain = f"persona-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    return (plain if plain[0].isalpha() else f"p-{plain}")[:36]
