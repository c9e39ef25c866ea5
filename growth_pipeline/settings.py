"""Typed settings; the only reader of the environment and of `.env`.

Imported by entry points, resources and factories, never by rules. Nothing is read at import.
`.env.example` is generated from these models: `growth config example`.
"""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from growth_pipeline.core.errors import ConfigurationError, UsageError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.outbound import ForbiddenTargetError, read_target
from growth_pipeline.core.periods import zone_of

PLACEHOLDERS = ("changeme", "change_me", "your_", "xxx", "<", "example", "replace")
STRIPE_API_VERSION = "2026-10-28.endive"
SEGMENT_NAME = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}"
MOST_SEGMENTS = 10
MOST_FUNNELS = 20


def _refuse_placeholder(value: SecretStr | None) -> SecretStr | None:
    if value is None or not value.get_secret_value().strip():
        return None
    text = value.get_secret_value().lower()
    if any(text.startswith(word) or text.endswith(word) for word in PLACEHOLDERS):
        raise ValueError("is a placeholder")
    return value


def split_at_commas(value: Any) -> Any:
    """A text as the list of its parts; anything else as it is."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


class StripeSettings(BaseModel):
    """Where Stripe is and with which key it is read. The pipeline only reads from Stripe."""

    api_key: SecretStr | None = Field(
        None, description="Restricted key with read rights (rk_live_..., rk_test_...)."
    )
    webhook_secrets: Annotated[list[SecretStr], NoDecode] = Field(
        default_factory=list,
        description="Signing secrets of the webhook endpoint, by commas; two while one is rolled.",
    )
    account_id: str = Field(
        "self", description="Name of the account the key belongs to; the first part of every key."
    )
    connected_accounts: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Stripe Connect: ids (acct_...) of connected accounts that the key reads too, "
        "by commas.",
    )
    api_base: str = Field("https://api.stripe.com", description="Base URL of Stripe's API.")
    api_version: str = Field(
        STRIPE_API_VERSION,
        description="API version pinned on requests and on the webhook endpoint.",
    )
    requests_per_second: float | None = Field(
        None,
        gt=0,
        description="Requests a second for the whole account; empty: 80 live, 20 test mode.",
    )
    endpoint_requests_per_second: float = Field(
        20, gt=0, description="Requests a second for one endpoint; Stripe allows 25."
    )
    concurrent_requests: int = Field(
        24, gt=0, le=100, description="Requests of one reading that are on their way at once."
    )
    timeout_seconds: float = Field(30, gt=0, description="Time-out of one request.")
    retry_seconds: float = Field(
        120, ge=0, description="How long one request is retried before its source is incomplete."
    )
    sweep_minutes: int = Field(
        60,
        ge=0,
        le=10_080,
        description="Minutes between two sweeps of Stripe's events list; 0: no sweep and no "
        "nightly re-list.",
    )
    webhook_tolerance_seconds: int = Field(
        300, gt=0, description="How far a webhook's timestamp may be off, in both directions."
    )

    @field_validator("webhook_secrets", "connected_accounts", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        return split_at_commas(value)

    @field_validator("connected_accounts")
    @classmethod
    def _account_ids(cls, value: list[str]) -> list[str]:
        if not all(re.fullmatch(r"acct_\w+", name, re.ASCII) for name in value):
            raise ValueError("is not a list of account ids (acct_...)")
        return list(dict.fromkeys(value))

    @field_validator("api_key")
    @classmethod
    def _no_placeholder(cls, value: SecretStr | None) -> SecretStr | None:
        return _refuse_placeholder(value)

    @property
    def livemode(self) -> bool:
        """Mode of the key, read from its prefix. A missing key counts as test mode."""
        key = self.api_key.get_secret_value() if self.api_key else ""
        return key.startswith(("rk_live_", "sk_live_"))

    @property
    def scopes(self) -> list[Scope]:
        """Account and mode of the key, then those of the connected accounts it reads too."""
        names = dict.fromkeys([self.account_id, *self.connected_accounts])
        return [Scope(name, self.livemode) for name in names]

    @property
    def account_requests_per_second(self) -> float:
        """Requests a second for the account: the setting, else 80 % of Stripe's limit."""
        return self.requests_per_second or (80.0 if self.livemode else 20.0)


