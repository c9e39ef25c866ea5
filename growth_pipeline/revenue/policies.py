"""Named, versioned policies: every switch that decides what MRR, a movement and churn are. Pure.

Four products publish four rules; each is a preset here, next to ours. What a switch does lives with
the rule it belongs to, not here. Contract: docs/metrics.md, "MRR policies".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, NoReturn

from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.periods import zone_of
from growth_pipeline.core.recurring import Discounts, Terms

_YEAR_DAYS: Final = Fraction("365.2425")
_NUMBER: Final = r"\d+(?:\.\d+)?|\.\d+"
_FACTOR: Final = re.compile(rf"({_NUMBER})(?:\s*/\s*({_NUMBER}))?", re.ASCII)
MAX_PLACES: Final = 12

ALLOWED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "basis": ("subscription", "invoice", "table"),
        "discounts": ("recurring", "none", "forever", "all"),
        "customer_discounts": ("stack", "instead"),
        "rounding": ("exact", "half_even", "half_up"),
        "trials": ("out", "in"),
        "pause_collection": ("paused", "stays"),
        "metered": ("out", "in"),
        "refunds": ("ignore", "deduct", "annual_cancel_only"),
        "level": ("customer", "subscription"),
        "snapshot": ("last", "first"),
        "end_dates": ("exclusive", "inclusive"),
        "churn_at": ("ended_at", "cancel_request", "period_end"),
        "movements": ("snapshot", "event"),
        "sign": ("signed", "magnitude"),
        "free_customer": ("churn", "contraction"),
        "churn_denominator": ("start", "average", "start_plus_new", "end"),
        "returned_members": ("count", "exclude"),
    }
)
"""Switch -> its values, the contract's default first."""

_WHOLE_OR_NONE: Final = {
    "past_due_grace_days": 0,
    "rounding_places": 0,
    "reactivation_window_days": 1,
    "churn_window_days": 1,
    "churn_window_days_yearly": 1,
}
"""Switch -> its least value; None is a value of each."""


@dataclass(frozen=True, kw_only=True)
class MrrPolicy:
    """Every switch of MRR, movements and churn, with the contract's defaults.

    Units: `week_factor` and `day_factor` are weeks and days of a month. None means:
    `past_due_grace_days` as long as it is past due; `rounding_places` those of the currency;
    `reactivation_window_days` after any gap; `churn_window_days` the calendar period;
    `churn_window_days_yearly` as other plans; `tz` the zone of the caller.
    `pause_collection`: `paused` is MRR 0 and the movement paused, `stays` leaves it in.
    `assumed`: switches about which the vendor is silent, so that our default applies.
    Raises: UsageError that lists what is allowed.
    Source: docs/metrics.md, "MRR policies"; the presets from the vendors' pages of 2026.
    """

    name: str = "growth"
    version: int = 1
    basis: str = "subscription"
    week_factor: Fraction = Fraction(52, 12)
    day_factor: Fraction = _YEAR_DAYS / 12
    discounts: str = "recurring"
    customer_discounts: str = "stack"
    rounding: str = "exact"
    rounding_places: int | None = None
    trials: str = "out"
    past_due_grace_days: int | None = 30
    pause_collection: str = "paused"
    metered: str = "out"
    refunds: str = "ignore"
    level: str = "customer"
    snapshot: str = "last"
    end_dates: str = "exclusive"
    churn_at: str = "ended_at"
    movements: str = "snapshot"
    sign: str = "signed"
    free_customer: str = "churn"
    reactivation_window_days: int | None = None
    churn_denominator: str = "start"
    churn_window_days: int | None = None
    churn_window_days_yearly: int | None = None
    count_paused: bool = False
    returned_members: str = "count"
    tz: str | None = None
    assumed: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for switch, allowed in ALLOWED.items():
            if getattr(self, switch) not in allowed:
                _refuse(switch, getattr(self, switch), f"allowed are {', '.join(allowed)}")
        for switch, least in _WHOLE_OR_NONE.items():
            value = getattr(self, switch)
            if value is not None and (type(value) is not int or value < least):
                _refuse(switch, value, f"a whole number from {least}, or none")
        self._check_numbers()
        if self.tz is not None:
            zone_of(self.tz)

    def _check_numbers(self) -> None:
        for switch in ("week_factor", "day_factor"):
            if getattr(self, switch) < 0:
                _refuse(switch, getattr(self, switch), "a number from 0, as in 4.33 or 52/12")
        places = self.rounding_places
        if places is not None and places > MAX_PLACES:
            _refuse("rounding_places", places, f"at most {MAX_PLACES}")
        if places is not None and self.rounding == "exact":
            _refuse("rounding_places", places, "rounding half_even or half_up goes with it")
        if self.assumed - SWITCHES:
            _refuse("assumed", ", ".join(sorted(self.assumed)), "names of switches")

    @property
    def definition(self) -> str:
        """What every result names: the policy and its version."""
        return f"{self.name}@{self.version}"

    @cached_property
    def terms(self) -> Terms:
        """The switches on which the MRR of one subscription depends."""
        return Terms(
            week_factor=self.week_factor,
            day_factor=self.day_factor,
            discounts=Discounts(self.discounts),
            count_trials=self.trials == "in",
            past_due_grace_days=self.past_due_grace_days,
            count_metered=self.metered == "in",
            count_paused_collection=self.pause_collection == "stays",
            stack_customer=self.customer_discounts == "stack",
        )

    def resolved(self) -> dict[str, Any]:
        """Every switch as JSON tells it. Shapes: factors as text, `52/12` is `13/3`."""
        values = {**asdict(self), "assumed": sorted(self.assumed)}
        told = {name: str(v) if isinstance(v, Fraction) else v for name, v in values.items()}
        return {"definition": self.definition, **told}

    def with_switches(self, told: Mapping[str, str]) -> MrrPolicy:
        """This policy with switches as text; a changed one is no longer assumed, nor a preset.

        Shapes: none changed is the policy itself; else its name gets `+` and what was changed.
        Raises: UsageError for an unknown switch or value.
        """
        changed = {switch: parse_switch(switch, text) for switch, text in told.items()}
        changed = {name: value for name, value in changed.items() if getattr(self, name) != value}
        assumed = self.assumed - told.keys()
        if not changed:
            return replace(self, assumed=assumed)
        name = "+".join((self.name, *sorted(changed)))
        return replace(self, name=name, assumed=assumed, **changed)


