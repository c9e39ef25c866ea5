"""How often Stripe may be asked: one bucket for the account, one for each endpoint of it.

Given a folder, all processes of this machine that name it spend from one budget; without one each
process has its own. A 429 makes its bucket slower, answers make it faster again, up to its rate.
Source: Stripe documentation, "Rate limits" (100 a second live, 25 in test mode, 25 an endpoint).
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from time import monotonic, time_ns
from typing import TYPE_CHECKING

from growth_pipeline.core.ids import Scope

if TYPE_CHECKING:
    from pyrate_limiter import Limiter
    from pyrate_limiter.abstracts import StateStore

_SMOOTH_FROM = 10  # below that many a second, requests are spaced one by one
_TOO_MANY = 429
# After a 429 a request costs this much more, after an answer a little less: some 90 answers undo
# one 429, so that under a limit lower than ours about one request in a hundred is refused.
_SLOWER, _FASTER = 1.6, 0.995
_SLOWEST = 64.0
_ONE_STORM = 0.25  # seconds in which several 429s are one: they were on their way already
_STATE = struct.Struct("<q")
_LONGEST_DEBT_US = (
    60_000_000  # a shared bucket further ahead than a minute is from a clock set back
)


class RequestBudget:
    """Lets a request through when neither its endpoint nor the account is over its rate.

    Ids do not matter to Stripe: every named operation, such as `list charges`, is one endpoint.
    """

    def __init__(
        self,
        account_per_second: float,
        endpoint_per_second: float,
        *,
        folder: Path | None = None,
        name: str = "",
    ) -> None:
        self._folder = folder
        self._name = name
        self._endpoint_per_second = endpoint_per_second
        self._account = self._gate("", account_per_second)
        self._endpoints: dict[str, _Gate] = {}
        self._lock = Lock()

    def wait(self, endpoint: str) -> None:
        """Returns when one more request to the endpoint is within both rates."""
        self._of(endpoint).wait()
        self._account.wait()

    async def wait_async(self, endpoint: str) -> None:
        """The same, while other tasks go on."""
        await self._of(endpoint).wait_async()
        await self._account.wait_async()

    def heard(self, endpoint: str, status: int, reason: str | None) -> None:
        """Slow down after a 429, and speed up again after anything else.

        `reason` is Stripe's own: `endpoint-rate` and the like are about the endpoint alone, no
        reason or any other is about the account.
        """
        gate = self._of(endpoint)
        if status != _TOO_MANY:
            gate.passed()
            self._account.passed()
        elif (reason or "").startswith(("endpoint", "resource")):
            gate.refused()
        else:
            self._account.refused()

    def rate_of(self, endpoint: str, sharing: int = 1) -> float:
        """Requests a second that the endpoint may have now, if so many share the account."""
        return min(self._of(endpoint).rate, self._account.rate / max(sharing, 1))

    def _of(self, endpoint: str) -> _Gate:
        gate = self._endpoints.get(endpoint)
        if gate is None:
            with self._lock:
                gate = self._endpoints.get(endpoint) or self._gate(
                    endpoint, self._endpoint_per_second
                )
                self._endpoints[endpoint] = gate
        return gate

    def _gate(self, endpoint: str, per_second: float) -> _Gate:
        if self._folder is None:
            return _Gate(per_second, None)
        about = f"{self._name}|{endpoint}|{per_second}".encode()
        return _Gate(per_second, self._folder / hashlib.sha256(about).hexdigest()[:24])


@cache
def shared_budget(
    scope: Scope,
    api_base: str,
    account_per_second: float,
    endpoint_per_second: float,
    folder: Path | None = None,
) -> RequestBudget:
    """The one budget that all readers of a scope spend from: in this process, or on this machine.

    `folder` is where processes meet; None, or a folder that cannot be written: each has its own.
    """
    name = f"{scope.account_id}|{scope.mode}|{api_base}"
    return RequestBudget(account_per_second, endpoint_per_second, folder=_made(folder), name=name)


class _Gate:
    """One rate. Slowness is what a request costs now, in requests; 1 when Stripe is content."""

    def __init__(self, per_second: float, file: Path | None) -> None:
        self._per_second = per_second
        self._limiter = _limiter(per_second, file)
        self._lock = Lock()
        self._slowness = 1.0
        self._owed = 0.0
        self._slowed_at = -math.inf

    @property
    def rate(self) -> float:
        return self._per_second / self._slowness

    def wait(self) -> None:
        for _ in range(self._tokens()):
            self._limiter.try_acquire("request")

    async def wait_async(self) -> None:
        for _ in range(self._tokens()):
            await self._limiter.try_acquire_async("request")

    def refused(self) -> None:
        with self._lock:
            now = monotonic()
            if now - self._slowed_at > _ONE_STORM:
                self._slowed_at = now
                self._slowness = min(_SLOWEST, self._slowness * _SLOWER)

    def passed(self) -> None:
        with self._lock:
            self._slowness = max(1.0, self._slowness * _FASTER)

    def _tokens(self) -> int:
        with self._lock:
            self._owed += self._slowness
            tokens = int(self._owed)
            self._owed -= tokens
            return tokens


def _made(folder: Path | None) -> Path | None:
    if folder is None:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".may-write").open("ab"):
            return folder
    except OSError:
        return None


def _limiter(per_second: float, file: Path | None) -> Limiter:
    from pyrate_limiter import Limiter, Rate, StateBucket, TokenBucket, WallClock
    from pyrate_limiter.limiter import SingleBucketFactory

    if per_second < _SMOOTH_FROM:
        rate = Rate(1, math.ceil(1000 / per_second))
    else:
        # What an idle moment leaves may be caught up. A full second of it would double the next
        # one; a fifth keeps within Stripe's limit whoever stays at four fifths of it.
        limit = int(per_second)
        rate = Rate(limit, 1000, burst=max(1, limit // 5))
    if file is None:
        bucket = StateBucket([rate], algorithm=TokenBucket())
    else:
        bucket = StateBucket(
            [rate], algorithm=TokenBucket(), store=_file_store(file), clock=WallClock()
        )
    # The bucket keeps two numbers, so there is nothing for a background thread to trim.
    return Limiter(SingleBucketFactory(bucket, schedule_leak=False), buffer_ms=1)


def _file_store(file: Path) -> StateStore:
    """A bucket's state as one number in a file, changed under the file's lock."""
    from pyrate_limiter.abstracts import StateStore

    number = _FileNumber(file)

    class FileStore(StateStore):
        def check(self, algorithm, rates, now, weight):  # type: ignore[no-untyped-def]
            with number.alone():
                state = number.read() or algorithm.initial(rates)
                state, decision = algorithm.step(rates, state, now, weight)
                if decision.allowed:
                    number.write(state)
            return decision

        def read(self, algorithm, rates):  # type: ignore[no-untyped-def]
            with number.alone():
                return number.read() or algorithm.initial(rates)

        def reset(self) -> None:
            number.clear()

    return FileStore()


class _FileNumber:
    """The microsecond until which requests are paid for, shared by all who open the file."""

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._lock = Lock()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._lock:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def read(self) -> tuple[int] | None:
        stored = os.pread(self._descriptor, _STATE.size, 0)
        if len(stored) < _STATE.size:
            return None
        (paid_until,) = _STATE.unpack(stored)
        return (paid_until,) if paid_until < time_ns() // 1000 + _LONGEST_DEBT_US else None

    def write(self, state: Sequence[float]) -> None:
        os.pwrite(self._descriptor, _STATE.pack(int(state[0])), 0)

    def clear(self) -> None:
        os.ftruncate(self._descriptor, 0)
