"""R04: a webhook is accepted if and only if Stripe signed these bytes, now.

The expected HMAC is made here with hashlib and hmac from the documented recipe, not by the SDK.
"""

import hashlib
import hmac
import json
import random
import string
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import perf_counter

import pytest

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.stripe_api.signatures import SignatureError, SignatureReason, verify

SECRET = "whsec_growth_example"
OLD_SECRET, OTHER_SECRET = "whsec_before_the_roll", "whsec_of_somebody_else"
T = 1_893_456_000
NOW = datetime.fromtimestamp(T, UTC)
BODY = b'{"id":"evt_example","object":"event"}'
VECTOR = "61f08dbb4649e2de0ca5d4200697c4605b182f9a6d4d5ba6148459ca09fbc8e0"
TOLERANCE = 300


def _mac(t: int | str = T, body: bytes = BODY, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), str(t).encode() + b"." + body, hashlib.sha256).hexdigest()


def _header(t: int | str = T, body: bytes = BODY, secret: str = SECRET) -> str:
    return f"t={t},v1={_mac(t, body, secret)}"


@dataclass(frozen=True)
class Case:
    """One delivery and what must become of it; `reason` None means accepted."""

    name: str
    header: str | None
    reason: SignatureReason | None
    body: bytes = BODY
    secrets: tuple[str, ...] = (SECRET,)
    skew: float = 0.0


def _genuine() -> list[Case]:
    bodies = {
        "pretty printed": b'{\n  "id": "evt_1"\n}',
        "with a byte order mark": b"\xef\xbb\xbf" + BODY,
        "with emoji": '{"name":"Zoë \U0001f600"}'.encode(),
        "with an escaped zero": b'{"name":"\\u0000"}',
        "with a real zero byte": b'{"name":"\x00"}',
        "with half a surrogate escaped": b'{"name":"\\ud83d"}',
        "with carriage returns": b'{"a":\r\n1}\r\n',
        "empty": b"",
        "not JSON": b"hello",
        "of one megabyte": b'{"a":"' + b"x" * 1_000_000 + b'"}',
        "with a dot in front": b"." + BODY,
    }
    cases = [Case(f"body {name}", _header(body=body), None, body) for name, body in bodies.items()]
    mac = _mac()
    return [
        *cases,
        Case("the test vector", f"t={T},v1={VECTOR}", None),
        Case("v1 before t", f"v1={mac},t={T}", None),
        Case("a v0 beside v1", f"t={T},v0={'0' * 64},v1={mac}", None),
        Case("an unknown scheme beside v1", f"t={T},v9=zzz,v1={mac}", None),
        Case("an empty scheme value beside v1", f"t={T},v2=,v1={mac}", None),
        Case("a wrong v1 first", f"t={T},v1={'0' * 64},v1={mac}", None),
        Case("a wrong v1 last", f"t={T},v1={mac},v1={'0' * 64}", None),
        Case("a hundred wrong v1 first", f"t={T}," + f"v1={'0' * 64}," * 100 + f"v1={mac}", None),
        Case("rolling: new secret listed second", _header(), None, secrets=(OLD_SECRET, SECRET)),
        Case(
            "rolling: old secret still valid",
            _header(secret=OLD_SECRET),
            None,
            secrets=(SECRET, OLD_SECRET),
        ),
        Case(
            "rolling: both signatures sent, only the old secret known",
            f"t={T},v1={mac},v1={_mac(secret=OLD_SECRET)}",
            None,
            secrets=(OLD_SECRET,),
        ),
        Case("a blank secret beside the right one", _header(), None, secrets=("", " ", SECRET)),
        Case(
            "a long secret",
            _header(secret="whsec_" + "x" * 500),
            None,
            secrets=("whsec_" + "x" * 500,),
        ),
    ]


