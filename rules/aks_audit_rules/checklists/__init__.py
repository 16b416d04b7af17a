"""The built-in checklists, one TOML file each."""
