"""The journey of a message: route, recall, compose, stream, remember.

`Conversation.answer` is the product in one function. The screen, the HTTP API, the command line
and the tests consume the same events.
"""

from __future__ import annotations

import logging
import time
import unicodedata
import uuid
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing

from orchestra import metrics
from orchestra.database import now
from orchestra.errors import LLMReplyError, MessageError, StorageError
from orchestra.llm.chat import Reply
from orchestra.llm.embedding import Embedder
from orchestra.memory.importance import importance_of
from orchestra.memory.keeper import RECALL_LIMIT, MemoryKeeper
from orchestra.personas.roster import Roster
from orchestra.precedence import PRECEDENCE
from orchestra.prompts.compose import HISTORY_LIMIT, Turn
from orchestra.replying import Replies
from orchestra.routing.addressing import has_no_subject
from orchestra.routing.router import Router
from orchestra.types.conversation import (
    Answered,
    Consulted,
    Delta,
    Event,
    Exchange,
    Memory,
    Message,
    Recalled,
    Route,
    Routed,
    Timings,
)
from orchestra.types.memory import Owner, Record
from orchestra.types.persona import Persona, Personas

log = logging.getLogger(__name__)

_CONVERSATIONS_IN_MEMORY = 2000
_CUT = "The reply reached its limit of length. Write 'go on', or set longer answers."


class Conversation:
    """Answers messages, one turn at a time."""

    def __init__(
        self,
        roster: Roster,
        embedder: Embedder,
        router: Router,
        memory: MemoryKeeper,
        replies: Replies,
        message_limit: int = 20_000,
    ) -> None:
        self._roster = roster
        self._embedder = embedder
        self._router = router
        self._memory = memory
        self._replies = replies
        self._message_limit = message_limit
        self._recent: OrderedDict[tuple[str, str], deque[Exchange]] = OrderedDict()

    async def answer(self, message: Message) -> AsyncGenerator[Event, None]:
        """Answer one message: yields Routed, Recalled, Delta…, Answered.

        A Consulted comes among the Deltas where the persona asked a colleague. Closing the
        generator stops the model. What was stopped or failed is not remembered; what was Answered
        is, and survives a crash from then on.

        Raises:
            MessageError: the message is empty or too long.
            PersonaError: no personas could be read at all, or the picked one does not exist.
            LLMError: the model did not answer.
            StorageError: memories could not be read.
        """
        with metrics.counted_failures(), PRECEDENCE.taken() as speaks:
            async with aclosing(self._turn(message)) as events:
                async for event in events:
                    if isinstance(event, Delta):
                        speaks()
                    if isinstance(event, Answered):
                        _count(event)
                    yield event

    async def _turn(self, message: Message) -> AsyncGenerator[Event, None]:
        """The turn itself.

        Raises:
            LLMReplyError: the model sent nothing.
        """
        watch = _Stopwatch()
        text = self._readable(message.text)
        message = message.model_copy(update={"text": text})
        personas = await self._roster.current()
        vector = await self._embedder.embed(text)
        history = await self._history(message)
        last_speaker = history[-1].persona_id if history else None
        addressed = await self._router.route(message, vector, personas, last_speaker)
        route, persona = addressed.route, personas.get(addressed.route.persona_id)
        routed_ms = watch.elapsed_ms()
        yield Routed(route=route, persona_name=persona.name, persona_role=persona.role)

        owner = Owner(message.user_id, persona.id)
        memories = await self._memory.recall(owner, text, vector, RECALL_LIMIT)
        recalled_ms = watch.elapsed_ms()
        yield Recalled(memories=tuple(memories))

        turn = Turn(
            persona=persona,
            personas=personas,
            route=route,
            text=addressed.text,
            memories=memories,
            history=history,
            now=now(),
            temperature=message.temperature,
            length=message.length,
            max_tokens=message.max_tokens,
            instructions=message.instructions,
            revisable=message.revisable,
            briefing=message.briefing,
            colleagues=_colleagues(message, persona, personas),
        )
        reply, first_token_ms, missed = Reply(), None, list[str]()
        async with aclosing(self._replies.reply(turn, message.user_id, reply)) as pieces:
            async for piece in pieces:
                first_token_ms = first_token_ms or watch.elapsed_ms()
                missed += _missed(piece)
                yield Delta(text=piece) if isinstance(piece, str) else piece
        if not reply.text.strip():
            problem = (
                f"{self._replies.model} sent an empty reply. Try again, or allow a longer one."
            )
            raise LLMReplyError(problem)
        memory_id, notes = await self._remember(message, route, text, reply.text)
        yield Answered(
            persona_id=persona.id,
            domain=route.domain,
            answer=reply.text,
            memories=tuple(memories),
            timings_ms=Timings(
                route=routed_ms,
                recall=round(recalled_ms - routed_ms, 1),
                first_token=first_token_ms,
                total=watch.elapsed_ms(),
            ),
            usage=reply.usage,
            model=self._replies.model,
            revision=persona.revision,
            finished=reply.finished,
            memory_id=memory_id,
            notes=(*missed, *notes, *(() if _ends_whole(reply) else (_CUT,))),
        )

    def begin(self, user_id: str, conversation_id: str) -> None:
        """Note that a conversation starts now: there is no earlier part of it to be looked up."""
        self._at_hand(user_id, conversation_id, ())

    async def personas(self) -> Personas:
        """Who can answer right now.

        Raises:
            PersonaError: they could not be read at all.
        """
        return await self._roster.current()

    async def route(self, message: Message) -> Route:
        """Route a message without answering it.

        Raises:
            MessageError: the message is empty or too long.
            PersonaError: no personas could be read.
        """
        message = message.model_copy(update={"text": self._readable(message.text)})
        personas = await self._roster.current()
        vector = await self._embedder.embed(message.text)
        history = await self._history(message)
        last_speaker = history[-1].persona_id if history else None
        return (await self._router.route(message, vector, personas, last_speaker)).route

    async def forget(
        self, user_id: str | None, persona_id: str | None = None, ids: Sequence[str] | None = None
    ) -> int:
        """Forget memories, and the conversations at hand that they came from.

        Returns:
            How many memories were forgotten.

        Raises:
            MemoryNotFoundError: ids were given and none of them is this person's.
            StorageError: the database refused.
        """
        try:
            return await self._memory.forget(user_id, persona_id, ids)
        finally:  # also when the rows are gone and only their traces in the file are not
            for key in [one for one in self._recent if user_id in {None, one[0]}]:
                del self._recent[key]
            if ids is None and persona_id is None and user_id is not None:
                await self._router.unlearn(user_id)

    async def teach(self, user_id: str, text: str, persona_id: str) -> None:
        """Remember that this person wants this message answered by this persona.

        Raises:
            StorageError: it could not be kept.
        """
        await self._router.teach(user_id, self._readable(text), persona_id)

    def _readable(self, text: str) -> str:
        """The text as it is embedded and searched, without what no person typed.

        Raises:
            MessageError: nothing is left, or too much.
        """
        clean = "".join(map(_readable, text)).strip(" \n\t\u200b\u200d\ufeff")
        if not clean:
            message = "The message is empty. Type a question or a task."
            raise MessageError(message)
        if len(clean) > self._message_limit:
            message = (
                f"The message has {len(clean):,} characters; at most {self._message_limit:,} are "
                "accepted. Shorten it, or split it into parts."
            )
            raise MessageError(message)
        return clean

    async def _history(self, message: Message) -> Sequence[Exchange]:
        """The conversation so far, oldest first: given, at hand, or from the memories."""
        if message.history is not None:
            return message.history
        if message.conversation_id is None:
            return ()
        key = (message.user_id, message.conversation_id)
        if key not in self._recent:
            remembered = await self._memory.newest(
                message.user_id, conversation_id=message.conversation_id, limit=HISTORY_LIMIT
            )
            exchanges = [_exchange(memory) for memory in reversed(remembered)]
            self._at_hand(message.user_id, message.conversation_id, exchanges)
        self._recent.move_to_end(key)
        return tuple(self._recent[key])

    def _at_hand(self, user_id: str, conversation_id: str, exchanges: Iterable[Exchange]) -> None:
        """Keep a conversation's last exchanges in memory."""
        self._recent[user_id, conversation_id] = deque(exchanges, maxlen=HISTORY_LIMIT)
        if len(self._recent) > _CONVERSATIONS_IN_MEMORY:
            self._recent.popitem(last=False)

    async def _remember(
        self, message: Message, route: Route, text: str, answer: str
    ) -> tuple[str | None, tuple[str, ...]]:
        """Keep the exchange; a failure is told beside the answer, which stands."""
        if message.conversation_id is not None and message.history is None:
            exchange = Exchange(message=text, reply=answer, persona_id=route.persona_id)
            if (
                message.user_id,
                message.conversation_id,
            ) not in self._recent:  # forgotten meanwhile
                self.begin(message.user_id, message.conversation_id)
            self._recent[message.user_id, message.conversation_id].append(exchange)
        if has_no_subject(text):
            return None, ()
        record = Record(
            owner=Owner(message.user_id, route.persona_id),
            conversation_id=message.conversation_id,
            domain=route.domain,
            task=text,
            decision=answer,
            importance=importance_of(text, answer),
            created_at=now(),
            message_id=str(uuid.uuid4()),
        )
        try:
            return await self._memory.remember(record), ()
        except StorageError as exc:
            log.error("An answer was given but not remembered: %s", exc)  # noqa: TRY400  # foreseen: the message says it all
            return None, (f"This answer will not be remembered. {exc}",)


