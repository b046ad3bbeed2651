"""The log lines: text for people, JSON for machines, vendors from warnings up."""

import json
import logging
import re
import sys

import pytest

from orchestra.logs import JsonLines, set_up_logging


@pytest.fixture(autouse=True)
def _logging_is_put_back():
    root = logging.getLogger()
    names = ("", "orchestra", "chainlit")
    handlers, levels = root.handlers[:], [logging.getLogger(name).level for name in names]
    yield
    root.handlers[:] = handlers
    for name, level in zip(names, levels, strict=True):
        logging.getLogger(name).setLevel(level)


def record(message, *args, exc_info=None):
    return logging.LogRecord(
        "orchestra.x", logging.WARNING, __file__, 1, message, args, exc_info=exc_info
    )


def test_a_json_line_has_time_level_logger_and_message():
    one = record("read %d from %s", 3, "Zoë")
    one.created = 0.5
    assert json.loads(JsonLines().format(one)) == {
        "when": "1970-01-01T00:00:00.500000+00:00",
        "level": "warning",
        "logger": "orchestra.x",
        "message": "read 3 from Zoë",
    }


def test_a_json_line_stays_one_line_with_newlines_quotes_and_a_traceback():
    try:
        int("x\ny")
    except ValueError:
        line = JsonLines().format(record('said "no"\nand left', exc_info=sys.exc_info()))
    assert "\n" not in line
    content = json.loads(line)
    assert content["message"] == 'said "no"\nand left'
    assert content["exception"].startswith("Traceback (most recent call last)")
    assert "ValueError" in content["exception"]


def test_text_lines_go_to_stderr_with_time_level_and_logger(capsys):
    set_up_logging("info", "text")
    logging.getLogger("orchestra.y").info("ready")
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"\d\d:\d\d:\d\d INFO    orchestra\.y: ready\n", err)


def test_json_lines_go_to_stderr(capsys):
    set_up_logging("info", "json")
    logging.getLogger("orchestra.y").info("ready")
    assert json.loads(capsys.readouterr().err)["message"] == "ready"


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        ("debug", ["vendor debug", "vendor warning", "own debug", "own info", "own error"]),
        ("info", ["vendor warning", "own info", "own error"]),
        ("error", ["vendor warning", "own error"]),
    ],
)
def test_the_level_is_for_our_own_lines_and_vendors_speak_from_warnings_up(capsys, level, heard):
    set_up_logging(level, "json")
    logging.getLogger("vendor").debug("vendor debug")
    logging.getLogger("vendor").warning("vendor warning")
    logging.getLogger("orchestra.z").debug("own debug")
    logging.getLogger("orchestra.z").info("own info")
    logging.getLogger("orchestra.z").error("own error")
    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["message"] for line in lines] == heard


def test_setting_up_twice_does_not_log_twice(capsys):
    set_up_logging("info", "text")
    set_up_logging("info", "text")
    logging.getLogger("orchestra.y").info("once")
    assert capsys.readouterr().err.count("once") == 1


def test_chainlits_warnings_about_files_left_out_are_not_shown(capsys):
    set_up_logging("info", "text")
    logging.getLogger("chainlit").warning("no translation")
    assert capsys.readouterr().err == ""
