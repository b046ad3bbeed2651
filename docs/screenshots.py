"""Takes docs/screenshots from the running product: `make screenshots`."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from playwright.async_api import Browser, Page, async_playwright

from benchmarks.processes import environment, free_port, running, seconds_until_ok
from docs.launch_plan import ASKED, LAST_WORDS, LaunchPlan
from tests.doubles.llm import ModelServer

FOLDER = Path(__file__).parent / "screenshots"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
HEIGHTS = {1440: 900, 390: 844}
THEMES = ("light", "dark")
REPORT = Path.cwd() / "lab/today/report.html"
COMPARED = "Should we open a second shop?"
QUESTIONS = (
    "Karen, write a short message to invite a customer to a call.",
    "How do I get past the gatekeeper when cold calling?",
)


async def main() -> None:
    """Take the pictures, or of those named as arguments: both widths, both themes."""
    FOLDER.mkdir(exist_ok=True)
    wanted = sys.argv[1:] or list(SETS)
    if "lab" in wanted and not REPORT.exists():
        sys.exit("There is no report yet: run 'orchestra lab run --out lab/today' first.")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for name in wanted:
            for width in HEIGHTS:
                for theme in THEMES:
                    await SETS[name](browser, width, theme)
        await browser.close()


async def conversation(browser: Browser, width: int, theme: str) -> None:
    """By the built-in model."""
    async with product() as url, opened(browser, url, width, theme) as page:
        await picture_a_conversation(page, f"{width}-{theme}")


async def error(browser: Browser, width: int, theme: str) -> None:
    """Of a model server that is not there."""
    async with (
        product(OPENAI_BASE_URL="http://127.0.0.1:9/v1") as url,
        opened(browser, url, width, theme) as page,
    ):
        await ask(page, QUESTIONS[-1])
        await page.get_by_text("did not answer").wait_for()
        await take(page, f"error-{width}-{theme}")


async def crew(browser: Browser, width: int, theme: str) -> None:
    """By a scripted model."""
    with ModelServer() as model:
        model.choose(LaunchPlan())
        async with (
            product(OPENAI_BASE_URL=model.base_url) as url,
            opened(browser, url, width, theme) as page,
        ):
            await picture_a_crew(page, f"{width}-{theme}")


async def lab(browser: Browser, width: int, theme: str) -> None:
    """By the built-in model; the report is that of the last `orchestra lab run --out lab/today`."""
    async with product() as url, opened(browser, url, width, theme) as page:
        await picture_the_lab(page, f"{width}-{theme}")
    async with opened(browser, REPORT.as_uri(), width, theme, "svg") as page:
        await take(page, f"report-{width}-{theme}")


SETS = {"conversation": conversation, "error": error, "crew": crew, "lab": lab}


async def picture_the_lab(page: Page, name: str) -> None:
    """Everybody side by side with a vote, a guess in the blind test, the studio with a draft."""
    await pick(page, "Compare")
    await ask(page, COMPARED)
    await page.get_by_role("button", name="A tie").wait_for(timeout=60_000)
    await (
        page.locator(".orchestra-columns article").nth(1).get_by_role("button", name="Best").click()
    )
    await page.get_by_text("You voted").wait_for()
    await take(page, f"compare-{name}")
    await pick(page, "Blind test")
    await ask(page, "Begin")
    await page.locator(".orchestra-blind blockquote").wait_for(timeout=60_000)
    await page.get_by_role("group", name="Who wrote this?").get_by_role("button").first.click()
    await page.get_by_role("button", name="Next").wait_for()
    await take(page, f"blind-{name}")
    await page.click("#chat-input")
    await page.keyboard.type("/Studio")
    await page.wait_for_timeout(500)
    await page.keyboard.press("Enter")
    await page.keyboard.type("open")
    await page.keyboard.press("Enter")
    studio = page.get_by_label("Studio", exact=True)
    await studio.get_by_role("button", name="Sophia", exact=True).click()
    await studio.get_by_label("humor").press("End")
    await take(page, f"studio-{name}")


async def pick(page: Page, name: str) -> None:
    """Choose who answers."""
    await page.locator(".mode-picker-wrapper button").first.click()
    await page.get_by_text(name, exact=True).last.click()


async def picture_a_crew(page: Page, name: str) -> None:
    """The plan that waits for an answer, agents at work, the result with its chart, the tasks."""
    await page.click("#chat-settings-open-modal")
    await page.click("#asks_first")
    await page.get_by_role("button", name="Confirm").click()
    await page.click("#chat-input")
    await page.keyboard.type("/Crew")
    await page.wait_for_timeout(500)
    await page.keyboard.press("Enter")
    await page.keyboard.type(ASKED)
    await page.keyboard.press("Enter")
    await page.get_by_test_id("question").wait_for()
    await page.get_by_role("button", name="the plan: sent back").click()
    await take(page, f"crew-plan-{name}")
    await page.get_by_role("button", name="Start the work").click()
    await page.get_by_role("button", name="Lead Marketing Strategist at work").click()
    await page.get_by_role("button", name="timeline generator").wait_for()
    await take(page, f"crew-work-{name}")
    await page.get_by_role("button", name="Karen's crew on marketing: done").wait_for()
    await page.get_by_text(LAST_WORDS).last.wait_for()
    await page.locator(".js-plotly-plot").wait_for()
    await page.get_by_role("button", name="the result: approved").click()
    await page.get_by_role("button", name="the result: approved").scroll_into_view_if_needed()
    await take(page, f"crew-review-{name}")
    await page.locator(".js-plotly-plot").scroll_into_view_if_needed()
    await take(page, f"crew-result-{name}")


async def picture_a_conversation(page: Page, name: str) -> None:
    """Welcome, an answer with its steps unfolded, and the memory panel."""
    await take(page, f"welcome-{name}")
    for question in QUESTIONS:
        await ask(page, question)
        await page.wait_for_selector("#stop-button", state="attached")
        await page.wait_for_selector("#stop-button", state="detached")
    for step in (await page.locator("button[id^='step-']").all())[-2:]:
        await step.click()
    await take(page, f"answer-{name}")
    await page.get_by_role("button", name="Memory").last.click()
    await page.get_by_test_id("memory").first.wait_for()
    await take(page, f"memory-{name}")


@asynccontextmanager
async def product(**settings: str) -> AsyncIterator[str]:
    """The product on a fresh data folder, until the end of the block."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command = [sys.executable, "-m", "orchestra", "serve", "--port", str(port)]
        env = environment(ORCHESTRA_DATA_DIR=folder, PYTHONPATH=str(Path.cwd()), **settings)
        async with running(command, Path(folder), env) as process:
            url = f"http://127.0.0.1:{port}"
            await seconds_until_ok(f"{url}/healthz", process)
            async with httpx.AsyncClient(timeout=30) as client:
                while not (await client.get(f"{url}/readyz")).json()["parts"]["embeddings"]["ok"]:
                    await asyncio.sleep(0.5)
            yield url


@asynccontextmanager
async def opened(
    browser: Browser, url: str, width: int, theme: str, until: str = "#chat-input"
) -> AsyncIterator[Page]:
    """A page of that width and theme, once that is there."""
    size = {"width": width, "height": HEIGHTS[width]}
    context = await browser.new_context(viewport=size, color_scheme=theme)
    page = await context.new_page()
    await page.goto(url)
    await page.wait_for_selector(until)
    yield page
    await context.close()


async def ask(page: Page, text: str) -> None:
    """Type and send."""
    await page.click("#chat-input")
    await page.keyboard.type(text)
    await page.keyboard.press("Enter")


async def take(page: Page, name: str) -> None:
    """Save what the page shows once it is at rest."""
    await page.wait_for_timeout(1500)
    await page.screenshot(path=FOLDER / f"{name}.png")
    print(f"{name}.png")


if __name__ == "__main__":
    asyncio.run(main())
