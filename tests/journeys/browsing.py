"""The chat screen in a real browser: where it is, how large, and what people do there."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync""".split()
SIZES = {"desktop": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
NEEDS_BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
ONCE = pytest.mark.parametrize("page", ["desktop"], indirect=True)
"""For what need not be seen at every size."""

expect.set_options(timeout=15_000)


@contextmanager
def opened(browser: Browser, url: str, size: str = "desktop") -> Iterator[Page]:
    """A page of that size, connected, until the end of the block."""
    context = browser.new_context(viewport=SIZES[size], reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.goto(url)
    expect(page.locator(".mode-picker-wrapper").first).to_be_visible()  # it is connected by then
    yield page
    context.close()


def send(page: Page, text: str) -> None:
    """Type a message and send it, once the page is connected."""
    page.click("#chat-input")
    page.keyboard.type(text)
    expect(page.locator("#chat-submit")).to_be_enabled()
    page.keyboard.press("Enter")


def reload(page: Page) -> None:
    """Reload a conversation, once the page's address is its own."""
    page.wait_for_url(re.compile("/thread/"))
    page.reload()


def pick(page: Page, name: str) -> None:
    """Choose who answers."""
    page.locator(".mode-picker-wrapper button").first.click()
    page.get_by_text(name, exact=True).last.click()


def finished(page: Page) -> None:
    """Wait until the last answer is whole."""
    expect(page.get_by_role("button", name="Memory").last).to_be_enabled()
