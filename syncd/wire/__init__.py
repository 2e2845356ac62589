"""What passes between us and HQ: JSON that keeps its numbers, and the contract's messages."""
