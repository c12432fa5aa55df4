"""Mutations of the store, of payments, of minutes and of tokens."""

from tests.mutations.mutation import Mutation

_STORE = "tests/contracts/test_event_store.py tests/contracts/test_event_store_claims.py"
_PAYMENTS = "tests/domain/payments"
_WALLET = "tests/domain/wallet"
_SQL = "migrations/0001_event_store.sql"
_MEMORY = "adapters/memory/event_store.py"
_APPLYING = "domain/payments/applying.py"

MONEY: tuple[Mutation, ...] = (
    Mutation(
        "a plan's first price stays",
        "domain/pricing/price_book.py",
        "prices=(first, *kept, price))",
        "prices=(*kept, price))",
        "tests/domain/pricing/test_price_book.py",
    ),
    # The store: versions, claims, minutes.
    Mutation(
        "version check, PostgreSQL", _SQL, "WHERE g.first - 1 <> coalesce(", "WHERE false AND 0 <> coalesce(", _STORE
    ),
    Mutation(
        "claim, PostgreSQL",
        _SQL,
        "WHERE k.scope = c.scope AND k.key = c.key AND (k.expires_at IS NULL OR k.expires_at > at)",
        "WHERE false",
        _STORE,
    ),
    Mutation(
        "minute's compare-and-set, PostgreSQL",
        _SQL,
        "OR m.n_from - 1 <> coalesce((SELECT h.n FROM ledger.minute_head AS h WHERE h.vps = m.vps), 0);",
        "OR false;",
        _STORE,
    ),
    Mutation(
        "version check, memory",
        _MEMORY,
        "if span.first - 1 != (events[-1].version if events else 0):",
        "if span.first < 1:",
        _STORE,
    ),
    Mutation(
        "claim, memory",
        _MEMORY,
        "if (claim.scope, claim.key) not in append.releases and self._live_claim(claim.scope, claim.key, now):",
        "if claim.scope is None:",
        _STORE,
    ),
    Mutation(
        "minute's compare-and-set, memory",
        _MEMORY,
        "if span.first - 1 != self._minute_heads.get(vps, 0):",
        "if span.first < 1:",
        _STORE,
    ),
    Mutation(
        "answer kept under its key in the same append",
        "api/application/repository.py",
        "(claims := once.claims(made, now))",
        "(claims := once.claims(made, now)[:0])",
        "tests/api/http/test_idempotency.py",
    ),
    # What Stripe tells: signature, amount, currency, account, once.
    Mutation(
        "signature of a webhook",
        "adapters/stripe/signatures.py",
        "if not any(_matches(",
        "if not secrets and any(_matches(",
        "tests/contracts/test_payment_gateway.py tests/api/http/test_webhooks.py",
    ),
    Mutation(
        "age of a webhook",
        "adapters/stripe/signatures.py",
        "> TOLERANCE_S:",
        "> 10**12:",
        "tests/contracts/test_payment_gateway.py tests/api/http/test_webhooks.py",
    ),
    Mutation(
        "amount that was asked for",
        _APPLYING,
        '        ("amount", str(payment.amount), str(seen.amount)),\n',
        "",
        _PAYMENTS,
    ),
    Mutation(
        "amount that was paid",
        _APPLYING,
        'checks.append(("amount", str(payment.amount), str(seen.received)))',
        "pass",
        _PAYMENTS,
    ),
    Mutation("currency", _APPLYING, '        ("currency", CURRENCY, seen.currency),\n', "", _PAYMENTS),
    Mutation(
        "account",
        _APPLYING,
        '        ("account", str(payment.account_id), str(seen.account_reference)),\n',
        "",
        _PAYMENTS,
    ),
    Mutation(
        "payment",
        _APPLYING,
        '        ("payment", str(payment.payment_id), str(seen.payment_reference)),\n',
        "",
        _PAYMENTS,
    ),
    Mutation(
        "claim on a payment that was received",
        _APPLYING,
        'recording.claim(f"{payment_intent_id}:paid")',
        "pass",
        _PAYMENTS,
    ),
    Mutation(
        "a received payment is not received again",
        _APPLYING,
        '    elif payment.state == "received":\n        return\n',
        "",
        _PAYMENTS,
    ),
    Mutation(
        "claim on a refund that was settled",
        "domain/payments/refunds.py",
        'recording.claim(f"{seen.stripe_refund_id}:settled")',
        "pass",
        _PAYMENTS,
    ),
    Mutation(
        "claim on a refund that failed",
        "domain/payments/refunds.py",
        'recording.claim(f"{refund.stripe_refund_id or refund.key}:failed")',
        "pass",
        _PAYMENTS,
    ),
    Mutation(
        "claim on a dispute that was won",
        "domain/payments/disputes.py",
        'recording.claim(f"{seen.dispute_id}:won")',
        "pass",
        _PAYMENTS,
    ),
    Mutation(
        "claim on a dispute that was lost",
        "domain/payments/disputes.py",
        'recording.claim(f"{seen.dispute_id}:lost")',
        "pass",
        _PAYMENTS,
    ),
    Mutation(
        "never more is clawed back than was granted",
        "domain/wallet/paid_in.py",
        "clawed = min(amount, left_of_payment)",
        "clawed = amount",
        _PAYMENTS,
    ),
    Mutation(
        "what came back is told of with what was absorbed",
        "domain/payments/payment.py",
        "clawed = MicroUsd(self.clawed - min(self.credited, self.gone - amount))",
        "clawed = amount",
        _PAYMENTS,
    ),
    Mutation(
        "gifts are not refunded",
        "domain/wallet/paid_in.py",
        "if amount > wallet.refundable:",
        "if amount > wallet.balance:",
        f"{_WALLET} {_PAYMENTS}",
    ),
    Mutation(
        "a debt is paid first",
        "domain/wallet/funds.py",
        "paid = min(wallet.balance, wallet.receivable)",
        "paid = min(MicroUsd(0), wallet.receivable)",
        f"{_WALLET} {_PAYMENTS}",
    ),
    Mutation(
        "a debt stops everything",
        "domain/wallet/paid_in.py",
        "    if borne.owed:\n",
        "    if borne.owed < 0:\n",
        f"{_WALLET} {_PAYMENTS}",
    ),
    Mutation(
        "a frozen account switches nothing on",
        "domain/wallet/funds.py",
        "    if wallet.frozen:\n",
        "    if wallet.frozen and wallet.account_id is None:\n",
        f"{_WALLET} {_PAYMENTS}",
    ),
    Mutation(
        "corrections undo no more than was done",
        "domain/wallet/paid_in.py",
        "if amount == 0 or not low <= so_far + amount <= high:",
        "if amount == 0:",
        _WALLET,
    ),
    # Admission and minutes: balance, limits.
    Mutation(
        "balance at admission",
        "domain/wallet/funds.py",
        "    if wallet.balance < required:\n",
        "    if wallet.balance < 0:\n",
        _WALLET,
    ),
    Mutation(
        "limit at admission", "domain/wallet/funds.py", "    if left < required:\n", "    if left < 0:\n", _WALLET
    ),
    Mutation(
        "a limited token switches on only what is its own",
        "domain/wallet/funds.py",
        "if limit.limit is not None and token_id != asked_by:",
        "if limit.limit is None and token_id is None and asked_by is None:",
        f"{_WALLET} tests/api/http/test_token_spending.py",
    ),
    Mutation(
        "balance at a charge",
        "domain/wallet/metering.py",
        'return "unpaid" if line.amount > balance else None',
        "return None",
        _WALLET,
    ),
    Mutation(
        "limit at a charge",
        "domain/wallet/metering.py",
        "if left is not None and line.amount > left:",
        "if left is not None and line.amount < 0:",
        _WALLET,
    ),
    Mutation(
        "limit at the last charges of a start",
        "domain/wallet/metering.py",
        "allowed = allowed_count(wallet.limits, run, due)",
        "allowed = due",
        _WALLET,
    ),
    Mutation(
        "only what was paid covers a later start",
        "domain/wallet/meter.py",
        "next_at=before.paid_until if before and covered else None,",
        "next_at=before.next_at if before else None,",
        _WALLET,
    ),
    Mutation(
        "what was paid covers a later start",
        "domain/wallet/meter.py",
        "next_at=before.paid_until if before and covered else None,",
        "next_at=None,",
        _WALLET,
    ),
    Mutation(
        "a quote knows that a waived minute covers nothing",
        "domain/wallet/quote.py",
        "next_at=before.paid_until if before.paid_plan_id == plan_id else None",
        "next_at=before.next_at",
        _WALLET,
    ),
    Mutation(
        "no minute begins while a paid one lasts",
        "api/application/audit/semantics.py",
        "if line.plan_id == paid_plan and line.at < paid_until:",
        "if line.at < 0:",
        "tests/api/application/audit",
    ),
    Mutation(
        "a month ends in UTC",
        "domain/wallet/limits.py",
        "until = min(counted, _begun_before(first_at, month_begins(window + 1)))",
        "until = counted",
        _WALLET,
    ),
    Mutation(
        "a revoked token is nobody",
        "domain/tokens/token.py",
        "if token is None or token.revoked or (",
        "if token is None or (",
        "tests/domain/tokens tests/api/http/test_token_auth.py",
    ),
    Mutation(
        "an expired token is nobody",
        "domain/tokens/token.py",
        "(token.expires_at is not None and now >= token.expires_at):",
        "False:",
        "tests/domain/tokens tests/api/http/test_token_auth.py",
    ),
    Mutation(
        "scope of a token",
        "domain/tokens/token.py",
        'if need != "any" and need not in token.scopes:',
        'if need == "nothing":',
        "tests/domain/tokens tests/api/http/test_token_auth.py",
    ),
    Mutation(
        "tokens manage no money",
        "domain/tokens/token.py",
        "    if need is None:\n",
        "    if need == 0:\n",
        "tests/domain/tokens tests/api/http/test_token_auth.py",
    ),
)
