"""The settings: defaults run, a wrong value is named, a secret is never shown."""

import pytest

from orchestra.errors import SettingsError
from orchestra.settings import Settings, read_settings, unknown_variables, variable_name


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch, tmp_path):
    for field in Settings.model_fields:
        monkeypatch.delenv(variable_name(field), raising=False)
    monkeypatch.chdir(tmp_path)


def test_nothing_needs_to_be_set():
    settings = read_settings()
    assert settings.uses_embedded_model
    assert (settings.host, settings.port, settings.is_loopback) == ("127.0.0.1", 8000, True)
    assert (settings.personas_dir / "karen.md").is_file()


def test_every_field_has_a_description():
    bare = [name for name, field in Settings.model_fields.items() if not field.description]
    assert bare == []


@pytest.mark.parametrize(
    ("variable", "value", "rule"),
    [
        ("ORCHESTRA_PORT", "abc", "valid integer"),
        ("ORCHESTRA_PORT", "65536", "less than or equal to 65535"),
        ("ORCHESTRA_MODEL_TIMEOUT_SECONDS", "0", "greater than 0"),
        ("ORCHESTRA_PERSONA_TTL_SECONDS", "-1", "greater than or equal to 0"),
        ("ORCHESTRA_MEMORY_LIMIT", "9", "greater than or equal to 10"),
        ("ORCHESTRA_LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("OPENAI_BASE_URL", "nowhere", "valid URL"),
    ],
)
def test_a_wrong_value_names_the_variable_the_value_and_the_rule(
    monkeypatch, variable, value, rule
):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        read_settings()
    said = str(caught.value)
    assert said.startswith(f"{variable} is '{value}': ")
    assert rule in said
    assert said.endswith("Change it or unset it.")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ORCHESTRA_ADMIN_TOKEN", "hunter2"),
        ("ORCHESTRA_DATABASE_URL", "mysql://me:hunter2@host/name"),
    ],
)
def test_a_wrong_secret_is_named_but_not_shown(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=rf"^{variable} is \(hidden\): ") as caught:
        read_settings()
    assert "hunter2" not in str(caught.value)


def test_a_wrong_secret_is_not_in_the_chained_error_of_a_traceback_either(monkeypatch):
    monkeypatch.setenv("ORCHESTRA_ADMIN_TOKEN", "hunter2")
    with pytest.raises(SettingsError) as caught:
        read_settings()
    assert "hunter2" not in str(caught.value.__cause__)


def test_secrets_do_not_show_when_settings_are_printed():
    settings = read_settings(
        openai_api_key="sk-hunter2",
        admin_token="hunter2hunter2hunter2",  # nobody's
        database_url="postgresql://me:hunter2@host/name",
    )
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings)
    assert settings.openai_api_key.get_secret_value() == "sk-hunter2"


@pytest.mark.parametrize(
    ("variable", "value", "embedded"),
    [
        ("OPENAI_API_KEY", "sk-x", False),
        ("OPENAI_BASE_URL", "http://127.0.0.1:9/v1", False),
        ("OPENAI_API_KEY", "", True),
        ("ORCHESTRA_MODEL", "some-model", True),
    ],
)
def test_the_built_in_model_is_used_until_a_server_or_key_is_named(
    monkeypatch, variable, value, embedded
):
    monkeypatch.setenv(variable, value)
    assert read_settings().uses_embedded_model is embedded


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104  # read, not bound to
        ("::", False),
        ("192.168.1.4", False),
        ("example.org", False),
        ("localhost.example.org", False),
    ],
)
def test_loopback_is_only_what_no_other_machine_reaches(host, loopback):
    assert read_settings(host=host).is_loopback is loopback


def test_host_names_are_loopback_the_own_host_and_the_allowed_ones_in_lower_case():
    settings = read_settings(host="Box.example", allowed_hosts=" Chat.example , ,b.example")
    assert settings.host_names == {
        "127.0.0.1", "localhost", "::1", "box.example", "chat.example", "b.example",
    }  # fmt: skip


def test_the_address_for_all_interfaces_is_no_host_name():
    settings = read_settings(host="0.0.0.0")  # noqa: S104  # read, not bound to
    assert settings.host_names == {"127.0.0.1", "localhost", "::1"}


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),  # noqa: S104  # read, not bound to
        ("::", "http://[::1]:8000"),
        ("chat.firm.test", "http://chat.firm.test:8000"),
    ],
)
def test_a_program_on_this_machine_knows_the_address(host, address):
    assert read_settings(host=host).own_address == address


@pytest.mark.parametrize(
    ("allowed", "name", "may"),
    [
        ("", "anybody", True),
        ("anna", "Anna", True),
        ("anna", "ben", False),
        ("anna@firm.test, @lab.test", "anna@firm.test", True),
        ("anna@firm.test, @lab.test", "ben@firm.test", False),
        ("anna@firm.test, @lab.test", "ben@LAB.test", True),
        ("@lab.test", "ben@evil.test@lab.test.evil", False),
        ("@lab.test", "lab.test", False),
        (",", "anybody", False),
        ("github:anna", "anna", True),
        ("google:anna", "anna", False),
    ],
)
def test_a_list_says_whom_a_provider_may_send(allowed, name, may):
    assert read_settings(oauth_allowed=allowed).lets_in(name, "github") is may


def test_a_log_level_may_be_written_in_capitals(monkeypatch):
    monkeypatch.setenv("ORCHESTRA_LOG_LEVEL", "DEBUG")
    assert read_settings().log_level == "debug"


def test_an_override_wins_over_the_environment_and_that_over_the_env_file(monkeypatch, tmp_path):
    monkeypatch.setitem(Settings.model_config, "env_file", ".env")
    (tmp_path / ".env").write_text("ORCHESTRA_PORT=1\nORCHESTRA_MODEL=m\n", encoding="utf-8")
    assert read_settings().port == 1
    monkeypatch.setenv("ORCHESTRA_PORT", "2")
    assert read_settings().port == 2
    assert read_settings(port=3).port == 3
    assert read_settings(port=3).model == "m"


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        read_settings().port = 1


def test_an_unknown_variable_is_told_with_the_nearest_known_name():
    environment = {
        "ORCHESTRA_PERSONA_TTL": "60",
        "ORCHESTRA_ZZZZZZZZZZZ": "1",
        "ORCHESTRA_PORT": "8000",
        "PATH": "/bin",
        "OPENAI_API_KEY": "sk",
    }
    assert unknown_variables(environment) == [
        "ORCHESTRA_PERSONA_TTL is not a setting; did you mean ORCHESTRA_PERSONA_TTL_SECONDS?",
        "ORCHESTRA_ZZZZZZZZZZZ is not a setting.",
    ]
