"""R04 through the real route: accepted only if genuine and on time; refused ones leave nothing."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import orjson
import psycopg
import pytest
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from growth_pipeline.web.app import create_app
from growth_pipeline_tests.fakes.stripe_events import NOON, a_charge, a_customer, an_event, sign
from growth_pipeline_tests.fakes.web_server import (
    OTHER_SECRET,
    SECRET,
    Clock,
    client_of,
    serve,
    settings_of,
    signed,
)

PATH = "/webhooks/stripe"
BODY = an_event("charge.succeeded", a_charge(description="Grüße ✓"))
GOOD = sign(BODY, SECRET, NOON).partition("v1=")[2]
BAD = "0" * 64
REFUSED = (400, "webhook refused\n")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def app(database_url, tmp_path, clock):
    return create_app(settings_of(database_url, tmp_path, SECRET, OTHER_SECRET), clock=clock)


def stored(database):
    with database.connection() as connection:
        return connection.execute("select event_id from billing.inbox").fetchall()


def headers_with_a_wrong_shape():
    """Header -> why it must be refused; the body is genuine."""
    v1 = f"v1={GOOD}"
    return {
        "no timestamp": v1,
        "empty timestamp": f"t=,{v1}",
        "float": f"t={NOON}.0,{v1}",
        "negative": f"t=-{NOON},{v1}",
        "plus": f"t=+{NOON},{v1}",
        "blank before": f"t= {NOON},{v1}",
        "blank after": f"t={NOON} ,{v1}",
        "underscore": f"t={str(NOON)[0]}_{str(NOON)[1:]},{v1}",
        "leading zero": f"t=0{NOON},{v1}",
        "hex": f"t=0x{NOON:x},{v1}",
        "2**63": f"t={2**63},{v1}",
        "2**64": f"t={2**64 + NOON},{v1}",
        "thousand digits": f"t={'9' * 1000},{v1}",
        "arabic digits": f"t={str(NOON).translate(str.maketrans('0123456789', '٠١٢٣٤٥٦٧٨٩'))},{v1}",
        "words": f"t=now,{v1}",
        "two timestamps": f"t={NOON},t={NOON + 1},{v1}",
        "v0 only": f"t={NOON},v0={GOOD}",
        "v2 only": f"t={NOON},v2={GOOD}",
        "no scheme": f"t={NOON},{GOOD}",
        "empty signature": f"t={NOON},v1=",
        "short signature": f"t={NOON},v1={GOOD[:-1]}",
        "long signature": f"t={NOON},v1={GOOD}0",
        "wrong signature": f"t={NOON},v1={BAD}",
        "many wrong": f"t={NOON}," + ",".join(f"v1={BAD}" for _ in range(100)),
        "other secret": sign(BODY, "whsec_forged", NOON),
        "secret in another case": sign(BODY, SECRET.upper(), NOON),
        "secret without prefix": sign(BODY, SECRET.removeprefix("whsec_"), NOON),
        "signature of another second": f"t={NOON + 1},{v1}",
        "umlaut": f"t={NOON},v1=ü{GOOD[1:]}",
        "commas": ",,,,",
        "equals": "====",
        "empty": "",
        "semicolons": f"t={NOON};{v1}",
        "megabyte": f"t={NOON}," + "v1=" + "a" * 1_000_000,
    }


def headers_that_are_fine():
    return {
        "plain": f"t={NOON},v1={GOOD}",
        "signature first": f"v1={GOOD},t={NOON}",
        "wrong one first": f"t={NOON},v1={BAD},v1={GOOD}",
        "wrong one last": f"t={NOON},v1={GOOD},v1={BAD}",
        "among a hundred": f"t={NOON}," + "".join(f"v1={BAD}," for _ in range(100)) + f"v1={GOOD}",
        "beside v0": f"t={NOON},v0={BAD},v1={GOOD}",
        "beside an unknown scheme": f"t={NOON},v9=x,v1={GOOD}",
        "second secret": sign(BODY, OTHER_SECRET, NOON),
    }


def changed_bodies():
    """Bodies that differ from the signed one."""
    text = BODY.decode()
    return {
        "empty": b"",
        "one more blank": BODY + b" ",
        "one more newline": BODY + b"\n",
        "byte order mark": b"\xef\xbb\xbf" + BODY,
        "written again": orjson.dumps(orjson.loads(BODY), option=orjson.OPT_SORT_KEYS),
        "indented": orjson.dumps(orjson.loads(BODY), option=orjson.OPT_INDENT_2),
        "escaped": text.encode("ascii", "xmlcharrefreplace"),
        "latin-1": text.replace("✓", "v").encode("latin-1"),
        "not utf-8": BODY + b"\xff",
        "doubled": BODY * 2,
        "cut": BODY[:-1],
        "other amount": BODY.replace(b"1000", b"9000"),
    }


def offsets_of_the_clock():
    """Seconds between the clock and the stamp -> whether the event is accepted; both edges are."""
    return {0: True} | {
        sign_ * seconds: seconds <= 300
        for seconds in (1, 299, 300, 301, 600, 86_400)
        for sign_ in (1, -1)
    }


def refused_cases(random_):
    """(name, body, header) of everything that must be refused."""
    yield "no header", BODY, None
    for name, header in headers_with_a_wrong_shape().items():
        yield name, BODY, header
    for name, body in changed_bodies().items():
        yield f"body {name}", body, f"t={NOON},v1={GOOD}"
    for _ in range(1000):
        flipped = bytearray(BODY)
        bit = random_.randrange(len(BODY) * 8)
        flipped[bit // 8] ^= 1 << bit % 8
        yield f"bit {bit}", bytes(flipped), f"t={NOON},v1={GOOD}"
    for offset, is_accepted in offsets_of_the_clock().items():
        if not is_accepted:
            yield f"clock {offset}", BODY, sign(BODY, SECRET, NOON + offset)


def accepted_cases():
    """(name, body, header) of everything that must be accepted; one event has eight headers."""
    for name, header in headers_that_are_fine().items():
        yield name, BODY, header
    for offset, is_accepted in offsets_of_the_clock().items():
        if is_accepted:
            body = an_event("customer.created", a_customer(), id=f"evt_at_{offset}")
            yield f"clock {offset}", body, sign(body, SECRET, NOON + offset)


def answers_of(client, cases):
    """Name -> answer to each case."""
    answers = {}
    for name, body, header in cases:
        sent = [(b"stripe-signature", header.encode())] if header is not None else []
        answer = client.post(PATH, content=body, headers=sent)
        answers[name] = (answer.status_code, answer.text)
    return answers


def test_only_genuine_and_timely_events_are_accepted(app, database, seed, acceptance_line):
    either = {
        "upper case": f"t={NOON},v1={GOOD.upper()}",
        "blank between": f"t={NOON}, v1={GOOD}",
    }
    with TestClient(app) as client:
        refused = answers_of(client, refused_cases(random.Random(seed)))
        stored_of_refused = len(stored(database))
        accepted = answers_of(client, accepted_cases())
        others = answers_of(client, ((name, BODY, header) for name, header in either.items()))
    violations = [f"accepted: {name}" for name, got in refused.items() if got != REFUSED]
    violations += [f"refused: {name}" for name, got in accepted.items() if got != (200, "ok\n")]
    violations += [f"crashed: {name}" for name, got in others.items() if got[0] not in {200, 400}]
    expected = 1 + sum(offsets_of_the_clock().values())
    if (stored_of_refused, len(stored(database))) != (0, expected):
        violations.append(f"{stored_of_refused} and {len(stored(database))} stored")
    load = {"refused": len(refused), "accepted": len(accepted)}
    acceptance_line("R04", violations=violations, load=load, part="route")


def test_a_wrong_clock_alarms_and_the_events_come_in_once_it_is_right(app, database, clock):
    bodies = [
        an_event("customer.created", a_customer(f"cus_{n}"), id=f"evt_{n}") for n in range(12)
    ]
    clock.turn(3600)
    with TestClient(app) as client, capture_logs() as logs:
        for body in bodies:
            assert client.post(PATH, content=body, headers=signed(body)).status_code == 400
            clock.turn(3)
        assert "webhook_clock_skew" in [line["event"] for line in logs]
        assert stored(database) == []
        clock.turn(-3600)
        for body in bodies:  # Stripe signs each retry anew
            answer = client.post(PATH, content=body, headers=signed(body, clock.seconds))
            assert answer.status_code == 200
    assert len(stored(database)) == 12


def test_one_event_delivered_eight_times_at_once_is_one_row(app, database):
    bodies = [an_event("charge.succeeded", a_charge(f"ch_{n}"), id=f"evt_{n}") for n in range(10)]
    with client_of(app) as client, ThreadPoolExecutor(8) as pool:
        for body in bodies:
            gate = threading.Barrier(8)

            def post(body=body, gate=gate):
                gate.wait(20)
                return client.post(PATH, content=body, headers=signed(body)).status_code

            assert [future.result() for future in [pool.submit(post) for _ in range(8)]] == [
                200
            ] * 8
    assert len(stored(database)) == 10


def test_the_first_events_of_a_new_customer_in_parallel_all_get_200(app, database):
    bodies = [
        an_event("customer.created", a_customer(), id="evt_1"),
        an_event(
            "customer.updated",
            a_customer(email="b"),
            id="evt_2",
            previous={"email": "ada@example.test"},
        ),
        an_event("charge.succeeded", a_charge(), id="evt_3"),
        an_event("customer.updated", a_customer(email="c"), id="evt_4", previous={"email": "b"}),
    ]
    with client_of(app) as client, ThreadPoolExecutor(8) as pool:
        futures = [
            pool.submit(client.post, PATH, content=body, headers=signed(body))
            for body in bodies * 2
        ]
        assert [future.result().status_code for future in futures] == [200] * 8
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with database.connection() as connection:
                left = connection.execute(
                    "select count(*) from billing.inbox where state = 'received'"
                ).fetchone()
                mails = connection.execute("select email from stripe.customers").fetchall()
            if left == (0,):
                break
            time.sleep(0.05)
    assert mails == [("c",)]


def test_while_the_database_is_away_the_answer_is_503_and_afterwards_200(
    postgres_server, database_url, app, clock
):
    name = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]

    def admin(statement, *values):
        with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
            connection.execute(statement, values)

    body = an_event("charge.succeeded", a_charge())
    with serve(app) as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        assert client.post(PATH, content=body, headers=signed(body)).status_code == 200
        admin(f"alter database {name} with allow_connections false")
        admin("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", name)
        lost = an_event("charge.succeeded", a_charge("ch_2"), id="evt_2")
        assert client.post(PATH, content=lost, headers=signed(lost)).status_code == 503
        assert client.get("/healthz").status_code == 200
        admin(f"alter database {name} with allow_connections true")
        deadline = time.monotonic() + 60
        while client.post(PATH, content=lost, headers=signed(lost)).status_code != 200:
            assert time.monotonic() < deadline, "the receiver did not come back"
    with psycopg.connect(database_url) as connection:
        assert connection.execute("select event_id from billing.inbox order by 1").fetchall() == [
            ("evt_1",),
            ("evt_2",),
        ]
