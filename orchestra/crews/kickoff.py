"""crewai itself: one agent and one task, made for one duty and thrown away.

Importing this module imports crewai, which takes seconds; `agents` does so in a thread.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from crewai import Agent, BaseLLM, Task
from crewai.agents.agent_executor import AgentExecutor, AgentExecutorState
from crewai.events.utils.console_formatter import set_suppress_console_output
from crewai.flow.flow_definition import FlowDefinition
from crewai.hooks.dispatch import HookAborted
from crewai.tools import BaseTool
from crewai.utilities.types import LLMMessage
from openai.types.chat import ChatCompletionMessageFunctionToolCall
from openai.types.chat.chat_completion_message_function_tool_call import Function
from pydantic import BaseModel, ConfigDict, PrivateAttr

from orchestra.llm.chat import Reply
from orchestra.prompts.crew import Duty
from orchestra.types.conversation import ChatTurn, Tool, ToolCall

MOST_ROUNDS = 8
"""Times that an agent is asked for one duty, tools between; then it must hand in."""
_CHARACTERS_PER_TOKEN = 4
_FILLED = 0.85
"""Share of what a model reads that a prompt may fill."""

Ask = Callable[[Sequence[ChatTurn], Sequence[Tool]], Reply]
Use = Callable[[str, Mapping[str, Any]], str]


async def kick_off(
    duty: Duty, ask: Ask, context_tokens: int, tools: Sequence[Tool], use: Use
) -> str:
    """Let an agent do its duty; returns what it hands in.

    Args:
        duty: What it is told.
        ask: Asks the model; called in threads.
        context_tokens: What the model reads at one time.
        tools: What the model may ask for.
        use: Uses one of these; called in threads.

    Raises:
        HookAborted: the model could not be asked.
        Exception: whatever else crewai raises.
    """
    set_suppress_console_output(True)  # crewai's own signature
    agent = Agent(
        role=duty.role,
        goal=duty.goal,
        backstory=duty.backstory,
        llm=_HouseModel(model="house", context_tokens=context_tokens).asking(ask),
        executor_class=_Executor,
        allow_delegation=False,
        tools=[_tool(one, use) for one in tools],
        cache=False,
        max_retry_limit=0,
        max_iter=MOST_ROUNDS,
        verbose=False,
    )
    task = Task(description=duty.description, expected_output=duty.expected, agent=agent)
    # A crew of crewai's around one agent and one task would double what that costs, and the task
    # itself would begin a thread and an event loop to look for files that it never has.
    return str(await agent.aexecute_task(task))


class _Executor(AgentExecutor):
    """crewai's own, told the class of its state; it would make a new one for each agent.

    To be removed once crewai makes that class once: it is 9 of the 32 ms that an agent costs.
    """

    initial_state: Any = AgentExecutorState

    @classmethod
    def flow_definition(cls) -> FlowDefinition:
        """Of the class above; crewai does not look there for a flow's steps."""
        return AgentExecutor.flow_definition()


class _HouseModel(BaseLLM):
    """The house's model as crewai wants one."""

    llm_type: str = "orchestra"
    context_tokens: int
    _ask: Ask = PrivateAttr()

    def asking(self, ask: Ask) -> _HouseModel:
        self._ask = ask
        return self

    def call(  # noqa: PLR0913, PLR0917  # crewai's signature
        self,
        messages: str | list[LLMMessage],
        tools: list[dict[str, Any]] | None = None,
        callbacks: object = None,
        available_functions: object = None,
        from_task: object = None,
        from_agent: object = None,
        response_model: object = None,
    ) -> str | list[ChatCompletionMessageFunctionToolCall]:
        """Ask the model; crewai calls this in a thread.

        Raises:
            HookAborted: it could not be asked; the one error that crewai does not try again.
        """
        del callbacks, available_functions, from_task, from_agent, response_model
        turns = [_turn(one) for one in self._format_messages(messages)]
        offered = [_offer(one["function"]) for one in tools or ()]
        try:
            reply = self._ask(turns, offered)
        except Exception as exc:
            raise HookAborted(str(exc), source="orchestra") from exc
        if offered and reply.tool_calls:
            return [_asked_for(call) for _, call in sorted(reply.tool_calls.items())]
        return reply.text

    # crewai would wrap it in retries of its own, on top of the client's.
    call._crewai_rate_limit_wrapped = True  # type: ignore[attr-defined]  # noqa: SLF001  # the only way

    def supports_function_calling(self) -> bool:
        """Else crewai would ask for tools in prose."""
        return True

    def supports_stop_words(self) -> bool:
        """Nothing needs them: tools are offered by the wire's own field."""
        return False

    def get_context_window_size(self) -> int:
        """Tokens that fit, with some left for the reply."""
        return int(self.context_tokens * _FILLED)

    def get_input_tokens_count(
        self, messages: object, tools: object = None, response_model: object = None
    ) -> int:
        """About how many tokens a prompt has."""
        del tools, response_model
        return len(json.dumps(messages, default=str)) // _CHARACTERS_PER_TOKEN


class _HouseTool(BaseTool):
    """A tool of the house's as crewai wants one."""

    _use: Use = PrivateAttr()

    def using(self, use: Use) -> _HouseTool:
        self._use = use
        return self

    def run(self, *args: object, **arguments: object) -> str:
        """Use it; whatever the model made up is looked at by the tool itself."""
        del args
        return self._use(self.name, arguments)

    def _run(self, **arguments: object) -> str:
        return self.run(**arguments)


def _tool(offer: Tool, use: Use) -> _HouseTool:
    arguments = _arguments(offer.name, offer.parameters)
    tool = _HouseTool(name=offer.name, description=offer.description, args_schema=arguments)
    return tool.using(use)


@cache
def _arguments(name: str, parameters: str) -> type[BaseModel]:
    """What crewai is told of a tool's arguments: a class, which takes a while to make."""
    schema = json.loads(parameters)

    class Arguments(BaseModel):
        model_config = ConfigDict(extra="allow", title=name)

        @classmethod
        def model_json_schema(cls, *_: object, **__: object) -> dict[str, Any]:
            return copy.deepcopy(schema)

    return Arguments


def _turn(message: Mapping[str, Any]) -> ChatTurn:
    calls = tuple(
        ToolCall(id=one["id"], name=one["function"]["name"], arguments=one["function"]["arguments"])
        for one in message.get("tool_calls") or ()
    )
    return ChatTurn(
        role=message["role"],
        content=str(message.get("content") or ""),
        tool_calls=calls,
        tool_call_id=message.get("tool_call_id"),
    )


def _offer(function: dict[str, Any]) -> Tool:
    schema = json.dumps(function.get("parameters") or {"type": "object", "properties": {}})
    return Tool(
        name=function["name"], description=function.get("description", ""), parameters=schema
    )


def _asked_for(call: ToolCall) -> ChatCompletionMessageFunctionToolCall:
    function = Function(name=call.name, arguments=call.arguments)
    return ChatCompletionMessageFunctionToolCall(id=call.id, type="function", function=function)
