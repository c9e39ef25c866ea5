"""The sandbox as a process: it starts, says where it is, and goes when told."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

SMALL = ("--months", "2", "--customers", "10", "--as-of", "2026-03-05T12:00:00Z")


def run(*args, timeout=60):
    command = [sys.executable, "-m", "growth_pipeline.sandbox", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_says_when_it_is_ready_and_ends_on_a_signal(tmp_path, how):
    ready, data = tmp_path / "ready.json", tmp_path / "data"
    command = [sys.executable, "-m", "growth_pipeline.sandbox", "serve", *SMALL]
    options = ["--api-key", "rk_live_demo", "--livemode", "--ready-file", str(ready)]
    with subprocess.Popen(
        [*command, *options, "--data-dir", str(data)], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            until = time.monotonic() + 30
            while not ready.exists() and time.monotonic() < until:
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.02)
            facts = json.loads(ready.read_text())
            headers = {"Authorization": "Bearer rk_live_demo"}
            account = httpx.get(f"{facts['url']}/v1/account", headers=headers).json()
            charges = httpx.get(f"{facts['url']}/v1/charges", headers=headers).json()
        finally:
            process.send_signal(how)
            errors = process.communicate(timeout=20)[1]
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert facts["pid"] == process.pid
    assert facts["livemode"] is True
    assert account["id"] == facts["account_id"]
    assert facts["months"] == ["2026-02", "2026-03"]
    assert all(charge["livemode"] for charge in charges["data"])
    assert [path.suffix for path in data.iterdir()] == [".sqlite"]


def test_generate_prints_its_figures():
    result = run("generate", *SMALL)
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert figures["customers"] == 10
    assert figures["events"] > 100
    assert figures["peak_rss_mb"] > 0


def figures_of(*args, timeout=120):
    result = run("generate", *args, timeout=timeout)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_twenty_five_times_the_customers_need_hardly_more_memory():
    one = figures_of("--customers", "40", "--months", "6")
    many = figures_of("--customers", "40", "--months", "6", "--scale", "25")
    assert many["payment_intents"] > 15 * one["payment_intents"]
    assert many["peak_rss_mb"] - one["peak_rss_mb"] < 50


@pytest.mark.full
def test_a_hundred_thousand_payment_intents_fit_in_little_memory():
    figures = figures_of("--scale", "220", timeout=280)
    assert figures["payment_intents"] > 95_000
    assert figures["peak_rss_mb"] < 200


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("serve", "--api-key", "rk_live_x"), "not of test mode"),
        (("serve", "--api-key", "rk_test_x", "--livemode"), "not of live mode"),
        (("serve", "--as-of", "yesterday"), "no ISO instant"),
        (("serve", "--months", "0"), "--months"),
        (("serve", "--api-version", "2026-13-01.yak"), "is no API version"),
        (("tamper", "--control", "http://127.0.0.1:9"), "SANDBOX_DATABASE_URL"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(args, says):
    result = run(*args)
    assert result.returncode == 2
    assert says in " ".join(result.stderr.replace("│", " ").split())


def test_tampering_without_a_server_is_one_sentence():
    result = run(
        "tamper", "--control", "http://127.0.0.1:9", "--database-url", "postgresql:///nothing"
    )
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("tamper:")


def test_a_connected_account_and_an_older_version_can_be_asked_for(tmp_path):
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-m", "growth_pipeline.sandbox", "serve", *SMALL, "--connected"]
    options = ["--api-version", "2025-02-24.acacia", "--ready-file", str(ready)]
    with subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + 30
            while not ready.exists() and time.monotonic() < until:
                assert process.poll() is None
                time.sleep(0.02)
            facts = json.loads(ready.read_text())
            (other,) = facts["connected_account_ids"]
            headers = {"Authorization": "Bearer rk_test_sandbox", "Stripe-Account": other}
            account = httpx.get(f"{facts['url']}/v1/account", headers=headers).json()
            invoice = httpx.get(f"{facts['url']}/v1/invoices", headers=headers).json()["data"][0]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)
    assert facts["api_version"] == "2025-02-24.acacia"
    assert account["id"] == other != facts["account_id"]
    assert "payment_intent" in invoice
