"""Every event is folded by whoever looks at its stream, or is left out here for a reason that is told.

A fold, a read model and a union of events drop what they do not name without a word. So an event that is added has to
be put into a stream's list below, and then into everything that looks at that stream, or beside it with a reason.
"""

import ast
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any, get_args

import pytest

import domain
from domain.accounts import events as accounts
from domain.alerts import events as alerts
from domain.alerts.following import Followed
from domain.books.postings import MoneyEvent, WalletSide
from domain.books.stripe_postings import StripeSide
from domain.compute import events as compute
from domain.deciding import AggregateRef, Fold
from domain.events import Event
from domain.exec import events as jobs
from domain.images import events as images
from domain.payments import events as payments
from domain.pricing import events as pricing
from domain.settings import events as settings
from domain.statements import events as statements
from domain.statements.statement import Single
from domain.tokens import events as tokens
from domain.wallet import events as wallet
from domain.wallet.movements import Moving
from projections import alerts as projected_alerts
from projections import payments as projected_payments
from projections.catalogue import READ_MODELS

Kinds = frozenset[type[Event]]


def kinds(*named: Any) -> Kinds:
    """Return the events of a union, or these events."""
    return frozenset(kind for one in named for kind in (get_args(one) or (one,)))


def all_of(context: ModuleType) -> Kinds:
    """Return the events that are defined in a module."""
    return frozenset(
        kind
        for kind in vars(context).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind.__module__ == context.__name__
    )


CAPACITY = kinds(compute.CapacityReserved, compute.CapacityReleased, compute.HostDrained, compute.HostUndrained)
HOST = kinds(
    compute.HostRegistered,
    compute.HostOvercommitSet,
    compute.HostLabelled,
    compute.HostObserved,
    compute.HostLost,
    compute.HostReturned,
    compute.HostRebooted,
    compute.HostDiffered,
)
FLEET = kinds(compute.HostJoined)
TRIES = kinds(
    accounts.PasswordTried,
    accounts.PasswordPutOff,
    accounts.PasswordConfirmed,
    accounts.LoginSucceeded,
    accounts.LoginFailed,
)
SSH_KEYS = kinds(accounts.SshKeyAdded, accounts.SshKeyRemoved)
INBOX = kinds(payments.StripeEventReceived, payments.StripeEventApplied)
TRANSACTION = kinds(payments.StripeBalanceMoved, payments.StripeFundsAvailable)
SWEEPS = kinds(payments.StripeSwept)
LEDGER = kinds(settings.LedgerFounded)
SHARED_TEMPLATES = kinds(images.SharedTemplateDefined, images.SharedTemplateRemoved)
TEMPLATES = kinds(images.TemplateDefined, images.TemplateRemoved)
TEMPLATE = kinds(images.TemplateUserDataKept)

STREAMS: dict[str, Kinds] = {
    "account": all_of(accounts) - TRIES - SSH_KEYS,
    "password tries": TRIES,
    "SSH keys": SSH_KEYS,
    "alerts": all_of(alerts),
    "VPS": all_of(compute) - CAPACITY - HOST - FLEET,
    "capacity": CAPACITY,
    "host": HOST,
    "fleet": FLEET,
    "job": all_of(jobs),
    "images": all_of(images) - SHARED_TEMPLATES - TEMPLATES - TEMPLATE,
    "shared templates": SHARED_TEMPLATES,
    "templates": TEMPLATES,
    "template": TEMPLATE,
    "payment": all_of(payments) - INBOX - TRANSACTION - SWEEPS,
    "Stripe event": INBOX,
    "Stripe transaction": TRANSACTION,
    "Stripe": SWEEPS,
    "pricing": all_of(pricing),
    "settings": all_of(settings) - LEDGER,
    "ledger": LEDGER,
    "statements": all_of(statements),
    "token": all_of(tokens),
    "wallet": all_of(wallet),
}
"""By the stream that they are recorded in. An event that is added to a context falls into its main stream."""

