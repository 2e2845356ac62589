"""Draws docs/pictures/architecture.svg: `python scripts/docs_picture.py`. Boxes and arrows by name, so that a change is one line."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

PICTURE = Path(__file__).parents[1] / "docs/pictures/architecture.svg"
WIDTH, HEIGHT = 980, 430
FRAMES = (  # x, y, width, height, title
    (10, 30, 250, 390, "store PC: the till's file"),
    (290, 30, 460, 390, "syncd"),
    (780, 30, 190, 390, "HQ"),
)
BOXES = {  # x, y, width, title, what it says below
    "till": (30, 195, 80, "till", ""),
    "outbox": (130, 75, 115, "sync_outbox", "status follows"),
    "tables": (130, 315, 115, "products, prices", "stock, …"),
    "loader": (310, 75, 110, "loader, queue", "order, priority"),
    "batch": (450, 75, 110, "batches", "several in flight"),
    "journal": (380, 185, 120, "journal", "store.db.syncd"),
    "hub": (620, 195, 110, "hub connection", "tries for ever"),
    "inbox": (310, 315, 110, "inbox", "newer wins"),
    "apply": (450, 315, 110, "queue, apply", "one transaction"),
    "aspnet": (800, 195, 150, "SignalR hub", "ASP.NET Core"),
}
ARROWS = (  # from x, y to x, y; label
    (70, 195, 130, 105, "sale"),
    (245, 100, 310, 100, ""),
    (420, 100, 450, 100, ""),
    (560, 100, 640, 195, "SendSyncBatch"),
    (730, 210, 800, 210, ""),
    (800, 235, 730, 235, ""),
    (620, 215, 500, 205, "SyncAck"),
    (380, 205, 190, 125, "lazily, 0.5 %"),
    (695, 245, 560, 345, "Receive…Update"),
    (450, 340, 420, 340, ""),
    (310, 340, 245, 340, ""),
    (130, 325, 80, 245, "price"),
    (530, 315, 640, 245, "Acknowledge"),
)
STYLE = """text { font: 13px sans-serif; fill: #333 } .small { font-size: 11px; fill: #666 }
rect { fill: #fff; stroke: #00796b; rx: 4 } .frame { fill: #f4f8f7; stroke: #b2cfca } line { stroke: #555; marker-end: url(#tip) }"""


def box(x: int, y: int, width: int, title: str, below: str) -> str:
    """A part, with its name and a word on it."""
    middle = x + width / 2
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="50"/>'
        f'<text x="{middle:g}" y="{y + (22 if below else 30)}" text-anchor="middle">{escape(title)}</text>'
        f'<text x="{middle:g}" y="{y + 40}" text-anchor="middle" class="small">{escape(below)}</text>'
    )


def arrow(x1: int, y1: int, x2: int, y2: int, label: str) -> str:
    """What goes from one to the other; the label of one that rises is on its left, of one that falls on its right."""
    line = f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'
    rises = y2 < y1 and x2 > x1
    side = f'x="{(x1 + x2) / 2 + (-8 if rises else 8):g}" text-anchor="{"end" if rises else "start"}"'
    return line + (
        f'<text {side} y="{(y1 + y2) / 2 + (14 if x2 < x1 and y2 > y1 else -4):g}" class="small">{escape(label)}</text>' if label else ""
    )


def picture() -> str:
    """The whole file."""
    frames = "".join(
        f'<rect class="frame" x="{x}" y="{y}" width="{width}" height="{height}"/><text x="{x + 8}" y="{y - 8}">{escape(title)}</text>'
        for x, y, width, height, title in FRAMES
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        "<title>A sale goes from the outbox through batches and the hub connection to HQ; a price comes back through the inbox</title>",
        f"<style>{STYLE}</style>",
        '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">',
        '<path d="M0,0 L8,4 L0,8 z" fill="#555"/></marker></defs>',
        frames,
        *(box(*what) for what in BOXES.values()),
        *(arrow(*what) for what in ARROWS),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