class AuditSettings(BaseModel):
    """What the revenue audit judges and when."""

    grace_minutes: int = Field(
        60, ge=0, description="Objects younger than this before the as-of instant are not judged."
    )
    previous_month_days: int = Field(
        5, ge=0, le=28, description="Days of a month on which the month before is audited again."
    )
    time_zone: str = Field(
        "UTC",
        description="Zone whose months are audited: a name of the tz database (Europe/Berlin).",
    )
    close_after_days: int = Field(
        5,
        ge=0,
        le=60,
        description="Days after a month's end from which its first complete audit closes it.",
    )
    older_months: int = Field(
        12,
        ge=0,
        le=120,
        description="Months before the running one that are audited again every Sunday, and the "
        "day after a refund or dispute of one of their payments; 0: none.",
    )

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            zone_of(value)
        except UsageError as error:
            raise ValueError("is not a name of the tz database") from error
        return value


class ReportSettings(BaseModel):
    """How long reports are kept."""

    keep_days: int = Field(
        90,
        ge=1,
        description="Days a report of an audit is kept; the newest and the last good one of each "
        "month, and the one that closed it, stay for ever.",
    )


class AlertSettings(BaseModel):
    """Where alerts go. Without any of these they go to the log."""

    slack_webhook_url: SecretStr | None = Field(
        None, description="Slack incoming webhook for alerts."
    )
    slack_mention: str | None = Field(
        None,
        pattern=r"^[UWS][A-Z0-9]{2,20}$",
        description="Slack member (U...) or user group (S...) that an escalation mentions.",
    )
    slack_bot_token: SecretStr | None = Field(
        None,
        description="Slack bot token (files:write, chat:write) for messages with a picture; empty: "
        "the webhook tells the weekly report without one.",
    )
    slack_channel: str | None = Field(
        None,
        pattern=r"^[CDG][A-Z0-9]{2,20}$",
        description="Id of the Slack channel (C...) that gets messages with a picture.",
    )
    slack_api_base: str = Field("https://slack.com/api", description="Base URL of Slack's API.")
    github_repository: str | None = Field(
        None, description="owner/name of the repository that gets one issue per problem."
    )
    github_token: SecretStr | None = Field(
        None, description="GitHub token with the right to write issues."
    )
    github_api_base: str = Field("https://api.github.com", description="Base URL of GitHub's API.")
    github_mention: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,38}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99})?$",
        description="GitHub user, or organisation/team, that an escalation mentions; without @.",
    )
    heartbeat_url: SecretStr | None = Field(
        None,
        description="URL called after each daily audit, of a service that misses it when it stops.",
    )
    escalate_after_days: int = Field(
        3,
        ge=0,
        le=365,
        description="Days after which an open problem is told again, one level higher; again after "
        "twice as many, and so on. 0: never.",
    )
    audit_hours: int = Field(
        26,
        ge=0,
        le=720,
        description="Hours without a finished audit of a month that is due, after which an alert "
        "says so. 0: never.",
    )
    allow_loopback: bool = Field(
        False,
        description="For tests only: alerts may go to this machine, by plain http too.",
    )

    @field_validator("slack_webhook_url", "slack_bot_token", "github_token", "heartbeat_url")
    @classmethod
    def _no_placeholder(cls, value: SecretStr | None) -> SecretStr | None:
        return _refuse_placeholder(value)

    @model_validator(mode="after")
    def _lead_outside(self) -> AlertSettings:
        for name, url in self.urls().items():
            try:
                read_target(url, allow_loopback=self.allow_loopback)
            except ForbiddenTargetError as error:
                raise ValueError(f"GROWTH_ALERTS__{name.upper()}: {error}") from None
        return self

    def urls(self) -> dict[str, str]:
        """Every URL of these settings that is called, by the name of its setting."""
        found = {"github_api_base": self.github_api_base, "slack_api_base": self.slack_api_base}
        for name in ("slack_webhook_url", "heartbeat_url"):
            secret: SecretStr | None = getattr(self, name)
            if secret is not None:
                found[name] = secret.get_secret_value()
        return found


