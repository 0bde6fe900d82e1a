"""Clouds of points as blocks: what `_point_cloud.js` paints, without a mouse over it."""

import numpy as np

from actwidgets.views._point_cloud import IN_FOCUS, PointCloud
from actwidgets.views.painting.block import Block
from actwidgets.views.painting.canvas import Canvas, Pen
from actwidgets.views.painting.colours import Colour, colour

MARGIN_PX = 14


def cloud_block(cloud: PointCloud) -> Block:
    """The points in their colours, those that are chosen on top."""
    width, height = cloud.width_px, cloud.height_px

    def draw(canvas: Canvas, x: float, y: float) -> None:
        with canvas.pen(x, y, width, height) as pen:
            frame = colour(canvas.theme.rule)
            pen.box(x + 0.5, y + 0.5, width - 1, height - 1, (0, 0, 0, 0), frame, 1)
            _paint(cloud, pen, x, y, colour(canvas.theme.ink))

    return Block(width, height, draw)


def _paint(cloud: PointCloud, pen: Pen, left: float, top: float, ink: Colour) -> None:
    places = places_px(cloud) + np.array([left, top])
    count = len(places)
    codes = np.zeros(count, np.uint8)
    given = np.frombuffer(bytes(cloud.codes), np.uint8)[:count]
    codes[: len(given)] = given
    mask = np.zeros(count, np.uint8)
    said = np.frombuffer(bytes(cloud.mask), np.uint8)[:count]
    mask[: len(said)] = said
    palette = np.frombuffer(bytes(cloud.palette), np.uint8).reshape(-1, 3)
    palette = palette if len(palette) else np.full((1, 3), 128, np.uint8)
    radius = max(1.6, min(4.0, 120 / np.sqrt(count or 1)))
    dims = np.count_nonzero(mask) > 1
    order = np.argsort(codes, kind="stable") if cloud.rising else np.arange(count)

    def paint(points: np.ndarray, size: float, opacity: float) -> None:
        for point in points:
            red, green, blue = (int(each) for each in palette[codes[point] % len(palette)])
            pen.disc(*places[point], size, (red, green, blue, round(255 * opacity)))

    paint(order[mask[order] == 0] if dims else order, radius, 0.13 if dims else 0.82)
    if dims:
        paint(order[mask[order] > 0], radius + 0.5, 0.95)
    for point in np.flatnonzero(mask == IN_FOCUS):
        pen.ring(*places[point], radius + 3, ink, 2)


def places_px(cloud: PointCloud) -> np.ndarray:
    """`(point, 2)`: where each point lies, from the left and from the top."""
    points = np.frombuffer(bytes(cloud.points), "<f4").reshape(-1, 2).astype(np.float64)
    size = np.array([cloud.width_px, cloud.height_px], np.float64)
    if not len(points):
        return points
    low, spans = points.min(axis=0), np.ptp(points, axis=0)
    scales = (size - 2 * MARGIN_PX) / np.where(spans > 0, spans, 1.0)
    if not cloud.fill:
        known = scales[spans > 0]
        scales = np.full(2, known.min() if known.size else 1.0)
    return size / 2 + (points - low - spans / 2) * scales * (1, -1)
