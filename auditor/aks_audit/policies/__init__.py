"""What network policies let through: every kind compiled to one form, and that form evaluated. Pure functions."""
