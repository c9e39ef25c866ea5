"""Applies the inbox in a process of its own: `-m growth_pipeline.operate.applier`.

In the web app's process it would take the interpreter from the receiver in the middle of a burst.
"""

from __future__ import annotations

import signal
import sys
import threading

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.web.app import apply_events


def main() -> None:
    """Apply until SIGTERM or SIGINT; the batch at hand is finished first."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stopping.set())
    try:
        apply_events(stopping)
    except GrowthError as error:
        sys.exit(f"{error.message}; {error.remedy}")


if __name__ == "__main__":
    main()