NO_MONEY = kinds(
    wallet.VpsAdmitted,
    wallet.MeterStarted,
    wallet.BootEnded,
    wallet.VpsReleased,
    wallet.MeterClosed,
    wallet.RefundsAsked,
    wallet.TokenLimited,
    wallet.TokenUnlimited,
    wallet.TokenLimitEnded,
    wallet.VpsLimitsSet,
    wallet.SnapshotsKept,
    wallet.VpsPlanChanged,
    wallet.WalletClosed,
)
OPENED = kinds(wallet.WalletOpened)
NOT_THE_BALANCE = kinds(wallet.MinutesWaived, wallet.DebtWrittenOff)
METERS = kinds(wallet.VpsAdmitted, wallet.MeterStarted, wallet.VpsReleased, wallet.MeterClosed)
FROM_NO_PAYER = kinds(
    wallet.FundsCredited,
    wallet.FundsCorrected,
    wallet.FundsTaken,
    wallet.ReceivablePaid,
    wallet.BadDebtRecovered,
    wallet.MinutesMetered,
)
FUNDS = FROM_NO_PAYER - kinds(wallet.MinutesMetered) | kinds(wallet.FundsAdded, wallet.FundsReturned)
NOT_BOOKED = kinds(
    payments.CheckoutRequested,
    payments.CheckoutOpened,
    payments.CheckoutExpired,
    payments.CheckoutFailed,
    payments.PaymentReceived,
    payments.PaymentMismatched,
    payments.RefundRequested,
    payments.RefundOpened,
    payments.OutsideRefundFound,
    payments.DisputeOpened,
    payments.DisputeWon,
    payments.InquiryClosed,
)
ACCOUNT_LIVES_ON = kinds(
    accounts.PasswordChanged, accounts.PasswordRehashed, accounts.EmailVerified, accounts.SessionEnded
)
ACCOUNT_ENDS = kinds(accounts.AccountClosed, accounts.ClosingFinished, accounts.AccountErased, accounts.ErasureFinished)
NO_STOP = kinds(
    compute.VpsRequested,
    compute.VpsPlaced,
    compute.VpsPrepared,
    compute.VpsLaunched,
    compute.VpsRunning,
    compute.VpsStopped,
    compute.VpsStartRequested,
    compute.VpsRestartRequested,
    compute.VpsRestarted,
    compute.VpsFailed,
    compute.VpsHostLost,
    compute.VpsHostFound,
    compute.VpsRenamed,
    compute.VpsLabelled,
    compute.VpsResized,
    compute.VpsExpirySet,
    compute.VpsExpiryWarned,
    compute.VpsEgressSet,
    compute.VpsEgressApplied,
    compute.VpsEgressDenied,
    compute.VpsDeleteRequested,
    compute.VpsDeleted,
    compute.VpsTemplateUsed,
    compute.VpsUserDataEnded,
    compute.SnapshotEvent,
)
"""Every event of a VPS but the one that a stop is asked for by: a new one is added here."""
MAILING = kinds(alerts.CodeRequested, alerts.AlertRaised, alerts.MailSent, alerts.MailFailed, alerts.MailGivenUp)
CODES_TRIED = kinds(
    alerts.VerificationFailed,
    alerts.EmailVerificationFailed,
    alerts.EmailVerificationDone,
    alerts.PasswordResetFailed,
    alerts.PasswordResetDone,
)

NO_OWNERS = kinds(
    compute.VpsPlaced,
    compute.VpsPrepared,
    compute.VpsLaunched,
    compute.VpsRunning,
    compute.VpsStopped,
    compute.VpsRestarted,
    compute.VpsFailed,
    compute.VpsHostLost,
    compute.VpsHostFound,
    compute.VpsExpiryWarned,
    compute.VpsEgressApplied,
    compute.VpsEgressDenied,
    compute.VpsDeleted,
    compute.VpsTemplateUsed,
    compute.VpsUserDataEnded,
    compute.SnapshotTaken,
    compute.SnapshotFailed,
    compute.SnapshotDeleted,
    compute.SnapshotRestored,
)

