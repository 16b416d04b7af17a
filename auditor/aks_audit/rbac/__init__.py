"""What roles and their bindings add up to: who may do what, and which of them people made. Pure functions."""
