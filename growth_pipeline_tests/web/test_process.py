"""The web app as a process: what it acknowledged is on disk, however it ends."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx
import pytest

from growth_pipeline_tests.fakes.stripe_events import a_customer, an_event
from growth_pipeline_tests.fakes.web_server import SECRET, signed


@contextmanager
def process_of(database_url, folder):
    """A uvicorn of its own, ready to receive."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GROWTH_")}
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "uvicorn", "--factory", "growth_pipeline.web.app:create_app"),
            *(
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                "--no-access-log",
                "--log-level",
                "warning",
            ),
        ],
        cwd=folder,
        env=clean
        | {
            "GROWTH_DATABASE_URL": database_url,
            "GROWTH_STATE_DIR": str(folder),
            "GROWTH_STRIPE__WEBHOOK_SECRETS": SECRET,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False
        ) as client:
            deadline = time.monotonic() + 60
            while True:
                try:
                    if client.get("/readyz").status_code == 200:
                        break
                except httpx.TransportError:
                    assert process.poll() is None, "it ended"
                    assert time.monotonic() < deadline, "it did not start"
                time.sleep(0.05)
            yield process, client
    finally:
        process.kill()
        process.communicate(timeout=30)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_what_was_acknowledged_survives_the_end_of_the_process(
    database_url, database, tmp_path, how
):
    acknowledged = []
    with process_of(database_url, tmp_path) as (process, client):

        def deliver(worker):
            for number in range(10_000):
                id_ = f"evt_{worker}_{number}"
                body = an_event("customer.created", a_customer(f"cus_{worker}_{number}"), id=id_)
                try:
                    answer = client.post(
                        "/webhooks/stripe", content=body, headers=signed(body, int(time.time()))
                    )
                except httpx.TransportError:
                    return
                if answer.status_code == 200:
                    acknowledged.append(id_)

        threads = [threading.Thread(target=deliver, args=(worker,)) for worker in range(6)]
        for thread in threads:
            thread.start()
        while len(acknowledged) < 60:
            time.sleep(0.01)
        process.send_signal(how)
        code = process.wait(20)
        for thread in threads:
            thread.join(30)
    with database.connection() as connection:
        stored = {row[0] for row in connection.execute("select event_id from billing.inbox")}
        broken = connection.execute(
            "select event_id from billing.inbox where state = 'quarantined'"
        ).fetchall()
    assert set(acknowledged) <= stored
    assert broken == []
    assert how is signal.SIGKILL or code in {0, -how}


def test_a_wrong_setting_ends_the_start_with_the_variable_and_without_the_value(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "from growth_pipeline.web.app import create_app; create_app()"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "GROWTH_WEB__PORT": "canary"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "GROWTH_WEB__PORT" in done.stderr
    assert "canary" not in done.stderr
