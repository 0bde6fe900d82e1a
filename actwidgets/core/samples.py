"""The samples a session looks at: inputs, labels, and how the inputs look as pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actwidgets.core import batches
from actwidgets.core.array_like import as_array, as_arrays, feature_names
from actwidgets.core.arrays import Array, Bools, Floats, finite_range
from actwidgets.core.interventions.disturbance import Disturbance, disturb
from actwidgets.core.labels import (
    class_indices,
    class_labels,
    label_array,
    label_names,
    multi_hot,
    order_of_names,
)
from actwidgets.core.pictures.images import Pixels, is_image, text_pictures, to_rgb
from actwidgets.core.pictures.picture_inputs import checked_image_shape, holds_text, picture_input
from actwidgets.core.predictions.output_kind import SIGMOID, SOFTMAX, OutputKind, are_targets
from actwidgets.core.sample_shapes import fits
from actwidgets.errors import DataError, ShapeError

_RANGE_SAMPLES = 1000  # enough to know the range of pixel values


class Samples:
    """Inputs and labels by row.

    Args:
        x: An array, or a list or dict of arrays, or what `as_arrays` reads as such; of a stream
            the first `max_samples` are kept.
        y: `(sample,)` class indices or names, or one-hot, or `None`.
        n_classes: Labels must lie in `0..n_classes-1`. None where that is not known yet:
            `read_labels` tells it later.
        max_samples: How many samples of a stream are kept. Arrays are used whole, uncopied.
        image_shape: `(rows, columns)` or `(rows, columns, channels)`, row by row, of the
            pictures that samples given as vectors are. None takes vectors whose length is the
            square of 8 or more for square grey pictures, () takes none for pictures. They are
            shown so; `x` and `rows` stay vectors.

    Raises:
        DataError: No samples, a one-shot iterator, labels outside the classes, an
            `image_shape` that is none or has no vectors to be about.
        ShapeError: Lengths that differ, that of `image_shape` and the vectors' included.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        *,
        n_classes: int | None = None,
        max_samples: int = 2000,
        image_shape: Sequence[int] | None = None,
    ) -> None:
        image_shape = checked_image_shape(image_shape)
        if x is None:
            raise DataError("a session needs samples to show: give x")
        self.feature_names = feature_names(x)
        x = as_arrays(x)
        if isinstance(x, list | tuple) and x and not (batches.is_arrays(x) or _is_batch(x[0])):
            x = np.asarray(x)
        self.label_names, self.class_order = label_names(y), order_of_names(y)
        if not batches.is_arrays(x):
            x, y = _first_of_stream(x, y, max_samples)
            self.label_names = self.label_names or label_names(y)
            self.class_order = self.class_order or order_of_names(y)
        self.x = _indexable(x)
        self._n_samples = batches.count_samples(x)
        if not self._n_samples:
            raise DataError("x holds no samples; a session needs at least one")
        self._picture, self._image_shape = picture_input(self.x, image_shape)
        self._is_text = holds_text(self._picture)
        self.labels: NDArray[np.int64] | None = None
        self.label_sets: Bools | None = None
        self.masks: Any = None
        self.targets: Floats | None = None
        if isinstance(y, list | tuple) and y and np.ndim(y[0]) > 0:
            y = np.asarray(y)  # rows or masks written as lists, or a list of them
        self._y = y
        if n_classes is not None:
            self.read_labels(n_classes)
        self._kept: tuple[Disturbance, Array, Array] | None = None
        if not self._is_text:
            self._low, self._high = finite_range(np.asarray(self._picture[:_RANGE_SAMPLES]))

    def __len__(self) -> int:
        """How many samples there are."""
        return self._n_samples

    def read_labels(self, n_classes: int, class_names: Sequence[str] | None = None) -> None:
        """Make class indices of `y`, now that the number of classes is known.

        Args:
            n_classes: How many there are.
            class_names: One per class, for a `y` that holds names.

        Raises:
            DataError: Labels outside the classes.
            ShapeError: Not as many labels as samples.
        """
        if self._y is None:
            return
        labels = class_indices(self._y, n_classes=n_classes, class_names=class_names)
        if len(labels) != self._n_samples:
            raise ShapeError(f"x has {self._n_samples} samples and y has {len(labels)} labels")
        self.labels, self.targets = labels, None

    @property
    def y(self) -> Array | None:
        """Labels or targets as an array; None where none were given, or only masks."""
        if self._y is None or len(getattr(self._y, "shape", ())) > 2:
            return None
        return label_array(self._y)

    def settled(self, output: OutputKind | None) -> OutputKind | None:
        """What the output means, where `y` has several labels a sample, or one a position.

        Args:
            output: What it means by itself.

        Returns:
            The same, but logits of which nothing but the kind is known are each its own where
            `y` has several labels a sample; and values beside masks are scores of classes,
            unless the caller says that they are values.
        """
        if output is None:
            return None
        is_bare = (output.kind, output.link, output.decided_by) == ("logit", SOFTMAX, "caller")
        if is_bare and output.is_vector and multi_hot(self.y) is not None:
            return replace(output, link=SIGMOID)
        if not self.holds_masks(output) or output.kind != "value":
            return output
        link, told = (SIGMOID if output.n_outputs == 1 else SOFTMAX), "y holds a class a position"
        return replace(output, kind="logit", link=link, reason=told, decided_by="labels")

    def holds_masks(self, output: OutputKind | None) -> bool:
        """Whether `y` holds a class for each position of maps that the model puts out."""
        shape = tuple(getattr(self._y, "shape", ()))
        if output is None or output.is_vector or len(output.shape) < 2 or len(shape) < 2:
            return False
        if output.kind == "value" and output.decided_by == "caller":
            return False
        axis = output.axis % len(output.shape)
        places = (*output.shape[:axis], *output.shape[axis + 1 :])
        ends = places, (*places, 1), (*places, output.n_outputs)
        if not any(fits(end, shape[1:]) for end in ends):
            return False
        one = np.asarray(self._y[:1])
        is_whole = one.dtype.kind == "f" and bool((one == one.round()).all())
        return one.dtype.kind in "biu" or is_whole

    def read_y(
        self,
        output: OutputKind | None,
        n_classes: int,
        class_names: Sequence[str] | None = None,
        head: str | int | None = None,
    ) -> None:
        """Take `y` for labels or for targets, as goes with what the model puts out.

        Args:
            output: What its output means; None where that is not known.
            n_classes: How many classes there are; of values none, unless labels come with them.
            class_names: One per class, for a `y` that holds names.
            head: Which of several outputs was asked for.

        Raises:
            DataError: Labels outside the classes, or that may be of another output.
            ShapeError: Not as many as samples.
        """
        self.masks = self.label_sets = None
        if self.holds_masks(output):
            self.masks = _indexable(as_array(self._y))
            if len(self.masks) != self._n_samples:
                raise ShapeError(
                    f"x has {self._n_samples} samples and y has {len(self.masks)} masks"
                )
            return
        y = self.y
        if output is not None and output.is_multi_label and (sets := multi_hot(y)) is not None:
            labels = class_labels(sets, n_classes=n_classes)
            if len(labels) != self._n_samples:
                raise ShapeError(f"x has {self._n_samples} samples and y has {len(labels)} labels")
            self.label_sets = labels.astype(bool)
            return
        if y is None or output is None or not output.is_vector:
            self.read_labels(n_classes, class_names)
            return
        others = [each for each in output.heads if each != output.head]
        of_others = f"; give head={others[0]!r} for another output" if others else ""
        is_value, names = output.kind == "value", ", ".join(output.heads)
        is_of_classes = not are_targets(y, output.n_outputs)
        if is_value and others and head is None and is_of_classes:
            raise DataError(
                f"y holds whole numbers, and output {output.head!r} of {names} puts out values: "
                f"say which output y is of, with head={output.head!r}{of_others}"
            )
        try:
            if is_value and not n_classes:
                self.read_targets(output.n_outputs)
            else:
                self.read_labels(n_classes, class_names)
        except (DataError, ShapeError) as failure:
            if not others:
                raise
            told = f"{failure}. Asked about is output {output.head!r} of {names}{of_others}"
            raise type(failure)(told) from failure

    def read_targets(self, n_outputs: int) -> None:
        """Take `y` for what a regression is to put out: `(sample,)` or `(sample, output)`.

        Raises:
            DataError: They are no numbers.
            ShapeError: Not as many as samples, or as outputs.
        """
        y = self.y
        if y is None:
            return
        if y.dtype.kind not in "biuf":
            raise DataError(f"y must hold numbers, as the model puts out; got {y.dtype}")
        if y.shape[0] != self._n_samples:
            raise ShapeError(f"x has {self._n_samples} samples and y has {y.shape[0]} targets")
        if y.ndim == 1:
            y = y[:, None]
        if y.shape[1:] != (n_outputs,):
            raise ShapeError(
                f"y must hold a target for each of {n_outputs} outputs; got shape {y.shape}"
            )
        self.labels, self.targets = None, y.astype(np.float32)

    def rows(self, rows: ArrayLike) -> Any:
        """The inputs of some samples, in the structure of `x`."""
        return batches.take(self.x, np.asarray(rows, dtype=np.intp))

    def disturbed(self, rows: ArrayLike, disturbance: Disturbance) -> Any:
        """The same with the image input disturbed; without one, as they are."""
        inputs = self.rows(rows)
        if disturbance.changes_nothing or not self.picture_shape:
            return inputs
        place = next(at for at, part in enumerate(batches.parts(self.x)) if part is self._picture)
        given = batches.parts(inputs)[place]  # which may be vectors that are pictures
        images = self._disturb(self.images(rows), disturbance)
        return batches.with_part(inputs, place, images.reshape(given.shape))

    def _disturb(self, images: Array, disturbance: Disturbance) -> Array:
        """Images of the same shape, which may have no channel axis; read-only.

        The last ones are kept: maps, predictions and pictures all ask for the same.
        """
        kept = self._kept
        if kept and kept[0] == disturbance and np.array_equal(kept[1], images):
            return kept[2]
        whole = images if images.ndim == 4 else images[..., None]
        found = disturb(whole, disturbance, self._low, self._high).reshape(images.shape)
        found.flags.writeable = False
        self._kept = disturbance, images, found
        return found

    @property
    def picture_shape(self) -> tuple[int, ...]:
        """Rows and columns of the pictures, vectors' included; () where samples are no images."""
        if self._image_shape:
            return self._image_shape[:2]
        shape = self._picture.shape
        return tuple(shape[1:3]) if is_image(shape) and not self._is_text else ()

    def images(self, rows: ArrayLike) -> Array:
        """The image input of some samples, values as given: `(sample, row, column[, channel])`."""
        images = np.asarray(self._picture[np.asarray(rows, dtype=np.intp)])
        return images.reshape(len(images), *self._image_shape) if self._image_shape else images

    def pictures(self, rows: Sequence[int], disturbance: Disturbance | None = None) -> Pixels:
        """The same as colours: `(sample, row, column, 3)` uint8, one scale for all samples.

        Samples that hold nothing but text are written out.
        """
        images = self.images(rows)
        if self._is_text:
            return text_pictures(list(images.reshape(len(rows), -1)[:, 0]))
        if disturbance is not None and not disturbance.changes_nothing and self.picture_shape:
            images = self._disturb(images, disturbance)
        return to_rgb(images, self._low, self._high)

    def of_class(self, class_index: int, limit: int) -> tuple[int, ...]:
        """The first `limit` samples of a class; none where there are no labels."""
        if self.labels is None:
            return ()
        return tuple(int(row) for row in np.flatnonzero(self.labels == class_index)[:limit])