LEFT_OUT: Mapping[str, Mapping[str, Kinds]] = {
    "OwnersChange": {
        "the service's own, or of a VPS's first start": NO_OWNERS,
        "there is one of a VPS": kinds(compute.VpsRequested, compute.VpsDeleteRequested),
        "is never refused for how often, and comes once a start": kinds(compute.VpsStopRequested),
        "waits until the one before is done": kinds(compute.VpsRestartRequested),
        "comes once a snapshot": kinds(compute.SnapshotDeleteRequested),
    },
    "fold of payment": {
        "the refund failed, which is told beside it: its fee means nothing any more": kinds(payments.RefundFeeForgone),
    },
    "payments": {
        "told by the refund that failed": kinds(payments.RefundFeeForgone),
    },
    "accounts": {
        "tells neither address nor roles": ACCOUNT_LIVES_ON | ACCOUNT_ENDS,
    },
    "closings": {
        "neither closes nor erases": ACCOUNT_LIVES_ON | kinds(accounts.AccountRegistered, accounts.RolesSet),
        "brings nothing that has to go back to its payer": NO_MONEY | OPENED | NOT_THE_BALANCE | FROM_NO_PAYER,
    },
    "alerts": {
        "no money moves": NO_MONEY,
        "the balance stays": NOT_THE_BALANCE,
        "a code that was tried or used has no mail to wait for": CODES_TRIED,
        "only a stop is told of": NO_STOP,
    },
    "balances": {"no money moves": NO_MONEY, "the balance stays": NOT_THE_BALANCE},
    "meters": {
        "tells of no meter": NO_MONEY - METERS | OPENED | FUNDS | kinds(wallet.DebtWrittenOff),
    },
    "entries": {"no money moves": NO_MONEY - METERS, "nothing is in it yet": OPENED},
    "statements": {"no money moves": NO_MONEY},
    "totals": {"no money moves": NO_MONEY, "nothing is in it yet": OPENED, "moves nothing of Stripe's": NOT_BOOKED},
    "Moving": {"no money moves": NO_MONEY, "the balance stays": NOT_THE_BALANCE},
    "Single": {
        "no money moves": NO_MONEY,
        "nothing is in it yet": OPENED,
        "has a line a VPS": kinds(wallet.MinutesMetered, wallet.MinutesWaived),
    },
    "WalletSide": {"no money moves": NO_MONEY, "nothing is in it yet": OPENED},
    "StripeSide": {"moves nothing of Stripe's": NOT_BOOKED},
    "MoneyEvent": {"no money moves": NO_MONEY, "nothing is in it yet": OPENED, "moves nothing of Stripe's": NOT_BOOKED},
    "Followed": {
        "no money moves": NO_MONEY,
        "the balance stays": NOT_THE_BALANCE,
        "a code or a mail changes nothing of what is to be told": CODES_TRIED | MAILING,
        "only a stop is told of": NO_STOP,
    },
    "VpsEvent": {"begins the stream": kinds(compute.VpsRequested)},
    "payments of a payment": {"told by the refund that failed": kinds(payments.RefundFeeForgone)},
    "mailing": {
        "changes nothing of a mail": CODES_TRIED | kinds(alerts.ThresholdsSet, alerts.AddressVerified),
    },
}
"""By the fold, read model or union: why, and which of the events of the streams that it looks at."""

