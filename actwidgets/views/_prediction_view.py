"""What views share that show what the model predicts of all samples."""

from typing import Any

from actwidgets.session import Reading
from actwidgets.views._pass_view import PassView


class PredictionView(PassView):
    """A view of the predictions of all samples: of those so far, until there are all."""

    every_layer = True

    def _missing(self) -> str:
        return self._session.missing_for_confusion()

    def _gathered(self) -> Any:
        return self._session.confusion(partial=True)

    def _follows(self, reading: Reading) -> bool:
        return reading.what == "predictions"
