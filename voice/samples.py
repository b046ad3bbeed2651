"""Replies to be graded: `python -m voice.samples --out FILE --first 0 --messages 150`.

Draws four replies of each voice, as the adapter is now, to messages of the dialogues, and writes
them as lines of JSON. With a list of four grades added to each line as `grades` it is a further
round for `voice.train` (see `graded`); without grades, `voice.reward` makes pairs of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from collections.abc import Sequence
from pathlib import Path

from orchestra.llm.embedded import shipped_voices
from orchestra.llm.voices import EmbeddedVoices
from orchestra.types.conversation import Prompt
from voice.dialogues import DIALOGUES, Dialogue, asked, read_dialogues, shipped_personas
from voice.drafts import whole_reply
from voice.graded import read_graded

TIMES = 4
TEMPERATURE = 0.6
"""Above the product's .3, so that there is something to choose from."""
_MOST_TOKENS = 80
_SEED = 5


def main() -> None:
    """Read the arguments, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, to be graded")
    parser.add_argument("--dialogues", type=Path, default=DIALOGUES)
    parser.add_argument("--first", type=int, default=0, help="messages to leave out, of the first")
    parser.add_argument("--messages", type=int, default=150, help="how many to answer")
    parser.add_argument("--times", type=int, default=TIMES, help="how often each is answered")
    parser.add_argument(
        "--also", type=Path, nargs="*", default=[], help="graded replies whose messages are asked"
    )
    arguments = parser.parse_args()
    graded = [one.message for path in arguments.also for one in read_graded(path)]
    found = messages(read_dialogues(arguments.dialogues), graded)
    chosen = found[arguments.first : arguments.first + arguments.messages]
    asyncio.run(_draw(chosen, arguments.times, arguments.out))


def messages(dialogues: Sequence[Dialogue], others: Sequence[str] = ()) -> list[str]:
    """Messages that open a conversation, and others, in an order that is the same each time."""
    found = sorted({one.message for one in dialogues if one.kind == "Q"} | set(others))
    random.Random(_SEED).shuffle(found)  # noqa: S311  # to be the same each time
    return found


async def _draw(chosen: Sequence[str], times: int, out: Path) -> None:
    personas = await shipped_personas()
    slots, voices = shipped_voices(), EmbeddedVoices()
    try:
        with out.open("w", encoding="utf-8") as file:
            for message in chosen:
                for persona in personas.members:
                    opening = Dialogue(persona.id, "Q", message, "")
                    prompt = Prompt(
                        turns=asked(opening, personas),
                        max_tokens=_MOST_TOKENS,
                        temperature=TEMPERATURE,
                        voice=slots[persona.wording],
                    )
                    replies = [await whole_reply(voices, prompt) for _ in range(times)]
                    line = {"persona": persona.id, "message": message, "replies": replies}
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
    finally:
        await voices.close()


if __name__ == "__main__":
    main()
