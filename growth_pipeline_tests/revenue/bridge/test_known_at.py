"""What the bridge refuses before it opens anything."""

import pytest

from growth_pipeline.core.errors import UsageError
from growth_pipeline.operate.revenue.bridges import bridge_month


@pytest.mark.parametrize("policy", ["chartmogul", "profitwell"])
def test_policies_on_invoices_or_refunds_are_not_asked_as_known_earlier(policy):
    with pytest.raises(UsageError, match=f"{policy}@1 counts invoices or refunds") as caught:
        bridge_month(
            "stripe", policy, "2031-04", currency=None, known_at="2031-04-05", say=lambda _: None
        )
    assert "--known-at" in caught.value.remedy
