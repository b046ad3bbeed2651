"""All that can be set, read once from the environment and `.env`; defaults run with nothing set."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import (
    AliasChoices,
    Field,
    HttpUrl,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from orchestra.errors import SettingsError

ROOT = Path(__file__).resolve().parent.parent
"""The checkout: where personas_seed, public, .chainlit and app.py lie."""

DEFAULT_BASE_URL = "https://api.openai.com/v1"


def _plain(name: str) -> AliasChoices:
    return AliasChoices(name)


class Settings(BaseSettings):
    """The settings of one process; frozen."""

    model_config = SettingsConfigDict(
        env_prefix="ORCHESTRA_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    openai_api_key: SecretStr | None = Field(
        None,
        validation_alias=_plain("OPENAI_API_KEY"),
        description="Key of an OpenAI-compatible server. With this or OPENAI_BASE_URL set, "
        "the built-in model is not used.",
    )
    openai_base_url: HttpUrl | None = Field(
        None,
        validation_alias=_plain("OPENAI_BASE_URL"),
        description="Address of an OpenAI-compatible server; default: OpenAI's own.",
    )
    model: str = Field(
        "gpt-4.1-mini",
        min_length=1,
        description="Name of the model to ask there. The built-in model ignores it.",
    )
    model_timeout_seconds: float = Field(
        60, gt=0, le=3600, description="Longest silence of the model server before we give up."
    )
    model_concurrency: int = Field(
        32, ge=1, le=1000, description="Requests to the model server at one time; more wait."
    )
    personas_dir: Path = Field(
        ROOT / "personas_seed",
        description="Folder with one Markdown file per persona, and domains.yaml.",
    )
    persona_store: Literal["", "files", "notion", "sql"] = Field(
        "",
        description="Where personas live: files, notion or sql (the database); default: notion "
        "when NOTION_API_KEY is set, else files.",
    )
    notion_api_key: SecretStr | None = Field(
        None,
        validation_alias=_plain("NOTION_API_KEY"),
        description="Secret of the Notion connection that may read the table of personas.",
    )
    notion_personas_db_id: str = Field(
        "",
        validation_alias=_plain("NOTION_PERSONAS_DB_ID"),
        description="The table: its database id, data source id, or any link to it.",
    )
    notion_parent_page_id: str = Field(
        "",
        validation_alias=_plain("NOTION_PARENT_PAGE_ID"),
        description="The page under which 'orchestra notion init' makes the table; id or link.",
    )
    notion_base_url: HttpUrl = Field(
        HttpUrl("https://api.notion.com"),
        validation_alias=_plain("NOTION_BASE_URL"),
        description="Where Notion's API is.",
    )
    notion_webhook_token: SecretStr | None = Field(
        None,
        validation_alias=_plain("NOTION_WEBHOOK_TOKEN"),
        description="Verification token of the connection's webhook; without, the one that Notion "
        "sends first is kept in the data folder.",
    )
    persona_ttl_seconds: float = Field(
        300, ge=0, description="How old the personas in use may get before they are read again."
    )
    data_dir: Path = Field(
        Path(".orchestra"), description="Folder for everything the house stores itself."
    )
    database_url: SecretStr | None = Field(
        None,
        description="PostgreSQL instead of the SQLite file in the data folder: "
        "postgresql://user:password@host/name.",
    )
    chroma_url: HttpUrl | None = Field(
        None, description="A Chroma server instead of the Chroma folder in the data folder."
    )
    embedding_model: str = Field(
        "",
        description="Folder or sentence-transformers name; default: the all-MiniLM-L6-v2 "
        "that is installed with the product.",
    )
    memory_limit: int = Field(
        5000, ge=10, description="Memories kept per person and persona; the least useful go first."
    )
    message_limit: int = Field(
        20_000, ge=100, le=1_000_000, description="Longest message accepted, in characters."
    )
    crews_at_once: int = Field(
        4, ge=1, le=64, description="Tasks that crews work on at one time, in each process."
    )
    crews_at_once_per_person: int = Field(
        3, ge=1, le=64, description="Tasks of one person that are worked on at one time."
    )
    crews_at_once_in_all: int = Field(
        16, ge=1, le=1000, description="Tasks that are worked on at one time, in all processes."
    )
    crew_step_seconds: float = Field(
        600, gt=0, description="Longest time that one step of a crew may take."
    )
    crew_task_seconds: float = Field(
        3600, gt=0, description="Longest time that a crew may take for a task."
    )
    task_keep_days: float = Field(
        90, gt=0, description="How long a task that is over can be looked at."
    )
    admin_token: SecretStr | None = Field(
        None, min_length=16, description="Bearer token of administrators; 16 characters or more."
    )
    admin_changes_per_minute: int = Field(
        60, ge=1, description="Changes of personas that the API takes per minute; more get a 429."
    )
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    allowed_hosts: str = Field(
        "",
        description="Further host names under which people reach the server, separated by commas.",
    )
    oauth_allowed: str = Field(
        "",
        description="Who may come in through an OAuth provider: names or addresses as the provider "
        "gives them, @domain for all of one, or github:name for one provider's, separated by "
        "commas; empty: whoever it lets in.",
    )
    gate_baseline: Path | None = Field(
        None,
        description="Folder of a good 'orchestra lab run': edited personas serve only once they "
        "are found no less distinct than those, beyond noise.",
    )
    authors: str = Field(
        "",
        description="Who may change personas on the page once sign-in is on: account names, or "
        "github:name for an OAuth provider's, separated by commas. Without sign-in, whoever sits "
        "at this machine.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="How much is logged, to stderr."
    )
    log_format: Literal["text", "json"] = Field("text", description="How log lines look.")

    @model_validator(mode="after")
    def _notion_is_whole(self) -> Self:
        if self.uses_notion and self.notion_api_key is None:
            rule = "'notion' also needs NOTION_API_KEY; or set it to 'files'"
            raise ValueError(rule)
        if self.uses_notion and not self.notion_personas_db_id:
            rule = "'notion' also needs NOTION_PERSONAS_DB_ID; or set it to 'files'"
            raise ValueError(rule)
        return self

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def _postgres_only(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(
            ("postgresql://", "postgres://")
        ):
            rule = "must start with postgresql:// (leave it empty for the SQLite file)"
            raise ValueError(rule)
        return value

    @property
    def uses_embedded_model(self) -> bool:
        """Whether no model server was named."""
        return self.openai_api_key is None and self.openai_base_url is None

    @property
    def uses_notion(self) -> bool:
        """Whether the personas live in Notion."""
        return self.persona_store == "notion" or (
            not self.persona_store and self.notion_api_key is not None
        )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def lets_in(self, name: str, provider: str = "") -> bool:
        """Whether somebody may come in whom an OAuth provider calls by this name."""
        if not self.oauth_allowed.strip():
            return True
        allowed = {one.strip().lower() for one in self.oauth_allowed.split(",") if one.strip()}
        names = {name.lower()} | ({"@" + name.rpartition("@")[2].lower()} if "@" in name else set())
        return not allowed.isdisjoint(names | {f"{provider}:{one}" for one in names})

    def lets_write(self, name: str) -> bool:
        """Whether somebody who signed in under this name may change personas."""
        return name.lower() in {one.strip().lower() for one in self.authors.split(",")}

    @property
    def own_address(self) -> str:
        """Where a program on this machine reaches the server."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104  # compared with, not bound to
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def host_names(self) -> frozenset[str]:
        """The host names under which the server answers, in lower case, without port."""
        further = {name.strip().lower() for name in self.allowed_hosts.split(",") if name.strip()}
        own = set() if self.host in {"0.0.0.0", "::"} else {self.host.lower()}  # noqa: S104  # compared with, not bound to
        return frozenset({"127.0.0.1", "localhost", "::1"} | further | own)


