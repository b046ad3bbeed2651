"""What the repository promises about itself."""

import json
import re
from pathlib import Path

import pytest
import yaml

from orchestra.llm.embedded import ADAPTER, VOICES, shipped_voices
from orchestra.personas.check import check
from orchestra.personas.files import PersonaFiles
from orchestra.settings import ROOT

SEED = ROOT / "personas_seed"


async def test_the_trained_voices_belong_to_the_shipped_personas():
    personas = await PersonaFiles(SEED).load()
    assert {one.wording for one in personas.members} == set(shipped_voices())
    assert set(json.loads(VOICES.read_text())) == set(personas.ids)
    assert ADAPTER.stat().st_size > 9_000_000


def test_the_shipped_personas_are_sound():
    assert [one.detail for one in check(SEED) if not one.ok] == []


def test_every_domain_has_a_hundred_examples_or_more_and_none_is_in_the_test_file():
    by_domain = yaml.safe_load((SEED / "domains.yaml").read_text())
    assert min(len(set(texts)) for texts in by_domain.values()) >= 100
    written = {text.lower().strip(" .?!") for texts in by_domain.values() for text in texts}
    lines = (ROOT / "benchmarks" / "routing.jsonl").read_text().splitlines()
    tested = {json.loads(line)["text"].lower().strip(" .?!") for line in lines}
    assert len(tested) >= 150
    assert written & tested == set()


async def test_every_domain_of_the_examples_has_an_owner():
    personas = await PersonaFiles(SEED).load()
    domains = set(yaml.safe_load((SEED / "domains.yaml").read_text()))
    assert {domain for one in personas.members for domain in one.domains} == domains


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_link_to_a_file_leads_somewhere(page):
    text = (ROOT / page).read_text()
    linked = re.findall(r"\]\((?!http)([^)#]+)\)|src=\"([^\"]+)\"", text)
    missing = [path for pair in linked for path in pair if path and not (ROOT / path).exists()]
    assert missing == []


def test_nothing_names_a_path_of_a_developers_machine():
    sources = [
        *ROOT.glob("*.*"),
        *(ROOT / "orchestra").rglob("*.py"),
        *(ROOT / "tests").rglob("*.py"),
    ]
    needle = re.compile(r"/(?:home|root|Users)/\w+")
    found = [path for path in sources if path.is_file() and needle.search(_text(path))]
    assert found == []


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="ignore")
