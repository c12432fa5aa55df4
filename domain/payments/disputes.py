"""Disputes: what the payer's bank takes back, and what becomes of it."""

from domain.money import ZERO, MicroUsd
from domain.payments.events import DisputeLost, DisputeOpened, DisputeWon, InquiryClosed
from domain.payments.ports import SeenDispute
from domain.payments.recording import Recording


def apply_dispute(recording: Recording, seen: SeenDispute) -> None:
    """Record whatever is new of a dispute. Of two ends that cannot both be, the first that was seen stays."""
    known = recording.payment.disputes.get(seen.dispute_id)
    ended = known is not None and known.state in ("won", "lost")
    if ended or seen.amount <= 0:
        return
    match seen.state:
        case "inquiry":
            _inquire(recording, seen)
        case "inquiry-closed":
            _close_inquiry(recording, seen)
        case "open":
            _open(recording, seen)
        case "won":
            _win(recording, seen)
        case "lost":
            _open(recording, seen)
            _lose(recording, seen)


def _inquire(recording: Recording, seen: SeenDispute) -> None:
    if seen.dispute_id not in recording.payment.disputes:
        _note_open(recording, seen, ZERO, ZERO, inquiry=True)
        recording.claim(f"{seen.dispute_id}:inquiry")


def _close_inquiry(recording: Recording, seen: SeenDispute) -> None:
    _inquire(recording, seen)
    payment = recording.payment
    if payment.disputes[seen.dispute_id].state == "inquiry":
        recording.note(InquiryClosed(payment.account_id, payment.payment_id, seen.dispute_id))
        recording.claim(f"{seen.dispute_id}:inquiry-closed")


def _open(recording: Recording, seen: SeenDispute) -> None:
    known = recording.payment.disputes.get(seen.dispute_id)
    if known is not None and known.state == "open":
        return
    borne = recording.claw_back("dispute", seen.dispute_id, seen.amount)
    _note_open(recording, seen, borne.owed, borne.goodwill, inquiry=False)
    recording.claim(f"{seen.dispute_id}:open")


def _win(recording: Recording, seen: SeenDispute) -> None:
    payment = recording.payment
    known = payment.disputes.get(seen.dispute_id)
    amount = seen.amount
    if known is not None and known.stands:
        amount = known.amount
        recording.give_back("dispute-won", seen.dispute_id, amount)
    recording.note(DisputeWon(payment.account_id, payment.payment_id, seen.dispute_id, amount))
    recording.claim(f"{seen.dispute_id}:won")


def _lose(recording: Recording, seen: SeenDispute) -> None:
    payment = recording.payment
    amount = payment.disputes[seen.dispute_id].amount
    recording.note(DisputeLost(payment.account_id, payment.payment_id, seen.dispute_id, amount))
    recording.claim(f"{seen.dispute_id}:lost")


def _note_open(recording: Recording, seen: SeenDispute, owed: MicroUsd, goodwill: MicroUsd, *, inquiry: bool) -> None:
    recording.note(
        DisputeOpened(
            account_id=recording.payment.account_id,
            payment_id=recording.payment.payment_id,
            dispute_id=seen.dispute_id,
            amount=seen.amount,
            owed=owed,
            goodwill=goodwill,
            inquiry=inquiry,
        )
    )
