"""The state inside clusters, read from their API servers."""
