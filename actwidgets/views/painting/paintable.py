"""What makes a widget one that can be painted."""

from pathlib import Path

from actwidgets.core.atomic_file import replacing, require_suffix
from actwidgets.finishing import WITHIN_S


class Paintable:
    """What can be painted without a browser; for widgets to inherit."""

    def png(self, scale: float = 1, theme: str = "light") -> bytes:
        """This widget as a PNG, painted without a browser; sliders and buttons are left out.

        What is still being read or made in the background is painted as far as it is;
        `save_png` waits for it.

        Args:
            scale: Pixels of the picture to a pixel of the screen.
            theme: "light" or "dark".

        Raises:
            DataError: No such theme, or a scale that is not above 0.
        """
        # Painting takes time to load, and is not always wanted.
        from actwidgets.views.painting.paint import paint

        return paint(self, scale, theme)

    def save_png(
        self,
        path: str | Path,
        scale: float = 2,
        theme: str = "light",
        *,
        within_s: float = WITHIN_S,
    ) -> None:
        """Write the finished picture to a file, once what it shows has been read and made.

        While the model is being trained, and in an observer of a session, it is written as it
        is: nothing would be finished while that waits.

        Args:
            path: Of the file, `.png`; one that is there is replaced at once, or not at all.
            scale: As of `png`.
            theme: As of `png`.
            within_s: How many seconds may be waited.

        Raises:
            DataError: As of `png`; a name that ends in another format; not finished in that
                time; or the file cannot be written.
        """
        require_suffix(path, ".png", "pictures")
        self._finish(within_s)
        painted = self.png(scale, theme)
        with replacing(path, "pictures") as file:
            file.write(painted)

    def _finish(self, within_s: float) -> None:
        """Wait for what is still read or made for this picture."""