def _forged() -> list[Case]:
    mac, signature, malformed = _mac(), SignatureReason.SIGNATURE, SignatureReason.MALFORMED
    changed = {
        "re-serialised": json.dumps(json.loads(BODY)).encode(),
        "one more blank": BODY + b" ",
        "a line end more": BODY + b"\n",
        "a byte less": BODY[:-1],
        "a byte order mark more": b"\xef\xbb\xbf" + BODY,
        "keys in another order": b'{"object":"event","id":"evt_example"}',
        "empty": b"",
        "doubled": BODY + BODY,
        "in UTF-16": BODY.decode().encode("utf-16"),
    }
    cases = [
        Case(
            f"body {name}",
            _header(),
            SignatureReason.NOT_UTF8 if name == "in UTF-16" else signature,
            body,
        )
        for name, body in changed.items()
    ]
    bare = hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()
    stripped = hmac.new(b"growth_example", f"{T}.".encode() + BODY, hashlib.sha256).hexdigest()
    sha1 = hmac.new(SECRET.encode(), f"{T}.".encode() + BODY, hashlib.sha1).hexdigest()
    return [
        *cases,
        Case("another secret", _header(secret=OTHER_SECRET), signature),
        Case("the secret without its prefix", f"t={T},v1={stripped}", signature),
        Case("the body signed without the timestamp", f"t={T},v1={bare}", signature),
        Case("SHA-1", f"t={T},v1={sha1}", signature),
        Case("a timestamp made newer", f"t={T + 1},v1={mac}", signature),
        Case("v0 only", f"t={T},v0={mac}", signature),
        Case("an unknown scheme only", f"t={T},v2={mac}", signature),
        Case("no signature", f"t={T}", signature),
        Case("an empty v1", f"t={T},v1=", signature),
        Case("a v1 without a value", f"t={T},v1", signature),
        Case("a cut v1", f"t={T},v1={mac[:-1]}", signature),
        Case("a v1 with a digit more", f"t={T},v1={mac}0", signature),
        Case("a blank before v1", f"t={T}, v1={mac}", signature),
        Case("a blank after v1", f"t={T},v1={mac} ", signature),
        Case("a V1 in capitals", f"t={T},V1={mac}", signature),
        Case("semicolons", f"t={T};v1={mac}", malformed),
        Case("no header", None, SignatureReason.NO_HEADER),
        Case("an empty header", "", SignatureReason.NO_HEADER),
        Case("a blank header", " ", malformed),
        Case("commas only", ",,,,", malformed),
        Case("equals signs only", "====", malformed),
        Case("a megabyte of nothing", "x" * 1_000_000, malformed),
        Case("a megabyte of commas", "," * 1_000_000, malformed),
        Case("a megabyte of wrong v1", f"t={T}" + f",v1={'0' * 64}" * 15_000, signature),
        Case("letters beyond ASCII in v1", f"t={T},v1={'é' * 64}", malformed),
        Case("half a surrogate pair", f"t={T},v1=\ud83d", malformed),
        Case("a zero byte", f"t={T},v1=\x00{mac}", signature),
        Case("no secret configured", _header(), SignatureReason.NO_SECRET, secrets=()),
        Case("blank secrets configured", _header(), SignatureReason.NO_SECRET, secrets=("", "  ")),
        Case("an empty key as secret", _header(secret=""), signature, secrets=(SECRET, "")),
        Case("not UTF-8", _header(body=b"\xff\xfe"), SignatureReason.NOT_UTF8, b"\xff\xfe"),
        Case(
            "a surrogate in UTF-8",
            _header(body=b"\xed\xa0\xbd"),
            SignatureReason.NOT_UTF8,
            b"\xed\xa0\xbd",
        ),
        Case("an overlong zero", _header(body=b"\xc0\x80"), SignatureReason.NOT_UTF8, b"\xc0\x80"),
    ]


def _timestamps() -> list[Case]:
    malformed, late = SignatureReason.MALFORMED, SignatureReason.TIMESTAMP
    # Each is signed as it is written and, where int() would read it, as the number it stands for.
    odd = {
        "missing": None,
        "empty": "",
        "a word": "now",
        "a float": f"{T}.0",
        "with an exponent": "1.893456e9",
        "negative": f"-{T}",
        "with a plus": f"+{T}",
        "with a blank before": f" {T}",
        "with a blank after": f"{T} ",
        "with a tab": f"{T}\t",
        "with an underscore": f"{T // 1000}_{T % 1000:03d}",
        "with a zero before": f"0{T}",
        "hexadecimal": hex(T),
        "in Arabic digits": "".join(chr(0x660 + int(digit)) for digit in str(T)),
        "in full-width digits": "".join(chr(0xFF10 + int(digit)) for digit in str(T)),
        "with a second equals sign": f"{T}=1",
        "of five thousand digits": "9" * 5_000,
        "of twenty digits": "9" * 20,
        "not a number": "nan",
        "infinite": "inf",
    }
    cases = []
    for name, text in odd.items():
        stamp = "" if text is None else f"t={text},"
        cases.append(
            Case(f"t {name}, signed as written", f"{stamp}v1={_mac(text or '')}", malformed)
        )
        cases.append(Case(f"t {name}, signed as the number", f"{stamp}v1={_mac(T)}", malformed))
    other = T + 1000
    return [
        *cases,
        Case("two t, the first signed", f"t={T},t={other},v1={_mac(T)}", malformed),
        Case("two t, the second signed", f"t={other},t={T},v1={_mac(T)}", malformed),
        Case("the same t twice", f"t={T},t={T},v1={_mac(T)}", malformed),
        Case("t 0", _header(0), late),
        Case("t 2^31", _header(2**31), late),
        Case("t 2^63", _header(2**63), late),
        Case("t 2^63 - 1", _header(2**63 - 1), late),
        Case("t in milliseconds", _header(T * 1000), late),
    ]


