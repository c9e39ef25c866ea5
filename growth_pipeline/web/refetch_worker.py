"""A thread that asks Stripe about what events could not settle, beside the one that applies them.

A thread of its own, because Stripe may take minutes to answer and events must not wait for that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Final

import structlog

from growth_pipeline.billing.refetch import SILENCE, LookUp, Refetched, refetch_waiting
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.core.errors import GrowthError

_log: Final = structlog.get_logger(__name__)

_POLL_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 60.0  # after a trouble: a wrong key or a limit does not mend in seconds

OpenReader = Callable[[], AbstractContextManager[LookUp]]


class RefetchWorker:
    """Asks about waiting objects every few seconds. `readers` opens one reader for each account."""

    def __init__(
        self,
        store: BillingStore,
        readers: Sequence[OpenReader],
        *,
        clock: Callable[[], datetime],
        poll_seconds: float = _POLL_SECONDS,
        pause_seconds: float = _PAUSE_SECONDS,
    ) -> None:
        self._store = store
        self._readers = readers
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._pause_seconds = pause_seconds
        self._stopping = threading.Event()
        self._trouble: str | None = None
        self._thread = threading.Thread(target=self._run, name="refetch-worker", daemon=True)

    def start(self) -> None:
        """Begin, if there is anybody to ask."""
        if self._readers:
            self._thread.start()

    def stop(self) -> None:
        """Ask nothing more. The thread ends with its question at hand; its claim runs out."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._stopping.wait(self._poll_seconds if self._ask() else self._pause_seconds)

    def _ask(self) -> bool:
        """Ask about every account; whether none was in trouble, which holds up no other."""
        done = Refetched()
        trouble: str | None = None
        for open_reader in self._readers:
            try:
                done = done.plus(self._ask_account(open_reader))
            except GrowthError as error:
                trouble = trouble or error.message
                if isinstance(error, SILENCE):
                    break
            except Exception as error:  # noqa: BLE001 - a dead worker would leave doubts for ever
                trouble = trouble or type(error).__name__  # its text may quote a customer's row
        self._report(trouble)
        if any(done):
            _log.info("objects_refetched", **done._asdict())
        return trouble is None

    def _ask_account(self, open_reader: OpenReader) -> Refetched:
        with open_reader() as reader:
            return refetch_waiting(
                self._store, reader, now=self._clock(), is_stopping=self._stopping.is_set
            )

    def _report(self, trouble: str | None) -> None:
        """Log a trouble once, not every minute, and its end."""
        if trouble == self._trouble or self._stopping.is_set():
            return
        if trouble is None:
            _log.info("refetch_recovered")
        else:
            _log.error("refetch_failed", reason=trouble)
        self._trouble = trouble
