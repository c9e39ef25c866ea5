#!/usr/bin/env python3
"""Two commands on a fresh machine: `python3 run.py demo` and `python3 run.py test`.

Standard library only, because nothing is installed yet: it finds uv or fetches a private one, lets
it install what `uv.lock` names into `.venv`, and hands over. What runs then belongs to the package.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
TOOLS = ROOT / ".growth" / "tools"
MINIMUM_PYTHON = (3, 11)
MINIMUM_UV = (0, 8, 0)
SYSTEM_CERTIFICATES_SINCE = (0, 11, 0)  # before it the variable was called UV_NATIVE_TLS
INTERRUPTED = 130
WRONG_USAGE = 2
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP")
WORKERS = ("-n", "--numprocesses")
ALONE = {"-s", "--pdb", "--trace", "--collect-only", "--co"}
SOURCES = ("growth_pipeline", "growth_pipeline_tests", "benchmarks", "run.py")
USAGE = """usage: python3 run.py COMMAND [arguments]

  demo [arguments]      a whole simulated company on this machine; Ctrl-C ends it (demo --help)
  test [--full] [...]   the test suite; more arguments go to pytest
  check [--static]      format, lint, types, import contracts, unit tests (--static: no tests)
"""
VENV_REMEDIES = """uv is not installed, and this Python lacks venv to fetch it. Any one line helps:
  sudo apt-get install -y python3-venv
  pipx install uv
  python3 -m pip install --user --break-system-packages uv
"""


class Stop(Exception):
    """The one sentence to end with, and the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def say(message: object) -> None:
    """Print one line of progress on stderr; stdout belongs to the command."""
    print(f"run.py: {message}", file=sys.stderr, flush=True)


def spawn(argv: list[str], env: dict[str, str] | None = None, timeout: float | None = None) -> int:
    """Run a command to its end and return its exit code; 128 + n if signal n ended it.

    The child has a process group of its own and gets every signal from here, so that Ctrl-C (which
    a terminal sends to the whole group) and `kill` of this process alone both reach it once.
    """
    if os.name != "posix":
        return subprocess.run(argv, env=env, cwd=ROOT, timeout=timeout, check=False).returncode
    child: subprocess.Popen[bytes] | None = None
    received: list[int] = []

    def forward(number: int, _frame: object) -> None:
        received.append(number)
        if child is not None:
            child.send_signal(number)

    before = {name: signal.signal(getattr(signal, name), forward) for name in FORWARDED}
    try:
        child = subprocess.Popen(
            argv, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True
        )
        for number in received:  # a signal between the handler and the start
            child.send_signal(number)
        code = wait(child, timeout)
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
    if received:
        raise Stop("stopped", 128 + received[0])
    return code if code >= 0 else 128 - code


def wait(child: subprocess.Popen[bytes], timeout: float | None) -> int:
    """Exit code of the child; it is killed when the time is over."""
    try:
        return child.wait(timeout=timeout)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        return 1


def hand_over(argv: list[str], env: dict[str, str]) -> NoReturn:
    """Become the command: the same process, so signals and the exit code are its own."""
    os.chdir(ROOT)
    if os.name != "posix":
        raise Stop("", subprocess.run(argv, env=env, check=False).returncode)
    # A shell starts a command in the background with SIGINT ignored, and exec would pass that on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(argv[0], argv, env)  # noqa: S606 - a fixed program of the project's environment


def uv_version(path: str) -> tuple[int, ...] | None:
    """Version of the uv at `path` as numbers; None if it does not run."""
    try:
        answer = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.match(r"uv (\d+)\.(\d+)\.(\d+)", answer.stdout)
    return tuple(int(part) for part in match.groups()) if match else None


def find_uv() -> tuple[str, tuple[int, ...]] | None:
    """Path and version of a usable uv: the one on PATH, else the private one, else None."""
    candidates = [shutil.which("uv"), str(private_uv())]
    for path in filter(None, candidates):
        version = uv_version(path)
        if version is not None and version >= MINIMUM_UV:
            return path, version
        if version is not None:
            say(f"uv {'.'.join(map(str, version))} at {path} is too old; looking for another")
    return None


def private_uv() -> Path:
    """Where the private uv lives."""
    return TOOLS / "uv" / ("Scripts/uv.exe" if os.name == "nt" else "bin/uv")


def fetch_uv() -> str:
    """Install uv into a virtual environment under `.growth/tools`, whole or not at all."""
    try:
        import ensurepip  # noqa: F401 - Debian splits it off into python3-venv
        import venv  # noqa: F401
    except ImportError:
        raise Stop(VENV_REMEDIES) from None
    say("uv is not installed: fetching a private one into .growth/tools (once)")
    made = [path for path in (TOOLS.parent, TOOLS) if not path.exists()]
    TOOLS.mkdir(parents=True, exist_ok=True)
    build = Path(tempfile.mkdtemp(prefix=".uv-", dir=TOOLS))
    try:
        if spawn([sys.executable, "-m", "venv", str(build)]) != 0:
            raise Stop(VENV_REMEDIES)
        python = build / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        wanted = "uv>=" + ".".join(map(str, MINIMUM_UV))
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if spawn([*pip, wanted]) != 0:
            raise Stop(
                "uv could not be fetched. Check the network and the proxy, or install uv yourself "
                "(pipx install uv), then run this again."
            )
        shutil.rmtree(TOOLS / "uv", ignore_errors=True)
        build.rename(TOOLS / "uv")
    except BaseException:
        shutil.rmtree(build, ignore_errors=True)
        for path in reversed(made):
            if path.exists() and not any(path.iterdir()):
                path.rmdir()
        raise
    return str(private_uv())


