"""The catalogue of all read models there are."""

from projections.accounts import ACCOUNTS
from projections.alerts import ALERTS
from projections.balances import BALANCES
from projections.closings import CLOSINGS
from projections.compute_work import COMPUTE_WORK
from projections.entries import ENTRIES
from projections.jobs import JOBS
from projections.meters import METERS
from projections.payments import PAYMENTS
from projections.read_model import ReadModel
from projections.statements import STATEMENTS
from projections.totals import TOTALS
from projections.vps import VPS

READ_MODELS: tuple[ReadModel, ...] = (
    ACCOUNTS,
    ALERTS,
    BALANCES,
    CLOSINGS,
    COMPUTE_WORK,
    ENTRIES,
    JOBS,
    METERS,
    PAYMENTS,
    STATEMENTS,
    TOTALS,
    VPS,
)
