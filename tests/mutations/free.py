"""Mutations of what keeps computing from being free: boots that nobody can log in during, refunds in a circle."""

from tests.mutations.mutation import Mutation

_BOOTS = "domain/wallet/boots.py"
_OUTCOMES = "domain/compute/outcomes.py"
_CIRCLES = "tests/domain/wallet/test_asked_refunds.py tests/api/http/test_refund_circles.py"
_TESTS = "tests/domain/wallet/test_boots.py tests/domain/compute/test_failed_starts.py"

FREE: tuple[Mutation, ...] = (
    Mutation(
        "failed starts are looked at before a VPS is let on",
        "domain/wallet/funds.py",
        "    check_boots(wallet.boots, command.vps_id, command.failed_starts_max, now)\n",
        "",
        _TESTS,
    ),
    Mutation(
        "failed starts of a VPS are bounded",
        _BOOTS,
        "_wait(of_vps, FAILED_STARTS_OF_VPS_MAX * BOOT_MAX, now)",
        "0",
        _TESTS,
    ),
    Mutation(
        "failed starts of an account are bounded",
        _BOOTS,
        "_wait(list(boots), of_account_max * BOOT_MAX, now)",
        "0",
        _TESTS,
    ),
    Mutation(
        "a failed start counts in full", _BOOTS, "            return BOOT_MAX", "            return lasted", _TESTS
    ),
    Mutation("a boot that is ended counts", _BOOTS, "return min(lasted, BOOT_MAX)", "return 0", _TESTS),
    Mutation("a slow boot counts", _BOOTS, "return max(0, min(lasted, BOOT_MAX) - BOOT_USUAL)", "return 0", _TESTS),
    Mutation(
        "a boot that is ended by a stop is noted",
        "domain/compute/admission.py",
        "(*_abandoned_boot(vps, wallet, now), *released), stopping)",
        "released, stopping)",
        "tests/api/workers/test_failed_starts.py",
    ),
    Mutation(
        "a boot that is ended by a delete is noted",
        "domain/compute/admission.py",
        "(*boots, *released), life.delete(vps, now, reason))",
        "released, life.delete(vps, now, reason))",
        _TESTS,
    ),
    Mutation(
        "a guest that never writes out holds up no stop",
        "api/workers/steps/snapshots.py",
        "await while_wanted(worker, vps, step, _write_out(worker, vps, snapshot_id))",
        "(await _write_out(worker, vps, snapshot_id), True)[1]",
        "tests/api/workers/test_snapshots.py",
    ),
    Mutation(
        "a minute of a small plan covers no run of a large one",
        "domain/wallet/meter.py",
        "before is not None and before.paid_plan_id == event.plan_id",
        "before is not None",
        "tests/domain/compute/test_changing.py",
    ),
    Mutation(
        "no VPS is deleted before its time is over",
        "domain/compute/expiry.py",
        "if now >= vps.expires_at else NOTHING",
        "",
        "tests/domain/compute/test_expiry.py",
    ),
    Mutation(
        "the end of a VPS is told once",
        "domain/compute/expiry.py",
        "return not vps.expiry_warned and now",
        "return now",
        "tests/domain/compute/test_expiry.py",
    ),
    Mutation("a start that the guest let fail is noted", _OUTCOMES, "    if by_guest:\n", "    if False:\n", _TESTS),
    Mutation(
        "a guest that does not answer is to blame",
        "api/workers/steps/runner.py",
        "by_guest = isinstance(problem, GuestUnreachable)",
        "by_guest = False",
        "tests/api/workers/test_failed_starts.py",
    ),
    Mutation(
        "a host that does not start a guest is to blame itself",
        "api/workers/steps/runner.py",
        "by_guest = isinstance(problem, GuestUnreachable) and attempt.host_failed_s is None",
        "by_guest = True",
        "tests/api/workers/test_failed_starts.py",
    ),
    Mutation(
        "a guest that its host kept from booting is not to blame",
        "api/workers/steps/runner.py",
        " and attempt.host_failed_s is None",
        "",
        "tests/api/workers/test_failed_starts.py",
    ),
    Mutation(
        "whatever breaks a login is the guest's doing",
        "adapters/ssh/connection.py",
        "    except Exception as error:",
        "    except (OSError, asyncssh.Error, TimeoutError) as error:",
        "tests/adapters/ssh/test_strangers.py",
    ),
    Mutation(
        "a login that is drawn out ends with the stop",
        "api/workers/steps/booting.py",
        "            if next_step(await worker.vps(vps.vps_id)) != step:",
        "            if False:",
        "tests/api/workers/test_failed_starts.py",
    ),
    Mutation(
        "a guest with which its host can do nothing keeps no other waiting",
        "api/workers/reconciler.py",
        "    try:\n        yield\n    except StoreUnavailable:\n",
        "    yield\n    try:\n        pass\n    except StoreUnavailable:\n",
        "tests/api/workers/test_reconciler.py",
    ),
    Mutation(
        "guests that ignore their power button keep no other on",
        "api/workers/steps/ending.py",
        ".call_later(HALT_PERMIT_KEPT_S, attempt.permit.release)",
        ".call_later(HALT_PERMIT_KEPT_S, lambda: None)",
        "tests/api/workers/test_worker_sharing.py",
    ),
    Mutation(
        "a guest that booted in vain has no grace",
        "domain/compute/steps.py",
        'due=lambda vps: _is_to_be_off(vps) and vps.power == "up"',
        "due=_is_to_be_off",
        _TESTS,
    ),
    Mutation(
        "the setting of failed starts is in force",
        "domain/compute/admission.py",
        "        asked_by=command.token_id,\n        failed_starts_max=failed_starts_max,\n",
        "        asked_by=command.token_id,\n",
        "tests/api/http/test_failed_starts.py",
    ),
    # Refunds in a circle.
    Mutation(
        "refunds are looked at before more are asked for",
        "api/application/payments/refunding.py",
        "            check_refunds(wallet.refunds_asked, loaded.of(SETTINGS_REF).refunds_per_30_days, now)\n",
        "            pass\n",
        _CIRCLES,
    ),
    Mutation(
        "refunds that a customer asks for are counted",
        "api/application/payments/funds.py",
        "decided(request.choose(loaded, now), caller.account_id, now)",
        "decided(request.choose(loaded, now), caller.account_id)",
        _CIRCLES,
    ),
    Mutation(
        "closing an account is no refund too many",
        "api/application/payments/refunding.py",
        'if self.cause == "requested":',
        "if self.cause:",
        _CIRCLES,
    ),
    Mutation(
        "a refund that failed is none",
        "domain/wallet/wallet.py",
        "asked = without_failed(wallet.refunds_asked, event.key)",
        "asked = wallet.refunds_asked",
        _CIRCLES,
    ),
    Mutation(
        "what Stripe kept does not go back",
        "domain/payments/refunds.py",
        "MicroUsd(part - fee), cause)",
        "part, cause)",
        _CIRCLES,
    ),
    Mutation(
        "a fee is kept once of all parts",
        "domain/payments/refunds.py",
        "min(share - sum(refund.fee for refund in asked), part - CENT)",
        "min(share, part - CENT)",
        _CIRCLES,
    ),
    Mutation(
        "a refund that failed gives back its fee",
        "domain/payments/refunds.py",
        'recording.give_back("refund-failed", refund.key, refund.gone)',
        'recording.give_back("refund-failed", refund.key, refund.amount)',
        _CIRCLES,
    ),
    Mutation(
        "what was kept of a refund is gone of its payment",
        "domain/payments/payment.py",
        "return MicroUsd(self.amount + self.fee)",
        "return self.amount",
        _CIRCLES,
    ),
    Mutation(
        "nothing goes back while the fee is not known",
        "api/application/payments/refunding.py",
        'raise PaymentsUnavailable("the fee of a payment is not known yet")',
        "return MicroUsd(0)",
        _CIRCLES,
    ),
)
