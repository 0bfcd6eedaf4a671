"""What can be wrong with a template."""

from __future__ import annotations


class TemplateError(Exception):
    """The template cannot be understood, or asks for what there is not; the text says where."""


class MissingFieldError(Exception):
    """A value has no such field; ``reason`` is Go's sentence for it."""
