"""`chainlit run app.py` serves the same product as `orchestra serve`."""

import httpx
import pytest

from benchmarks.chat_client import ChatClient, cookie_of
from tests.conftest import Product


@pytest.fixture
def served(serve):
    with serve(by_chainlit=True) as product:
        yield product


@pytest.mark.timeout(120)
async def test_the_screen_the_api_and_the_guards_are_all_there(served):
    async with ChatClient(served.url, await cookie_of(served.url)) as chat:
        answer = await chat.ask("How do I get past the gatekeeper when cold calling?")
    assert answer.error is None
    assert answer.text
    with httpx.Client(base_url=served.url) as http:
        assert "Orchestra" in http.get("/").text
        assert "Avatar for Karen" in http.get("/personas.css").text
        assert [one["task"] for one in http.get("/api/v1/memories").json()]
        assert http.get("/api/v1/nothing").status_code == 404
        assert http.get("/", headers={"Host": "elsewhere.example"}).status_code == 421
        assert "default-src" in http.get("/").headers["content-security-policy"]


@pytest.mark.timeout(60)
def test_it_does_not_open_its_door_to_others_without_sign_in(tmp_path):
    product = Product(tmp_path, {"CHAINLIT_HOST": "0.0.0.0"}, by_chainlit=True)  # noqa: S104
    with pytest.raises(AssertionError, match="which others can reach"):
        product.wait_until_ready()
    product.stop()
