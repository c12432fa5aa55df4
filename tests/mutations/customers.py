"""Mutations that a customer who does not want to pay would profit from, tried against the whole service."""

from tests.mutations.mutation import Mutation

_BOOTS = "domain/wallet/boots.py"
_SCHEMES = "tests/properties/test_who_does_not_want_to_pay.py -k scheme"

CUSTOMERS: tuple[Mutation, ...] = (
    Mutation(
        "a customer: only what was paid covers a later start",
        "domain/wallet/meter.py",
        "next_at=before.paid_until if before and covered else None,",
        "next_at=before.next_at if before else None,",
        _SCHEMES,
    ),
    Mutation(
        "a customer: failed starts of a VPS are bounded",
        _BOOTS,
        "_wait(of_vps, FAILED_STARTS_OF_VPS_MAX * BOOT_MAX, now)",
        "0",
        _SCHEMES,
    ),
    Mutation(
        "a customer: a boot that is ended counts",
        _BOOTS,
        "return min(lasted, BOOT_MAX)",
        "return 0",
        _SCHEMES,
    ),
)
