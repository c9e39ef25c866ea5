"""Forms of Checkout sessions and payment methods."""

from __future__ import annotations

from growth_pipeline.sandbox.journal import Json


def checkout_session(
    session_id: str,
    of: Json,
    *,
    mode: str,
    amount: int,
    currency: str,
    method_type: str,
    discounts: list[Json],
    created: int,
    expires: int,
    livemode: bool,
) -> Json:
    """A page on which a customer (`of`) pays or subscribes (`mode`), still open."""
    return {
        "id": session_id,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": False},
        "after_expiration": None,
        "allow_promotion_codes": True if mode == "subscription" else None,
        "amount_subtotal": amount,
        "amount_total": amount,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": None,
        "cancel_url": "https://app.example/pricing",
        "client_reference_id": f"user_{of['id'][-8:]}",
        "client_secret": None,
        "collected_information": {
            "business_name": None,
            "individual_name": None,
            "shipping_details": None,
        },
        "consent": None,
        "consent_collection": None,
        "created": created,
        "currency": currency,
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer": of["id"],
        "customer_account": None,
        "customer_creation": None,
        "customer_details": {
            "address": of["address"],
            "business_name": None,
            "email": of["email"],
            "individual_name": None,
            "name": of["name"],
            "phone": None,
            "tax_exempt": "none",
            "tax_ids": [],
        },
        "customer_email": None,
        "discounts": discounts,
        "expires_at": expires,
        "invoice": None,
        "invoice_creation": None,
        "livemode": livemode,
        "locale": None,
        "metadata": {},
        "mode": mode,
        "origin_context": None,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": "always" if mode == "subscription" else "if_required",
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": [method_type],
        "payment_status": "unpaid",
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "saved_payment_method_options": None,
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": None,
        "subscription": None,
        "success_url": "https://app.example/welcome",
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": f"https://checkout.stripe.com/c/pay/{session_id}",
        "wallet_options": None,
    }


def payment_method(
    method_id: str, of: Json, *, last4: str, country: str, created: int, livemode: bool
) -> Json:
    """A card of a customer (`of`); `bank_account` makes a bank account of it."""
    return {
        "id": method_id,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {
            "address": of["address"],
            "email": of["email"],
            "name": of["name"],
            "phone": None,
            "tax_id": None,
        },
        "card": {
            "brand": "visa",
            "checks": {
                "address_line1_check": None,
                "address_postal_code_check": None,
                "cvc_check": "pass",
            },
            "country": country,
            "display_brand": "visa",
            "exp_month": 8,
            "exp_year": 2031,
            "fingerprint": f"fp{last4}visa",
            "funding": "credit",
            "generated_from": None,
            "last4": last4,
            "networks": {"available": ["visa"], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": created,
        "customer": of["id"],
        "customer_account": None,
        "livemode": livemode,
        "metadata": {},
        "type": "card",
    }


def bank_account(method: Json) -> Json:
    """The same payment method as a bank account for SEPA debits."""
    card = method["card"]
    rest = {key: value for key, value in method.items() if key != "card"}
    return {
        **rest,
        "sepa_debit": {
            "bank_code": "37040044",
            "branch_code": "",
            "country": card["country"],
            "fingerprint": f"sepa{card['last4']}",
            "generated_from": {"charge": None, "setup_attempt": None},
            "last4": card["last4"],
        },
        "type": "sepa_debit",
    }
