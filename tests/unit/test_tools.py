"""What each tool does, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import datetime as dt
import email
import email.policy
import io
import json
import zipfile

import pytest
from openpyxl import Workbook

from orchestra.crews.tools import content, data, insights, project, research, sales
from orchestra.crews.tools.tool import Bench
from orchestra.errors import ToolError
from orchestra.types.task import File

MONTHS = "month,sales,visits\n" + "".join(
    f"2026-{month:02d},{100 + 10 * month},{1000 + 97 * month}\n" for month in range(1, 13)
)


def bench(**files):
    held = {name: File(name, "", raw) for name, raw in files.items()}
    return Bench("t", "anna", "Look at it", None, held)


def table(text=MONTHS, name="s.csv"):
    return bench(**{name: text.encode() if isinstance(text, str) else text})


def workbook(*rows):
    book, raw = Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(raw)
    return raw.getvalue()


async def asked(sql, held=None, file="s.csv"):
    return await data.process(data.Query(file=file, sql=sql), held or table())


async def test_sql_answers_from_a_csv_file():
    outcome = await asked("SELECT month, sales FROM data WHERE sales > 200 ORDER BY month")
    assert outcome.text.splitlines()[2:] == ["| 2026-11 | 210 |", "| 2026-12 | 220 |"]
    (file,) = outcome.files
    assert file.content.decode().split() == ["month,sales", "2026-11,210", "2026-12,220"]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
async def test_a_csv_file_may_have_another_separator(separator):
    held = table(MONTHS.replace(",", separator))
    assert "| 12 |" in (await asked("SELECT count(*) FROM data", held)).text


async def test_excel_files_are_tables_too():
    held = table(workbook(["name", "hours"], ["Ann", 3], ["Ben", "x"]), "Team.XLSX")
    assert "Ann" in (await asked("SELECT name FROM data WHERE hours = '3'", held, "team.xlsx")).text


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("DROP TABLE data", "Only one SELECT"),
        ("SELECT 1; SELECT 2", "Only one SELECT"),
        ("COPY data TO 'x.csv'", "Only one SELECT"),
        ("INSTALL httpfs", "Only one SELECT"),
        ("SELECT * FROM read_csv('/etc/passwd')", "disabled by configuration"),
        ("SELECT colour FROM data", "The table 'data' has the columns month"),
        ("SELEC", "DuckDB says"),
    ],
)
async def test_sql_that_is_wrong_or_writes_is_refused(sql, told):
    with pytest.raises(ToolError, match=told):
        await asked(sql)


@pytest.mark.parametrize(
    ("name", "raw", "told"),
    [
        ("s.xlsx", b"no workbook", "is not what its name says"),
        ("s.parquet", b"no parquet", "is not what its name says"),
        ("s.json", b"{", "is not what its name says"),
        ("s.csv", b"\0\1\2", "is not what its name says"),
        ("s.csv", b"a,b\n", "has no rows"),
        ("s.pdf", b"%PDF", "is no table"),
    ],
)
async def test_a_file_that_is_not_what_it_says_is_told(name, raw, told):
    with pytest.raises(ToolError, match=told):
        await asked("SELECT 1 FROM data", bench(**{name: raw}), name)


async def test_a_file_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(ToolError, match=r"no file 'x\.csv'. Files: s\.csv"):
        await asked("SELECT 1", file="x.csv")


async def test_a_chart_is_drawn_from_a_file_or_from_figures():
    drawn = await data.draw(data.Chart(title="Sales", kind="line", file="s.csv"), table())
    figure = json.loads(drawn.files[0].content)
    assert [one["name"] for one in figure["data"]] == ["sales", "visits"]
    given = data.Chart(title="Parts", kind="pie", labels=["a", "b"], values=[1, 2])
    pie = json.loads((await data.draw(given, bench())).files[0].content)
    assert pie["data"][0]["labels"] == ["a", "b"]


@pytest.mark.parametrize(
    ("chart", "told"),
    [
        ({}, "nothing to draw"),
        ({"labels": ["a"], "values": []}, "1 labels and 0 values"),
        ({"file": "s.csv", "sql": "SELECT month FROM data"}, "nothing to draw"),
    ],
)
async def test_a_chart_of_nothing_is_refused(chart, told):
    with pytest.raises(ToolError, match=told):
        await data.draw(data.Chart(title="Empty", **chart), table())


async def test_figures_tell_trends_outliers_and_correlations_with_their_tests():
    said = (
        await insights.look_closely(
            insights.Look(file="s.csv"), table(MONTHS + "2027-01,900,2261\n")
        )
    ).text
    assert "rises in the order of the rows by about 10 per row (Mann-Kendall" in said
    assert "1 outliers: 900 (modified z-score above 3.5)" in said
    assert "sales and visits go together: rho = 1.00" in said
    with pytest.raises(ToolError, match="no numbers"):
        await insights.look_closely(insights.Look(file="s.csv"), table("a,b\nx,y\n"))


ACTIVITIES = [
    {"name": "Hall", "days": 3},
    {"name": "Print", "days": 2},
    {"name": "Open", "days": 1, "after": ["Hall", "Print"]},
]


async def scheduled(activities):
    return await project.schedule(
        project.Timeline(start=dt.date(2026, 5, 1), activities=activities), bench()
    )


async def test_the_critical_path_and_slack_of_a_plan():
    outcome = await scheduled(ACTIVITIES)
    assert "| Print | 2026-05-01 | 2026-05-03 | 2 | 1 |" in outcome.text
    assert "Over on 2026-05-05, after 4 days. Critical: Hall, Open." in outcome.text
    bars = json.loads(outcome.files[0].content)["data"]
    assert {one["y"][0]: one["name"] for one in bars}["Print"] == "has slack"


@pytest.mark.parametrize(
    ("activities", "told"),
    [
        ([{"name": "A", "days": 1, "after": ["B"]}], "waits for 'B', which is no activity"),
        ([{"name": "A", "days": 1}] * 2, "'A' comes twice"),
        (
            [
                {"name": "A", "days": 1, "after": ["B"]},
                {"name": "B", "days": 1, "after": ["A"]},
            ],
            "wait for one another: .* -> ",
        ),
    ],
)
async def test_a_plan_that_cannot_be_is_told(activities, told):
    with pytest.raises(ToolError, match=told):
        await scheduled(activities)


async def test_work_goes_to_who_can_do_it_within_their_hours():
    people = [
        {"name": "Ann", "hours": 10, "skills": ["design"]},
        {"name": "Ben", "hours": 5},
    ]
    work = [
        {"name": "Logo", "hours": 8, "skill": "design"},
        {"name": "Code", "hours": 9, "skill": "code", "value": 3},
    ]
    said = (await project.allocate(project.Allocation(people=people, work=work), bench())).text
    assert "| Logo | Ann | 8.0 |" in said
    assert "| Code | Ben | 5.0 |" in said
    assert "Undone: Code lacks 4.0 hours." in said
    assert "Free: Ann has 2.0 hours left." in said


async def test_grammar_is_checked_offline():
    said = (await content.proofread(content.Draft(text="This are an test."), bench())).text
    assert "findings" in said
    assert "'an test'" in said or "'an'" in said
    sound = content.Draft(text="This is a test of a sound sentence.")
    assert (await content.proofread(sound, bench())).text == "No mistakes found."


async def test_a_sentence_that_was_taken_is_found_though_a_word_differs():
    text = "We open the bakery on the first of May. Nobody has written this sentence before us."
    source = "They said: We open the bakery on the 1st of May. And then they went home again."
    held = bench(**{"old.txt": source.replace("They said: ", "").encode()})
    compared = content.Compared(text=text, files=["old.txt"])
    said = (await content.compare(compared, held)).text
    assert said.startswith("1 of 2 sentences")
    assert "old.txt" in said
    with pytest.raises(ToolError, match="nothing to compare with"):
        await content.compare(content.Compared(text=text), bench())


async def test_a_finished_text_becomes_files_in_which_nothing_runs():
    page = content.Page(title="Fair <b>", body="Hello\n\n<script>alert(1)</script>\n\n- one")
    markdown, web = (await content.publish(page, bench())).files
    assert markdown.content.decode().startswith("# Fair <b>\n\nHello")
    assert "<script>" not in web.content.decode()
    assert "<li>one</li>" in web.content.decode()


async def test_a_draft_is_an_email_that_programs_open():
    draft = sales.Email(to=["Ann <ann@example.org>"], subject="The fair\nin May", body="Häuser\n")
    (file,) = (await sales.draft_email(draft, bench())).files
    message = email.message_from_bytes(file.content, policy=email.policy.default)
    assert message["To"] == "Ann <ann@example.org>"
    assert message["Subject"] == "The fair in May"
    assert message.get_content() == "Häuser\n"
    with pytest.raises(ValueError, match="'nobody' is no email address"):
        sales.Email(to=["nobody"], subject="x", body="y")


async def test_a_pitch_is_one_page_with_nothing_of_its_authors_run():
    pitch = sales.Pitch(
        product="Fair",
        audience="bakers",
        problem="<script>",
        solution="Bread",
        benefits=["fresh"],
        ask="Call us",
    )
    (file,) = (await sales.make_pitch(pitch, bench())).files
    assert b"<script>" not in file.content
    assert b"<li>fresh</li>" in file.content


async def test_json_objects_need_not_all_have_the_same_fields():
    held = table('[{"a": 1}, {"a": 2, "rev": 5}]', "s.json")
    assert "| 2 | 5 |" in (await asked("SELECT a, rev FROM data", held, "s.json")).text


@pytest.mark.parametrize(
    ("name", "raw"), [("s.csv", b"a,a\n1,2\n"), ("s.xlsx", workbook(["a", "a"], [1, 2]))]
)
async def test_columns_of_one_name_are_told_apart(name, raw):
    held = table(raw, name)
    assert "| 1 | 2 |" in (await asked('SELECT a, "a 2" FROM data', held, name)).text


async def test_rows_of_a_sheet_may_be_of_unlike_length():
    held = table(workbook(["a", "b"], [1], [2, 3, 4]), "s.xlsx")
    said = await asked('SELECT a, b, "column 3" FROM data', held, "s.xlsx")
    assert said.text.splitlines()[2:] == ["| 1 |  |  |", "| 2 | 3 | 4 |"]


async def test_an_archive_that_unpacks_to_too_much_is_refused():
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sharedStrings.xml", bytes(200_000_001))
    with pytest.raises(ToolError, match="unpacks to more than 200,000,000 bytes"):
        await asked("SELECT 1", table(raw.getvalue(), "s.xlsx"), "s.xlsx")


async def test_an_answer_that_is_too_large_is_refused():
    with pytest.raises(ToolError, match="larger than 20,000,000 characters"):
        await asked("SELECT repeat('x', 1000000) FROM range(1000)")


async def test_a_query_cannot_read_what_others_spilled():
    with pytest.raises(ToolError, match="DuckDB says"):
        await asked("SELECT * FROM glob('.tmp/*')")


async def test_a_long_table_is_looked_at_in_little_room():
    rows = "\n".join(f"{n},{n % 7}" for n in range(30_000))
    said = (await insights.look_closely(insights.Look(file="s.csv"), table(f"id,x\n{rows}"))).text
    assert "rises in the order of the rows by about 1 per row" in said


async def test_sums_of_money_are_drawn():
    sql = "SELECT month, sum(sales * 1.5) FROM data GROUP BY month ORDER BY month"
    chart = data.Chart(title="Money", file="s.csv", sql=sql)
    (file,) = (await data.draw(chart, table())).files
    assert json.loads(file.content)["data"]


async def test_many_threads_may_proofread_at_once():
    drafts = [content.proofread(content.Draft(text="He go home."), bench()) for _ in range(8)]
    assert {one.text.count("\n") for one in await asyncio.gather(*drafts)} == {1}


@pytest.mark.parametrize("text", ["\n" * 59_000, "1," * 29_000, "- " * 29_000])
async def test_odd_texts_take_no_time(text):
    await content.publish(content.Page(title="x", body=f"a{text}b"), bench())
    held = bench(**{"odd.txt": f"5 % {text}".encode()})
    await research.extract(research.Extraction(file="odd.txt"), held)
