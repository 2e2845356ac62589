"""syncd keeps a store's SQLite database and its headquarters' SignalR hub in step, whatever the line does."""

__version__ = "0.1.0"
