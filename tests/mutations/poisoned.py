"""Mutations of what keeps one customer's trouble from being everybody's."""

from tests.mutations.mutation import Mutation

_QUEUES = "api/application/queues.py"
_SWEEP = "api/workers/payment_reconciliation.py"
_BY_QUEUES = "tests/api/application/test_queues.py"
_BY_SWEEPS = "tests/api/workers/test_payment_reconciliation.py"
_BY_TICKS = "tests/api/application/test_metering.py"
_PAUSES = "domain/pauses.py"
_BY_LOOKS = "tests/api/workers/test_reconciler.py"

POISONED: tuple[Mutation, ...] = (
    Mutation(
        "what fails is of itself",
        _QUEUES,
        "        except Exception as problem:  # noqa: BLE001 Of this one; the others are dealt with all the same.\n",
        "        except Later as problem:\n",
        "tests/api/application/test_poisoned.py",
    ),
    Mutation(
        "pauses grow",
        _PAUSES,
        "self.first_s * float(2 ** min(failures, 30))",
        "self.first_s * float(failures < 0)",
        _BY_QUEUES,
    ),
    Mutation(
        "pauses grow no longer than an hour",
        _PAUSES,
        "self.first_s * float(2 ** min(failures, 30)), self.longest_s)",
        "self.first_s * float(2 ** min(failures, 30)), 1e9)",
        _BY_QUEUES,
    ),
    Mutation(
        "a round goes on where it was cut",
        _QUEUES,
        "                if moves:\n",
        "                if not moves:\n",
        _BY_QUEUES,
    ),
    Mutation(
        "a round ends where the store is away",
        _QUEUES,
        "                if ends:\n                    return False\n",
        "",
        _BY_QUEUES,
    ),
    Mutation(
        "the sweep asks whether Stripe answers at all",
        _SWEEP,
        "            await self._payments.gateway.answers()\n",
        "            raise away\n",
        _BY_SWEEPS,
    ),
    Mutation(
        "the sweep asks again for what it could not record",
        _SWEEP,
        "until if missed is None else min(until, max(missed, held_back_since))",
        "until",
        _BY_SWEEPS,
    ),
    Mutation(
        "a part of the sweep fails by itself",
        _SWEEP,
        "            except Exception:  # noqa: BLE001 Of this part; the others are none the worse for it.\n",
        "            except RecursionError:\n",
        _BY_SWEEPS,
    ),
    Mutation(
        "an account that cannot be settled is left alone for a while",
        "api/application/metering.py",
        "            self._pauses.failed(account_id)\n",
        "",
        _BY_TICKS,
    ),
    Mutation(
        "a tick tells that the store is away",
        "api/application/metering.py",
        "        raise tick.away\n",
        "        pass\n",
        _BY_TICKS,
    ),
    Mutation(
        "a VPS that cannot be read leaves the queue",
        "api/workers/provisioning.py",
        '            await self._leased("vps", key, partial(_fail, problem))\n            return\n',
        "            raise\n",
        "tests/api/workers/test_work_that_fails.py",
    ),
    Mutation(
        "what cannot be read is left out",
        "api/application/apart.py",
        "        return await _one_by_one(aggregates, refs)\n",
        "        raise\n",
        _BY_LOOKS,
    ),
    Mutation(
        "what happens at one guest is of that one",
        "api/workers/reconciler.py",
        "    except Exception:  # noqa: BLE001 Whatever it is, it is of this one.\n",
        "    except RecursionError:\n",
        _BY_LOOKS,
    ),
    Mutation(
        "what Stripe lists and cannot be read is left out",
        "adapters/stripe/gateway.py",
        "        except (ValueError, PaymentsUnavailable) as unreadable:\n",
        "        except RecursionError as unreadable:\n",
        "tests/contracts/test_payment_gateway_telling.py",
    ),
)
