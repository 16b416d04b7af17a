"""What the network really does: pure functions over facts."""
