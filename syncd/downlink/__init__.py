"""HQ to store: updates received, applied, acknowledged, and caught up with."""
