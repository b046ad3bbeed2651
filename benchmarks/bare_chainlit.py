"""The least that Chainlit needs to stream a model's answer: what the product is compared with."""

import chainlit as cl
from openai import AsyncOpenAI

client = AsyncOpenAI()


@cl.on_message
async def answer(message: cl.Message) -> None:
    """Stream the answer to one message."""
    shown = cl.Message(content="")
    stream = await client.chat.completions.create(
        model="scripted",
        messages=[{"role": "user", "content": message.content}],
        stream=True,
    )
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            await shown.stream_token(chunk.choices[0].delta.content)
    await shown.send()
