"""The database side: the till's file, HQ's tables in it, and syncd's own journal. It knows nothing of the hub."""
