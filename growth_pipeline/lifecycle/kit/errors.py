"""What a call to Kit that did not go well means for what it was to do."""

from __future__ import annotations

from growth_pipeline.core.errors import GrowthError

LATER = "it is tried again by itself"


class KitRefusedError(GrowthError):
    """Kit certainly did not do it.

    `too_many`: it was one request too many. `is_setting`: asking again changes nothing before a
    setting is corrected. `only_this`: another request may well go through.
    """

    def __init__(
        self,
        message: str,
        *,
        remedy: str = LATER,
        too_many: bool = False,
        is_setting: bool = False,
        only_this: bool = False,
    ) -> None:
        super().__init__(message, remedy=remedy, retryable=not is_setting)
        self.too_many = too_many
        self.is_setting = is_setting
        self.only_this = only_this


class KitUnknownError(GrowthError):
    """The answer was lost or says nothing: Kit may have done it."""

    retryable = False


class KitUnreadableError(GrowthError):
    """Kit could not be read, or answered what nobody understands; nothing follows from it."""

    retryable = True
