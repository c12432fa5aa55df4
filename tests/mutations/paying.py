"""Mutations of how money is taken in: Stripe's gateway, webhooks, add-funds, refunds, the sweep."""

from tests.mutations.mutation import Mutation

_GATEWAY = "adapters/stripe/gateway.py"
_SWEEP = "api/workers/payment_reconciliation.py"
_FUNDS = "api/application/payments/funds.py"
_APPLYING = "domain/payments/applying.py"
_BY_GATEWAY = "tests/contracts/test_payment_gateway.py"
_BY_SWEEPS = "tests/api/workers/test_payment_reconciliation.py"
_BY_FREEZING = "tests/api/http/test_freezing.py"
_BY_ADDING = "tests/api/http/test_add_funds.py"
_BY_WEBHOOKS = "tests/api/http/test_webhooks.py"
_BY_LIVES = "tests/domain/payments"

PAYING: tuple[Mutation, ...] = (
    Mutation("mode of a payment", _APPLYING, '        ("mode", MODE, seen.mode),\n', "", _BY_LIVES),
    Mutation(
        "session of a payment",
        _APPLYING,
        '        ("session", payment.session_id or seen.session_id, seen.session_id),\n',
        "",
        _BY_LIVES,
    ),
    Mutation(
        "claim on a dispute that was opened",
        "domain/payments/disputes.py",
        '    recording.claim(f"{seen.dispute_id}:open")\n',
        "",
        _BY_LIVES,
    ),
    Mutation(
        "claim on what Stripe told",
        "api/application/payments/webhooks.py",
        "        return Decision(tuple((ref.stream, one) for one in events), (claim,))\n",
        "        return Decision(tuple((ref.stream, one) for one in events))\n",
        _BY_WEBHOOKS,
    ),
    Mutation(
        "what Stripe told is kept before it is applied",
        _FUNDS,
        "    await keep_event(payments, event)\n",
        "",
        _BY_WEBHOOKS,
    ),
    Mutation(
        "idempotency key of a Checkout",
        _GATEWAY,
        'create_async(params, {"idempotency_key": _key(order.payment_id)})',
        "create_async(params)",
        _BY_GATEWAY,
    ),
    Mutation(
        "idempotency key of a refund",
        _GATEWAY,
        'create_async(params, {"idempotency_key": _key(order.refund_id)})',
        "create_async(params)",
        _BY_GATEWAY,
    ),
    Mutation(
        "a refund is looked for before it is made",
        _GATEWAY,
        "if one.refund_id == order.refund_id), None)",
        "if one.refund_id is one), None)",
        _BY_GATEWAY,
    ),
    Mutation(
        "VPSs of a frozen account are stopped in the same append",
        "api/application/payments/applying.py",
        "(*applied.events(purse), *_stops(seen, now))",
        "applied.events(purse)",
        _BY_FREEZING,
    ),
    Mutation(
        "a VPS that was switched on meanwhile is read anew",
        "api/application/payments/applying.py",
        "            raise _AnotherVpsIsOn\n",
        "            pass\n",
        _BY_FREEZING,
    ),
    Mutation(
        "the key of add-funds is claimed",
        "api/http/pipeline/idempotency.py",
        "        return (self._key.claim_of(200, str(thing).encode(), (), self._runtime.clock.now()),)\n",
        "        return ()\n",
        _BY_ADDING,
    ),
    Mutation(
        "a refused Checkout leaves its key free",
        _FUNDS,
        "        free = kept.releases()\n",
        "        return PaymentId(before), True\n",
        _BY_ADDING,
    ),
    Mutation(
        "a refund that Stripe refused is given back",
        _APPLYING,
        '    if refund.state == "requested":\n        fail_refund(recording, refund)\n',
        "",
        "tests/api/http/test_refunds.py",
    ),
    Mutation("the sweep applies what was kept", _SWEEP, "            self._kept_events.work_off,\n", "", _BY_SWEEPS),
    Mutation("the sweep looks at open payments", _SWEEP, "            self._due_payments.work_off,\n", "", _BY_SWEEPS),
    Mutation(
        "the sweep asks for refunds",
        _SWEEP,
        "                await ensure_refunded(self._payments, payment_id, refund.refund_id)\n",
        "                pass\n",
        _BY_SWEEPS,
    ),
    Mutation(
        "the sweep goes through Stripe's events",
        _SWEEP,
        "            self._look_through_events,\n",
        "",
        _BY_SWEEPS,
    ),
    Mutation(
        "the sweep goes through what moved at Stripe",
        _SWEEP,
        "            self._look_through_transactions,\n",
        "",
        _BY_SWEEPS,
    ),
    Mutation(
        "the sweep sees what becomes available",
        _SWEEP,
        "            self._pending_transactions.work_off,\n",
        "",
        _BY_SWEEPS,
    ),
    Mutation("sweeps overlap", _SWEEP, "OVERLAP = seconds(600)", "OVERLAP = 0", _BY_SWEEPS),
    Mutation(
        "one sweeps at a time",
        "api/application/queues.py",
        "    if attempts is None:\n        return None\n",
        "    attempts = attempts or 0\n",
        _BY_SWEEPS,
    ),
)
