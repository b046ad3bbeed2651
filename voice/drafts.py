"""What the model answers without any persona: `python -m voice.drafts MESSAGES > drafts.jsonl`.

Reads one message per line. Its sound drafts are a start for dialogues: what the model says by
itself, it can learn to say in a voice.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import aclosing
from pathlib import Path

from orchestra.llm.chat import Reply
from orchestra.llm.voices import EmbeddedVoices
from orchestra.prompts.compose import neutral
from orchestra.types.conversation import Prompt


async def main(messages: list[str]) -> None:
    """Print a draft per message."""
    voices = EmbeddedVoices()
    try:
        for message in messages:
            draft = await whole_reply(voices, neutral(message))
            print(json.dumps({"message": message, "draft": draft}, ensure_ascii=False))
    finally:
        await voices.close()


async def whole_reply(voices: EmbeddedVoices, prompt: Prompt) -> str:
    """What the model says, at once.

    Raises:
        LLMError: it does not answer.
    """
    reply = Reply()
    async with aclosing(voices.stream(prompt, reply)) as pieces:
        async for _ in pieces:
            pass
    return reply.text


if __name__ == "__main__":
    lines = Path(sys.argv[1]).read_text("utf-8").splitlines()
    asyncio.run(main([line for line in lines if line.strip()]))
