"""The supervisor: nothing it started survives it, whatever ends it and however stubborn they are."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.operate.processes import ChildEndedError, Supervisor, free_port, last_lines

# A child that ignores SIGTERM, with a child of its own, one in a session of its own, and one whose
# parent is gone: the four ways to be forgotten.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
subprocess.Popen(sleep)
subprocess.Popen(sleep, start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(sleep[0], sleep)
    os._exit(0)
open(sys.argv[1], "w").close()
time.sleep(600)
"""

PARENT = """
import os, sys, time
from pathlib import Path
from growth_pipeline.operate.processes import Interrupted, Supervisor
folder = Path(sys.argv[1])
open(folder / "begun", "w").close()
try:
    with Supervisor(folder / "logs") as supervisor:
        for number in range(3):
            supervisor.start(
                f"stubborn-{number}",
                [sys.executable, "-c", (folder / "stubborn.py").read_text(), str(folder / f"up-{number}")],
                environment=dict(os.environ),
                folder=folder,
            )
        supervisor.wait_for_signal()
except Interrupted as interrupted:
    sys.exit(interrupted.exit_code)
"""


def _start_parent(folder: Path) -> subprocess.Popen[bytes]:
    (folder / "stubborn.py").write_text(STUBBORN)
    # The mark finds them all, also those that no longer descend from the parent.
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder)], env=os.environ | {"ORPHAN_MARK": str(folder)}
    )


def _marked(folder: Path) -> list[psutil.Process]:
    """Living processes that carry the mark of this test in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("ORPHAN_MARK") == str(folder) and process.status() != "zombie":
                found.append(process)
        except psutil.Error:
            continue
    return found


def _wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_after_a_signal_nothing_is_left_within_five_seconds(tmp_path, number, full):
    parent = _start_parent(tmp_path)
    assert _wait_until(lambda: len(list(tmp_path.glob("up-*"))) == 3)
    # Of 13: each child has told that it made its own; one may be gone without our doing.
    assert _wait_until(lambda: len(_marked(tmp_path)) >= 1 + 3 * 4 - 1), _marked(tmp_path)
    sent_at = time.monotonic()
    parent.send_signal(number)
    assert parent.wait(60) == 0, "a signal is how what is up is meant to end"
    assert time.monotonic() - sent_at < (5 if full else 30), "idle it is 2 s; other tests run too"
    assert _marked(tmp_path) == []


def test_a_signal_at_any_instant_of_the_start_leaves_nothing(tmp_path, seed):
    chance = random.Random(seed)
    for attempt in range(5):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        parent = _start_parent(folder)
        assert _wait_until((folder / "begun").exists)
        time.sleep(chance.uniform(0, 0.4))
        parent.send_signal(chance.choice([signal.SIGINT, signal.SIGTERM]))
        parent.wait(60)
        assert _marked(folder) == [], f"attempt {attempt}"


def test_when_the_parent_is_killed_its_children_end_with_it(tmp_path):
    if sys.platform != "linux":
        pytest.skip("the tie to the parent is a service of Linux")
    plain = PARENT.replace('(folder / "stubborn.py").read_text()', "'import time; time.sleep(600)'")
    parent = subprocess.Popen(
        [sys.executable, "-c", plain, str(tmp_path)],
        env=os.environ | {"ORPHAN_MARK": str(tmp_path)},
    )
    assert _wait_until(lambda: len(_marked(tmp_path)) == 4)
    time.sleep(0.3)  # until the last one has become its command
    parent.kill()
    parent.wait()
    assert _wait_until(lambda: not _marked(tmp_path), seconds=5)


def _supervisor(tmp_path):
    return Supervisor(tmp_path / "logs")


def _python(supervisor, tmp_path, code, **options):
    return supervisor.start(
        "child",
        [sys.executable, "-c", textwrap.dedent(code)],
        environment=dict(os.environ),
        folder=tmp_path,
        **options,
    )


def test_a_child_that_ends_is_named_with_its_last_words(tmp_path):
    with _supervisor(tmp_path) as supervisor:
        _python(supervisor, tmp_path, "import sys; print('no such table'); sys.exit(3)")
        with pytest.raises(ChildEndedError) as caught:
            supervisor.wait_until(lambda: False, what="the child", seconds=20)
    assert "child ended with code 3" in caught.value.message
    assert "no such table" in caught.value.message
    assert str(tmp_path / "logs" / "child.log") in caught.value.remedy


def test_a_child_that_may_end_is_no_failure(tmp_path):
    with _supervisor(tmp_path) as supervisor:
        child = _python(supervisor, tmp_path, "pass", may_end=True)
        assert child.process.wait(20) == 0
        supervisor.watch()


def test_waiting_too_long_says_for_what(tmp_path):
    with (
        _supervisor(tmp_path) as supervisor,
        pytest.raises(GrowthError, match="the web app is not ready"),
    ):
        supervisor.wait_until(lambda: False, what="the web app", seconds=0.1)


def test_children_get_signals_with_their_default_meaning(tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for background jobs
    try:
        with _supervisor(tmp_path) as supervisor:
            child = _python(
                supervisor,
                tmp_path,
                """
                import signal
                print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
                print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
                """,
                may_end=True,
            )
            child.process.wait(20)
    finally:
        signal.signal(signal.SIGINT, before)
    assert last_lines(child.log) == "True\nTrue"


def test_one_child_can_be_ended_before_the_others(tmp_path):
    with _supervisor(tmp_path) as supervisor:
        first = _python(supervisor, tmp_path, "import time; time.sleep(600)")
        second = _python(supervisor, tmp_path, "import time; time.sleep(600)")
        supervisor.stop(first)
        assert not psutil.pid_exists(first.pid)
        supervisor.watch()
        assert psutil.pid_exists(second.pid)


def test_a_command_that_does_not_exist_is_named_in_the_log(tmp_path):
    with _supervisor(tmp_path) as supervisor:
        child = supervisor.start(
            "ghost",
            ["/no/such/program"],
            environment=dict(os.environ),
            folder=tmp_path,
            may_end=True,
        )
        assert child.process.wait(20) == 127
    assert "/no/such/program: No such file or directory" in last_lines(child.log)


def test_a_taken_port_is_replaced_by_a_free_one():
    import socket

    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        found = free_port("127.0.0.1", taken)
        assert found not in {0, taken}
    assert free_port("127.0.0.1", taken) == taken


def test_an_address_that_is_not_ours_is_a_configuration_mistake():
    with pytest.raises(GrowthError, match=r"no port is free on 192\.0\.2\.1"):
        free_port("192.0.2.1", 8600)


def test_a_worker_of_the_demo_ends_with_its_parent_even_where_sigterm_is_held_back(tmp_path):
    worker = (
        "import signal, sys, time; from growth_pipeline.operate.demo_work import end_with_parent;"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); end_with_parent();"
        "open(sys.argv[1], 'w').close(); time.sleep(60)"
    )
    parent = (
        "import subprocess, sys, time;"
        f"subprocess.Popen([sys.executable, '-c', {worker!r}, sys.argv[1]]); time.sleep(60)"
    )
    begun = tmp_path / "begun"
    environment = {**os.environ, "ORPHAN_MARK": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", parent, str(begun)], env=environment)
    assert _wait_until(begun.exists)
    process.kill()
    process.wait()
    assert _wait_until(lambda: not _marked(tmp_path), seconds=10)
