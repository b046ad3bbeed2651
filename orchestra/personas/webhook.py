"""Notion's knock at the door: who may knock, and which knocks are new."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from orchestra.errors import SignInError, StorageError

log = logging.getLogger(__name__)

_REMEMBERED = 1000


class Webhook:
    """Checks what is delivered; the key is set, or comes with the first delivery and is kept."""

    def __init__(self, token: str | None, path: Path, ids: Callable[[], Collection[str]]) -> None:
        """Prepare.

        Args:
            token: The verification token, where it was set.
            path: Where one that Notion sends is kept.
            ids: Gives those of the table and its rows; none: nothing is known yet.
        """
        self._token = token
        self._path = path
        self._ids = ids
        self._seen: OrderedDict[str, None] = OrderedDict()

    def shake_hands(self, token: str) -> None:
        """Keep the token of the very first delivery, which nobody has signed.

        Raises:
            SignInError: there is one already; whoever knocks could be anybody.
            StorageError: it could not be kept.
        """
        if not re.fullmatch(r"[\x21-\x7e]{8,200}", token):
            message = "The verification token is not one of Notion's."
            raise SignInError(message)
        if self._known() is not None:
            log.warning("Somebody sent a verification token to the webhook, which has one already")
            message = (
                f"A verification token is known already. Remove {self._path.name} from the data "
                "folder, or change NOTION_WEBHOOK_TOKEN, to take another."
            )
            raise SignInError(message)
        try:
            self._path.touch(mode=0o600)
            self._path.write_text(token, encoding="utf-8")
        except OSError as exc:
            message = f"{self._path} cannot be written: {exc.strerror or exc}."
            raise StorageError(message) from exc
        log.warning(
            "Notion's verification token is in %s: paste it into the connection's Webhooks tab",
            self._path,
        )

    def check(self, body: bytes, signature: str | None) -> None:
        """Make sure that Notion sent this, byte by byte.

        Raises:
            SignInError: it did not, or no token is known.
        """
        token = self._known()
        if token is None:
            message = "No verification token is known yet: create the subscription in Notion first."
            raise SignInError(message)
        expected = "sha256=" + hmac.new(token.encode(), body, hashlib.sha256).hexdigest()
        if signature is None or not hmac.compare_digest(expected.encode(), signature.encode()):
            message = "X-Notion-Signature does not fit this body and our verification token."
            raise SignInError(message)

    def is_ours(self, event: Mapping[str, Any]) -> bool:
        """Whether an event of Notion's is about our table; one that does not say may be."""
        entity, data = event.get("entity"), event.get("data")
        parent = data.get("parent") if isinstance(data, Mapping) else None
        named = {
            one.get(key)
            for one in (entity, parent)
            if isinstance(one, Mapping)
            for key in ("id", "data_source_id")
        } - {None}
        known = self._ids()
        return not known or not named or not named.isdisjoint(known)

    def is_new(self, event_id: str) -> bool:
        """Whether an event comes for the first time; Notion repeats them, and so may others."""
        if event_id and event_id in self._seen:
            return False
        self._seen[event_id] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return True

    def _known(self) -> str | None:
        if self._token is not None:
            return self._token
        try:
            return self._path.read_text(encoding="utf-8").strip() or None
        except FileNotFoundError:
            return None
