"""A file of journeys: what it may hold, and what is said of each mistake."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from growth_pipeline.core.errors import UsageError
from growth_pipeline.lifecycle.journeys.defaults import JOURNEYS
from growth_pipeline.lifecycle.journeys.load import load_journeys

DOCS = Path(__file__).parents[3] / "docs" / "lifecycle.md"
IMPORTS = """\
from datetime import date, timedelta
from growth_pipeline.lifecycle.journeys.model import *
"""
GOOD = """\
def journey(name, tag):
    return Journey(
        name=name,
        version=1,
        trigger=EntersStage("churned"),
        starts_on=date(2026, 3, 1),
        steps=Step("hello", timedelta(days=1), tag=tag),
    )
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "journeys.py"
    path.write_text(text)
    return path


def test_no_file_means_the_journeys_that_come_along():
    assert load_journeys(None) == JOURNEYS


def test_journeys_of_a_file_are_loaded_in_their_order(tmp_path):
    text = f"{IMPORTS}{GOOD}\nJOURNEYS = [journey('b', 'x'), journey('a', 'y')]\n"
    found = load_journeys(written(tmp_path, text))
    assert [(one.name, one.steps[0].after) for one in found] == [
        ("b", timedelta(days=1)),
        ("a", timedelta(days=1)),
    ]


def test_an_empty_list_switches_all_journeys_off(tmp_path):
    assert load_journeys(written(tmp_path, "JOURNEYS = []")) == ()


@pytest.mark.parametrize(
    ("text", "named", "remedy"),
    [
        ("", "no list JOURNEYS", "JOURNEYS = "),
        ("JOURNEYS = 'all'", "no list JOURNEYS", "JOURNEYS = "),
        ("JOURNEYS = ['winback']", "no list JOURNEYS", "JOURNEYS = "),
        ("JOURNEYS = [", r"does not run: SyntaxError.*line 1", "correct it"),
        ("x = 1\ny = x / 0", r"journeys.py, line 2 does not run: ZeroDivisionError", "correct it"),
        ("import nothing_of_the_kind", "line 1 does not run: ModuleNotFoundError", "correct it"),
        ("raise SystemExit(0)", "line 1 does not run: SystemExit", "correct it"),
        (
            f"{IMPORTS}{GOOD}x = Journey(name='a')",
            "missing .* required .* 'version'",
            "correct it",
        ),
        (
            f"{IMPORTS}x = 1\ny = EntersStage('chrned')",
            "journeys.py, line 4: there is no stage 'chrned'",
            "use one of deleted, at_risk",
        ),
        (
            f"{IMPORTS}{GOOD}JOURNEYS = [journey('a', 'x'), journey('a', 'y')]",
            "two journeys 'a'",
            "name of its own",
        ),
        (
            f"{IMPORTS}{GOOD}JOURNEYS = [journey('a', 'x'), journey('b', 'x')]",
            "two steps of journeys.py add 'x'",
            "sends nothing",
        ),
    ],
)
def test_a_mistake_in_a_file_is_named_with_what_to_do(tmp_path, text, named, remedy):
    with pytest.raises(UsageError, match=named) as error:
        load_journeys(written(tmp_path, text))
    assert remedy in error.value.remedy


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="no file of journeys") as error:
        load_journeys(tmp_path / "none.py")
    assert "GROWTH_LIFECYCLE__JOURNEYS" in error.value.remedy


def test_a_file_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "journeys.py"
    path.write_bytes(b"\xff\xfe\x00\x00")
    with pytest.raises(UsageError, match=r"journeys\.py does not run"):
        load_journeys(path)


def test_the_example_of_the_docs_loads(tmp_path):
    examples = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    example = next(one for one in examples if "JOURNEYS = [" in one)
    found = load_journeys(written(tmp_path, example))
    assert [(one.definition, [step.name for step in one.steps]) for one in found] == [
        ("invite-the-team@1", ["why-together", "how-to"]),
        ("card-failed@1", ["update-card"]),
    ]
    assert found[1].basis == "contract"
