"""A sample workspace, generated from a seed."""

from __future__ import annotations

from .generator import END, generate_workspace

__all__ = ["END", "generate_workspace"]
