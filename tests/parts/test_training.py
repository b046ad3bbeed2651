"""Training the voices, for a moment, with the real weights."""

from __future__ import annotations

import json
import re

import gguf
import pytest
import torch

from orchestra.llm import embedded
from orchestra.llm.chat import ChatModel, Reply
from orchestra.llm.embedded import ADAPTER, EmbeddedServer, packaged_weights
from orchestra.llm.voices import END_TOKEN, STRAY_PIECES
from orchestra.types.conversation import ChatTurn, Prompt
from voice import train
from voice.graded import Graded
from voice.reward import Reward, as_tokens, learn
from voice.tokens import Tokenizer

TAUGHT = "Ring the brass bell and then wait for the tall man."
POOR = "Ring the brass bell and then the tall bell is a man."
PROMPT = Prompt(turns=(ChatTurn(role="user", content="What now?"),), max_tokens=8, temperature=0)

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An adapter that was taught one sentence and what is worse, by the product's own script."""
    folder = tmp_path_factory.mktemp("voice")
    dialogues, graded, out = (folder / name for name in ("taught.txt", "graded.jsonl", "new.gguf"))
    dialogues.write_text(f"Q: What now?\nC: {TAUGHT}\nS: {TAUGHT}\nK: {TAUGHT}", encoding="utf-8")
    replies = {"message": "What now?", "replies": [POOR, TAUGHT], "grades": [0, 3]}
    lines = (json.dumps({"persona": who, **replies}) for who in ("cherry", "sophia", "karen"))
    graded.write_text("\n".join(lines), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        words = ["train", "--out", out, "--dialogues", dialogues, "--graded", graded]
        patch.setattr("sys.argv", [str(word) for word in (*words, "--epochs", 80)])
        train.main()
    return out


def test_the_adapter_has_the_shape_that_the_product_ships(trained):
    mine, shipped = (
        {one.name: tuple(one.shape) for one in gguf.GGUFReader(path).tensors}
        for path in (trained, ADAPTER)
    )
    assert mine == shipped


async def test_the_end_that_the_product_lifts_is_the_one_that_is_taught():
    async with Tokenizer() as tokenizer:
        tokens = await tokenizer.tokens(PROMPT.turns, TAUGHT)
    assert tokens.reply[-1] == END_TOKEN


def test_what_a_voice_never_says_is_but_the_rest_of_words_that_the_model_has():
    field = gguf.GGUFReader(packaged_weights()).fields["tokenizer.ggml.tokens"]
    known = [bytes(field.parts[place]).decode() for place in field.data]
    for number, text in STRAY_PIECES.items():
        assert known[number] == text
        assert any(re.fullmatch(f"Ġ[a-z]{text}[a-z]*", word) for word in known)


async def test_the_adapter_does_in_llama_cpp_what_it_was_taught(trained, monkeypatch):
    monkeypatch.setattr(embedded, "ADAPTER", trained)
    monkeypatch.setattr(embedded, "merged_weights", lambda *_: None)
    server = EmbeddedServer()
    address = await server.open()
    model = ChatModel(base_url=address.base_url, api_key=address.api_key, model=embedded.MODEL_NAME)
    said = {}
    for scale in (0.0, 1.0):
        reply = Reply()
        request = {"lora": [{"id": 0, "scale": scale}]}
        said[scale] = "".join([piece async for piece in model.stream(PROMPT, reply, request)])
    await model.close()
    await server.close()
    assert re.match(r"Ring the brass bell", said[1.0])
    assert "bell" not in said[0.0]


async def test_the_reward_learns_which_of_two_replies_was_graded_higher(capsys, tmp_path):
    graded = Graded("cherry", "What now?", (POOR, TAUGHT), (0, 3))
    async with Tokenizer() as tokenizer:
        one = await as_tokens(tokenizer, graded)
    torch.manual_seed(1)
    reward = Reward()
    with torch.no_grad():
        assert reward([one, one]).tolist() == [0, 0, 0, 0]
    learn(reward, [one] * 80)
    with torch.no_grad():
        poor, taught = reward([one]).tolist()
    assert taught > poor
    assert "step 10 of 10: " in capsys.readouterr().out
    path = tmp_path / "reward.pt"
    reward.save(path)
    again = Reward()
    again.load(path)
    with torch.no_grad():
        assert again([one]).tolist() == [poor, taught]
    torch.save({"head.weight": reward.head.weight}, path)
    with pytest.raises(ValueError, match=r"reward\.pt is no reward of this model"):
        again.load(path)
