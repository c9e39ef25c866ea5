"""What an event of the catalogue is made of: its facts, its properties' types, personal data.

The events themselves are in one module a category; their list is in registry.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, TypeAlias, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticCustomError

from growth_pipeline.core.money import ISO_CURRENCIES

LARGEST_WHOLE: Final = 2**53 - 1  # beyond it JavaScript no longer counts in ones


class Category(StrEnum):
    """What part of a user's life an event belongs to; in the order of the documents."""

    ACQUISITION = "acquisition"
    ACTIVATION = "activation"
    ENGAGEMENT = "engagement"
    COLLABORATION = "collaboration"
    BILLING = "billing"
    SUPPORT = "support"


class Assertion(StrEnum):
    """What a billing event says about Stripe, so that Stripe can be asked whether it is so."""

    CHECKOUT_EXISTS = "checkout_exists"
    TRIAL_STARTED = "trial_started"
    SUBSCRIPTION_STARTED = "subscription_started"
    PRICE_CHANGED = "price_changed"
    SUBSCRIPTION_CANCELED = "subscription_canceled"
    COLLECTION_PAUSED = "collection_paused"
    COLLECTION_RESUMED = "collection_resumed"
    PAYMENT_SETTLED = "payment_settled"
    PAYMENT_FAILED = "payment_failed"
    REFUND_MADE = "refund_made"
    METHOD_EXISTS = "method_exists"


class Kind(StrEnum):
    """Kinds of personal data."""

    EMAIL = "email"
    NAME = "name"
    FREE_TEXT = "free_text"


@dataclass(frozen=True, slots=True)
class Personal:
    """Mark of a property that may hold personal data."""

    kind: Kind

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The property's schema with the mark in it."""
        return {**handler(core_schema), "x-personal": str(self.kind)}


@dataclass(frozen=True, slots=True)
class About:
    """Facts of one version of one event.

    `owner` answers for it. `activity`: a user does it, so it makes them active on that day; false
    for what a machine or another person does to them. `deprecated`: still taken, no longer sent by
    new code. `assertion`: what it says about Stripe.
    """

    event: str
    category: Category
    owner: str
    version: int = 1
    activity: bool = True
    deprecated: bool = False
    assertion: Assertion | None = None


class CatalogueEvent(BaseModel):
    """Properties of one version of one event; its docstring says when the event is sent.

    Properties that are not listed are taken and not looked at: an older catalogue must not refuse
    what a newer application tells.
    """

    # Each is built when its first event comes: 42 at once would hold up every start of the web app.
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, defer_build=True)

    about: ClassVar[About]

    @classmethod
    def type_name(cls) -> str:
        """Name of its type in generated code: `ProjectCreatedV1`."""
        return "".join(cls.about.event.split()) + f"V{cls.about.version}"

    @classmethod
    def meaning(cls) -> str:
        """When it is sent, in one line."""
        return " ".join((cls.__doc__ or "").split())

    @classmethod
    def personal_fields(cls) -> dict[str, Kind]:
        """Properties that may hold personal data, with its kind."""
        return {
            name: mark.kind for name, field in cls.model_fields.items() for mark in _marks(field)
        }

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Properties as they could be sent: the first example of each."""
        return {name: (field.examples or [None])[0] for name, field in cls.model_fields.items()}


def _marks(field: FieldInfo) -> list[Personal]:
    """Marks of a property; those of one that may be null are on the member of its union."""
    members = [getattr(member, "__metadata__", ()) for member in get_args(field.annotation)]
    return [
        one for found in (field.metadata, *members) for one in found if isinstance(one, Personal)
    ]


def _counted(value: Any) -> Any:
    """3.0 is the whole number 3: JSON has one kind of number."""
    return int(value) if type(value) is float and value.is_integer() else value


def _known_currency(code: str) -> str:
    if code not in ISO_CURRENCIES:
        raise PydanticCustomError("currency", "Input should be a lower-case ISO 4217 code")
    return code


def prop(example: Any, description: str) -> Any:
    """A required property with its meaning and an example."""
    return Field(description=description, examples=[example])


def maybe(example: Any, description: str) -> Any:
    """A property that may be missing or null."""
    return Field(default=None, description=description, examples=[example])


def without_personal(model: type[CatalogueEvent], properties: Mapping[str, Any]) -> dict[str, Any]:
    """The listed properties less those that may hold personal data; for logs and reports."""
    hidden = model.personal_fields()
    return {
        name: value
        for name, value in properties.items()
        if name in model.model_fields and name not in hidden
    }


Id: TypeAlias = Annotated[str, Field(min_length=1, max_length=255)]
"""An id of the application's own."""

Word: TypeAlias = Annotated[str, Field(min_length=1, max_length=100)]
"""A short name that the application chooses: a feature, a channel."""

_Counted: Final = BeforeValidator(_counted)  # outside of the limits, which are the schema's

Count: TypeAlias = Annotated[int, Field(ge=0, le=LARGEST_WHOLE), _Counted]
"""A whole number from 0 on."""

Place: TypeAlias = Annotated[int, Field(ge=1, le=1000), _Counted]
"""A place in a row, from 1 on."""

Score: TypeAlias = Annotated[int, Field(ge=0, le=10), _Counted]
"""An answer on the scale from 0 to 10."""

Minor: TypeAlias = Annotated[int, Field(ge=0, le=LARGEST_WHOLE), _Counted]
"""An amount in minor units of the currency beside it, by Stripe's rule."""

Country: TypeAlias = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
"""ISO 3166 code of two letters."""

Currency: TypeAlias = Annotated[
    str,
    AfterValidator(_known_currency),
    WithJsonSchema({"type": "string", "enum": sorted(ISO_CURRENCIES)}),
]
"""ISO 4217 code in lower case, as Stripe writes it."""

Email: TypeAlias = Annotated[
    str, Field(max_length=320, pattern=r"^[^@\s]+@[^@\s]+$"), Personal(Kind.EMAIL)
]
PersonName: TypeAlias = Annotated[str, Field(min_length=1, max_length=200), Personal(Kind.NAME)]
FreeText: TypeAlias = Annotated[str, Field(max_length=5000), Personal(Kind.FREE_TEXT)]


def _stripe_id(prefix: str) -> str:
    return rf"^{prefix}_[A-Za-z0-9_]{{1,250}}$"


SubscriptionId: TypeAlias = Annotated[str, Field(pattern=_stripe_id("sub"))]
PriceId: TypeAlias = Id
"""A price; the ids of old plans are any text."""

PaymentIntentId: TypeAlias = Annotated[str, Field(pattern=_stripe_id("pi"))]
RefundId: TypeAlias = Annotated[str, Field(pattern=r"^(re|pyr)_[A-Za-z0-9_]{1,250}$")]
CheckoutSessionId: TypeAlias = Annotated[str, Field(pattern=_stripe_id("cs"))]
PaymentMethodId: TypeAlias = Annotated[
    str, Field(pattern=r"^(pm|card|src|ba)_[A-Za-z0-9_]{1,250}$")
]
