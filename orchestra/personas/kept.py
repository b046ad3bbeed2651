"""The last good version of each persona of a table, on disk: what a cold start has in an outage."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from orchestra.types.persona import Persona

log = logging.getLogger(__name__)


class KeptTable:
    """One file: the personas by page, and which column meant what."""

    def __init__(self, path: Path) -> None:
        """Read the file, if there is one; a damaged one counts as none."""
        self._path = path
        self.rows: dict[str, Persona] = {}
        self.columns: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            for page_id, fields in content["personas"].items():
                fields.pop("revision", None)
                self.rows[page_id] = Persona.model_validate(fields)
            self.columns, self._ids = dict(content["columns"]), dict(content["ids"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as exc:
            log.warning("%s cannot be read and is made anew: %s", path, exc)
            self.rows = {}

    def id_for(self, page_id: str, name: str, taken: Collection[str]) -> str:
        """The id of a row's persona: the same for good, whatever the persona is called later."""
        if page_id not in self._ids:
            plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "persona"
            plain = plain if plain[0].isalpha() else f"p-{plain}"
            wanted, number = plain[:36], 1
            while wanted in taken or wanted in self._ids.values():
                number += 1
                wanted = f"{plain[:36]}-{number}"
            self._ids[page_id] = wanted
        return self._ids[page_id]

    def keep(self, members: Mapping[str, Persona], columns: Mapping[str, str]) -> None:
        """Replace what is kept, on disk in one step; a disk that refuses is logged."""
        columns = {**self.columns, **columns}
        unchanged = members == self.rows and columns == self.columns
        self.rows, self.columns = dict(members), columns
        if unchanged and self._path.exists():
            return
        content = {
            "personas": {page_id: one.model_dump() for page_id, one in members.items()},
            "columns": columns,
            "ids": self._ids,
        }
        part = self._path.with_suffix(".part")
        try:
            part.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
            part.replace(self._path)
        except OSError as exc:
            log.warning("%s cannot be written, a start in an outage will miss it: %s", part, exc)
