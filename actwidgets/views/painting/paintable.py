"""What makes a widget one that can be painted."""

from pathlib import Path

from actwidgets.core.atomic_file import replacing


class Paintable:
    """What can be painted without a browser; for widgets to inherit."""

    def png(self, scale: float = 1, theme: str = "light") -> bytes:
        """This widget as a PNG, painted without a browser; sliders and buttons are left out.

        What is still being read in the background is painted as far as it is: in a script,
        `session.wait()` comes first; for points, maps of what speaks for a class and importance
        `wait()` of `session.embeddings`, `.attributions` and `.importance`.

        Args:
            scale: Pixels of the picture to a pixel of the screen.
            theme: "light" or "dark".

        Raises:
            DataError: No such theme, or a scale that is not above 0.
        """
        # Painting takes time to load, and is not always wanted.
        from actwidgets.views.painting.paint import paint

        return paint(self, scale, theme)

    def save_png(self, path: str | Path, scale: float = 2, theme: str = "light") -> None:
        """Write `png` to a file; one that is there is replaced at once, or not at all."""
        painted = self.png(scale, theme)
        with replacing(path, "pictures") as file:
            file.write(painted)
