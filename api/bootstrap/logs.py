"""Logs: one line an occurrence on standard error, for people at a terminal and as JSON for programs."""

import logging
import sys

import structlog


def configure_logs(*, verbose: bool = False) -> None:
    """Have everything logged from here on; ``verbose``: what only developers want to know as well."""
    shown: list[structlog.typing.Processor] = (
        # The values of variables stay out of tracebacks: they may be what customers said.
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if sys.stderr.isatty()
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *shown,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # What libraries say of themselves.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