def _colleagues(message: Message, persona: Persona, personas: Personas) -> tuple[Persona, ...]:
    """Whom the persona may ask: not at a table, where all speak, nor for a program's own form."""
    if message.briefing or message.instructions:
        return ()
    return tuple(one for one in personas.members if one.id != persona.id)


def _missed(piece: str | Consulted) -> list[str]:
    """What to tell of a colleague who was asked and failed: the answer says nothing of it."""
    if isinstance(piece, str) or not piece.error:
        return []
    return [f"{piece.persona_name} was asked and did not answer. {piece.error}"]


def _ends_whole(reply: Reply) -> bool:
    return reply.finished or reply.text.rstrip().endswith((".", "!", "?", "…", ":", "```"))


def _count(answered: Answered) -> None:
    timings = answered.timings_ms
    metrics.answers.labels(answered.persona_id, answered.domain).inc()
    metrics.before_model.observe((timings.route + timings.recall) / 1000)
    if timings.first_token is not None:
        metrics.first_token.observe(timings.first_token / 1000)
    metrics.tokens.labels("prompt").inc(answered.usage.prompt_tokens)
    metrics.tokens.labels("completion").inc(answered.usage.completion_tokens)


def _readable(character: str) -> str:
    """A character as it may stand in a message: no control characters, plain spaces."""
    if character in "\n\t":
        return character
    category = unicodedata.category(character)
    if category.startswith("Z"):
        return " "
    return "" if category in {"Cc", "Cs", "Co", "Cn"} else character


class _Stopwatch:
    """Milliseconds since it was made."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    def elapsed_ms(self) -> float:
        return round((time.perf_counter() - self._started) * 1000, 1)


def _exchange(memory: Memory) -> Exchange:
    return Exchange(message=memory.task, reply=memory.decision, persona_id=memory.persona_id)
