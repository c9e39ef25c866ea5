"""Commands that answer from a file, or without one from what is published in this database."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

from growth_pipeline.core import arguments
from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.terminal import say

if TYPE_CHECKING:
    from growth_pipeline.cohorts.activity_store import PublishedActivity

Command = Callable[..., None]


def file_or_published(
    command: Command, published: Command, *, file: str, asks: Collection[str]
) -> Command:
    """The command; without its option `file` the other one, which takes the options `asks` alone.

    `output` is one of them: it is the same file whatever folder the other one works in.

    Raises: UsageError for an option that only a file can answer.
    """
    parameters = inspect.signature(command).parameters

    @wraps(command)
    def run(**options: Any) -> None:
        if options[file] is not None:
            command(**options)
            return
        for name, value in options.items():
            if name not in (file, *asks) and value != parameters[name].default:
                raise UsageError(
                    f"{_shown(command, name)} needs --{file}: what is published was counted "
                    "with options of its own",
                    remedy=f"give --{file} FILE, or leave it out",
                )
        asked = {name: options[name] for name in asks}
        published(**asked | {"output": arguments.fixed(asked["output"])})

    return run


def answer_active_users(**options: Any) -> None:
    """`growth active-users` without a file.

    Raises: UsageError; GrowthError when nothing is published; RemoteUnavailableError.
    """
    from growth_pipeline.cohorts.active_users.faces import face_of
    from growth_pipeline.cohorts.active_users.published.answer import Asked, published_users

    lengths = arguments.words("--windows", options["windows"]) or ()
    asked = Asked(
        kind=options["kind"].value,
        grains=arguments.words("--grain", options["grain"]) or (),
        windows=tuple(arguments.whole("--windows", word) for word in lengths),
        first=arguments.day("--from", options["first"]),
        last=arguments.day("--to", options["last"]),
        segment=options["segment"],
    )
    form = "json" if options["as_json"] else options["form"].value
    arguments.refuse_terminal(form, options["output"])
    with _published() as store:
        answer = published_users(store, asked)
    arguments.hand_over(face_of(answer, form), options["output"])


def answer_funnel(**options: Any) -> None:
    """`growth funnel` without a file.

    Raises: UsageError; GrowthError when nothing is published; RemoteUnavailableError.
    """
    from growth_pipeline.cohorts.funnel.published.answer import AskedFunnel, published_funnel

    asked = AskedFunnel(
        name=options["name"],
        grain=options["grain"] or "month",
        first=arguments.day("--from", options["first"]),
        last=arguments.day("--to", options["last"]),
        segment=options["segment"],
    )
    form = "json" if options["as_json"] else options["form"].value
    with _published() as store:
        face = published_funnel(store, asked, form)
    arguments.hand_over(face, options["output"])


@contextmanager
def _published() -> Iterator[PublishedActivity]:
    from growth_pipeline.cohorts.activity_store import PublishedActivity
    from growth_pipeline.operate.database import open_database  # brings psycopg

    with open_database(say, read_only=True, tells_demo=True) as (_, database):
        yield PublishedActivity(database)


def _shown(command: Command, name: str) -> str:
    """The option as a person types it."""
    annotation = inspect.signature(command, eval_str=True).parameters[name].annotation
    names = getattr(annotation.__metadata__[0], "param_decls", None)
    return str(names[0] if names else f"--{name.replace('_', '-')}")
