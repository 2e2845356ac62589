"""`syncd drain`: waits until HQ has everything, and certifies it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from syncd import __version__
from syncd.clock import SystemClock, iso_ms
from syncd.commands.confirm import rows_of
from syncd.commands.drain_wait import DrainWait
from syncd.commands.moments import LENGTH
from syncd.commands.options import config_option
from syncd.commands.outbox_table import printable
from syncd.config.hub_url import shown
from syncd.config.settings import load_settings
from syncd.store.admin import OutboxAdmin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import timedelta
    from pathlib import Path

    from syncd.commands.drain_wait import Drained
    from syncd.config.settings import Settings
    from syncd.store.admin import EffectiveRow
    from syncd.store.certificate import RowsAtHQ


@click.command("drain")
@config_option
@click.option("--certify", is_flag=True, help="Print a certificate that this PC may be switched off for good, or why not.")
@click.option("--timeout", type=LENGTH, default="10m", show_default=True, metavar="LENGTH", help="How long to wait: 90s, 30m, 2h.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object.")
def command(config_file: Path | None, timeout: timedelta, *, certify: bool, as_json: bool) -> int:
    """Wait until HQ has every row of the outbox. Exit code 0 only then; 1 where rows wait, have failed, or the till still sells.

    With --certify it also says what HQ has: how many rows, up to which one, and a digest of them that HQ can compare; and an update of
    HQ's that lies in the quarantine is no certificate. It only looks: the running daemon sends, and sales may go on.

    \b
    Examples: syncd drain --timeout 2m && systemctl stop syncd
              syncd drain --certify
    """
    settings = load_settings(config_file)
    with OutboxAdmin(settings.database) as admin:
        drained = DrainWait(admin, settings, _tell).run(timeout.total_seconds())
    good = drained.certified if certify else drained.complete
    if as_json:
        click.echo(json.dumps(_document(drained, settings, certified=good), indent=2))
    elif not good:
        click.echo("\n".join(_refusal(drained, settings, certify=certify)))
    elif certify and drained.at_hq is not None:
        click.echo("\n".join(_certificate(drained, drained.at_hq, settings)))
    else:
        click.echo(f"HQ has every row{_up_to(drained)}")
    return 0 if good else 1


def _tell(words: str) -> None:
    click.echo(words, err=True)
    sys.stderr.flush()


def _certificate(drained: Drained, found: RowsAtHQ, settings: Settings) -> Iterator[str]:
    name = f" ({settings.store.name})" if settings.store.name else ""
    yield "CERTIFICATE: HQ has everything that this store has written"
    yield f"  store      {settings.store.id}{name}"
    yield f"  at         {iso_ms(SystemClock().now())}, by syncd {__version__}"
    yield f"  database   {settings.database.outbox_path}"
    yield f"  HQ         {shown(settings.hub.url)}"
    if found.rows:
        yield f"  rows       {found.rows:,} in the file, sequence {found.first_sequence} to {found.last_sequence}, all at HQ"
        yield f"  last row   sequence {found.last_sequence}, written {found.last_written_at}"
    else:
        yield "  rows       none in the file"
    yield f"  sent       {found.sent_total:,} since this store began to sync"
    if found.cancelled:
        yield f"  cancelled  {rows_of(found.cancelled)} that somebody took out of the queue, and that HQ need not have"
    yield f"  digest     {found.digest}"
    if drained.sold:
        yield f"The till wrote {rows_of(drained.sold)} while this waited; HQ has {'it' if drained.sold == 1 else 'them'} too."
    yield f"This PC may be switched off for good, once the till is closed: nothing{_up_to(drained)} is missing at HQ."
    yield "A row that is written from now on is not covered. Stop syncd then: systemctl disable --now syncd"


def _refusal(drained: Drained, settings: Settings, *, certify: bool) -> Iterator[str]:
    yield f"{'NO CERTIFICATE' if certify else 'NOT DRAINED'} for store {settings.store.id}: do not switch this PC off for good"
    if drained.pending_total:
        yield f"- {rows_of(drained.pending_total)} {'waits' if drained.pending_total == 1 else 'wait'} for HQ:"
        yield from _rows(drained.pending, drained.pending_total)
    if drained.failed_total:
        yield f"- {rows_of(drained.failed_total)} failed: mend the cause at HQ, then `syncd outbox retry` or `syncd outbox cancel`:"
        yield from _rows(drained.failed, drained.failed_total)
    if drained.selling:
        yield f"- the till still sells ({rows_of(drained.sold)} since this began): close it, then run this again"
        if drained.at_hq is not None and drained.at_hq.rows:
            yield f"    HQ has every row{_up_to(drained)}, written {drained.at_hq.last_written_at}"
    if certify and drained.quarantined_total:
        entries = f"{drained.quarantined_total:,} {'update' if drained.quarantined_total == 1 else 'updates'}"
        yield f"- {entries} of HQ could not be applied here: `syncd quarantine list`, then `syncd quarantine drop`:"
        for entry in drained.quarantined:
            yield f"    {entry.id}  {printable(f'{entry.method} {entry.entity_type} {entry.entity_id}: {entry.reason}')}"
    for hint in drained.hints:
        yield f"- {printable(hint)}"


def _rows(rows: Sequence[EffectiveRow], total: int) -> Iterator[str]:
    yield from map(_row, rows)
    if total > len(rows):
        yield f"    and {total - len(rows):,} more"


def _row(row: EffectiveRow) -> str:
    error = f": {row.last_error}" if row.last_error else ""
    return f"    {row.id}  {printable(f'{row.entity_type} {row.entity_id} ({row.operation}, written {row.created_at}){error}')}"


def _up_to(drained: Drained) -> str:
    found = drained.at_hq
    return f" up to sequence {found.last_sequence}" if found is not None and found.rows else ""


def _document(drained: Drained, settings: Settings, *, certified: bool) -> dict[str, Any]:
    found = drained.at_hq
    return {
        "certified": certified,
        "at": iso_ms(SystemClock().now()),
        "storeId": settings.store.id,
        "storeName": settings.store.name,
        "version": __version__,
        "database": str(settings.database.outbox_path),
        "hubUrl": shown(settings.hub.url),
        "atHQ": None if found is None else {_camel(name): value for name, value in asdict(found).items()},
        "pending": {"total": drained.pending_total, "rows": [_row_document(row) for row in drained.pending]},
        "failed": {"total": drained.failed_total, "rows": [_row_document(row) for row in drained.failed]},
        "quarantined": {
            "total": drained.quarantined_total,
            "entries": [
                {_camel(name): value for name, value in asdict(entry).items() if name != "raw"} for entry in drained.quarantined
            ],
        },
        "soldMeanwhile": drained.sold,
        "stillSelling": drained.selling,
        "hints": list(drained.hints),
    }  # fmt: skip


def _row_document(row: EffectiveRow) -> dict[str, Any]:
    return {_camel(name): value if isinstance(value, int | None) else str(value) for name, value in asdict(row).items()}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)