def known_zone(value: str) -> str:
    """The zone itself. Raises: ValueError for a name that the time zone database does not know."""
    try:
        zone_of(value)
    except UsageError as error:
        raise ValueError(error.message) from None
    return value


class EventSettings(BaseModel):
    """How product events are received, and counted by day."""

    timezone: str = Field(
        "UTC", description="Zone (IANA) of the local days of activity in the lake, and of cohorts."
    )
    key_events_per_second: int = Field(
        20_000,
        ge=0,
        description="Events a second that one write key may tell, over ten seconds, in each web "
        "process; who tells more is answered 429. 0: no bound.",
    )

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        return known_zone(value)


class CohortSettings(BaseModel):
    """How cohorts are cut that are published; their zone is that of activity."""

    entry: Literal["signup", "first_activity", "first_payment"] = Field(
        "signup",
        description="What puts a user into a cohort. Cohorts of another one are made beside those "
        "that are there.",
    )
    week_start: Literal[
        "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"
    ] = Field("monday", description="First day of a week. Another one computes all weeks again.")
    segments: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Properties of users (as plan, country) by which cohorts are split too, by "
        "commas, at most 10: traits of identify calls, or what growth adopt and growth events "
        "import name.",
    )

    funnels: Annotated[list[str], NoDecode] = Field(
        default_factory=lambda: ["activation=User Signed Up,Project Created,stripe:payment"],
        description="Funnels that are published, by semicolons, each as name=stage,stage: names of "
        "events, a|b for either, a[plan=pro] with a property; stripe:payment is a payment in the "
        "books. none: no funnel.",
    )
    funnel_window: str = Field(
        "30d",
        pattern=r"^[0-9]{1,5}[smhdw]$",
        description="Time that users have from the first stage of a funnel, as 30d, 24h or 90m.",
    )
    funnel_order: Literal["ordered", "strict", "any"] = Field(
        "ordered",
        description="Of the stages of a funnel: ordered, strict (nothing between), or any.",
    )

    @field_validator("funnels", mode="before")
    @classmethod
    def _split_at_semicolons(cls, value: Any) -> Any:
        if isinstance(value, str):
            parts = [part.strip() for part in value.split(";")]
            return [part for part in parts if part and part != "none"]
        return value

    @field_validator("funnels")
    @classmethod
    def _have_names(cls, value: list[str]) -> list[str]:
        names = [text.partition("=")[0].strip() for text in value]
        if not all(re.fullmatch(SEGMENT_NAME, name) for name in names):
            raise ValueError("a funnel is name=stage,stage; its name has letters, digits, _ and -")
        if len(set(names)) != len(names) or len(names) > MOST_FUNNELS:
            raise ValueError(f"funnels have names of their own, and are {MOST_FUNNELS} at most")
        return value

    @field_validator("segments", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        return split_at_commas(value)

    @field_validator("segments")
    @classmethod
    def _are_names(cls, value: list[str]) -> list[str]:
        if not all(re.fullmatch(SEGMENT_NAME, name) for name in value):
            raise ValueError("a property has letters, digits, _ and -, at most 63")
        if len(value) > MOST_SEGMENTS:
            raise ValueError(f"more than {MOST_SEGMENTS} properties")
        return list(dict.fromkeys(value))


class RevenueSettings(BaseModel):
    """How MRR is published."""

    policies: Annotated[list[str], NoDecode] = Field(
        default_factory=lambda: ["growth"],
        description="Policies under which MRR is published, by commas: growth, stripe, chartmogul, "
        "profitwell, baremetrics. The first is the one that reports show.",
    )
    timezone: str = Field("UTC", description="Zone (IANA) of the days and months of MRR.")
    segments: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="What figures are split by too, by commas: plan, interval, country, or "
        "metadata.<key> of customers.",
    )
    reporting_currency: str | None = Field(
        None,
        pattern=r"^[a-z]{3}$",
        description="Currency of a view of all currencies in one, at the dated rates of "
        "growth fx import; empty: no such view.",
    )
    rate_max_age_days: int = Field(
        0,
        ge=0,
        le=31,
        description="How many days older than a snapshot a rate may be, where its own day has "
        "none; 0: not at all. What is shown names the day of the rate.",
    )

    @field_validator("policies", "segments", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        return split_at_commas(value)

    @field_validator("segments")
    @classmethod
    def _are_known(cls, value: list[str]) -> list[str]:
        known = r"plan|interval|country|metadata\..+"
        for name in value:
            if not re.fullmatch(known, name):
                raise ValueError(
                    f"{name!r} splits nothing: use plan, interval, country or metadata.<key>"
                )
        return list(dict.fromkeys(value))

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        return known_zone(value)


class InsightSettings(BaseModel):
    """The weekly growth report, and Claude, who may add words to it and never a figure."""

    week_start: Literal[
        "sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"
    ] = Field("sunday", description="First day of the weeks of the weekly growth report.")
    weeks: int = Field(8, ge=4, le=52, description="Complete weeks that the report shows.")
    anthropic_api_key: SecretStr | None = Field(
        None, description="Key of the Claude API; empty: the report is written by rules alone."
    )
    anthropic_api_base: str = Field(
        "https://api.anthropic.com", description="Base URL of the Claude API."
    )
    model: str = Field(
        "claude-sonnet-5-5",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,99}$",
        description="Id of the model.",
    )
    max_output_tokens: int = Field(
        8_000, ge=1_000, le=64_000, description="Tokens of one answer, thinking included."
    )
    max_input_tokens: int = Field(
        30_000,
        ge=2_000,
        le=500_000,
        description="Tokens of one question; a longer one is not asked.",
    )
    input_usd_per_million: float = Field(
        2.0, ge=0, description="Price of a million input tokens of the model, in USD."
    )
    output_usd_per_million: float = Field(
        10.0, ge=0, description="Price of a million output tokens of the model, in USD."
    )
    max_cost_usd: float = Field(
        0.50, ge=0, description="What one report may cost at most, in USD; 0: no model."
    )
    keep_days: int = Field(
        90, ge=1, description="Days that files of a weekly report are kept; the newest stays."
    )
    allow_loopback: bool = Field(
        False, description="For tests only: the Claude API may be on this machine, by plain http."
    )

    @field_validator("anthropic_api_key")
    @classmethod
    def _no_placeholder(cls, value: SecretStr | None) -> SecretStr | None:
        return _refuse_placeholder(value)

    @model_validator(mode="after")
    def _leads_outside(self) -> InsightSettings:
        try:
            read_target(self.anthropic_api_base, allow_loopback=self.allow_loopback)
        except ForbiddenTargetError as error:
            raise ValueError(f"GROWTH_INSIGHTS__ANTHROPIC_API_BASE: {error}") from None
        return self


