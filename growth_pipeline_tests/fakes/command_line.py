"""Typer's own runner of commands in this process, with the commands of an app built once."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cache

import typer
from typer.main import get_command
from typer.testing import CliRunner as _Rebuilding
from typer.testing import Result

_built = cache(get_command)


class CliRunner(_Rebuilding):
    """Building all commands takes longer than most of them run."""

    def invoke(  # type: ignore[override]  # only what tests use
        self,
        app: typer.Typer,
        args: Sequence[str] = (),
        *,
        env: Mapping[str, str | None] | None = None,
        catch_exceptions: bool = True,
    ) -> Result:
        """What a command wrote, its exit code, and the error that ended it."""
        command = _built(app)
        error: BaseException | None = None
        with self.isolation(env=env) as (stdout, stderr, both):
            try:
                command.main(args=list(args), prog_name=self.get_default_prog_name(command))
            except SystemExit as end:
                error = end if end.code else None
            except Exception as other:
                if not catch_exceptions:
                    raise
                error = other
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                written = stdout.getvalue(), stderr.getvalue(), both.getvalue()
        return Result(self, *written, None, exit_code=_code_of(error), exception=error)


def _code_of(error: BaseException | None) -> int:
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        return error.code
    return int(error is not None)
