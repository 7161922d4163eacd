"""What a configuration that cannot be meant is told by."""

from __future__ import annotations


class ConfigError(ValueError):
    """A configuration that cannot be meant; the text names the field and what was expected."""
