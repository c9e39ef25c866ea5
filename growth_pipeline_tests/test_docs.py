"""What the docs promise exists, and what exists is in the docs."""

import re
from pathlib import Path

import pytest
import typer

from growth_pipeline.audit.codes import CODES
from growth_pipeline.cli import app
from growth_pipeline.core.errors import ExitCode
from growth_pipeline.operate.assets_page import assets_page

ROOT = Path(__file__).parents[1]
DOCS = {path.name: path.read_text() for path in (ROOT / "docs").glob("*.md")}
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md"))]


def commands(group: typer.core.TyperGroup, prefix: str = "growth") -> list[str]:
    names = []
    for name, command in group.commands.items():
        if isinstance(command, typer.core.TyperGroup):
            names += commands(command, f"{prefix} {name}")
        else:
            names.append(f"{prefix} {name}")
    return names


def test_the_assets_page_is_what_the_definitions_say():
    assert DOCS["assets.md"] == assets_page(), "run: growth config assets > docs/assets.md"


def test_every_command_and_exit_code_is_documented():
    missing = [
        name for name in commands(typer.main.get_command(app)) if f"`{name}" not in DOCS["cli.md"]
    ]
    assert missing == []
    for code in ExitCode:
        assert f"\n| {int(code)} | " in DOCS["cli.md"]


def test_every_finding_class_has_its_line_in_the_contract_with_its_severity():
    for code, rule in CODES.items():
        line = re.search(rf"^\| `{code}` \| ([^|]+)\|", DOCS["metrics.md"], re.MULTILINE)
        assert line, f"{code} is not in docs/metrics.md"
        assert rule.severity.value in line[1], code


def test_every_decision_has_a_number_of_its_own_and_a_title():
    files = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(path.name[:4]) for path in files] == list(range(len(files)))
    for path in files:
        assert path.read_text().startswith(f"# {path.name[:4]} ")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_settings_named_in_the_docs_exist():
    example = (ROOT / ".env.example").read_text()
    named = {
        name for page in PAGES for name in re.findall(r"GROWTH_[A-Z_]+[A-Z]", page.read_text())
    }
    assert {name for name in named if f"{name}=" not in example} <= {"GROWTH_"}
