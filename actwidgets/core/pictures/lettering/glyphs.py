"""Signs that Pillow's own font lacks, drawn by hand: in shares of the height of a letter.

A sign is its width, and strokes and areas; x runs to the right, y down from the top of a
capital (0) to the line it stands on (1). Width and strokes are those of the regular font.
"""

from PIL import Image, ImageDraw

Points = tuple[tuple[float, float], ...]
_DASH: Points = ((0.02, 0.62), (0.72, 0.62))
_GREATER: Points = ((0.1, 0.16), (0.72, 0.46), (0.1, 0.76))
_LESS: Points = ((0.72, 0.16), (0.1, 0.46), (0.72, 0.76))
_BELOW: Points = ((0.1, 0.98), (0.72, 0.98))
STROKES: dict[str, tuple[float, tuple[Points, ...]]] = {
    "×": (0.82, (((0.14, 0.3), (0.68, 0.84)), ((0.68, 0.3), (0.14, 0.84)))),
    "→": (1.36, (((0.08, 0.58), (1.26, 0.58)), ((0.9, 0.28), (1.28, 0.58), (0.9, 0.88)))),
    "←": (1.36, (((1.28, 0.58), (0.1, 0.58)), ((0.46, 0.28), (0.08, 0.58), (0.46, 0.88)))),
    "–": (0.74, (_DASH,)),
    "—": (1.3, (((0.02, 0.62), (1.28, 0.62)),)),
    "\u2212": (0.82, (((0.1, 0.57), (0.72, 0.57)),)),
    "─": (1.0, (((0.0, 0.6), (1.0, 0.6)),)),
    "│": (1.0, (((0.5, -0.2), (0.5, 1.3)),)),
    "├": (1.0, (((0.5, -0.2), (0.5, 1.3)), ((0.5, 0.6), (1.0, 0.6)))),
    "└": (1.0, (((0.5, -0.2), (0.5, 0.6), (1.0, 0.6)),)),
    "✓": (1.1, (((0.12, 0.62), (0.4, 0.92), (0.98, 0.12)),)),
    "✗": (1.0, (((0.14, 0.14), (0.86, 0.94)), ((0.86, 0.14), (0.14, 0.94)))),
    "≥": (0.82, (_GREATER, _BELOW)),
    "≤": (0.82, (_LESS, _BELOW)),
    "Σ": (0.92, (((0.8, 0.04), (0.14, 0.04), (0.5, 0.5), (0.14, 0.97), (0.82, 0.97)),)),
    "Δ": (1.0, (((0.5, 0.02), (0.92, 0.97), (0.08, 0.97), (0.5, 0.02)),)),
    "√": (1.0, (((0.06, 0.6), (0.3, 0.97), (0.56, 0.0), (1.0, 0.0)),)),
    "≈": (
        0.82,
        tuple(
            ((0.1, y + 0.08), (0.28, y - 0.06), (0.54, y + 0.08), (0.72, y - 0.06))
            for y in (0.42, 0.72)
        ),
    ),
    "∞": (
        1.2,
        (
            (
                *((0.6, 0.58), (0.86, 0.36), (1.08, 0.46), (1.08, 0.7), (0.86, 0.8)),
                *((0.6, 0.58), (0.34, 0.36), (0.12, 0.46), (0.12, 0.7), (0.34, 0.8), (0.6, 0.58)),
            ),
        ),
    ),
}
AREAS: dict[str, tuple[float, Points]] = {
    "▬": (1.3, ((0.08, 0.44), (1.22, 0.44), (1.22, 0.78), (0.08, 0.78))),
    "■": (1.06, ((0.08, 0.1), (0.96, 0.1), (0.96, 0.98), (0.08, 0.98))),
    "▸": (0.8, ((0.12, 0.22), (0.72, 0.58), (0.12, 0.94))),
    "▾": (0.96, ((0.08, 0.34), (0.88, 0.34), (0.48, 0.92))),
    "●": (
        0.96,
        (
            *((0.88, 0.58), (0.82, 0.8), (0.64, 0.95), (0.48, 0.98), (0.3, 0.94), (0.13, 0.8)),
            *((0.08, 0.58), (0.13, 0.36), (0.3, 0.22), (0.48, 0.18), (0.66, 0.22), (0.83, 0.36)),
        ),
    ),
    "•": (0.6, ((0.14, 0.46), (0.46, 0.46), (0.46, 0.78), (0.14, 0.78))),
}
RAISED = {"²": "2", "³": "3", "¹": "1"}  # small, and high
# Strokes over a letter, from the middle of its top: what a combining mark looks like.
ACCENTS: dict[str, tuple[Points, ...]] = {
    "\u0300": (((-0.16, -0.24), (0.06, -0.08)),),
    "\u0301": (((0.16, -0.24), (-0.06, -0.08)),),
    "\u0302": (((-0.18, -0.08), (0.0, -0.24), (0.18, -0.08)),),
    "\u0303": (((-0.22, -0.1), (-0.1, -0.19), (0.08, -0.11), (0.22, -0.2)),),
    "\u0304": (((-0.2, -0.15), (0.2, -0.15)),),
    "\u0306": (((-0.18, -0.24), (0.0, -0.1), (0.18, -0.24)),),
    "\u0308": (((-0.2, -0.17), (-0.12, -0.17)), ((0.12, -0.17), (0.2, -0.17))),
    "\u030a": (((0.0, -0.3), (0.11, -0.19), (0.0, -0.08), (-0.11, -0.19), (0.0, -0.3)),),
    "\u030b": (((0.0, -0.24), (-0.1, -0.08)), ((0.24, -0.24), (0.12, -0.08))),
    "\u030c": (((-0.18, -0.24), (0.0, -0.08), (0.18, -0.24)),),
}
STROKE = 0.11  # width, in the same measure


def sign_width(sign: str) -> float | None:
    """How wide a sign is, in heights of a capital; None where it is none of these."""
    if sign in STROKES:
        return STROKES[sign][0]
    return AREAS[sign][0] if sign in AREAS else None


def draw_sign(mask: Image.Image, sign: str, x: float, top: float, height: float) -> None:
    """Draw one of `STROKES` or `AREAS` into a mask (mode "L")."""
    if sign in STROKES:
        strokes(mask, STROKES[sign][1], x, top, height)
    else:
        area = [(x + across * height, top + down * height) for across, down in AREAS[sign][1]]
        ImageDraw.Draw(mask).polygon(area, 255)


def strokes(
    mask: Image.Image, lines: tuple[Points, ...], x: float, top: float, height: float
) -> None:
    """Draw lines into a mask: their places are in heights of a capital."""
    pen, width = ImageDraw.Draw(mask), max(1, round(STROKE * height))
    for line in lines:
        places = [(x + across * height, top + down * height) for across, down in line]
        pen.line(places, 255, width, joint="curve")
