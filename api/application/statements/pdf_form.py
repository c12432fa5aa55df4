"""A statement as PDF: the same bytes for the same statement, in fonts that every reader has."""

import io
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from reportlab.lib import colors
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import CondPageBreak, Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from api.application.labels import KINDS
from api.application.statements.presentation import CURRENCY, Line, StatementPresentation
from domain.money import MICROS_PER_USD, MicroUsd, exact_usd
from domain.time import Instant, to_datetime

MARGIN = 18 * mm
ROWS_MAX = 300
"""Of one table: the library looks at all that is left of it at each page."""
WIDTH = A4[0] - 2 * MARGIN
_FRAME_PADDING = 6
"""What the library leaves free around everything, in points."""
_INK, _GREY, _RULE, _SHADE = (colors.HexColor(f"#{shade}") for shade in ("1f2933", "66727f", "c9d1d9", "f3f5f7"))
_STANDARD = "cp1252"
"""What the standard fonts have letters for; of other writing, each letter is shown as ``?``."""


def _style(name: str, size: float, **more: Any) -> ParagraphStyle:
    return ParagraphStyle(name, fontName="Helvetica", fontSize=size, leading=size * 1.3, textColor=_INK, **more)


_TITLE = _style("title", 17, alignment=TA_RIGHT)
_ISSUER = _style("issuer", 13)
_HEADING = ParagraphStyle(
    "heading", fontName="Helvetica-Bold", fontSize=10, leading=13, textColor=_INK,
    spaceBefore=6 * mm, spaceAfter=2 * mm,
)  # fmt: skip
_TEXT = _style("text", 8)
_FAINT = '<font size="6.4" color="#66727f">{}</font>'
_NOTE = ParagraphStyle("note", parent=_TEXT, textColor=_GREY, spaceAfter=2 * mm)
_LINES = TableStyle(
    [
        ("FONT", (0, 0), (-1, -1), "Helvetica", 8, 10.4),
        ("TEXTCOLOR", (0, 0), (-1, -1), _INK),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("BACKGROUND", (0, 0), (-1, 0), _SHADE),
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, _RULE),
        ("TOPPADDING", (0, 0), (-1, -1), 2.2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2.6),
        ("LEFTPADDING", (0, 0), (-1, -1), 3),
        ("RIGHTPADDING", (0, 0), (-1, -1), 3),
    ]
)


def pdf_of(statement: StatementPresentation) -> bytes:
    """Return a statement as PDF, A4."""
    written = io.BytesIO()
    document = SimpleDocTemplate(
        written,
        pagesize=A4,
        leftMargin=MARGIN - _FRAME_PADDING,
        rightMargin=MARGIN - _FRAME_PADDING,
        topMargin=MARGIN,
        bottomMargin=MARGIN + 6 * mm,
        title=f"Statement {_called(statement)}",
        author=_shown(statement.issuer),
        creator="LiteVPS",
        invariant=1,
    )
    document.build(list(_story(statement)), canvasmaker=_numbering(statement))
    return written.getvalue()


def _story(statement: StatementPresentation) -> Iterator[Flowable]:
    yield from _head(statement)
    yield Paragraph("Summary", _HEADING)
    yield _summary(statement)
    events = [line for line in statement.lines if line.at is not None]
    charged = [line for line in statement.lines if line.kind == "minutes"]
    waived = [line for line in statement.lines if line.kind == "waived"]
    if events:
        yield from _heading("Payments, credits and corrections")
        yield from _tables(("Recorded (UTC)", "What", "*Owed", f"*{CURRENCY}"), (32, 88, 26, 28), map(_event, events))
    if charged:
        yield from _heading("Minutes charged")
        yield from _minutes_tables(charged, f"*{CURRENCY}")
    if waived:
        yield from _heading("Minutes not charged")
        yield Paragraph("Nobody pays these; what they would have cost is part of no sum.", _NOTE)
        yield from _minutes_tables(waived, f"*{CURRENCY} not due")
    if not statement.lines:
        yield Paragraph("Nothing moved in this month.", _HEADING)


def _heading(text: str) -> Iterator[Flowable]:
    # A heading at the foot of a page would be parted from its table.
    yield CondPageBreak(40 * mm)
    yield Paragraph(text, _HEADING)


def _head(statement: StatementPresentation) -> Iterator[Flowable]:
    month = statement.month
    yield Table(
        [[Paragraph(_marked(statement.issuer), _ISSUER), Paragraph(f"Statement {_called(statement)}", _TITLE)]],
        colWidths=(WIDTH * 0.5, WIDTH * 0.5),
        style=[("VALIGN", (0, 0), (-1, -1), "BOTTOM"), ("LINEBELOW", (0, 0), (-1, -1), 1.2, _INK)],
    )
    yield Spacer(0, 4 * mm)
    issued = "provisional: the month is not over" if statement.issued_at is None else _moment(statement.issued_at)
    last = to_datetime(Instant(month.ends - 1)).date()
    facts = (
        ("For", statement.email, "Period (UTC)", f"{month}-01 to {last}"),
        ("Account", str(statement.account_id), "Issued (UTC)", issued),
        ("", "", "Currency", "US dollars"),
    )
    yield Table(
        [
            [Paragraph(_marked(text), _TEXT if column % 2 else _NOTE) for column, text in enumerate(row)]
            for row in facts
        ],
        colWidths=(18 * mm, WIDTH * 0.5 - 18 * mm, 26 * mm, WIDTH * 0.5 - 26 * mm),
        style=[
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("TOPPADDING", (0, 0), (-1, -1), 0),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 0),
        ],
    )


