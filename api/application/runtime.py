"""The runtime: everything that a way in is given, built once by ``api.bootstrap.runtime``."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from api.application.payments.dependencies import PaymentsContext
from api.application.repository import AggregateRepository, CommandContext
from api.application.settings import Settings
from api.application.statements.source import StatementSource
from api.application.vps_queries import VpsList
from api.application.worker_context import WorkerContext
from domain.accounts.ports import Captcha, Leftovers, OpenClosings, Passwords, RateCounters, Sessions
from domain.alerts.ports import AlertWork, Mailer
from domain.compute.metrics import MetricsStore
from domain.ids import AccountId
from domain.money import MicroUsd
from domain.ports import Clock, EventStore, Ids, Sealer
from domain.tokens.ports import LastUses, TokenSecrets
from projections.reading import ReadModels


class StandIn(msgspec.Struct, frozen=True, eq=False):
    """What stands in for Stripe in development, to be reached under a prefix of our own address."""

    prefix: str
    app: Callable[..., Awaitable[None]]
    """An ASGI application that knows its prefix."""
    run: Callable[[], Awaitable[None]]
    """Delivers webhooks until it is cancelled."""


class Runtime(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What HTTP, workers, schedules and the command line share."""

    settings: Settings
    store: EventStore
    sealer: Sealer
    aggregates: AggregateRepository
    clock: Clock
    ids: Ids
    passwords: Passwords
    sessions: Sessions
    token_secrets: TokenSecrets
    last_uses: LastUses
    """When tokens were last used."""
    metrics: MetricsStore
    """What hosts measured of their guests within the last hour."""
    captcha: Captcha
    rate_counters: RateCounters
    worker: WorkerContext
    """What steps and jobs are done with: hosts, the shell into guests, leases, kept output."""
    settle_due: Callable[[], Awaitable[object]]
    """Pays everything that is due of every account."""
    sweep_claims: Callable[[], Awaitable[object]]
    """Deletes claims that have expired, such as kept answers; changes no answer."""
    read_models: ReadModels
    database_url: str
    """Of the role that the service works as."""
    vps_list: VpsList
    statements: StatementSource
    alert_work: AlertWork
    """What accounts are to be told of, and which mail is to be sent."""
    closings: OpenClosings
    """Which accounts are being closed."""
    leftovers: Sequence[Leftovers] = ()
    """Where else something of a person is kept, to be destroyed when its account is erased."""
    mailer: Mailer | None
    """Who hands mail over; None where none is set: then it waits."""
    refund_all: Callable[[AccountId, CommandContext], Awaitable[MicroUsd]] | None = None
    """Pays back what of a closed account's balance was paid in, and returns how much; None where nobody can."""
    payments: PaymentsContext
    """What payments are dealt with: the ledger, and Stripe."""
    stand_in: StandIn | None = None
    """None in production, and in development where Stripe itself is asked."""
    register_hosts: Callable[[], Awaitable[object]] | None = None
    """Records the hosts elsewhere that answer by now; None where there are none."""
    ending: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    """Set once the service ends and calls that only wait for something are to wait no longer."""
