"""What a person at a terminal sees of libraries' logs: retries as sentences, nothing on stdout."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

import structlog
from stamina.instrumentation import RetryDetails, set_on_retry_hooks
from structlog.typing import EventDict, WrappedLogger

from growth_pipeline.core.plain_text import record


def log_for_a_person(say: Callable[[str], None]) -> None:
    """Errors go to stderr, one line a record; each retry becomes one line. Stdout is for data."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            _one_line,
            structlog.dev.ConsoleRenderer(colors=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=_on_stderr,
    )

    def tell(details: RetryDetails) -> None:
        say(f"{details.caused_by}: trying again in {details.wait_for:.1f} s")

    set_on_retry_hooks([tell])


def _on_stderr(*_: object) -> structlog.PrintLogger:
    """Wherever stderr is when a record is written: a command may outlive the one it began with."""
    return structlog.PrintLogger(sys.stderr)


def _one_line(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """A text of somebody's neither forges a second record nor colours the terminal."""
    return {name: record(part) if isinstance(part, str) else part for name, part in event.items()}
