"""Bootstrap of mail: who hands it over, by the settings."""

from urllib.parse import urlsplit

from adapters.mail.folder import FolderMailer
from adapters.mail.smtp import BadSmtpUrl, SmtpMailer, SmtpServer, parse_smtp_url
from api.application.settings import Settings, SettingsRefused
from domain.alerts.ports import Mailer
from domain.ports import Clock

FOLDER = "mail"
"""In the home folder."""


def mailer_of(settings: Settings, clock: Clock) -> Mailer | None:
    """Return who hands mail over; None in production where no mail server is set. Raises SettingsRefused."""
    if settings.smtp_url is not None:
        return SmtpMailer(_smtp_server(settings.smtp_url, settings), clock)
    return mail_folder(settings, clock) if settings.development else None


def mail_folder(settings: Settings, clock: Clock) -> FolderMailer:
    """Return the folder that mail is put into in development; it may be left over from then."""
    return FolderMailer(settings.home_folder / FOLDER, clock)


def mail_server(settings: Settings) -> tuple[str, int] | None:
    """Return host and port of the mail server, None where none is set. Raises SettingsRefused."""
    if settings.smtp_url is None:
        return None
    server = _smtp_server(settings.smtp_url, settings)
    return server.host, server.port


def _smtp_server(url: str, settings: Settings) -> SmtpServer:
    try:
        return parse_smtp_url(url, default_sender=f"litevps@{urlsplit(settings.url).hostname}")
    except BadSmtpUrl as problem:
        raise SettingsRefused(f"cannot start:\n- smtp_url {problem}") from problem
