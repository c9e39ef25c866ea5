"""First instants of every process we start: run as a file, before the package is imported.

It ties the process to its parent, gives signals their default meaning, and becomes the command.
Both outlive `exec`; doing them here spares the parent code between fork and exec, which is not safe
in a process with threads. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_ORPHANED = 1
_NOT_FOUND = 127


def tie_to_parent(parent: int) -> None:
    """Let the kernel end this process when the parent is gone, however it went. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it went before the tie was made
        raise SystemExit(_ORPHANED)


def main(arguments: list[str]) -> None:
    """Become the command. Shapes: the parent's process number, then the command."""
    tie_to_parent(int(arguments[0]))
    # A shell starts background commands with SIGINT ignored; inherited, no child could be stopped.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    command = arguments[1:]
    try:
        os.execvp(command[0], command)  # noqa: S606 - becoming the command is the purpose
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        raise SystemExit(_NOT_FOUND) from None


if __name__ == "__main__":
    main(sys.argv[1:])
