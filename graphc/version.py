"""The version of graphc: one literal, read here at run time and by the build."""

from __future__ import annotations

__version__ = "0.1.0"
