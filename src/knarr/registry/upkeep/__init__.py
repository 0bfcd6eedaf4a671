"""Keeping a registry small while it serves: garbage, old tags, full repositories."""
