"""The settings: what they are, where they come from, and what is said of bad ones."""
