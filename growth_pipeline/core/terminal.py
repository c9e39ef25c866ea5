"""What commands print: data on stdout, progress and messages on stderr."""

from __future__ import annotations

import json
import sys
from typing import Any


def say(message: str) -> None:
    """One line of progress on stderr, whatever a vendor's message holds."""
    from growth_pipeline.core.plain_text import record

    sys.stderr.write(record(message) + "\n")
    sys.stderr.flush()


def emit(text: str) -> None:
    """Data on stdout: as it is in a file or pipe, without control characters in a terminal."""
    from growth_pipeline.core.plain_text import printable

    shown = printable(text) if sys.stdout.isatty() else text
    sys.stdout.write(shown if shown.endswith("\n") else shown + "\n")


def emit_json(document: Any) -> None:
    """One JSON document on stdout."""
    emit(json.dumps(document, ensure_ascii=False, indent=2, default=str))