class LifecycleSettings(BaseModel):
    """Stages, scores and journeys, and Kit, through which e-mails go."""

    features: Annotated[list[str], NoDecode] = Field(
        default_factory=lambda: [
            *("Feature Used", "Report Viewed", "Report Exported", "Search Performed"),
            *("Project Created", "Integration Connected", "Data Imported"),
            *("Invitation Sent", "Comment Added", "Project Shared"),
        ],
        description="Events that are key features for the engagement score, by commas. Others: "
        "everything is decided anew.",
    )
    activation: Annotated[list[str], NoDecode] = Field(
        default_factory=lambda: ["Project Created"],
        description="Events that a user must have done, each once, to be activated, by commas.",
    )
    journeys: Path | None = Field(
        None,
        description="Python file with the journeys of the company (JOURNEYS); empty: the defaults.",
    )
    cap_messages: int = Field(
        2, ge=1, le=100, description="E-mails that one user gets at most in cap_days."
    )
    cap_days: int = Field(7, ge=1, le=90, description="Days of the cap.")
    quiet_from: time = Field(
        time(21), description="From then on nobody gets an e-mail, by the user's own clock."
    )
    quiet_until: time = Field(
        time(8), description="Until then nobody does; the same as quiet_from: no quiet time."
    )
    kit_api_key: SecretStr | None = Field(
        None, description="Key of Kit's API (v4); without it nothing is sent."
    )
    kit_api_base: str = Field("https://api.kit.com/v4", description="Base URL of Kit's API.")
    kit_create: bool = Field(
        False,
        description="Whether a user with a recorded consent, of whom Kit knows nothing, is made a "
        "subscriber there. Whoever ever left is not.",
    )
    kit_webhook_secret: SecretStr | None = Field(
        None,
        description="Last part of the path that Kit's webhooks call, 32 or more random "
        "characters: /webhooks/kit/<secret>.",
    )
    link_secret: SecretStr | None = Field(
        None, description="Signs unsubscribe links, 32 or more random characters."
    )
    api_token: SecretStr | None = Field(
        None,
        description="Token (32 or more random characters) with which the application unsubscribes "
        "somebody: POST /v1/unsubscribe.",
    )
    max_bounce_rate: float = Field(
        0.02, gt=0, le=1, description="Share of bounces of 30 days above which a check fails."
    )
    max_complaint_rate: float = Field(
        0.001, gt=0, le=1, description="Share of complaints of 30 days above which a check fails."
    )
    allow_loopback: bool = Field(
        False, description="For tests only: Kit may be on this machine, by plain http."
    )

    @field_validator("features", "activation", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        return split_at_commas(value)

    @field_validator("kit_api_key")
    @classmethod
    def _no_placeholder(cls, value: SecretStr | None) -> SecretStr | None:
        return _refuse_placeholder(value)

    @field_validator("kit_webhook_secret", "link_secret", "api_token")
    @classmethod
    def _is_long(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value().strip():
            return None
        if not re.fullmatch(r"[A-Za-z0-9_-]{32,200}", value.get_secret_value()):
            raise ValueError("needs 32 or more letters, digits, - and _: openssl rand -hex 32")
        return value

    @model_validator(mode="after")
    def _leads_outside(self) -> LifecycleSettings:
        try:
            read_target(self.kit_api_base, allow_loopback=self.allow_loopback)
        except ForbiddenTargetError as error:
            raise ValueError(f"GROWTH_LIFECYCLE__KIT_API_BASE: {error}") from None
        return self


class EngineSettings(BaseModel):
    """Bounds of the analytics engine."""

    memory_limit: str = Field(
        "1GiB",
        description="Memory the engine may use before it spills; "
        "the process needs about 500 MiB more.",
    )
    threads: int | None = Field(None, gt=0, description="Threads; empty: all cores.")
    backend: Literal["duckdb", "spark"] = Field(
        "duckdb",
        description="Where cohorts are computed: in this process, or on a Spark cluster "
        "that reaches the lake.",
    )
    url: SecretStr | None = Field(
        None,
        description="Of the cluster: spark://host:7077, or sc://host:15002 (Spark Connect; may "
        "carry a token).",
    )

    @model_validator(mode="after")
    def _cluster_has_address(self) -> EngineSettings:
        if self.backend == "spark" and not self.cluster_url:
            raise ValueError("with backend spark the engine needs url, as spark://host:7077")
        return self

    @property
    def cluster_url(self) -> str | None:
        """Address of the cluster that computes cohorts; None: this process does."""
        if self.backend != "spark" or self.url is None:
            return None
        return self.url.get_secret_value()


class WebSettings(BaseModel):
    """Where the web app and Dagster's UI listen."""

    host: str = Field("127.0.0.1", description="Address the web app listens on.")
    port: int = Field(8600, ge=0, le=65535, description="Port of the web app.")
    applies_events: bool = Field(
        True,
        description="Whether the web app applies events itself; growth serve has a process for it.",
    )
    dagster_port: int = Field(3000, ge=0, le=65535, description="Port of Dagster's UI.")
    dagster_url: str | None = Field(
        None, description="Public address of Dagster's UI, for links in alerts and pages."
    )


class Settings(BaseSettings):
    """All settings. Prefix `GROWTH_`, nested with two underscores, `.env` in the working folder."""

    model_config = SettingsConfigDict(
        env_prefix="GROWTH_",
        env_nested_delimiter="__",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    database_url: SecretStr | None = Field(
        None, description="Postgres 15 or newer; empty: an embedded server under the state folder."
    )
    dagster_database_url: SecretStr | None = Field(
        None,
        description="Postgres of Dagster's own storage; empty: database `growth_dagster` on the "
        "same server.",
    )
    state_dir: Path = Field(
        Path(".growth"), description="Folder of the embedded Postgres, lake, logs and spill files."
    )
    lake_url: str | None = Field(
        None,
        description="Folder or object-store URL of the Parquet lake; empty: <state folder>/lake.",
    )
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
    history_start: str = Field(
        "2020-01",
        pattern=r"^\d{4}-(0[1-9]|1[0-2])$",
        description="First month (YYYY-MM) that extracts and audits have a partition for.",
    )
    lifecycle_send: bool = Field(
        False,
        description="Whether e-mails of journeys are sent. Until it is true, runs only show what "
        "would be.",
    )
    stripe: StripeSettings = Field(default_factory=StripeSettings)
    audit: AuditSettings = Field(default_factory=AuditSettings)
    reports: ReportSettings = Field(default_factory=ReportSettings)
    alerts: AlertSettings = Field(default_factory=AlertSettings)
    events: EventSettings = Field(default_factory=EventSettings)
    cohorts: CohortSettings = Field(default_factory=CohortSettings)
    revenue: RevenueSettings = Field(default_factory=RevenueSettings)
    insights: InsightSettings = Field(default_factory=InsightSettings)
    lifecycle: LifecycleSettings = Field(default_factory=LifecycleSettings)
    engine: EngineSettings = Field(default_factory=EngineSettings)
    web: WebSettings = Field(default_factory=WebSettings)

    @field_validator("database_url", "dagster_database_url")
    @classmethod
    def _no_placeholder(cls, value: SecretStr | None) -> SecretStr | None:
        return _refuse_placeholder(value)

    @property
    def resolved_lake_url(self) -> str:
        """The lake's address: the setting, else a folder under the state folder."""
        return self.lake_url or str(self.state_dir.resolve() / "lake")

    @property
    def engine_bounds(self) -> dict[str, Any]:
        """What an analytics engine of this process is made with."""
        return {
            "memory_limit": self.engine.memory_limit,
            "threads": self.engine.threads,
            "temp_dir": self.state_dir.resolve() / "spill",
        }


def load_settings() -> Settings:
    """Settings of this process, read now.

    Raises: ConfigurationError naming each variable and reason, never a value.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(
            "GROWTH_" + "__".join(str(part).upper() for part in item["loc"]) + ": " + item["msg"]
            for item in error.errors(include_input=False, include_url=False, include_context=False)
        )
        raise ConfigurationError(
            f"settings are wrong: {problems}", remedy="correct them in .env or the environment"
        ) from None


def github_summary_path() -> Path | None:
    """The file whose Markdown GitHub shows as the summary of a running job; None elsewhere.

    Source: GitHub Actions, "Workflow commands", "Adding a job summary".
    """
    name = os.environ.get("GITHUB_STEP_SUMMARY", "")
    return Path(name) if name else None


def environment() -> MutableMapping[str, str]:
    """The process environment, for starting child processes. The only other door to it."""
    return os.environ
