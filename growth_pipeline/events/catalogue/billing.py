"""Money as the application tells it. Stripe knows better, so each assertion is compared with it.

Nothing here makes revenue: revenue is counted from Stripe's objects. Comparison: events/assertions.
"""

from __future__ import annotations

from typing import Literal

from growth_pipeline.events.catalogue.model import (
    About,
    Assertion,
    CatalogueEvent,
    Category,
    CheckoutSessionId,
    Count,
    Currency,
    FreeText,
    Minor,
    PaymentIntentId,
    PaymentMethodId,
    PriceId,
    RefundId,
    SubscriptionId,
    Word,
    maybe,
    prop,
)

_OWNER = "team:billing"
_SUBSCRIPTION = ("sub_1RAda7", "Stripe's id of the subscription.")
_SEATS = (5, "Seats or units after it.")


class PricingViewed(CatalogueEvent):
    """A user or visitor was shown prices."""

    about = About("Pricing Viewed", Category.BILLING, "team:growth")

    currency: Currency | None = maybe("eur", "Currency they were shown in.")


class CheckoutStarted(CatalogueEvent):
    """A user was sent to Stripe's checkout."""

    about = About("Checkout Started", Category.BILLING, _OWNER, assertion=Assertion.CHECKOUT_EXISTS)

    checkout_session_id: CheckoutSessionId = prop("cs_1RAda7", "Stripe's id of the session.")
    price_id: PriceId | None = maybe("price_1Pro", "Stripe's id of the price that was chosen.")


class TrialStarted(CatalogueEvent):
    """A trial of a paid plan began."""

    about = About("Trial Started", Category.BILLING, _OWNER, assertion=Assertion.TRIAL_STARTED)

    subscription_id: SubscriptionId = prop(*_SUBSCRIPTION)
    trial_days: Count | None = maybe(14, "Days that it is planned to last.")


class SubscriptionStarted(CatalogueEvent):
    """A subscription began to give access."""

    about = About(
        "Subscription Started", Category.BILLING, _OWNER, assertion=Assertion.SUBSCRIPTION_STARTED
    )

    subscription_id: SubscriptionId = prop(*_SUBSCRIPTION)
    price_id: PriceId = prop("price_1Pro", "Stripe's id of the price.")
    quantity: Count | None = maybe(*_SEATS)


class SubscriptionUpgraded(CatalogueEvent):
    """A subscription was changed to a higher price, or to more seats."""

    about = About(
        "Subscription Upgraded", Category.BILLING, _OWNER, assertion=Assertion.PRICE_CHANGED
    )

    subscription_id: SubscriptionId = prop(*_SUBSCRIPTION)
    to_price_id: PriceId = prop("price_1Team", "Stripe's id of the price after it.")
    from_price_id: PriceId | None = maybe("price_1Pro", "Stripe's id of the price before.")
    quantity: Count | None = maybe(*_SEATS)


class SubscriptionDowngraded(CatalogueEvent):
    """A subscription was changed to a lower price, or to fewer seats, from now on."""

    about = About(
        "Subscription Downgraded", Category.BILLING, _OWNER, assertion=Assertion.PRICE_CHANGED
    )

    subscription_id: SubscriptionId = prop(*_SUBSCRIPTION)
    to_price_id: PriceId = prop("price_1Pro", "Stripe's id of the price after it.")
    from_price_id: PriceId | None = maybe("price_1Team", "Stripe's id of the price before.")
    quantity: Count | None = maybe(*_SEATS)


class SubscriptionCanceledV1(CatalogueEvent):
    """A user cancelled a subscription, at once or for the end of the period."""

    about = About(
        "Subscription Canceled",
        Category.BILLING,
        _OWNER,
        deprecated=True,
        assertion=Assertion.SUBSCRIPTION_CANCELED,
    )

    subscription_id: SubscriptionId = prop(*_SUBSCRIPTION)
    reason: FreeText | None = maybe("too expensive", "What the user wrote.")


class SubscriptionCanceled(CatalogueEvent):
    """A user cancelled a subscription, at once or for the end of the period."""

    about = About(
        "Subscription Canceled",
        Category.BILLING,
        _OWNER,
        version=2,
        assertion=Assertion.SUBSCRIPTION_CANCELED,
    )

    subscription_id: SubscriptionId = prop(*_SUBSCRIPTION)
    effective: Literal["now", "period_end"] = prop("period_end", "When the access ends.")
    feedback: (
        Literal[
            "customer_service",
            "low_quality",
            "missing_features",
            "other",
            "switched_service",
            "too_complex",
            "too_expensive",
            "unused",
        ]
        | None
    ) = maybe("too_expensive", "Reason that was chosen, in Stripe's words.")
    comment: FreeText | None = maybe("We will be back in spring.", "What the user wrote.")


class SubscriptionPaused(CatalogueEvent):
    """Collection of a subscription's payments was paused."""

    about = About(
        "Subscription Paused", Category.BILLING, _OWNER, assertion=Assertion.COLLECTION_PAUSED
    )

    subscription_id: SubscriptionId = prop(*_SUBSCRIPTION)


class SubscriptionResumed(CatalogueEvent):
    """Collection of a paused subscription's payments was taken up again."""

    about = About(
        "Subscription Resumed", Category.BILLING, _OWNER, assertion=Assertion.COLLECTION_RESUMED
    )

    subscription_id: SubscriptionId = prop(*_SUBSCRIPTION)


class PaymentSucceeded(CatalogueEvent):
    """The application was told that a payment succeeded."""

    about = About(
        "Payment Succeeded",
        Category.BILLING,
        _OWNER,
        activity=False,
        assertion=Assertion.PAYMENT_SETTLED,
    )

    payment_intent_id: PaymentIntentId = prop("pi_1RAda7", "Stripe's id of the payment.")
    amount_minor: Minor = prop(4900, "Amount that was paid, in minor units.")
    currency: Currency = prop("eur", "Its currency.")


class PaymentFailed(CatalogueEvent):
    """The application was told that an attempt to pay failed."""

    about = About(
        "Payment Failed",
        Category.BILLING,
        _OWNER,
        activity=False,
        assertion=Assertion.PAYMENT_FAILED,
    )

    payment_intent_id: PaymentIntentId = prop("pi_1RAda7", "Stripe's id of the payment.")
    failure_code: Word | None = maybe("card_declined", "Stripe's reason.")


class PaymentRefunded(CatalogueEvent):
    """Money of a payment was given back."""

    about = About(
        "Payment Refunded",
        Category.BILLING,
        _OWNER,
        activity=False,
        assertion=Assertion.REFUND_MADE,
    )

    refund_id: RefundId = prop("re_1RAda7", "Stripe's id of the refund.")
    amount_minor: Minor = prop(4900, "Amount that was given back, in minor units.")
    currency: Currency = prop("eur", "Its currency.")


class PaymentMethodAdded(CatalogueEvent):
    """A user gave a new card or account to pay with."""

    about = About(
        "Payment Method Added", Category.BILLING, _OWNER, assertion=Assertion.METHOD_EXISTS
    )

    payment_method_id: PaymentMethodId = prop("pm_1RAda7", "Stripe's id of it.")
