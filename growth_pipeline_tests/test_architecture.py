"""Guards of the house: floors, drawers, names. Each import contract is proven by breaking it once."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "growth_pipeline"
DAGSTER_FILES = {
    "assets.py",
    "checks.py",
    "schedules.py",
    "sensors.py",
    "resources.py",
    "partitions.py",
}
SOURCES = sorted(PACKAGE.rglob("*.py"))


def _lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_import_contracts_hold():
    result = _lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("contract", "file", "line"),
    [
        ("Floors", "core/ids.py", "import growth_pipeline.storage"),
        ("Floors", "audit/findings.py", "import growth_pipeline.web"),
        ("Dagster only in the files named for it", "audit/payments/compare.py", "import dagster"),
        (
            "Dagster files are imported only by Dagster files",
            "web/pages.py",
            "import growth_pipeline.audit.assets",
        ),
        ("Few read settings", "billing/fold.py", "import growth_pipeline.settings"),
        (
            "The product never imports the sandbox",
            "operate/demo.py",
            "import growth_pipeline.sandbox",
        ),
        (
            "The sandbox never imports the product",
            "sandbox/__init__.py",
            "import growth_pipeline.core.money",
        ),
        ("One vendor, one home", "audit/payments/compare.py", "import duckdb"),
        ("One vendor, one home", "billing/mirror.py", "import stripe"),
    ],
)
def test_a_planted_violation_breaks_its_contract(tmp_path, contract, file, line):
    shutil.copytree(
        PACKAGE, tmp_path / "growth_pipeline", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    target = tmp_path / "growth_pipeline" / file
    assert target.exists(), f"{file} moved: plant the violation elsewhere"
    target.write_text(target.read_text() + f"\n{line}\n")
    result = _lint_imports(tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    assert re.search(rf"^{re.escape(contract)}.* BROKEN", result.stdout, re.MULTILINE), (
        result.stdout
    )


def test_a_folder_without_a_floor_is_refused(tmp_path):
    shutil.copytree(
        PACKAGE, tmp_path / "growth_pipeline", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "growth_pipeline" / "attic").mkdir()
    (tmp_path / "growth_pipeline" / "attic" / "__init__.py").write_text("")
    assert _lint_imports(tmp_path).returncode == 1


def test_dagster_appears_only_in_the_files_named_for_it():
    importers = [
        path.relative_to(PACKAGE)
        for path in SOURCES
        if re.search(r"^\s*(import|from) dagster", path.read_text(), re.MULTILINE)
    ]
    assert importers
    assert all(path.name in DAGSTER_FILES or str(path) == "definitions.py" for path in importers), (
        importers
    )


def test_only_settings_reads_the_environment():
    readers = [path for path in SOURCES if re.search(r"os\.(environ|getenv)", path.read_text())]
    # The sandbox is a program of its own; it is given its database address the way a secret is given.
    outside = [path for path in readers if "sandbox" not in path.parts]
    assert outside == [PACKAGE / "settings.py"]


def test_tests_use_small_fakes_and_no_mocks():
    words = ("Magic" + "Mock", "mock" + ".patch", "monkeypatch" + ".setattr")
    guilty = [
        path
        for path in (ROOT / "growth_pipeline_tests").rglob("*.py")
        if any(word in path.read_text() for word in words)
    ]
    assert guilty == []


def test_every_sql_file_opens_with_its_grain_or_its_reason():
    files = sorted((ROOT / "sql").rglob("*.sql"))
    assert files
    silent = [path for path in files if not re.match(r"-- \S+ \S+ \S+", path.read_text())]
    assert silent == []


def test_no_module_has_a_name_that_says_nothing():
    empty = {"utils", "helpers", "common", "misc", "util", "helper"}
    assert [path for path in SOURCES if path.stem in empty or path.parent.name in empty] == []


def test_slices_stand_in_all_three_trees():
    for slice_name in ("billing", "audit", "alerts"):
        assert (PACKAGE / slice_name).is_dir()
        assert list((ROOT / "sql" / slice_name).glob("*.sql")), f"sql/{slice_name}"
        assert list((ROOT / "growth_pipeline_tests" / slice_name).glob("test_*.py")), (
            f"tests of {slice_name}"
        )


def test_migrations_are_numbered_without_gaps():
    numbers = [int(path.name[:4]) for path in sorted((ROOT / "sql" / "migrations").glob("*.sql"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_tree_holds_no_path_of_one_machine():
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    pattern = re.compile(r"/(work|root|home/[a-z]+)/")
    guilty = []
    for name in listed.stdout.split():
        path = ROOT / name
        if path.suffix in {".lock", ".png"} or path == Path(__file__) or not path.is_file():
            continue
        if pattern.search(path.read_text(errors="ignore")):
            guilty.append(name)
    assert guilty == []
