"""All mutations there are, by what they are about."""

from tests.mutations.blobs import BLOBS
from tests.mutations.capacity import CAPACITY
from tests.mutations.customers import CUSTOMERS
from tests.mutations.exec import EXEC
from tests.mutations.free import FREE
from tests.mutations.images import IMAGES
from tests.mutations.keys import KEYS
from tests.mutations.mail import MAIL
from tests.mutations.money import MONEY
from tests.mutations.mutation import Mutation
from tests.mutations.paying import PAYING
from tests.mutations.people import PEOPLE
from tests.mutations.poisoned import POISONED
from tests.mutations.store import STORE
from tests.mutations.tick import TICK
from tests.mutations.tokens import TOKENS
from tests.mutations.verifying import VERIFYING
from tests.mutations.wire import WIRE

MUTATIONS: tuple[Mutation, ...] = (
    *(
        *MONEY,
        *FREE,
        *IMAGES,
        *CUSTOMERS,
        *MAIL,
        *TOKENS,
        *PAYING,
        *TICK,
        *STORE,
        *KEYS,
        *BLOBS,
        *EXEC,
        *PEOPLE,
        *VERIFYING,
        *WIRE,
        *CAPACITY,
        *POISONED,
    ),
)