def environment_folder() -> Path:
    """Folder of the project's virtual environment; uv's own variable moves it."""
    return ROOT / os.environ.get("UV_PROJECT_ENVIRONMENT", ".venv")


def environment_python() -> Path:
    """The Python of the project's virtual environment."""
    return environment_folder() / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def base_python() -> str:
    """The Python that runs this file, seen through a virtual environment.

    uv may rebuild `.venv`; asked to build it from its own Python it would saw off its branch.
    """
    if sys.prefix == sys.base_prefix:
        return sys.executable
    version = ".".join(map(str, sys.version_info[:2]))
    name = "python.exe" if os.name == "nt" else f"bin/python{version}"
    base = Path(sys.base_prefix) / name
    return str(base) if base.exists() else sys.executable


def child_environment() -> dict[str, str]:
    """Environment for everything started here; uv never downloads an interpreter."""
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    env["UV_PYTHON_DOWNLOADS"] = "never"
    return env


def install() -> None:
    """Bring `.venv` to exactly what `uv.lock` says."""
    found = find_uv()
    if found is None:
        path = fetch_uv()
        found = find_uv()
    if found is None:
        raise Stop(f"{path} does not run on this machine; install uv yourself (pipx install uv)")
    path, version = found
    env = child_environment()
    certificates = "SYSTEM_CERTS" if version >= SYSTEM_CERTIFICATES_SINCE else "NATIVE_TLS"
    env.setdefault(f"UV_{certificates}", "true")
    argv = [path, "sync", "--locked", "--compile-bytecode", "--python", base_python()]
    if environment_python().exists():
        argv.append("--quiet")
    else:
        say(f"installing what uv.lock names into {environment_folder().name} (once)")
    if spawn(argv, env) != 0:
        raise Stop(
            "the packages could not be installed (uv's message is above). Check the network, or "
            "delete .venv and run this again."
        )


def has_browser() -> bool:
    """Whether browser tests can run: Playwright's driver starts, and there is a Chromium.

    The driver is a program of its own, which lacks a library on a bare Debian (libatomic1).
    """
    probe = (
        "import shutil, sys; from pathlib import Path; from playwright.sync_api import "
        "sync_playwright as start\n"
        "with start() as p: own = Path(p.chromium.executable_path).exists()\n"
        "raise SystemExit(not (own or any(map(shutil.which, sys.argv[1:]))))"
    )
    argv = [str(environment_python()), "-c", probe, *BROWSERS]
    return subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode == 0


def provide_browser() -> None:
    """Get a Chromium for the browser tests if one can be had; else say what will be skipped."""
    if has_browser():
        return
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        say("no browser for the tests: installing Debian's chromium and libatomic1")
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        spawn(["apt-get", "update", "-qq"], env, timeout=300)
        wanted = ["--no-install-recommends", "chromium", "libatomic1"]
        spawn(["apt-get", "install", "-y", "-qq", *wanted], env, timeout=600)
    else:
        say("no browser for the tests: asking Playwright for one")
        playwright = [str(environment_python()), "-m", "playwright", "install", "chromium"]
        spawn(playwright, timeout=300)
    if not has_browser():
        say("no browser could be had: its tests are skipped (install chromium and libatomic1)")


def run_demo(arguments: list[str]) -> None:
    """`growth demo` in the project's environment."""
    install()
    python = str(environment_python())
    hand_over([python, "-m", "growth_pipeline.cli", "demo", *arguments], child_environment())


def run_tests(arguments: list[str]) -> None:
    """The whole suite on all cores, or what the arguments for pytest choose."""
    install()
    provide_browser()
    python = str(environment_python())
    chosen = any(word in ALONE or word.startswith(WORKERS) for word in arguments)
    cores = [] if chosen else ["-n", str(os.cpu_count() or 1)]
    hand_over([python, "-m", "pytest", *cores, *arguments], child_environment())


def run_checks(arguments: list[str]) -> None:
    """Everything that needs no server: the first thing CI and a developer run."""
    if [argument for argument in arguments if argument != "--static"]:
        raise Stop("check takes one option, --static (without the unit tests)", WRONG_USAGE)
    install()
    python = str(environment_python())
    sources = [name for name in SOURCES if (ROOT / name).exists()]
    imports = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    steps = {
        "format": ["-m", "ruff", "format", "--check", *sources],
        "lint": ["-m", "ruff", "check", *sources],
        "types": ["-m", "mypy"],
        "import contracts": ["-c", imports],
        "unit tests": ["-m", "pytest", "-q", "--unit"],
    }
    if "--static" in arguments:
        del steps["unit tests"]
    failed = []
    for name, step in steps.items():
        say(f"check: {name}")
        if spawn([python, *step], child_environment()) != 0:
            failed.append(name)
    if failed:
        raise Stop("check failed: " + ", ".join(failed))
    say("check: all green")


COMMANDS = {"demo": run_demo, "test": run_tests, "check": run_checks}


def main(arguments: list[str]) -> int:
    """Run one command; the exit code is the command's, 1 for a failed start, 2 for wrong usage."""
    if sys.version_info < MINIMUM_PYTHON:
        wanted, found = (".".join(map(str, v[:2])) for v in (MINIMUM_PYTHON, sys.version_info))
        raise Stop(
            f"Python {wanted} or newer is needed; this is {found} ({sys.executable}). "
            f"Start it with a newer one: python{wanted} run.py"
        )
    if arguments[:1] in ([], ["-h"], ["--help"], ["help"]):
        print(USAGE, end="")
        return 0 if arguments else WRONG_USAGE
    command = COMMANDS.get(arguments[0])
    if command is None:
        raise Stop(f"unknown command {arguments[0]!r}\n{USAGE}", WRONG_USAGE)
    command(arguments[1:])
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Stop as stop:
        if str(stop):
            say(stop)
        sys.exit(stop.code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
