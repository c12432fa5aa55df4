"""What can be asked of payments."""

import msgspec

from domain.ids import AccountId, PaymentId
from domain.money import MicroUsd


class RequestCheckout(msgspec.Struct, frozen=True):
    """Let an account add funds, by a Checkout that Stripe is to open."""

    payment_id: PaymentId
    account_id: AccountId
    amount: MicroUsd