SWITCHES: Final = frozenset(
    one.name for one in fields(MrrPolicy) if one.name not in {"name", "version", "assumed"}
)


def parse_switch(switch: str, text: str) -> Any:
    """The value of a switch from text; `none` where a switch can be without one.

    Raises: UsageError for an unknown switch, or text that is no value of it.
    """
    word = text.strip().lower()
    if switch not in SWITCHES:
        raise UsageError(
            f"switch {switch!r} is not known", remedy=f"known are {', '.join(sorted(SWITCHES))}"
        )
    if switch in ALLOWED:
        return word
    if switch in ("week_factor", "day_factor"):
        return parse_factor(switch, word)
    if switch == "count_paused":
        return _truth(switch, word)
    if word == "none":
        return None
    return text.strip() if switch == "tz" else _whole(switch, word)


def parse_factor(switch: str, text: str) -> Fraction:
    """Weeks or days of a month, exactly: `52/12`, `4.33`, `365.2425/84`, `0`.

    Raises: UsageError for anything else.
    """
    found = _FACTOR.fullmatch(text.strip())
    below = Fraction(found[2]) if found and found[2] else Fraction(1)
    if found is None or not below:
        _refuse(switch, text, "a number from 0, as in 4.33 or 52/12")
    return Fraction(found[1]) / below


def policy_named(name: str) -> MrrPolicy:
    """The preset of a name, perhaps with its version, `growth@1`; `default` is `growth`.

    Raises: UsageError that lists the presets.
    """
    word, at, version = name.strip().lower().partition("@")
    found = PRESETS.get("growth" if word == "default" else word)
    if found is None or (at and version != str(found.version)):
        raise UsageError(
            f"policy {name!r} is not known", remedy=f"known are {', '.join(PRESETS)}, default"
        )
    return found


# --- inside --------------------------------------------------------------------------------------


def _refuse(switch: str, value: object, allowed: str) -> NoReturn:
    raise UsageError(f"{switch} {str(value)!r} is not known", remedy=allowed)


def _truth(switch: str, word: str) -> bool:
    if word not in ("true", "false"):
        _refuse(switch, word, "allowed are true, false")
    return word == "true"


def _whole(switch: str, word: str) -> int:
    if not (word.isascii() and word.isdigit()):
        _refuse(switch, word, f"a whole number from {_WHOLE_OR_NONE[switch]}, or none")
    return int(word)


# Each vendor's published rule, 2026. `past_due_grace_days=None`: as long as Stripe says past due.
PRESETS: Final[Mapping[str, MrrPolicy]] = MappingProxyType(
    {
        "growth": MrrPolicy(),
        "stripe": MrrPolicy(
            name="stripe",
            past_due_grace_days=None,
            churn_at="cancel_request",
            movements="event",
            churn_denominator="start_plus_new",
            churn_window_days=30,
            tz="UTC",
            assumed=frozenset({"refunds", "pause_collection"}),
        ),
        "chartmogul": MrrPolicy(
            name="chartmogul",
            basis="invoice",
            past_due_grace_days=None,
            discounts="all",
            free_customer="contraction",
            refunds="deduct",
            pause_collection="stays",
            assumed=frozenset({"metered", "movements"}),
        ),
        "profitwell": MrrPolicy(
            name="profitwell",
            past_due_grace_days=15,
            discounts="all",
            metered="in",
            refunds="annual_cancel_only",
            churn_at="period_end",
            assumed=frozenset({"churn_denominator", "tz"}),
        ),
        "baremetrics": MrrPolicy(
            name="baremetrics",
            discounts="all",
            movements="event",
            churn_window_days=30,
            churn_window_days_yearly=365,
            assumed=frozenset({"metered", "refunds", "churn_at", "pause_collection", "tz"}),
        ),
    }
)
