"""What a person at a terminal sees of libraries' logs: retries as sentences, nothing on stdout."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

import structlog
from stamina.instrumentation import RetryDetails, set_on_retry_hooks


def log_for_a_person(say: Callable[[str], None]) -> None:
    """Errors go to stderr; each retry becomes one line. Stdout stays free for data."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )

    def tell(details: RetryDetails) -> None:
        say(f"{details.caused_by}: trying again in {details.wait_for:.1f} s")

    set_on_retry_hooks([tell])
