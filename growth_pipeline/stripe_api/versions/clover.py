"""Versions since 2025-09-30.clover: coupons are named in `source` and `promotion`.

Source: Stripe changelog, "Discount source"; types of stripe-python 13.2 and 15.3.
"""

from __future__ import annotations

from growth_pipeline.stripe_api.versions.adapter import Object, field_of, id_of
from growth_pipeline.stripe_api.versions.basil import Basil


class Clover(Basil):
    """2025-09-30.clover and the releases of its name."""

    def coupon_of(self, found: Object) -> str | None:
        """`discount.source.coupon` and `promotion_code.promotion.coupon`: ids unless expanded.

        None for a discount whose source is no coupon.
        """
        name = "promotion" if found.get("object") == "promotion_code" else "source"
        source = field_of(found, name, self.api_version)
        if field_of(source, "type", self.api_version) != "coupon":
            return None
        return id_of(field_of(source, "coupon", self.api_version))


class Dahlia(Clover):
    """2026-03-25.dahlia: decimals became a type of the SDK; the JSON has the same shapes."""
