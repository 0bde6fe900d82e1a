"""A model as attributions see it, as it is and with layers edited; made when it is wanted."""

import threading
from typing import Any

from actwidgets.probe.attributions.randomised import RandomisedModel
from actwidgets.probe.attributions.score_model import ScoreModel
from actwidgets.probe.edited_slices import EditedSlices
from actwidgets.probe.slices import Slices


class ScoreModels:
    """One traced model for the layers as they are, and one for the last set that was edited.

    Args:
        model: A built Keras model.
        training: Whether layers act as they do in training.
    """

    def __init__(self, model: Any, *, training: bool = False) -> None:
        self._model, self._training = model, training
        self._kept: dict[Any, ScoreModel] = {}
        self._making = threading.Lock()

    def of(self, slices: Slices | EditedSlices, memory_budget_bytes: int) -> ScoreModel:
        """The model whose layers these are.

        Raises:
            ModelError: It cannot be differentiated.
        """
        inputs, numbers = _inputs(slices)
        edited = getattr(inputs, "edited", ())
        key = tuple(output.name for output in edited), memory_budget_bytes
        with self._making:
            if key not in self._kept:
                for other in [each for each in self._kept if bool(each[0]) == bool(edited)]:
                    del self._kept[other]
                self._kept[key] = ScoreModel(
                    self._model,
                    inputs,
                    slices.catalogue,
                    training=self._training,
                    memory_budget_bytes=memory_budget_bytes,
                )
            return self._kept[key].with_numbers(numbers)

    def forget(self) -> None:
        """Trace anew when something is wanted."""
        with self._making:
            self._kept.clear()

    def randomised(
        self, slices: Slices | EditedSlices, memory_budget_bytes: int, seed: int
    ) -> RandomisedModel:
        """The same with weights of its own, which can be made random.

        Raises:
            ModelError: Its weights cannot be exchanged.
        """
        inputs, numbers = _inputs(slices)
        made = RandomisedModel(
            self._model,
            inputs,
            slices.catalogue,
            seed=seed,
            training=self._training,
            memory_budget_bytes=memory_budget_bytes,
        )
        return made.with_numbers(numbers)


def _inputs(slices: Slices | EditedSlices) -> tuple[Any, Any]:
    if isinstance(slices, EditedSlices):
        return slices.edited_inputs, slices.numbers
    return slices.inputs, ()
