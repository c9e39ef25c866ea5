"""A thread that applies the inbox to the mirror soon after events arrive."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog

from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.core.errors import GrowthError

_log: Final = structlog.get_logger(__name__)

_POLL_SECONDS: Final = 1.0
_GATHER_SECONDS: Final = 0.1  # events come in bursts; one batch of many costs less than many of one


class ApplyWorker:
    """Applies when woken, and every `poll_seconds` what other processes put into the inbox."""

    def __init__(
        self,
        store: BillingStore,
        *,
        clock: Callable[[], datetime],
        poll_seconds: float = _POLL_SECONDS,
    ) -> None:
        self._store = store
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._trouble: str | None = None
        self._thread = threading.Thread(target=self._run, name="apply-worker", daemon=True)

    def start(self) -> None:
        """Begin; events that wait already come first."""
        self._thread.start()

    def wake(self) -> None:
        """Say that events arrived."""
        self._wake.set()

    def stop(self) -> None:
        """Finish the batch at hand, then end. What still waits is applied at the next start."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            if not self._apply():
                self._stopping.wait(_POLL_SECONDS)
            if self._wake.wait(self._poll_seconds):
                self._stopping.wait(_GATHER_SECONDS)

    def _apply(self) -> bool:
        try:
            done = apply_waiting(self._store, now=self._clock(), is_stopping=self._stopping.is_set)
        except GrowthError as error:
            self._report(error.message)
            return False
        except Exception as error:  # noqa: BLE001 - a dead worker would stop the mirror silently
            self._report(type(error).__name__)  # its text may quote a customer's row
            return False
        self._report(None)
        if any(done):
            _log.info("events_applied", **done._asdict())
        return True

    def _report(self, trouble: str | None) -> None:
        """Log a trouble once, not every second, and its end."""
        if trouble == self._trouble:
            return
        if trouble is None:
            _log.info("apply_recovered")
        else:
            _log.error("apply_failed", reason=trouble)
        self._trouble = trouble
