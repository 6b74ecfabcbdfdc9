"""The contrast of colours, as WCAG computes it."""

from __future__ import annotations

from PIL import ImageColor


def contrast(colour: str, other: str) -> float:
    """Return the contrast of two colours of CSS: 1 if they are equal, 21 for black and white."""
    darker, lighter = sorted(map(_luminance, (colour, other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    levels = [level / 255 for level in ImageColor.getrgb(colour)[:3]]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in levels]
    return sum(weight * v for weight, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
