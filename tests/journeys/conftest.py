"""What journeys share: a browser, and a Notion with the shipped personas in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.doubles.notion import NotionServer, filled_notion
from tests.journeys.browsing import CHROMIUM, FLAGS


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def notion() -> Iterator[NotionServer]:
    with filled_notion() as server:
        yield server
