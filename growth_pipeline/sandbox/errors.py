"""Stripe's way of saying no."""

from __future__ import annotations

from collections.abc import Mapping

from growth_pipeline.sandbox.journal import Json

_DOC = "https://docs.stripe.com/error-codes"


class ApiError(Exception):
    """An answer other than 200, in the form of Stripe's error object."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.body: Json = {"message": message, "type": kind}
        if code:
            self.body |= {"code": code, "doc_url": f"{_DOC}#{code.replace('_', '-')}"}
        if param:
            self.body["param"] = param


def missing(kind: str, object_id: str, *, param: str = "id", status: int = 404) -> ApiError:
    """No such object: 404 for an address, 400 for a parameter such as a cursor."""
    return ApiError(
        status,
        f"No such {kind.replace('_', '-') if kind == 'payment_intent' else kind}: '{object_id}'",
        code="resource_missing",
        param=param,
    )
