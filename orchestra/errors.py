"""Every error the house raises on purpose.

OrchestraError
├── SettingsError                a variable is missing or wrong: names it
├── MessageError                 a message that cannot be answered: empty, too long
├── SignInError                  nobody, or the wrong person, is asking
├── PersonaError
│   ├── PersonaNotFoundError     names the id and the ids that exist
│   ├── PersonaInvalidError      source, field, value, rule
│   ├── PersonaConflictError     it cannot be so beside what there is
│   ├── PersonaChangedError      somebody else changed it meanwhile
│   └── PersonaStoreError        the store does not answer, or refuses
├── LLMError
│   ├── LLMUnavailableError      no answer, a timeout, a cut stream, 429 or 5xx after retries
│   ├── LLMRefusedError          4xx: key, model name, context length
│   └── LLMReplyError            an answer that is not of the asked shape
├── StorageError                 database, vectors or data folder cannot be used: says which
├── MemoryNotFoundError          no such memory for this person
├── TaskError
│   ├── TaskInvalidError         what is asked of a crew breaks a rule: which field, what is known
│   ├── TaskNotFoundError        no such task for this person
│   ├── TaskLostError            another worker goes on with it
│   ├── TaskNotAskingError       it has no such question (any more)
│   ├── CrewError                the crew could not do its part: who, and why
│   ├── ToolError                a tool cannot do what an agent asks: why, and what would help
│   └── FileRefusedError         a file cannot be kept: too large, empty, one too many
├── LabError
│   ├── LabNotFoundError         no such answer or comparison for this tester
│   └── LabClosedError           it was guessed or voted on before, or nothing is left to guess
└── EvaluationError              an evaluation cannot be made: file and line, or what is missing

One class per reaction, not per place. The doors decide what an error means for them: the
table of HTTP codes is in `orchestra.api.problems`, that of exit codes in `orchestra.cli.command`.
"""

from __future__ import annotations

_LONGEST_VALUE = 80
"""Characters of a wrong value that a message repeats."""


class OrchestraError(Exception):
    """Root of all errors raised on purpose; the message is written for people."""


class SettingsError(OrchestraError):
    """A setting is missing or wrong."""


class MessageError(OrchestraError):
    """The message cannot be answered as it is."""


class SignInError(OrchestraError):
    """The caller is not signed in, or may not do this."""


class PersonaError(OrchestraError):
    """Something is wrong with a persona."""


class PersonaNotFoundError(PersonaError):
    """No persona has this id."""

    def __init__(self, persona_id: str, known: tuple[str, ...]) -> None:
        super().__init__(f"There is no persona '{persona_id}'. Known: {', '.join(known)}.")
        self.persona_id = persona_id
        self.known = known


class PersonaInvalidError(PersonaError):
    """A persona breaks a rule; one line says source, field, value and rule."""

    def __init__(self, source: str, field: str, value: object, rule: str) -> None:
        shown = repr(value)
        if len(shown) > _LONGEST_VALUE:
            shown = f"{shown[: _LONGEST_VALUE - 3]}..."
        super().__init__(f"{source}: {field} is {shown}, but {rule}.")
        self.source = source
        self.field = field
        self.value = value
        self.rule = rule


class PersonaConflictError(PersonaError):
    """What is asked for cannot be beside what there is."""


class PersonaChangedError(PersonaError):
    """Somebody else changed the persona meanwhile; nothing was written."""

    def __init__(self, persona_id: str, detail: str) -> None:
        super().__init__(
            f"'{persona_id}' has changed meanwhile: {detail}. Read it again, merge your change, "
            "and send that."
        )


class PersonaStoreError(PersonaError):
    """The place where personas live cannot be read."""

    def __init__(self, message: str, retry_after_seconds: float = 0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        """How long that place wants to be left alone."""


class LLMError(OrchestraError):
    """The language model did not do its part."""


class LLMUnavailableError(LLMError):
    """The model server did not answer, or stopped half-way; trying again may help."""


class LLMRefusedError(LLMError):
    """The model server refused the request; it will refuse it again until something changes."""


class LLMReplyError(LLMError):
    """The model answered, but not in the shape that was asked for."""


class StorageError(OrchestraError):
    """The database, the vectors or the data folder cannot be used."""


class MemoryNotFoundError(OrchestraError):
    """This person has no memory with this id."""


class TaskError(OrchestraError):
    """Something is wrong with a task of a crew."""


class TaskInvalidError(TaskError):
    """What is asked of a crew breaks a rule; nothing was begun."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class TaskNotFoundError(TaskError):
    """This person has no task with this id."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"You have no task '{task_id}'. 'orchestra tasks list' shows yours.")


class TaskLostError(TaskError):
    """Another worker goes on with the task; this one must stop."""


class TaskNotAskingError(TaskError):
    """The task has no such question, or no longer."""


class CrewError(TaskError):
    """The crew could not do its part."""


class ToolError(TaskError):
    """A tool cannot do what an agent asks of it; the agent is told, and goes on."""


class FileRefusedError(TaskError):
    """A file cannot be kept."""


class LabError(OrchestraError):
    """Something in the lab cannot be done."""


class LabNotFoundError(LabError):
    """There is no such answer or comparison for this tester."""


class LabClosedError(LabError):
    """It was guessed or voted on before, or there is nothing left."""


class EvaluationError(OrchestraError):
    """An evaluation cannot be made: a file cannot be read, or something is missing."""
