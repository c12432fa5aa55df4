"""Mutations of images and templates: a stranger's file leads nowhere, and nobody's disk loses what it lies upon."""

from tests.mutations.mutation import Mutation

_REGISTERED = "adapters/guest_image/registered.py"
_REGISTERED_TESTS = "tests/adapters/guest_image/test_registered.py"
_TEMPLATES = "tests/api/http/test_templates.py"
_USER_DATA = "tests/domain/compute/test_user_data.py"

IMAGES: tuple[Mutation, ...] = (
    Mutation(
        "templates that are removed again fill no disk",
        "domain/images/templates.py",
        "templates.day_count >= DEFINED_PER_DAY_MAX",
        "False",
        _TEMPLATES,
    ),
    Mutation("an image has no backing file", _REGISTERED, "    if backing_at:\n", "    if False:\n", _REGISTERED_TESTS),
    Mutation("an image is not encrypted", _REGISTERED, "    if encrypted:\n", "    if False:\n", _REGISTERED_TESTS),
    Mutation(
        "an image has no data file",
        _REGISTERED,
        "if version > 2 and features & ~_HARMLESS_FEATURES:",
        "if False:",
        _REGISTERED_TESTS,
    ),
    Mutation(
        "whoever looks into an image is nobody",
        _REGISTERED,
        '{"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}',
        "{}",
        _REGISTERED_TESTS,
    ),
    Mutation("files that a disk lies upon stay", _REGISTERED, "        if is_used(key):\n", "        if False:\n",
             _REGISTERED_TESTS),
    Mutation(
        "a VPS is placed where its image is",
        "api/application/vps.py",
        " if images.on_host(self.image, room.host.host_id)]",
        "]",
        _TEMPLATES,
    ),
    Mutation(
        "a disk is no smaller than its image",
        "domain/images/templates.py",
        "if image is not None and command.disk_gb < image.disk_gb_min:",
        "if False:",
        _TEMPLATES,
    ),
    Mutation(
        "what a customer calls a template is sealed",
        "domain/images/events.py",
        "    name: Personal\n    description: Personal\n",
        "    name: str\n    description: str\n",
        _TEMPLATES,
    ),
    Mutation(
        "the end of user data is recorded once",
        "domain/compute/user_data.py",
        ' or vps.user_data_state != "pending"',
        "",
        _USER_DATA,
    ),
    Mutation(
        "what a guest says of its user data is bounded",
        "domain/compute/user_data.py",
        "        if size > room:\n",
        "        if False:\n",
        _USER_DATA,
    ),
    Mutation(
        "what a guest says of its user data is sealed",
        "domain/compute/events.py",
        '    outcome: Literal["done", "failed"]\n    output: Personal\n',
        '    outcome: Literal["done", "failed"]\n    output: str\n',
        "tests/api/http/test_user_data.py",
    ),
)  # fmt: skip