def read_settings(**overrides: object) -> Settings:
    """Read the settings of this process.

    Args:
        overrides: Values that win over the environment, by field name.

    Raises:
        SettingsError: a variable has a wrong value; one line names the variable and the rule.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks the values
    except ValidationError as exc:
        first = exc.errors()[0]
        if not first["loc"]:  # of several settings together
            said = str(first["ctx"]["error"])
            message = f"ORCHESTRA_PERSONA_STORE: {said}."
            raise SettingsError(message) from exc
        name = variable_name(str(first["loc"][0]))
        secret = _is_secret(str(first["loc"][0])) or "@" in str(first["input"])
        shown = "(hidden)" if secret else repr(first["input"])
        message = f"{name} is {shown}: {first['msg']}. Change it or unset it."
        raise SettingsError(message) from exc


def variable_name(field: str) -> str:
    """The environment variable of a field: 'ttl' or its alias to 'ORCHESTRA_TTL'."""
    known = Settings.model_fields.get(field)
    if known is not None and isinstance(known.validation_alias, AliasChoices):
        return str(known.validation_alias.choices[0])
    return field if field.isupper() else f"ORCHESTRA_{field.upper()}"


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """One line for each ORCHESTRA_* variable that nobody reads, with the nearest known name."""
    known = {variable_name(field) for field in Settings.model_fields}
    lines = []
    for name in sorted(environment):
        if name.startswith("ORCHESTRA_") and name not in known:
            longer = [one for one in known if one.startswith(name)]
            near = longer or difflib.get_close_matches(name, known, n=1)
            lines.append(
                f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else ".")
            )
    return lines


def _is_secret(field: str) -> bool:
    return any(word in field.lower() for word in ("key", "token", "database_url"))
