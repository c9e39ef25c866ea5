"""Errors as people meet them: what happened, why, what to do next, and which exit code.

No vendor exception belongs here; a slice translates its vendor's errors into these.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the `growth` command. Source: docs/cli.md, "Exit codes"."""

    DONE = 0
    FAILED = 1
    WRONG_USAGE = 2
    AUDIT_FAIL = 3
    AUDIT_WARNING = 4
    CONFIGURATION = 5
    REMOTE_UNAVAILABLE = 6


class GrowthError(Exception):
    """One clear sentence, what to do, whether a retry helps, and the exit code.

    `str(error)` is the sentence alone, without secrets; `remedy` is the next step.
    """

    exit_code = ExitCode.FAILED
    retryable = False

    def __init__(self, message: str, *, remedy: str = "", retryable: bool | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        if retryable is not None:
            self.retryable = retryable


class ConfigurationError(GrowthError):
    """A setting is missing, a placeholder, or wrong. Never carries the value."""

    exit_code = ExitCode.CONFIGURATION


class UsageError(GrowthError):
    """An argument is wrong; the message lists what is allowed."""

    exit_code = ExitCode.WRONG_USAGE


class RemoteUnavailableError(GrowthError):
    """A system outside does not answer; a later retry may help."""

    exit_code = ExitCode.REMOTE_UNAVAILABLE
    retryable = True


class IncompleteError(GrowthError):
    """A source was not read to its end. Names the object and the window; never a success."""


class UnknownValueError(GrowthError):
    """A currency, interval, status or version that the contract does not know. Unknown is not 0."""
