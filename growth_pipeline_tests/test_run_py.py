"""run.py, driven as a person drives it: a copy in an empty folder, a small PATH, stand-ins for uv."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

RUN = Path(__file__).parents[1] / "run.py"
BASE_PYTHON = Path(sys.base_prefix) / "bin" / "python{}.{}".format(*sys.version_info)

FAKE_UV = """\
#!{python}
import json, os, signal, sys, time
if sys.argv[1:] == ["--version"]:
    print("uv {version} (stand-in)"); sys.exit()
seen = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: seen.append(number))
open("{log}", "w").write(json.dumps({{"argv": sys.argv[1:], "env": dict(os.environ)}}))
end = time.monotonic() + {seconds}
while time.monotonic() < end and not seen:
    time.sleep(0.02)
time.sleep(0.3 if seen else 0)
open("{log}.signals", "w").write(json.dumps(seen))
sys.exit({code})
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with nothing but run.py."""
    place = tmp_path / "project"
    place.mkdir()
    shutil.copy(RUN, place)
    return place


def _write_program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    path.chmod(0o755)
    return path


def _fake_uv(path: Path, log: Path, *, version="0.13.0", seconds=0, code=0) -> Path:
    return _write_program(
        path,
        FAKE_UV.format(python=BASE_PYTHON, version=version, log=log, seconds=seconds, code=code),
    )


def _environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("UV_", "VIRTUAL_ENV", "PIP_"))}
    return kept | {"PATH": "/usr/bin:/bin"} | more


def _run(folder: Path, *arguments: str, python: object = BASE_PYTHON, **more: str):
    return subprocess.run(
        [str(python), str(folder / "run.py"), *arguments],
        env=_environment(**more),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != "__pycache__"}


def test_without_a_command_it_prints_the_three_commands(folder):
    for arguments, code in (((), 2), (("--help",), 0)):
        done = _run(folder, *arguments)
        assert done.returncode == code
        assert all(f"\n  {word} " in done.stdout for word in ("demo", "test", "check"))


def test_an_unknown_command_is_wrong_usage(folder):
    done = _run(folder, "dmeo")
    assert done.returncode == 2
    assert "unknown command 'dmeo'" in done.stderr
    assert _names(folder) == {"run.py"}


def test_an_old_python_is_told_which_one_is_needed(folder):
    program = (
        "import runpy, sys; sys.version_info = (3, 9, 2, 'final', 0); sys.argv = ['run.py', 'demo'];"
        f"runpy.run_path({str(folder / 'run.py')!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [str(BASE_PYTHON), "-c", program],
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("run.py: Python 3.11 or newer is needed; this is 3.9 (")
    assert "Traceback" not in done.stderr


def test_without_uv_and_venv_it_names_three_remedies_and_leaves_nothing(folder, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "ensurepip.py").write_text("raise ImportError('split off')\n")
    done = _run(folder, "test", PYTHONPATH=str(tmp_path / "broken"))
    assert done.returncode == 1
    assert "python3-venv" in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("  ")]) == 3
    assert _names(folder) == {"run.py"}


def test_a_failed_download_of_uv_leaves_nothing_half_made(folder):
    done = _run(
        folder,
        "test",
        PIP_INDEX_URL="http://127.0.0.1:9/",
        PIP_RETRIES="0",
        PIP_CONFIG_FILE=os.devnull,
    )
    assert done.returncode == 1
    assert "uv could not be fetched" in done.stderr
    assert _names(folder) == {"run.py"}


def test_uv_gets_this_python_the_lock_and_the_systems_certificates(folder, tmp_path):
    import json

    _fake_uv(tmp_path / "bin" / "uv", tmp_path / "log")
    done = _run(
        folder, "test", PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin", SSL_CERT_FILE="/given.pem"
    )
    seen = json.loads((tmp_path / "log").read_text())
    assert seen["argv"][:2] == ["sync", "--locked"]
    assert seen["argv"][seen["argv"].index("--python") + 1] == str(BASE_PYTHON)
    assert seen["env"]["UV_PYTHON_DOWNLOADS"] == "never"
    assert seen["env"]["UV_SYSTEM_CERTS"] == "true"
    assert seen["env"]["SSL_CERT_FILE"] == "/given.pem"
    assert done.returncode != 0  # the stand-in installed nothing


def test_an_older_uv_hears_of_the_certificates_by_their_old_name(folder, tmp_path):
    import json

    _fake_uv(tmp_path / "bin" / "uv", tmp_path / "log", version="0.10.4")
    _run(folder, "check", "--static", PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert json.loads((tmp_path / "log").read_text())["env"]["UV_NATIVE_TLS"] == "true"


def test_a_uv_that_is_too_old_gives_way_to_the_private_one(folder, tmp_path):
    _fake_uv(tmp_path / "bin" / "uv", tmp_path / "log_of_path", version="0.4.1")
    _fake_uv(folder / ".growth" / "tools" / "uv" / "bin" / "uv", tmp_path / "log_of_private")
    done = _run(folder, "test", PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert "uv 0.4.1" in done.stderr
    assert "too old" in done.stderr
    assert (tmp_path / "log_of_private").exists()
    assert not (tmp_path / "log_of_path").exists()


def test_a_failed_installation_is_one_sentence_and_code_1(folder, tmp_path):
    _fake_uv(tmp_path / "bin" / "uv", tmp_path / "log", code=2)
    done = _run(folder, "demo", PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert done.returncode == 1
    assert "the packages could not be installed" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("code", [0, 3, 5])
def test_the_exit_code_of_the_command_is_the_exit_code(folder, tmp_path, code):
    _fake_uv(tmp_path / "bin" / "uv", tmp_path / "log")
    _write_program(
        folder / ".venv" / "bin" / "python",
        f"""\
        #!/bin/sh
        echo "$@"
        exit {code}
        """,
    )
    done = _run(folder, "demo", "--months", "3", PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert done.returncode == code
    assert done.stdout == "-m growth_pipeline.cli demo --months 3\n"


@pytest.mark.parametrize(
    ("given", "handed"),
    [
        ((), f"-m pytest -n {os.cpu_count()}"),
        (("--full", "-k", "money"), f"-m pytest -n {os.cpu_count()} --full -k money"),
        (("-n0", "tests"), "-m pytest -n0 tests"),
        (("-n", "2"), "-m pytest -n 2"),
        (("--numprocesses=2",), "-m pytest --numprocesses=2"),
        (("--pdb",), "-m pytest --pdb"),
    ],
)
def test_tests_run_on_all_cores_unless_it_is_said_otherwise(folder, tmp_path, given, handed):
    _fake_uv(tmp_path / "bin" / "uv", tmp_path / "log")
    # Asked about a browser (-c) it says yes; else it says what it was given.
    stand_in = '#!/bin/sh\n[ "$1" = -c ] || echo "$@"\n'
    _write_program(folder / ".venv" / "bin" / "python", stand_in)
    done = _run(folder, "test", *given, PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert done.stdout == f"{handed}\n"


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert path.exists()


@pytest.mark.parametrize(
    ("number", "whole_group"),
    [(signal.SIGINT, True), (signal.SIGINT, False), (signal.SIGTERM, False)],
)
def test_a_signal_during_the_installation_reaches_uv_exactly_once(
    folder, tmp_path, number, whole_group
):
    import json

    _fake_uv(tmp_path / "bin" / "uv", tmp_path / "log", seconds=20)
    started = subprocess.Popen(
        [str(BASE_PYTHON), str(folder / "run.py"), "test"],
        env=_environment(PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin"),
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    _wait_for(tmp_path / "log")
    if whole_group:  # what a terminal does on Ctrl-C
        os.killpg(started.pid, number)
    else:
        started.send_signal(number)
    assert started.wait(20) == 128 + number
    assert json.loads((tmp_path / "log.signals").read_text()) == [number]


def test_ctrl_c_reaches_the_running_command_once_also_from_a_background_job(folder, tmp_path):
    _fake_uv(tmp_path / "bin" / "uv", tmp_path / "log")
    _write_program(
        folder / ".venv" / "bin" / "python",
        f"""\
        #!{BASE_PYTHON}
        import signal, sys, time
        seen = []
        default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
        open({str(tmp_path / "up")!r}, "w").close()
        end = time.monotonic() + 20
        while time.monotonic() < end and not seen:
            time.sleep(0.02)
        time.sleep(0.3)
        sys.exit(40 + len(seen) + 10 * default)
        """,
    )
    script = f'{BASE_PYTHON} "{folder}/run.py" demo & wait $!; exit $?'
    started = subprocess.Popen(
        ["sh", "-c", script],
        env=_environment(PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin"),
        start_new_session=True,
    )
    _wait_for(tmp_path / "up")
    (child,) = psutil.Process(started.pid).children()
    child.send_signal(signal.SIGINT)
    assert started.wait(20) == 51  # one signal, and SIGINT had its default handler again


@pytest.mark.parametrize("word", ["--fast", "x"])
def test_check_takes_only_its_own_option(folder, word):
    assert _run(folder, "check", word).returncode == 2


def test_it_needs_nothing_but_the_standard_library():
    done = subprocess.run(
        [str(BASE_PYTHON), "-I", "-S", "-c", f"import runpy; runpy.run_path({str(RUN)!r})"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
