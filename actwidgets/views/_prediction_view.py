"""What views share that show what the model predicts of all samples."""

from typing import Any

from actwidgets.core.predictions.confusion import AnyConfusion
from actwidgets.session import Reading
from actwidgets.views._pass_view import PassView


class PredictionView(PassView):
    """A view of the predictions of all samples: of those so far, until there are all."""

    every_layer = True
    of_each_label = False

    def _missing(self) -> str:
        return self._session.missing_for_confusion()

    def _gathered(self) -> Any:
        return self._session.confusion(partial=True)

    def _read_of(self, confusion: AnyConfusion) -> str:
        """How many samples it is of, and of how many the predicted class means nothing."""
        text = self._read_text(len(confusion.rows), complete=confusion.complete)
        if confusion.n_nan:
            text += f"; {confusion.n_nan:,} with NaN for an output: their class means nothing"
        return text

    def _follows(self, reading: Reading) -> bool:
        return reading.what == "predictions"
