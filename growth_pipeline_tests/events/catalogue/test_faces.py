"""What is generated from the catalogue, and the command that prints it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest

from growth_pipeline.cli import app
from growth_pipeline.events.catalogue.faces.json_schema import catalogue_schema
from growth_pipeline.events.catalogue.faces.page import catalogue_page
from growth_pipeline.events.catalogue.faces.typescript import type_of, typescript
from growth_pipeline.events.catalogue.registry import CATALOGUE, EVENTS
from growth_pipeline_tests.fakes.command_line import CliRunner

DOCS = Path(__file__).parents[3] / "docs"
FILES = {"json": "events-catalogue.schema.json", "ts": "events-catalogue.ts"}
FILES["md"] = "events-catalogue.md"


def run(*arguments: str):
    return CliRunner().invoke(app, ["events", "schema", *arguments])


@pytest.mark.parametrize("form", FILES)
def test_the_files_in_the_docs_are_what_the_command_prints(form):
    done = run("--format", form)
    assert done.exit_code == 0
    assert done.stdout == (DOCS / FILES[form]).read_text(), (
        f"run: growth events schema --format {form} > docs/{FILES[form]}"
    )


def test_the_schema_is_a_schema_and_the_default_form():
    document = json.loads(run().stdout)
    jsonschema.Draft202012Validator.check_schema(document)
    assert document == catalogue_schema() == json.loads(run("--json").stdout)


def test_the_schema_uses_only_words_of_its_dialect_and_ours():
    known = {
        *("description", "examples", "type", "enum", "$ref", "anyOf", "pattern", "x-personal"),
        *("minLength", "maxLength", "minimum", "maximum"),
    }
    for one in catalogue_schema()["$defs"].values():
        for schema in one.get("properties", {}).values():
            for part in (schema, *schema.get("anyOf", ())):
                assert set(part) <= known, part


def test_a_call_of_another_event_passes_the_schema_and_a_wrong_one_does_not():
    validator = jsonschema.Draft202012Validator(catalogue_schema())
    assert validator.is_valid({"event": "Rocket Launched", "properties": 7})
    assert validator.is_valid({"event": "Signup Started"})
    assert validator.is_valid({"event": "Signup Started", "properties": None})
    assert not validator.is_valid({"event": "Project Created"})
    assert not validator.is_valid({"event": "Project Created", "properties": None})
    assert not validator.is_valid({"event": "Signup Started", "properties": {"channel": ""}})
    assert not validator.is_valid({"properties": {}})


def test_one_event_alone_can_be_asked_for():
    document = json.loads(run("--event", "Subscription Canceled").stdout)
    assert list(document["$defs"]) == [
        *("Currency", "SubscriptionCanceledV1", "SubscriptionCanceledV2"),
    ]
    assert run("--event", "Ticket Opened", "--format", "md").stdout.count("### ") == 1


def test_types_are_those_of_the_schema():
    text = typescript()
    assert "template?: string | null;" in text
    assert "  currency: Currency;" in text
    assert 'effective: "now" | "period_end";' in text
    assert '  "Subscription Canceled": SubscriptionCanceledV2;' in text
    assert " * @deprecated" in text.split("export interface SubscriptionCanceledV1")[0][-80:]
    with pytest.raises(KeyError):
        type_of({"type": "object"})


def test_every_version_has_an_interface_and_every_event_a_line_in_the_map():
    text = typescript()
    assert re.findall(r"^export interface (\w+V\d+) ", text, re.MULTILINE) == [
        model.type_name() for model in EVENTS
    ]
    mapped = re.findall(r'^  "([^"]+)": \w+;$', text, re.MULTILINE)
    assert mapped == list(CATALOGUE)


def test_node_reads_the_types(tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node 22.18 or newer")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    major, minor = (int(part) for part in version.stdout.lstrip("v").split(".")[:2])
    if (major, minor) < (22, 18):
        pytest.skip("needs Node 22.18 or newer, which reads TypeScript")
    (tmp_path / "catalogue.ts").write_text(typescript())
    (tmp_path / "use.mts").write_text(
        'import type { Track } from "./catalogue.ts";\n'
        "const track: Track = (event, properties) => console.log(event, properties.project_id);\n"
        'track("Project Created", { project_id: "proj_1" });\n'
    )
    subprocess.run([node, "--check", str(tmp_path / "catalogue.ts")], check=True, timeout=50)
    done = subprocess.run(
        [node, str(tmp_path / "use.mts")], capture_output=True, text=True, check=False, timeout=50
    )
    assert done.stdout == "Project Created proj_1\n", done.stderr


def test_the_page_tells_every_event_with_owner_and_every_property():
    page = catalogue_page()
    for event, versions in CATALOGUE.items():
        section = page.split(f"\n### {event}\n")[1].split("\n### ")[0]
        for model in versions:
            assert all(f"| `{name}` |" in section for name in model.model_fields), event
        assert f"[{event}](#{event.lower().replace(' ', '-')})" in page
    assert page.count("| team:") == len(CATALOGUE)


def test_rows_of_the_page_have_as_many_cells_as_their_heads():
    for table in re.findall(r"(?:^\|.*\n)+", catalogue_page(), re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(widths) == 1, table


def test_examples_on_the_page_are_right_calls():
    validator = jsonschema.Draft202012Validator(catalogue_schema())
    examples = re.findall(r"```json\n(.*)\n```", catalogue_page())
    assert len(examples) == len(EVENTS)
    for example in examples:
        validator.validate(json.loads(example))


def test_the_command_writes_a_file_and_says_why_it_cannot(tmp_path):
    target = tmp_path / "catalogue.ts"
    done = run("--format", "ts", "--output", str(target))
    assert (done.exit_code, done.stdout) == (0, "")
    assert target.read_text() == typescript()
    refused = run("--output", str(tmp_path / "no" / "folder.json"))
    assert refused.exception.exit_code == 2
    assert "cannot be written" in str(refused.exception)


def test_two_forms_at_once_are_refused():
    assert run("--json", "--format", "ts").exception.exit_code == 2


def test_the_catalogue_that_is_released_is_compared_with_this_one(tmp_path):
    released = catalogue_schema()
    path = tmp_path / "released.json"
    path.write_text(json.dumps(released))
    assert run("--against", str(path), "--event", "Ticket Opened").exit_code == 0
    released["$defs"]["TicketOpenedV1"]["properties"]["priority"]["enum"].append("someday")
    path.write_text(json.dumps(released))
    refused = run("--against", str(path))
    assert refused.exception.exit_code == 1
    assert "Ticket Opened@1: priority may no longer be 'someday'" in str(refused.exception)
    assert "new version" in refused.exception.remedy


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"$defs": 7}', '{"$defs": {"A": {"x-event": 1}}}']
)
def test_a_file_that_is_no_catalogue_is_refused(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    refused = run("--against", str(path))
    assert refused.exception.exit_code == 2
    assert run("--against", str(tmp_path / "none.json")).exception.exit_code == 2
