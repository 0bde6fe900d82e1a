"""A model whose layers get random weights one after the other, while the user's keeps its own."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from actwidgets.errors import ModelError
from actwidgets.probe.attributions.score_model import ScoreModel
from actwidgets.probe.catalogue import Catalogue, is_models_own
from actwidgets.probe.inputs import Inputs
from actwidgets.probe.trace import operations_behind


class RandomisedModel(ScoreModel):
    """A model traced once over stand-ins of its weights, which are its own at first.

    Args:
        model: A built model of Keras 3; nothing about it is changed.
        inputs: What it takes.
        catalogue: Its layers.
        seed: Of the random weights.
        **options: As of a `ScoreModel`.

    Raises:
        ModelError: A model of Keras 2; one that cannot be traced or differentiated.
    """

    def __init__(
        self, model: Any, inputs: Inputs, catalogue: Catalogue, *, seed: int = 0, **options: Any
    ) -> None:
        if not isinstance(model, keras.Model):
            raise ModelError(
                f"model {model.name!r} is one of Keras 2, whose weights cannot be exchanged "
                "without changing it: the check needs a model of Keras 3"
            )
        variables = [each for each in model.variables if each.dtype != "string"]
        self._stand_ins = {id(each): tf.Variable(each.value) for each in variables}
        self._seed = seed
        pairs = [(each, self._stand_ins[id(each)]) for each in variables]
        super().__init__(model, inputs, catalogue, weights=pairs, **options)

    def stages(self, head: str) -> tuple[str, ...]:
        """The layers with weights of their own that an output depends on, the last one first."""
        return tuple(self._weights_by_layer(head))

    def randomise(self, head: str, layer: str) -> None:
        """Give the stand-ins of a layer's weights random values.

        They are drawn from the layer's own initializers; where it has none, or one that gives
        a matrix the same value everywhere, the values it has are shuffled.
        """
        place = list(self._weights_by_layer(head)).index(layer)
        owner = self.catalogue.require(layer).layer
        for index, variable in enumerate(self._weights_by_layer(head)[layer]):
            seed = int(np.random.SeedSequence((self._seed, place, index)).generate_state(1)[0] >> 1)
            self._stand_ins[id(variable)].assign(_random_values(owner, variable, seed))

    def _weights_by_layer(self, head: str) -> dict[str, list[Any]]:
        """Each variable belongs to the innermost and last of the calls that use it."""
        call = self._plain.call
        needed = operations_behind([call.taps[head]])
        embedded = {each.name for each in self._embedded}
        found: dict[str, list[Any]] = {}
        owned: set[int] = set()
        for output in reversed(self.catalogue.outputs.values()):
            name, tap = output.name, call.taps.get(output.name)
            if is_models_own(name) or name in embedded or getattr(tap, "op", None) not in needed:
                continue
            weights = [
                each
                for each in getattr(output.layer, "weights", ())
                if id(each) in self._stand_ins and id(each) not in owned
            ]
            owned |= set(map(id, weights))
            if weights:
                found[name] = weights
        return found


def _random_values(layer: Any, variable: Any, seed: int) -> Any:
    values = tf.convert_to_tensor(variable.value)
    drawn = _drawn(getattr(layer, f"{variable.name}_initializer", None), values, seed)
    if drawn is not None and (values.shape.rank < 2 or np.ptp(drawn) > 0):
        return drawn
    shuffled = np.random.default_rng(seed).permutation(values.numpy().ravel())
    return shuffled.reshape(values.shape)


def _drawn(initializer: Any, values: Any, seed: int) -> Any:
    """What the initializer gives with another seed; None where it cannot be given one."""
    if not isinstance(initializer, keras.initializers.Initializer):
        return None
    config = initializer.get_config()
    if "seed" in config:  # its own would give again what training began with
        initializer = type(initializer).from_config({**config, "seed": seed})
    elif not isinstance(initializer, _CONSTANT):
        return None
    return np.asarray(initializer(values.shape, dtype=values.dtype.name))


_CONSTANT = (
    keras.initializers.Zeros,
    keras.initializers.Ones,
    keras.initializers.Constant,
    keras.initializers.Identity,
)