UNIONS: dict[str, Kinds] = {
    "VpsEvent": kinds(compute.VpsEvent),
    "OwnersChange": kinds(compute.OwnersChange),
    "Followed": kinds(*get_args(Followed)),
    "Moving": kinds(Moving),
    "Single": kinds(Single),
    "WalletSide": kinds(WalletSide),
    "StripeSide": kinds(StripeSide),
    "MoneyEvent": kinds(MoneyEvent),
    "payments of a payment": frozenset(projected_payments._OF_A_PAYMENT),
    "mailing": kinds(projected_alerts._Mailing),
}


def folds() -> Iterator[tuple[str, Fold[Any]]]:
    """Return every fold of the domain, under the name of the stream it folds."""
    for found in pkgutil.walk_packages(domain.__path__, "domain."):
        module = importlib.import_module(found.name)
        for name, value in vars(module).items():
            fold = value.fold if isinstance(value, AggregateRef) else value
            if isinstance(fold, Fold) and fold.evolve.__module__ == module.__name__:
                yield f"{module.__name__}.{name}", fold


def named_in(evolve: Callable[..., Any], seen: set[object]) -> Iterator[type[Event]]:
    """Return the events that a function tells apart, in a match or by isinstance, with what it calls of the domain.

    What is called once an event is told apart is not looked into: there it is told apart from fewer others.
    """
    if evolve in seen:
        return
    seen.add(evolve)
    names = inspect.getclosurevars(evolve).globals

    def visit(node: ast.AST) -> Iterator[type[Event]]:
        inner = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.match_case) and (classes := _classes(node.pattern)):
            inner = []
            yield from (kind for name in classes for kind in _kinds_of(name, names))
        elif isinstance(node, ast.Call) and _is_named(node.func, "isinstance"):
            yield from _kinds_of(node.args[1], names)
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Call) and _is_named(node.test.func, "isinstance"):
            inner = [node.test, *node.orelse]
        elif isinstance(node, ast.Name):
            value = names.get(node.id)
            if isinstance(value, FunctionType) and value.__module__.startswith("domain."):
                yield from named_in(value, seen)
        for child in inner:
            yield from visit(child)

    yield from visit(ast.parse(textwrap.dedent(inspect.getsource(evolve))))


def _classes(pattern: ast.pattern) -> list[ast.expr]:
    return [node.cls for node in ast.walk(pattern) if isinstance(node, ast.MatchClass)]


def _is_named(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _kinds_of(node: ast.expr, names: Mapping[str, Any]) -> Collection[type[Event]]:
    if isinstance(node, ast.Name) and node.id not in names:
        return ()  # One of Python's own.
    found = eval(ast.unparse(node), dict(names))
    return [kind for kind in kinds(found) if isinstance(kind, type) and issubclass(kind, Event)]


FOLDS = {name: frozenset(named_in(fold.evolve, set())) for name, fold in folds()}
STREAM_OF_FOLD = {"domain.payments.payment.FOLD": "fold of payment"}
LOOKING: dict[str, Kinds] = {
    **{STREAM_OF_FOLD.get(name, name): found for name, found in FOLDS.items()},
    **{model.name: frozenset(model.events) for model in READ_MODELS},
    **UNIONS,
}


def test_every_event_is_recorded_in_a_stream_that_somebody_folds() -> None:
    folded = frozenset().union(*FOLDS.values())

    assert all(any(stream & found for found in FOLDS.values()) for stream in STREAMS.values())
    assert frozenset().union(*STREAMS.values()) - folded == kinds(payments.RefundFeeForgone)


@pytest.mark.parametrize("name", LOOKING)
def test_who_looks_at_a_stream_names_all_its_events_or_leaves_them_out_for_a_reason(name: str) -> None:
    looked_at = LOOKING[name]
    streams = [stream for stream in STREAMS.values() if stream & looked_at]
    left_out = frozenset().union(*LEFT_OUT.get(name, {}).values())

    assert looked_at, "it names no event"
    assert frozenset().union(*streams) - looked_at == left_out


def test_nobody_is_excused_who_is_not_there() -> None:
    assert LEFT_OUT.keys() - LOOKING.keys() == set()
