"""How much of everything a scene takes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.store import until

if TYPE_CHECKING:
    from tests.support.store import Store

Figures = dict[str, float]

SETTLE_SECONDS = 2.0


@dataclass(frozen=True)
class Sizes:
    """For the table as it is published."""

    rows: int = 60_000
    far_rows: int = 20_000
    far_rows_one_by_one: int = 4_000
    updates: int = 20_000
    products: int = 100_000
    till_seconds: float = 20.0
    wakes: int = 200
    large: int = 1_000_000


QUICK = Sizes(
    rows=20_000, far_rows=4_000, far_rows_one_by_one=1_000, updates=5_000, products=10_000, till_seconds=5, wakes=40, large=200_000
)
"""To see that everything runs."""


async def until_idle(store: Store) -> None:
    """Connected, with all that HQ has, and at rest."""
    await until(lambda: store.status()["inbound"]["caughtUp"], "it is connected, and has what HQ has")
    await asyncio.sleep(SETTLE_SECONDS)
