"""Flags: one for each setting that is no secret, made from the settings themselves."""

import os
import shlex
from collections.abc import Callable
from functools import wraps
from typing import Any, get_args, get_type_hints

import click

from api.application.settings import PREFIX, SECRETS, Settings, SettingsInForce, SettingsRefused, load_settings

ALWAYS_SHOWN = ("home",)
"""The flags that the help of every command tells of; ``serve`` and ``config`` tell of all."""

Command = Callable[..., Any]


def with_settings(*, shown: bool = False) -> Callable[[Command], Command]:
    """Add a flag for each setting to a command, which is given what is in force as ``in_force``.

    ``shown``: whether its help tells of all of them.
    """

    def decorate(command: Command) -> Command:
        @wraps(command)
        def run(**given: Any) -> Any:
            flags = {name: given.pop(name) for name in Settings.__struct_fields__ if name not in SECRETS}
            return command(in_force=settings_in_force(flags), **given)

        decorated: Command = run
        for name in reversed(Settings.__struct_fields__):
            flag = _refused(name) if name in SECRETS else _flag(name, hidden=not shown and name not in ALWAYS_SHOWN)
            decorated = flag(decorated)
        return decorated

    return decorate


def flags_for_reuse(settings: Settings, *names: str) -> str:
    """Return the flags, each after a space, by which another command is given what was set of these settings."""
    default = Settings()
    values = {name: getattr(settings, name) for name in names if getattr(settings, name) != getattr(default, name)}
    if "home" in values:
        values["home"] = settings.home_folder  # Told in full: it may be typed in another folder.
    return "".join(f" --{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in values.items())


def given_flags(in_force: SettingsInForce) -> tuple[str, ...]:
    """Return the flags that were typed, for another process of the same program."""
    flags: list[str] = []
    for name, source in in_force.sources.items():
        if source == "flag":
            value, word = getattr(in_force.settings, name), name.replace("_", "-")
            flags += [f"--{'' if value else 'no-'}{word}"] if isinstance(value, bool) else [f"--{word}", str(value)]
    return tuple(flags)


def settings_in_force(flags: dict[str, Any]) -> SettingsInForce:
    """Return the settings, or end with what is wrong with them."""
    try:
        return load_settings(flags, os.environ)
    except SettingsRefused as refused:
        raise click.ClickException(str(refused)) from refused


def _flag(name: str, *, hidden: bool) -> Callable[[Command], Command]:
    hint = get_type_hints(Settings)[name]
    word = "--" + name.replace("_", "-")
    detail = f"Or {PREFIX}{name.upper()}."
    if hint is bool:
        return click.option(f"{word}/--no-{word[2:]}", name, default=None, help=detail, hidden=hidden)
    kind = int if int in (hint, *get_args(hint)) else str
    return click.option(word, name, type=kind, default=None, help=detail, hidden=hidden)


def _refused(name: str) -> Callable[[Command], Command]:
    """Return a flag that is taken in only to say where the secret belongs: whoever runs ``ps`` reads flags."""
    word, variable = "--" + name.replace("_", "-"), PREFIX + name.upper()

    def refuse(_context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            raise click.UsageError(
                f"{word} is refused, since everybody on this machine can read the flags of a program. "
                f"Set {variable}, or {variable}_FILE to the name of a file, or {name} in litevps.toml; "
                "if it was typed in earnest, change the secret."
            )

    # With an optional value, so that the flag alone gets the same answer.
    return click.option(word, is_flag=False, flag_value="", hidden=True, expose_value=False, callback=refuse)
