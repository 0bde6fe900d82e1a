"""The samples a session looks at: inputs, labels, and how the inputs look."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actwidgets.core import batches
from actwidgets.core.arrays import (
    Array,
    Bools,
    Floats,
    as_array,
    as_arrays,
    feature_names,
    finite_range,
)
from actwidgets.core.labels import (
    class_indices,
    class_labels,
    label_array,
    label_names,
    multi_hot,
    order_of_names,
)
from actwidgets.core.output_kind import SIGMOID, SOFTMAX, OutputKind, are_targets
from actwidgets.core.perturbation import Perturbation, perturb
from actwidgets.errors import DataError, ShapeError
from actwidgets.images.encode import Pixels, text_pictures, to_rgb
from actwidgets.images.inputs import (
    Axes,
    PictureInput,
    axes_of_input,
    checked_axes,
    checked_image_shape,
    holds_text,
    picture_inputs,
    require_inputs,
    side_by_side,
)

_RANGE_SAMPLES = 1000  # enough to know the range of pixel values


class Samples:
    """Inputs and labels by row, and inputs as pictures.

    Args:
        x: An array, or a list or dict of arrays, or what `as_arrays` reads as such; of a stream
            the first `max_samples` are kept.
        y: `(sample,)` class indices or names, or one-hot, or `None`.
        n_classes: Labels must lie in `0..n_classes-1`. None where that is not known yet:
            `read_labels` tells it later.
        max_samples: How many samples of a stream are kept. Arrays are used whole, uncopied.
        image_shape: `(rows, columns)` or `(rows, columns, channels)`, row by row, of the
            pictures that samples given as vectors are. None takes vectors whose length is the
            square of 8 or more for square gray pictures, () takes none for pictures. They are
            shown so; `x` and `rows` stay vectors.
        axes: What the axes of samples are, as in `checked_axes`; by default what `read_inputs`
            is told, or else what their number says.

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
        axes: Any = None,
    ) -> None:
        self._given_shape = checked_image_shape(image_shape)
        self.given_axes = checked_axes(axes)
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
        self.axes = dict[str, Axes]()  # by name of input, once they are read
        self._read_pictures(picture_inputs(self.x, self._given_shape))
        self.labels: NDArray[np.int64] | None = None
        self.label_sets: Bools | None = None
        self.masks: Any = None
        self.targets: Floats | None = None
        self._y_is_of_head = False  # or of whichever output the caller means
        self._y_of_outputs = y if isinstance(y, Mapping | list | tuple) else None
        if isinstance(y, list | tuple) and len(y) == self._n_samples and np.ndim(y[0]) > 0:
            y = np.asarray(y)  # rows or masks written as lists, or a list of them
        self._y = y
        if n_classes is not None:
            self.read_labels(n_classes)

    def __len__(self) -> int:
        """How many samples there are."""
        return self._n_samples

    def read_inputs(self, names: Sequence[str], by_layers: Mapping[str, Axes]) -> None:
        """Take the inputs for what a model does with them.

        Args:
            names: Of the arrays, as the model calls them; "" for one that it does not take.
            by_layers: What their axes are, by name, where the model's layers say.

        Raises:
            DataError: Axes were given of an input that is not there.
            ShapeError: Axes were given of another number than it has.
        """
        parts = batches.parts(self.x)
        taken = [name for name in names if name]
        require_inputs(self.given_axes, taken)
        axes = tuple(
            axes_of_input(
                self.given_axes,
                name,
                part.shape[1:],
                alone=len(taken) == 1,
                found=by_layers.get(name),
            )
            for name, part in zip(names, parts, strict=True)
        )
        self.axes = dict(zip(names, axes, strict=True))
        self._read_pictures(picture_inputs(self.x, self._given_shape, names, axes))

    def _read_pictures(self, pictures: tuple[PictureInput, ...]) -> None:
        self._pictures = pictures
        self.picture_inputs = tuple(picture.name for picture in pictures)
        self._ranges: dict[int, tuple[float, float]] = {}
        self._kept: tuple[Perturbation, Array, Array] | None = None

    @property
    def _image_shape(self) -> tuple[int, ...]:
        """The shape of vectors that are pictures; () where samples are none."""
        return self._pictures[0].image_shape

    def _part(self, picture: PictureInput) -> Any:
        return batches.parts(self.x)[picture.place]

    def _range(self, picture: PictureInput) -> tuple[float, float]:
        """The lowest and the highest value of an input."""
        if picture.place not in self._ranges:
            part = self._part(picture)
            self._ranges[picture.place] = finite_range(np.asarray(part[:_RANGE_SAMPLES]))
        return self._ranges[picture.place]

    def read_labels(self, n_classes: int, class_names: Sequence[str] | None = None) -> None:
        """Make class indices of `y`, now that the number of classes is known.

        Args:
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

    @contextmanager
    def unchanged_by_failure(self) -> Iterator[None]:
        """All of it put back where what is read in the meantime is refused."""
        before = dict(vars(self))
        try:
            yield
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    def choose_y(self, output: OutputKind | None) -> None:
        """Take the `y` of the output that is asked about, where one came for each, as in `fit`.

        Raises:
            DataError: A dict of others.
        """
        given, heads = self._y_of_outputs, output.heads if output else ()
        if isinstance(given, Mapping):
            head = output.head if output and heads else next(iter(given), "")
            if head not in given or not (heads or len(given) == 1):
                asked = f"; asked about is output {head!r} of {', '.join(heads)}" if heads else ""
                raise DataError(
                    f"y is a dict with {', '.join(map(str, given)) or 'nothing in it'}{asked}: "
                    "give the y of that output, as an array or under its name"
                )
            chosen = given[head]
        elif (
            given is not None
            and output is not None
            and len(heads) == len(given) != self._n_samples
            and all(len(each) == self._n_samples for each in given if np.ndim(each))
            and all(np.ndim(each) for each in given)
        ):
            chosen = given[heads.index(output.head)]
        else:
            return
        self._y = np.asarray(chosen) if isinstance(chosen, list | tuple) else chosen
        self._y_is_of_head = True
        self.label_names, self.class_order = label_names(chosen), order_of_names(chosen)

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
        link, reason = (SIGMOID if output.n_outputs == 1 else SOFTMAX), "y holds a class a position"
        kind = "logit"
        if output.ends_in == SIGMOID:
            kind, link, reason = "probability", SIGMOID, f"a sigmoid, and {reason}"
        return replace(output, kind=kind, link=link, reason=reason, decided_by="labels")

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
        if output.kind == "value" and one.size and one.max() > max(output.n_outputs - 1, 1):
            return False  # pictures, which an autoencoder is to put out again
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
        if self._holds_maps(output):
            self.labels = self.targets = None  # they are not compared with what is put out
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
        is_open = head is None and not self._y_is_of_head
        if is_value and others and is_open and is_of_classes:
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
            message = f"{failure}. Asked about is output {output.head!r} of {names}{of_others}"
            raise type(failure)(message) from failure

    def _holds_maps(self, output: OutputKind | None) -> bool:
        """Whether `y` holds the maps that a model is to put out, as that of an autoencoder."""
        if output is None or output.is_vector or output.kind != "value":
            return False
        shape = tuple(getattr(self._y, "shape", ()))
        if len(shape) < 2 or not fits(output.shape, shape[1:]):
            return False
        if shape[0] != self._n_samples:
            raise ShapeError(f"x has {self._n_samples} samples and y has {shape[0]} targets")
        return True

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

    def perturbed(self, rows: ArrayLike, perturbation: Perturbation) -> Any:
        """The same with the first image input perturbed; without one, as they are."""
        inputs = self.rows(rows)
        if perturbation.is_identity or not self.picture_shape:
            return inputs
        first = self._pictures[0]
        given = batches.parts(inputs)[first.place]  # which may be vectors that are pictures
        images = self._perturb(self.images(rows), perturbation)
        return batches.with_part(inputs, first.place, first.values(images, given))

    def _perturb(self, images: Array, perturbation: Perturbation) -> Array:
        """Images of the same shape, which may have no channel axis; read-only.

        The last ones are kept: maps, predictions and pictures all ask for the same.
        """
        kept = self._kept
        if kept and kept[0] == perturbation and np.array_equal(kept[1], images):
            return kept[2]
        whole = images if images.ndim == 4 else images[..., None]
        low, high = self._range(self._pictures[0])
        perturbed = perturb(whole, perturbation, low, high).reshape(images.shape)
        perturbed.flags.writeable = False
        self._kept = perturbation, images, perturbed
        return perturbed

    @property
    def picture_shape(self) -> tuple[int, ...]:
        """Rows and columns of the pictures, vectors' included; () where samples are no images.

        Of several image inputs, those of the first.
        """
        return self.picture_shape_of(self._pictures[0].name)

    def picture_shape_of(self, name: str) -> tuple[int, ...]:
        """The same of one of `picture_inputs`."""
        picture = self._named(name)
        if picture.image_shape:
            return picture.image_shape[:2]
        part = self._part(picture)
        if holds_text(part) or not picture.is_picture_of(part.shape[1:]):
            return ()
        lengths = dict(zip(picture.axes, part.shape[1:], strict=True))
        return lengths["row"], lengths["column"]

    def places_first(self, name: str, values: Array) -> Array:
        """A map over an input as it is drawn; that of one that is not drawn as it is."""
        picture_input = next((picture for picture in self._pictures if picture.name == name), None)
        return values if picture_input is None else picture_input.places_first(values)

    def _named(self, name: str) -> PictureInput:
        picture_input = next((picture for picture in self._pictures if picture.name == name), None)
        if picture_input is None:
            known = ", ".join(picture.name or "the only one" for picture in self._pictures)
            raise DataError(f"no input {name!r} is drawn; there is {known}")
        return picture_input

    def images(self, rows: ArrayLike, name: str | None = None) -> Array:
        """An image input of some samples, values as given: `(sample, row, column[, channel])`.

        Args:
            rows: Of the data.
            name: Of the input; the first that is drawn by default.
        """
        picture = self._pictures[0] if name is None else self._named(name)
        return picture.images(np.asarray(self._part(picture)[np.asarray(rows, dtype=np.intp)]))

    def input_numbers(self, rows: ArrayLike) -> Array:
        """The numbers of the first input that is drawn: of pictures their pixels.

        Returns:
            `(sample, row, column[, channel])` of pictures, else `(sample, number)`.
        """
        if self.picture_shape:
            return self.images(rows)
        part = self._part(self._pictures[0])
        values = np.asarray(part[np.asarray(rows, dtype=np.intp)])
        return values.reshape(len(values), math.prod(values.shape[1:]))

    def pictures(
        self,
        rows: Sequence[int],
        perturbation: Perturbation | None = None,
        name: str | Sequence[str] | None = None,
    ) -> Pixels:
        """The same as colors: `(sample, row, column, 3)` uint8, one scale for all samples.

        Samples that hold nothing but text are written out. Of several image inputs, all are
        shown side by side, unless one or some are named.
        """
        names = [name] if isinstance(name, str) else name
        chosen = self._pictures if names is None else [*map(self._named, names)]
        return side_by_side([self._drawn(each, rows, perturbation) for each in chosen])

    def _drawn(
        self, picture: PictureInput, rows: Sequence[int], perturbation: Perturbation | None
    ) -> Pixels:
        images = self.images(rows, picture.name)
        if holds_text(self._part(picture)):
            return text_pictures(list(images.reshape(len(rows), math.prod(images.shape[1:]))[:, 0]))
        if perturbation is not None and perturbation.is_identity:
            perturbation = None
        if perturbation is not None and picture is self._pictures[0] and self.picture_shape:
            images = self._perturb(images, perturbation)
        return to_rgb(images, *self._range(picture))

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


Shape = Sequence[int | None]


def shape_message(name: str, expected: Shape, given: Sequence[int]) -> str:
    """One sentence, with what turns the samples into what is wanted where that can be guessed.

    Args:
        name: What the samples are called.
        expected: Shape of one sample; None where any length goes.
        given: Shape of one sample that was given.
    """
    sentence = (
        f"{name} must hold samples of shape {_shape_text(expected)}; "
        f"got samples of shape {_shape_text(given)}"
    )
    guess = _guess(name, tuple(expected), tuple(given))
    return f"{sentence}: {guess}" if guess else sentence


def _guess(name: str, expected: tuple[int | None, ...], given: tuple[int, ...]) -> str:
    if expected[-1:] == (1,) and fits(expected, (*given, 1)):
        return f"the last axis is missing, which {name}[..., None] adds"
    if len(given) == len(expected) - 1 and fits(expected[1:], given):
        return f"if this is one sample alone, give {name}[None]"
    if given[-1:] == (1,) and fits(expected, given[:-1]):
        return f"there is an axis too many, which {name}[..., 0] takes away"
    if len(given) == len(expected) == 3:
        rows, columns, channels = given
        if fits(expected, (columns, rows, channels)):
            return f"rows and columns are swapped, which np.swapaxes({name}, 1, 2) mends"
        if fits(expected, (columns, channels, rows)):
            return f"the channels come first, which np.moveaxis({name}, 1, -1) mends"
    known = [axis for axis in expected if axis is not None]
    if len(known) == len(expected) != len(given) > 0 and math.prod(given) == math.prod(known):
        lengths = ", ".join(map(str, expected))
        return f"these are as many numbers, which {name}.reshape(-1, {lengths}) puts in shape"
    return ""


def fits(expected: tuple[int | None, ...], given: tuple[int, ...]) -> bool:
    """Whether lengths are those wanted, where None goes with any."""
    return len(expected) == len(given) and all(
        axis in (None, length) for axis, length in zip(expected, given, strict=True)
    )


def _shape_text(shape: Shape) -> str:
    lengths = ["any" if axis is None else str(axis) for axis in shape]
    return f"({lengths[0]},)" if len(lengths) == 1 else f"({', '.join(lengths)})"