def _summary(statement: StatementPresentation) -> Table:
    rows = [("Balance at the beginning", statement.opening)]
    rows += [(KINDS[kind], total) for kind, total in statement.totals.items()]
    rows.append(("Balance at the end", statement.closing))
    balances = (0, len(rows) - 1)
    if statement.opening_owed or statement.closing_owed:
        rows += [("Owed at the beginning", statement.opening_owed), ("Owed at the end", statement.closing_owed)]
    rows.append(("Charged for minutes, less corrections", statement.charges))
    rows += [(f"of which {tax.name} {tax.rate.percent} %", tax.amount) for tax in statement.taxes]
    style: list[tuple[Any, ...]] = [
        ("LINEABOVE", (0, balances[1]), (-1, balances[1]), 0.8, _INK),
        ("BACKGROUND", (0, balances[1] + 1), (-1, -1), colors.white),
        ("TOPPADDING", (0, balances[1] + 1), (-1, balances[1] + 1), 8),
    ]
    style += [("FONT", (0, row), (-1, row), "Helvetica-Bold", 9) for row in balances]
    return Table(
        [(_shown(words), _usd(amount)) for words, amount in rows],
        colWidths=(WIDTH - 40 * mm, 40 * mm),
        style=TableStyle(
            [
                ("FONT", (0, 0), (-1, -1), "Helvetica", 9),
                ("TEXTCOLOR", (0, 0), (-1, -1), _INK),
                ("ALIGN", (1, 0), (1, -1), "RIGHT"),
                ("BACKGROUND", (0, 0), (-1, -1), _SHADE),
                ("TOPPADDING", (0, 0), (-1, -1), 2),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
                *style,
            ]
        ),
    )


def _event(line: Line) -> tuple[Sequence[str], ...]:
    assert line.at is not None
    about = [f"payment {line.payment_id}"] if line.payment_id else []
    about += [f"corrects {line.corrects}"] if line.corrects else []
    return (
        (_moment(line.at),),
        (line.description, f"event {line.id}", *about),
        (_usd(line.owed) if line.owed else "",),
        (_usd(line.amount),),
    )


def _minutes_tables(lines: Sequence[Line], amount: str) -> Iterator[Table]:
    heads = ("VPS", "Plan", f"*{CURRENCY}/hour", "*Minutes", "*First to last", amount)
    return _tables(heads, (61, 22, 17, 17, 33, 24), map(_minutes, lines))


def _minutes(line: Line) -> tuple[Sequence[str], ...]:
    assert line.price_hourly is not None
    amount = line.amount if line.would_have_cost is None else line.would_have_cost
    why = () if line.would_have_cost is None else (line.description.rpartition(": ")[2],)
    return (
        (line.vps_name or "", *why, str(line.vps_id)),
        (line.plan or "", f"price {line.price_version}"),
        (exact_usd(line.price_hourly),),
        (f"{line.minutes:,}",),
        (f"{line.n_from:,} to {line.n_to:,}",),
        (_usd(amount),),
    )


def _tables(
    heads: Sequence[str], widths_mm: Sequence[float], rows: Iterator[tuple[Sequence[str], ...]]
) -> Iterator[Table]:
    """Yield tables whose head is repeated on each page; columns whose head begins with ``*`` hold figures."""
    widths = [width * mm for width in widths_mm]
    figures = [column for column, head in enumerate(heads) if head.startswith("*")]
    style = [("ALIGN", (column, 0), (column, -1), "RIGHT") for column in figures]

    def cell(texts: Sequence[str], column: int) -> str | Paragraph:
        if column in figures:
            return _shown(texts[0])  # Short, and much faster than a paragraph.
        return Paragraph(
            "<br/>".join([_marked(texts[0]), *(_FAINT.format(_marked(text)) for text in texts[1:])]), _TEXT
        )

    head = [text.removeprefix("*") for text in heads]
    while some := list(islice(rows, ROWS_MAX)):
        cells = [[cell(texts, column) for column, texts in enumerate(row)] for row in some]
        yield Table([head, *cells], colWidths=widths, repeatRows=1, style=TableStyle(style, parent=_LINES))


def _numbering(statement: StatementPresentation) -> type[Canvas]:
    """Return a canvas that writes ``page x of y`` once it knows how many there are."""

    class Numbering(Canvas):  # type: ignore[misc]  # The library has no types.
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            self._pages: list[dict[str, Any]] = []

        def showPage(self) -> None:
            self._pages.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            for number, page in enumerate(self._pages, start=1):
                self.__dict__.update(page)
                self.setFont("Helvetica", 7)
                self.setFillColor(_GREY)
                told = f"{_shown(statement.issuer)} · Statement {_called(statement)}"
                self.drawString(MARGIN, MARGIN - 2 * mm, told)
                self.drawRightString(A4[0] - MARGIN, MARGIN - 2 * mm, f"page {number} of {len(self._pages)}")
                super().showPage()
            super().save()

    return Numbering


def _called(statement: StatementPresentation) -> str:
    return statement.number or f"{statement.month} (provisional)"


def _usd(amount: MicroUsd) -> str:
    """Write an amount with all its six decimals, so that columns line up."""
    dollars, micros = divmod(abs(amount), MICROS_PER_USD)
    return f"{'-' if amount < 0 else ''}{dollars:,}.{micros:06d}"


def _moment(at: Instant) -> str:
    return to_datetime(at).strftime("%Y-%m-%d %H:%M:%S")


def _shown(text: str) -> str:
    return text.encode(_STANDARD, errors="replace").decode(_STANDARD)


def _marked(text: str) -> str:
    """Return text for a paragraph, where ``<`` and ``&`` would be markup."""
    return _shown(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
