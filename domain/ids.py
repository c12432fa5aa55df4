"""Ids: what each thing is called, and which stream its events are in."""

from functools import lru_cache
from typing import NewType
from uuid import UUID, uuid5

AccountId = NewType("AccountId", UUID)
VpsId = NewType("VpsId", UUID)
JobId = NewType("JobId", UUID)
PlanId = NewType("PlanId", UUID)
HostId = NewType("HostId", UUID)
TokenId = NewType("TokenId", UUID)
SshKeyId = NewType("SshKeyId", UUID)
EventId = NewType("EventId", UUID)
StreamId = NewType("StreamId", UUID)
LedgerId = NewType("LedgerId", UUID)
PaymentId = NewType("PaymentId", UUID)
RefundId = NewType("RefundId", UUID)
SnapshotId = NewType("SnapshotId", UUID)
TemplateId = NewType("TemplateId", UUID)

_STREAMS = UUID("6c697465-7670-5000-8000-73747265616d")


def account_stream(account_id: AccountId) -> StreamId:
    """Return the stream of an account: who it is, its password, its sessions."""
    return StreamId(account_id)


def wallet_stream(account_id: AccountId) -> StreamId:
    """Return the stream of an account's wallet: funds, which VPSs are on, minutes."""
    return _derived("wallet", account_id)


def password_tries_stream(tries_id: UUID) -> StreamId:
    """Return the stream of passwords that were tried from one network for one account, or an address without one."""
    return _derived("password-tries", tries_id)


def ssh_keys_stream(account_id: AccountId) -> StreamId:
    """Return the stream of an account's SSH keys."""
    return _derived("ssh-keys", account_id)


def vps_stream(vps_id: VpsId) -> StreamId:
    """Return the stream of a VPS."""
    return StreamId(vps_id)


def job_stream(job_id: JobId) -> StreamId:
    """Return the stream of a job."""
    return StreamId(job_id)


def host_stream(host_id: HostId) -> StreamId:
    """Return the stream of a compute host: what it is, and what it was seen to run."""
    return _derived("host", host_id)


def capacity_stream(host_id: HostId) -> StreamId:
    """Return the stream of what is reserved of a compute host, apart from what it was seen to run."""
    return _derived("capacity", host_id)


def payment_stream(payment_id: PaymentId) -> StreamId:
    """Return the stream of a payment: its Checkout, its receipt, its refunds and disputes."""
    return StreamId(payment_id)


def token_stream(token_id: TokenId) -> StreamId:
    """Return the stream of an access token."""
    return StreamId(token_id)


def alerts_stream(account_id: AccountId) -> StreamId:
    """Return the stream of an account's alerts: where they go, at which thresholds, which were sent."""
    return _derived("alerts", account_id)


def stripe_event_stream(stripe_event_id: str) -> StreamId:
    """Return the stream of one event that Stripe told of: how it came in, and what came of it."""
    return StreamId(uuid5(_STREAMS, f"stripe-event:{stripe_event_id}"))


def stripe_transaction_stream(transaction_id: str) -> StreamId:
    """Return the stream of one balance transaction at Stripe."""
    return StreamId(uuid5(_STREAMS, f"stripe-transaction:{transaction_id}"))


def statements_stream(month: str) -> StreamId:
    """Return the stream of the statements that were issued for a month, such as ``2026-11``."""
    return StreamId(uuid5(_STREAMS, f"statements:{month}"))


def templates_stream(account_id: AccountId) -> StreamId:
    """Return the stream of an account's own templates."""
    return _derived("templates", account_id)


def template_stream(template_id: TemplateId) -> StreamId:
    """Return the stream of what one template of an account has VPSs do at their first boot."""
    return StreamId(template_id)


PRICING_STREAM = StreamId(uuid5(_STREAMS, "pricing"))
FLEET_STREAM = StreamId(uuid5(_STREAMS, "fleet"))
IMAGES_STREAM = StreamId(uuid5(_STREAMS, "images"))
SHARED_TEMPLATES_STREAM = StreamId(uuid5(_STREAMS, "templates"))
SETTINGS_STREAM = StreamId(uuid5(_STREAMS, "settings"))
STRIPE_STREAM = StreamId(uuid5(_STREAMS, "stripe"))
UNKNOWN_PAYER = AccountId(uuid5(_STREAMS, "unknown-payer"))
"""Under this name's key is sealed what Stripe tells of payments that are nobody's of ours."""
LEDGER_STREAM = StreamId(uuid5(_STREAMS, "ledger"))


@lru_cache(maxsize=100_000)
def _derived(kind: str, of: UUID) -> StreamId:
    return StreamId(uuid5(_STREAMS, f"{kind}:{of}"))
