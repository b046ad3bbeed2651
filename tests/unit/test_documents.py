"""What is read of documents, and what is said of files that are none."""

from __future__ import annotations

import io

import docx
import pytest

from orchestra.crews.tools import research
from orchestra.crews.tools.tool import Bench
from orchestra.errors import ToolError
from orchestra.types.task import File

WORDS = "Sales rose by 12 % in May. The shop opened at nine. Rent is $2,400 a month."


def bench(name, raw, kind=""):
    return Bench("t", "anna", "Read it", None, {name: File(name, kind, raw)})


def word():
    document, raw = docx.Document(), io.BytesIO()
    document.add_heading("Report", 1)
    document.add_paragraph(WORDS)
    table = document.add_table(rows=2, cols=2)
    for row, cells in zip(table.rows, (("month", "sales"), ("May", "120")), strict=True):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text
    document.save(raw)
    return raw.getvalue()


def page():
    cells = "<tr><th>month<th>sales</tr><tr><td>May<td>120</tr>"
    return (
        f"<!doctype html><html><body><nav>Menu</nav><article><h1>Report</h1><p>{WORDS}</p>"
        f"<table>{cells}</table></article></body></html>"
    ).encode()


def pdf():
    """A page with one line of text, and a table drawn with lines."""
    lines = [f"BT /F1 12 Tf 50 750 Td ({WORDS}) Tj ET"]
    for row, cells in enumerate((("month", "sales"), ("May", "120"))):
        for column, text in enumerate(cells):
            x, y = 50 + 100 * column, 650 - 20 * row
            lines.append(f"{x} {y} 100 20 re S BT /F1 10 Tf {x + 5} {y + 5} Td ({text}) Tj ET")
    content = "\n".join(lines).encode()
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        (
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R"
            b"/Resources<</Font<</F1 5 0 R>>>>>>"
        ),
        b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    raw, places = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(raw))
        raw += b"%d 0 obj%s endobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(raw)
    raw += b"xref\n0 6\n0000000000 65535 f \n" + table
    return raw + b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % start


DOCUMENTS = {"r.docx": word, "r.html": page, "r.pdf": pdf, "r.txt": WORDS.encode}


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_the_words_of_a_document_are_read(name):
    outcome = await research.analyse(research.Reading(file=name), bench(name, DOCUMENTS[name]()))
    assert "Sales rose by 12 % in May." in outcome.text
    assert "Menu" not in outcome.text
    found = research.Reading(file=name, find="opened at NINE")
    assert "opened at nine" in (await research.analyse(found, bench(name, DOCUMENTS[name]()))).text


@pytest.mark.parametrize("name", ["r.docx", "r.html", "r.pdf"])
async def test_tables_and_figures_are_taken_out(name):
    held = bench(name, DOCUMENTS[name]())
    outcome = await research.extract(research.Extraction(file=name), held)
    (table,) = outcome.files
    assert (table.name, table.content.split()) == (
        f"{name} table 1.csv",
        [b"month,sales", b"May,120"],
    )
    assert "- Sales rose by 12 % in May." in outcome.text
    assert "$2,400" in outcome.text
    assert "opened at nine" not in outcome.text


async def test_a_heading_tells_what_a_document_is_about():
    outcome = await research.analyse(research.Reading(file="r.docx"), bench("r.docx", word()))
    assert "Headings:\n- Report" in outcome.text
    assert "1 tables" in outcome.text


@pytest.mark.parametrize(
    ("name", "raw", "told"),
    [
        ("r.pdf", b"hello", "not what its name says (pdf)"),
        ("r.docx", b"hello", "not what its name says (docx)"),
        ("r.docx", b"PK\3\4broken", "not what its name says (docx)"),
        ("r.txt", b"\0\1\2", "not what its name says (text): it has binary content"),
        ("r.html", b"\0\1\2", "not what its name says (html)"),
        ("r.txt", b"  ", "no words in r.txt"),
        ("r.exe", b"MZ", "r.exe is no document"),
    ],
)
async def test_a_file_that_is_not_what_it_says_is_told(name, raw, told):
    with pytest.raises(ToolError) as caught:
        await research.analyse(research.Reading(file=name), bench(name, raw))
    assert told in str(caught.value)


async def test_a_document_of_words_alone_has_nothing_to_take_out():
    with pytest.raises(ToolError, match="no tables and no figures"):
        await research.extract(research.Extraction(file="a.txt"), bench("a.txt", b"Only words."))