def _indexable(x: Any) -> Any:
    """Tensors as arrays: they cannot be indexed by rows."""
    if isinstance(x, Mapping):
        return {name: _indexable(part) for name, part in x.items()}
    if isinstance(x, list | tuple):
        return [_indexable(part) for part in x]
    return x.numpy() if hasattr(x, "numpy") else x


def _is_batch(item: Any) -> bool:
    """Whether an item of a list is a batch, rather than one sample written as numbers."""
    if isinstance(item, tuple):
        return bool(item) and batches.is_arrays(first := as_arrays(item[0])) and np.ndim(first) > 0
    return isinstance(item, Mapping)


def _first_of_stream(x: Any, y: Any, max_samples: int) -> tuple[Any, Any]:
    kept, labels, count = [], [], 0
    rows = slice(0, max_samples)
    for batch, batch_labels in batches.iterate(x):
        kept.append(batch)
        labels.append(batch_labels)
        count += batches.count_samples(batch)
        if count >= max_samples:
            break
    else:
        rows = slice(None)  # read to its end: the labels must end there too
    if not kept:
        raise DataError("x holds no samples; a session needs at least one")
    inputs = batches.take(batches.join(kept), rows)
    if y is not None:
        return inputs, label_array(y)[rows]
    if any(label is None for label in labels):
        return inputs, None
    return inputs, np.concatenate(labels)[rows]
