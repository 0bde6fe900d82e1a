"""A session whose model is being trained in the same kernel."""

from typing import Any

from actwidgets.core import probes
from actwidgets.core.training.listener import TrainingListener
from actwidgets.session_predictions import SessionPredictions


class Training:
    """What there is to a session while its model is trained; `session.training` is one.

    Args:
        session: The session.
    """

    def __init__(self, session: SessionPredictions) -> None:
        self._session = session

    @property
    def under_way(self) -> bool:
        """Whether the model is being trained with a callback of this package."""
        turns = probes.turns(self._session._probe)
        return turns is not None and turns.training

    @property
    def is_leaving(self) -> bool:
        """Whether `fit` is at its end: other callbacks may still put weights back."""
        turns = probes.turns(self._session._probe)
        return turns is not None and turns.is_leaving

    def weights(self) -> Any:
        """Something that changes when the weights do; None where nobody knows."""
        return probes.fingerprint(self._session._probe)

    def callback(self, listener: TrainingListener) -> Any:
        """A Keras callback that tells a listener of the training.

        With it in `fit`, forward passes of this session wait for the training step under way,
        and never see half of one.

        Raises:
            ModelError: This session's model cannot be trained.
        """
        return probes.training_callback(self._session._probe, listener)