def _clocks() -> list[Case]:
    late = SignatureReason.TIMESTAMP
    cases = []
    for minutes, seconds in [
        (0, 0),
        (0, 1),
        (1, 0),
        (4, 59),
        (5, 0),
        (5, 1),
        (10, 0),
        (60, 0),
        (60 * 24 * 365, 0),
    ]:
        for sign in (1, -1):
            skew = sign * (minutes * 60 + seconds)
            inside = abs(skew) <= TOLERANCE
            cases.append(
                Case(f"clock off by {skew} s", _header(), None if inside else late, skew=skew)
            )
    return [
        *cases,
        Case("clock ahead by 300.001 s", _header(), late, skew=300.001),
        Case("clock behind by 300.001 s", _header(), late, skew=-300.001),
        Case("forged and late", _header(secret=OTHER_SECRET), SignatureReason.SIGNATURE, skew=600),
    ]


def _bit_flips(seed: int, count: int = 1_000) -> list[Case]:
    """One bit changed somewhere in body, timestamp or signature of a genuine delivery."""
    dice = random.Random(seed)
    cases = []
    while len(cases) < count:
        body, header = bytearray(BODY), bytearray(_header().encode())
        where = dice.choice([body, header])
        position, bit = dice.randrange(len(where)), dice.randrange(8)
        where[position] ^= 1 << bit
        text = header.decode("latin-1")  # as an HTTP server hands a header over
        if _still_genuine(text, bytes(body)):
            continue
        cases.append(
            Case(
                f"flip {position}.{bit} of {bytes(where)!r}",
                text,
                SignatureReason.SIGNATURE,
                bytes(body),
            )
        )
    return cases


def _still_genuine(header: str, body: bytes) -> bool:
    """By the documented recipe alone: one plain t, and a v1 that is the HMAC of t, dot, body."""
    pairs = [item.split("=", 1) for item in header.split(",")]
    stamps = [pair[1] for pair in pairs if pair[0] == "t" and len(pair) == 2]
    if len(stamps) != 1 or not set(stamps[0]) <= set(string.digits):
        return False
    return ["v1", _mac(stamps[0], body)] in pairs


def _answer(case: Case) -> SignatureReason | None:
    now = NOW + timedelta(seconds=case.skew)
    try:
        verify(case.body, case.header, case.secrets, now=now, tolerance=TOLERANCE)
    except SignatureError as error:
        return error.reason
    return None


CASES = [*_genuine(), *_forged(), *_timestamps(), *_clocks()]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_delivery_is_accepted_if_and_only_if_it_is_genuine_and_timely(case):
    assert _answer(case) == case.reason


def test_the_recipe_gives_the_published_vector():
    assert _mac() == VECTOR
    assert len(BODY) == 37


def test_upper_case_hexadecimal_may_be_either_but_nothing_crashes():
    assert _answer(Case("upper", f"t={T},v1={_mac().upper()}", None)) in {
        None,
        SignatureReason.SIGNATURE,
    }


def test_all_reasons_have_one_text_and_no_content(seed):
    texts = set()
    for case in [*_forged(), *_timestamps(), *_bit_flips(seed, 50)]:
        with pytest.raises(SignatureError) as caught:
            verify(case.body, case.header, case.secrets, now=NOW, tolerance=TOLERANCE)
        assert isinstance(caught.value, GrowthError)
        assert caught.value.__cause__ is None
        texts.add(
            (
                str(caught.value),
                caught.value.remedy,
                caught.value.__suppress_context__ or caught.value.__context__ is None,
            )
        )
    assert texts == {("the webhook signature is not valid", "", True)}


def test_r04_signatures(seed, acceptance_line):
    flips = _bit_flips(seed)
    cases = [*CASES, *flips]
    started = perf_counter()
    answers = [_answer(case) for case in cases]
    elapsed = perf_counter() - started
    false_accepts = [
        c.name
        for c, got in zip(cases, answers, strict=True)
        if got is None and c.reason is not None
    ]
    false_rejects = [
        c.name
        for c, got in zip(cases, answers, strict=True)
        if got is not None and c.reason is None
    ]
    alarms = [got for got in answers if got is SignatureReason.TIMESTAMP]
    silent = [c.name for c, got in zip(CASES, answers, strict=False) if got != c.reason]
    assert len(CASES) >= 80
    acceptance_line(
        "R04",
        load={"cases": len(CASES), "bit_flips": len(flips)},
        faults=sum(case.reason is not None for case in cases),
        violations=false_accepts + false_rejects + silent,
        false_accept=len(false_accepts),
        false_reject=len(false_rejects),
        clock_alarms=len(alarms),
        verifications_per_second=round(len(cases) / elapsed),
    )
