"""R08: each message once for ever, whatever is killed and however late it comes again.

Events go over HTTP to the real web app in a process that is killed again and again; senders send
every batch until it is answered with 200, as SDKs do. What is stored is compared with what was
sent, not with what the app counts.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from growth_pipeline_tests.fakes.ingest_server import basic, create_key
from growth_pipeline_tests.fakes.receiver_process import HOST, ReceiverProcess

BATCH = 100
SENDERS = 6
AGES = ("1 second", "25 hours", "8 days", "400 days")


def batches_of(events: int, random_: random.Random) -> list[list[str]]:
    """Message ids in batches: 30 % of the events are repeats of others, at any distance."""
    fresh = [f"m{number}" for number in range(events * 7 // 10)]
    sent = fresh + random_.choices(fresh, k=events - len(fresh))
    random_.shuffle(sent)
    return [sent[first : first + BATCH] for first in range(0, len(sent), BATCH)]


class Senders:
    """Threads that send batches until each is acknowledged."""

    def __init__(self, port: int, key: str, batches: list[list[str]]) -> None:
        self._url = f"http://{HOST}:{port}/v1/batch"
        self._key = key
        self._batches: Iterator[list[str]] = iter(batches)
        self._lock = threading.Lock()
        self.acknowledged = 0
        self.again = 0
        self.odd: list[int] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(SENDERS)]

    def __enter__(self) -> Senders:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()

    def wait_for(self, batches: int) -> None:
        while self.acknowledged < batches and any(one.is_alive() for one in self._threads):
            time.sleep(0.002)

    def _run(self) -> None:
        with httpx.Client(headers=basic(self._key), trust_env=False, timeout=60) as client:
            while True:
                with self._lock:
                    ids = next(self._batches, None)
                if ids is None:
                    return
                self._deliver(client, ids)

    def _deliver(self, client: httpx.Client, ids: list[str]) -> None:
        calls = [{"type": "page", "userId": one, "messageId": one} for one in ids]
        for attempt in itertools.count():
            try:
                status = client.post(self._url, json={"batch": calls}).status_code
            except httpx.TransportError:
                status = 0
            with self._lock:
                self.acknowledged += status == 200
                self.again += attempt > 0
                if status not in (0, 200, 429, 503):
                    self.odd.append(status)
            if status not in (0, 429, 503):
                return
            time.sleep(0.02)


def run(url, database, folder, *, events, kills, random_):
    batches = batches_of(events, random_)
    when = sorted(random_.sample(range(1, len(batches)), kills))
    key = create_key(url).key
    receiver = ReceiverProcess(url, folder)
    receiver.set("GROWTH_EVENTS__KEY_EVENTS_PER_SECOND", "0")
    began = time.monotonic()
    with receiver, Senders(receiver.port, key, batches) as senders:
        for number, batch in enumerate(when):
            senders.wait_for(batch)
            receiver.kill()
            if number < len(AGES):
                age(database, AGES[number])
            receiver.start()
            receiver.wait_until_ready()
    seconds = time.monotonic() - began
    with database.connection() as connection:
        rows = [row[0] for row in connection.execute("select message_id from events.events")]
        wrong = connection.execute("select count(*) from events.events where user_id <> message_id")
        mixed = wrong.fetchone()[0]
    sent = {one for batch in batches for one in batch}
    return {
        "lost": len(sent - set(rows)),
        "doubled": len(rows) - len(set(rows)),
        "never sent": len(set(rows) - sent),
        "mixed up": mixed,
        "odd answers": len(senders.odd),
        "not answered": len(batches) - senders.acknowledged,
    }, {"seconds": round(seconds, 1), "sent again": senders.again}


def age(database, by: str) -> None:
    """What is stored so far was received that much earlier: its repeats come as late."""
    with database.connection() as connection:
        connection.execute(
            "update events.events set received_at = received_at - %s::interval,"
            " occurred_at = occurred_at - %s::interval",
            [by, by],
        )


def test_each_message_is_stored_once_whatever_is_killed(
    database_url, database, tmp_path, seed, acceptance_line
):
    found, figures = run(
        *(database_url, database, tmp_path),
        **{"events": 50_000, "kills": 3, "random_": random.Random(seed)},
    )
    violations = {name: count for name, count in found.items() if count}
    load = {"events": 50_000, "repeats": 0.3, "kills": 3}
    acceptance_line("R08", violations=violations, load=load, **figures)


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_each_of_a_million_messages_is_stored_once(
    database_url, database, tmp_path, seed, acceptance_line
):
    found, figures = run(
        *(database_url, database, tmp_path),
        **{"events": 1_000_000, "kills": 50, "random_": random.Random(seed)},
    )
    violations = {name: count for name, count in found.items() if count}
    load = {"events": 1_000_000, "repeats": 0.3, "kills": 50}
    acceptance_line("R08", violations=violations, load=load, size="full", **figures)
