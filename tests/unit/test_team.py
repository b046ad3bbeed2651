"""Who works on a task, and how complex a task looks."""

from __future__ import annotations

import pytest

from orchestra.crews.team import complement_of, estimated_complexity, team_for


@pytest.mark.parametrize(
    ("domain", "support"),
    [
        ("sales", "marketing"),
        ("research", "data"),
        ("content", "research"),
        ("project", "content"),
        ("data", "research"),
        ("marketing", "research"),
        ("general", "research"),
        ("legal", "research"),
    ],
)
def test_support_comes_from_the_complementary_subject(domain, support):
    assert complement_of(domain) == support


@pytest.mark.parametrize(
    ("complexity", "team"),
    [
        ("low", [("sales", "specialist")]),
        ("medium", [("marketing", "support"), ("sales", "lead")]),
        ("high", [("sales", "expert"), ("marketing", "support"), ("sales", "lead")]),
    ],
)
def test_the_team_grows_with_the_task_and_its_lead_comes_last(complexity, team):
    members = team_for("sales", complexity)
    assert [(one.domain, one.seniority) for one in members] == team
    assert len({one.role for one in members}) == len(members)


@pytest.mark.parametrize("domain", ["sales", "research", "data", "general", "legal"])
def test_no_two_of_a_team_have_the_same_role(domain):  # their steps are known by it
    roles = [member.role for member in team_for(domain, "high")]
    assert len(set(roles)) == len(roles) == 3


def test_a_subject_that_nobody_foresaw_has_specialists_too():
    (member,) = team_for("legal", "low")
    assert member.role == "Legal Specialist"


@pytest.mark.parametrize(
    ("description", "complexity", "why"),
    [
        ("Write a subject line for the newsletter.", "low", "one thing is asked for"),
        ("Make a launch", "medium", "it asks for launch"),
        ("A detailed launch plan with dates.", "high", "it asks for launch and plan"),
        ("Compare three vendors:\n- price\n- support\n- lock-in", "high", "it has 4 parts"),
        ("Tell " + "me more " * 30, "medium", "it has 61 words"),
    ],
)
def test_complexity_is_estimated_from_the_words_and_says_why(description, complexity, why):
    found, reason = estimated_complexity(description)
    assert found == complexity
    assert why in reason
