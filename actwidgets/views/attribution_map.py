"""Attribution maps of the visible samples, or of one sample by several methods."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.attribution.base import Attribution, Method, Option
from actwidgets.core.attribution.registry import METHODS, attribution_methods, method_named
from actwidgets.core.selection import Selection
from actwidgets.errors import ActwidgetsError, DataError
from actwidgets.images.encode import Pixels
from actwidgets.images.heatmap import COLORINGS, shrunk
from actwidgets.session.context import BackgroundWork
from actwidgets.session.session import Session
from actwidgets.views.attribution_panels import (
    REFUSALS,
    TITLES,
    AttributionPanels,
    AttributionTiles,
    Look,
    Subject,
    Tile,
    account,
    caption,
    features_text,
    sample_text,
)
from actwidgets.views.base import View
from actwidgets.views.controls import (
    OfferedChoice,
    ProgressLine,
    choice,
    control_row,
    labeled,
    note,
    on_user,
    setting,
    title,
    toggle,
)

TARGETS = ("predicted", "label", "chosen")
OUTPUTS_UP_TO = 100  # of a regression, that are offered
TARGET_NAMES = {"predicted": "predicted class", "label": "true class", "chosen": "selected class"}


def target_options(session: Session, target: Any) -> list[tuple[str, str | int]]:
    """The targets that a session offers, as entries of a list.

    A target that it does not have is offered too: it was asked for, and the view says why not.
    """
    is_value = session.output.kind == "value"
    options: list[tuple[str, str | int]]
    if is_value:
        n_outputs = min(max(session.n_outputs, 1), OUTPUTS_UP_TO)
        options = [("largest output" if n_outputs > 1 else "the output", "predicted")]
        options += [(f"output {index}", index) for index in range(n_outputs) if n_outputs > 1]
    else:
        has_labels = session.labels is not None or target == "label"
        options = [(TARGET_NAMES[kind], kind) for kind in TARGETS if kind != "label" or has_labels]
        options += [(name, index) for index, name in enumerate(session.class_names)]
    if target not in [value for _, value in options]:
        name = TARGET_NAMES.get(target, f"output {target}" if is_value else f"class {target}")
        options.append((name, target))
    return options


def target_of(session: Session, selection: Selection, target: Any, rows: tuple[int, ...]) -> Any:
    """The target class of each sample; None for its predicted class.

    Raises:
        DataError: True classes, and the session has no labels; classes of what has none.
    """
    if target in ("label", "chosen") and session.output.kind == "value":
        raise DataError(f"no {TARGET_NAMES[target]} to ask about: the model puts out values")
    if target == "label":
        if session.labels is None:
            raise DataError("no true classes to ask about: the session has no labels")
        return session.labels[list(rows)]
    if target == "chosen":
        return selection.class_index
    return target if isinstance(target, int) else None


class MethodSettings(w.Box):
    """A control for each setting that a method offers choices for, made when it is first chosen.

    `on_setting` is called with the name of a setting and its new value.
    """

    children: tuple[w.Widget, ...]

    def __init__(self, on_setting: Callable[[str, Any], None]) -> None:
        self._on_setting = on_setting
        self._made: dict[str, dict[str, w.Widget]] = {}
        self._choices: dict[tuple[str, str], list[Any]] = {}
        super().__init__(layout={"flex_flow": "row wrap", "align_items": "center"})

    def show(self, method: Method, settings: Mapping[str, Any]) -> None:
        """Offer the settings of a method, at their values."""
        if method.name not in self._made:
            offered = (option for option in method.options if option.choices)
            self._made[method.name] = {
                option.name: self._control(method.name, option) for option in offered
            }
        controls = self._made[method.name]
        for name, control in controls.items():
            choices = self._choices[method.name, name]
            place = _place_of(settings[name], choices)
            with setting(control):
                if place is None:  # given in Python: it is one more
                    place = len(choices)
                    choices.append(settings[name])
                    option = next(item for item in method.options if item.name == name)
                    added = _setting_text(settings[name], option), place
                    control.options = [*control.options, added]
                control.value = place
        if self.children != tuple(controls.values()):
            self.children = tuple(controls.values())

    def _control(self, method: str, option: Option) -> w.Widget:
        choices = list(option.choices)
        if option.default not in choices:
            choices = [option.default, *choices]
        self._choices[method, option.name] = choices
        is_slider = len(choices) > 2 and all(isinstance(value, int | float) for value in choices)
        make = w.SelectionSlider if is_slider else w.Dropdown
        control = labeled(
            make,
            option.name.replace("_", " "),
            "232px",
            # By place: a list with the value None shows nothing.
            options=[(_setting_text(value, option), place) for place, value in enumerate(choices)],
            value=choices.index(option.default),
            tooltip=option.help,
        )
        on_user(control, lambda change: self._on_setting(option.name, choices[change.new]))
        return control

    def gather(self) -> None:
        """Hold the controls of all methods, so that they are closed with this."""
        self.children = tuple(control for made in self._made.values() for control in made.values())


def _place_of(value: Any, choices: list[Any]) -> int | None:
    """Which choice a setting is; None for one that is not offered yet."""
    value = tuple(value) if isinstance(value, list) else value
    for place, option in enumerate(choices):
        option = tuple(option) if isinstance(option, list) else option
        if option is value or (_is_plain(option) and _is_plain(value) and option == value):
            return place
    return None


def _is_plain(value: Any) -> bool:
    return not isinstance(value, np.ndarray | dict)


def _setting_text(value: Any, option: Option) -> str:
    if not _is_plain(value):
        return "as given"
    if value is None:
        return option.none
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " × ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")


WITHIN_S = 0.4  # what is not made by then comes from the background
COMPARED, SCORES = ("samples", "methods"), ("logit", "probability")
SIDE_BY_SIDE = ("gradient", "integrated_gradients", "grad_cam", "occlusion", "lrp")


class AttributionMap(View):
    """Attribution maps of the visible samples by one method, or of one sample by several.

    Red is positive attribution to the class, blue negative. The model as it is now is
    asked, with the perturbation and the ablations of the selection. A click on a tile chooses
    the sample, or the method.
    """

    watched = ("sample", "samples", "layer", "class_index", "perturbation", "ablations")
    method = t.Enum(tuple(METHODS), help="how").tag(option=True)
    methods = t.Tuple(help="those side by side").tag(option=True)
    compare = t.Enum(COMPARED, "samples", help="what tiles differ in").tag(option=True)
    target = t.Union(
        [t.Enum(TARGETS), t.Int(min=0)], default_value="predicted", help="the class asked about"
    ).tag(option=True)
    output = t.Enum(SCORES, "logit", help="its score").tag(option=True)
    settings = t.Dict(default_value={}, help="of methods, by their name").tag(option=True)
    at_chosen_layer = t.Bool(False, help="class activation maps of the selected layer").tag(
        option=True
    )
    coloring = t.Enum(tuple(COLORINGS), "signed", help="what colors mean").tag(option=True)
    panel = t.Enum(("", *TITLES), "", help="what is unfolded below").tag(option=True)
    opacity = t.Float(0.6, min=0.0, max=1.0, help="of the map on the picture").tag(option=True)
    shared_scale = t.Bool(True, help="one scale of colors for all samples").tag(option=True)
    max_samples = t.Int(8, min=1, help="samples drawn at most").tag(option=True)
    tile_px = t.Int(144, min=32, help="longer side of a tile").tag(option=True)
    width_px = t.Int(660, min=160, help="width of the picture").tag(option=True)

    @t.default("method")
    def _first_method(self) -> str:
        """One that applies: without a layer of maps no class activation map does."""
        return "grad_cam" if self._has_maps else "gradient_x_input"

    @t.default("methods")
    def _first_methods(self) -> tuple[str, ...]:
        kept = (name for name in SIDE_BY_SIDE if self._has_maps or not METHODS[name].needs_layer)
        return tuple(kept)

    @property
    def _has_maps(self) -> bool:
        return any(len(info.output_shape) > 2 for info in self._session.layers)

    def _build(self) -> tuple[w.Widget, ...]:
        self._attributions = self._session.attributions
        self._waiting, self._places = False, set[str]()
        self._title, self._note = w.HTML(), w.HTML()
        self._tiles = AttributionTiles(self._on_user_tile)
        self._progress = ProgressLine(self._attributions.cancel, self._attributions.resume)
        self._offered = MethodSettings(self._on_user_setting)
        self._panels = AttributionPanels(self._session, self._repaint)
        for give_back in (self._offered.gather, self._panels.gather):
            self._cleanup.callback(give_back)
        self._cleanup.callback(self._attributions.leave, str(id(self)))
        self._subscribe(self._attributions, self._on_reading, "reading")
        panels = w.ToggleButtons(
            options=[("none", ""), *((title, name) for name, title in TITLES.items())],
            description="details",
            style={"description_width": "initial", "button_width": "auto"},
        )
        return (
            *(self._title, self._controls(), self._offered, self._progress, self._tiles),
            *(self._note, self._control("panel", panels), self._panels),
        )

    def _controls(self) -> w.Widget:
        titles = [(method.title, method.name) for method in attribution_methods()]
        steps = {"min": 0, "max": 1, "step": 0.05, "readout_format": ".0%"}
        opacity = labeled(w.FloatSlider, "opacity", "220px", **steps)
        self._targets = OfferedChoice("target", self._on_user_target, "220px")
        self._targets.tooltip = "which class or score is explained"
        self._score = self._control("output", choice("score", SCORES, "150px"))
        self._shared = self._control("shared_scale", toggle("shared scale"))
        self._at_layer = self._control("at_chosen_layer", toggle("selected layer"))
        return control_row(
            self._control("method", choice("method", titles, "250px")),
            self._targets,
            self._control("compare", choice("compare", COMPARED, "176px")),
            self._score,
            self._control("coloring", choice("colors", tuple(COLORINGS), "150px")),
            self._control("opacity", opacity),
            self._shared,
            self._at_layer,
        )

    # --- what is shown -------------------------------------------------------------------

    def _render(self, selection: Selection) -> None:
        chosen = method_named(self.method)
        self._waiting, self._places = False, set[str]()
        self._targets.offer(target_options(self._session, self.target), self.target)
        self._offered.show(chosen, chosen.settings(self.settings.get(self.method, {})))
        looks_at_layer = chosen.needs_layer or self.compare == "methods"
        self._at_layer.layout.display = None if looks_at_layer else "none"
        self._shared.layout.display = None if self.compare == "samples" else "none"
        tiles, refused, self._waiting = self._gathered(selection)
        applies = self._session.output.has_probabilities or self.output != "logit"
        self._score.layout.display = None if applies else "none"  # nothing to choose from
        self._title.value = title("Attribution", self._subtitle(selection, tiles))
        is_old = self._waiting and not tiles
        if tiles:
            self._draw(selection, tiles)
            maps = [tile.attribution for tile in tiles]
            text = account(chosen, maps, is_value=self._session.output.kind == "value")
            if self.target == "chosen" and selection.class_index is None:
                text = note("No class is selected: the predicted class is explained.") + text
            names = self._session.feature_names  # of a table: those with the most attribution
            most = [features_text(tile.row, tile.attribution, tile.place, names) for tile in tiles]
            self._note.value = text + "".join(map(note, [*filter(None, most), *refused]))
        elif refused:
            self._note.value = note(f"nothing to show: {' '.join(refused)}")
        else:
            self._note.value = ""  # what it told is of another map
        self._tiles.turn(shown=bool(tiles) or (is_old and bool(self._tiles.tiles)), old=is_old)
        if not self.panel:
            self._panels.fold()
        elif not self._panels.unfold(self.panel, self._subject(selection)):
            self._waiting = True  # what is missing of it comes later
        self._attributions.leave(str(id(self)), but=self._places)

    def _subject(self, selection: Selection) -> Subject:
        shape, row = self._session.picture_shape, selection.sample
        first = self._session.picture_inputs[0]
        pictures = self._session.pictures([row], as_shown=True, name=first) if shape else None
        return Subject(
            row=row,
            method=self.method,
            options=self._options(selection, self.method, (row,)),
            pictures=None if pictures is None else shrunk(pictures, self.tile_px),
            picture_shape=shape,
            input=first,
            look=self._look(),
            place=self._place(f"panel {self.panel}"),
        )

    def _gathered(self, selection: Selection) -> tuple[list[Tile], list[str], bool]:
        """The tiles there are, why others are none, and whether more are on their way."""
        by_method = self.compare == "methods"
        rows = (selection.sample,) if by_method else selection.samples[: self.max_samples]
        tiles, refused, waiting = list[Tile](), list[str](), False
        allowed = (ActwidgetsError,) if by_method else REFUSALS  # of one, the others go on
        until_s = time.monotonic() + WITHIN_S  # for all of them together
        for name in self.methods if by_method else (self.method,):
            try:
                attribution = self._attributions.request(
                    name,
                    client=self._place(f"method {name}" if by_method else "samples"),
                    within_s=max(0.0, until_s - time.monotonic()) if by_method else None,
                    **self._options(selection, name, rows),
                )
            except allowed as refusal:
                of = f"{method_named(name).title}: " if by_method else ""
                refused.append(f"{of}{refusal}")
                continue
            waiting |= attribution is None
            maps = [] if attribution is None else self._maps(attribution)
            tiles += [
                Tile(row, name, attribution, place, of, values)
                for place, row in enumerate(rows)
                for of, values in maps
            ]
        return tiles, refused, waiting

    def _options(self, selection: Selection, method: str, rows: tuple[int, ...]) -> dict[str, Any]:
        """What is asked of a method, about these samples."""
        return {
            "rows": rows,
            "target": target_of(self._session, selection, self.target, rows),
            "layer": selection.layer if self.at_chosen_layer else None,
            "output": self.output,
            **self.settings.get(method, {}),
        }

    def _maps(self, attribution: Attribution) -> list[tuple[str, Any]]:
        """The maps to draw, each with the name of the input that it lies over; "" for none."""
        session, values = self._session, attribution.values
        drawn, places_first = session.picture_inputs, session.context.samples.places_first
        if not isinstance(values, dict):
            seen = session.picture_inputs_of(attribution.layer) if attribution.layer else drawn
            name = seen[0] if len(seen) == 1 else ""
            return [(name, places_first(name, values))]
        names = [name for name in drawn if name in values] or [next(iter(values))]
        return [(name, places_first(name, values[name])) for name in names]

    def _draw(self, selection: Selection, tiles: list[Tile]) -> None:
        session, by_method = self._session, self.compare == "methods"
        shapes, drawn = {}, dict[str, list[Pixels]]()
        for name in {tile.input for tile in tiles}:
            is_drawn = name in session.picture_inputs
            shapes[name] = session.context.samples.picture_shape_of(name) if is_drawn else ()
            if shapes[name]:
                rows = [tile.row for tile in tiles if tile.input == name]
                given = session.pictures(rows, as_shown=True, name=name)
                drawn[name] = [*shrunk(given, self.tile_px)]
        pictures = [drawn[tile.input].pop(0) for tile in tiles] if all(shapes.values()) else None
        chosen = [
            tile.method == self.method if by_method else tile.row == selection.sample
            for tile in tiles
        ]
        self._tiles.draw(
            tiles,
            pictures,
            [shapes[tile.input] for tile in tiles],
            [self._words(tile) for tile in tiles],
            self._look(),
            framed=chosen.index(True) if len(tiles) > 1 and any(chosen) else None,
        )

    def _look(self) -> Look:
        shared = self.shared_scale and self.compare == "samples"
        score = f"the {self.output} of the class"
        if self._session.output.kind == "value":
            score = "what the model puts out"
        return Look(self.coloring, self.opacity, shared, self.tile_px, self.width_px, score)

    def _words(self, tile: Tile) -> tuple[str, str]:
        """The two lines below a tile."""
        names = self._session.class_names
        target = int(tile.attribution.target[tile.place])
        is_value = self._session.output.kind == "value"
        name = names[target] if target < len(names) and not is_value else f"class {target}"
        if is_value:
            name = f"output {target}" if self._session.n_outputs > 1 else "output"
        below = caption(tile.attribution, tile.place, name)
        of = f" · {tile.input}" if tile.input and len(self._session.picture_inputs) > 1 else ""
        if self.compare == "methods":
            return method_named(tile.method).title + of, below
        true, sets = self._session.label_words(tile.row), self._session.label_sets
        if sets is not None and sets[tile.row][target]:
            true = name  # beside others, perhaps
        return sample_text(tile.row, None if is_value else true, name) + of, below

    def _subtitle(self, selection: Selection, tiles: list[Tile]) -> str:
        if self._waiting and not tiles and self._tiles.tiles:
            before = method_named(self._tiles.tiles[0].method).title
            return f"computing {method_named(self.method).title}; faded: the map before, {before}"
        if self.compare == "methods":
            return f"sample {selection.sample} by {len(self.methods)} methods"
        title, count = method_named(self.method).title, len(selection.samples)
        text = f"{title} of sample {selection.samples[0]}"
        if count > 1:
            shown = f"{self.max_samples} of {count:,}" if count > self.max_samples else str(count)
            text = f"{title} of {shown} samples"
        layer = tiles[0].attribution.layer if tiles else ""
        return f"{text} at {layer}" if layer else text

    # --- what others say -----------------------------------------------------------------

    def _works(self) -> tuple[BackgroundWork, ...]:
        return (self._attributions,)

    def _on_reading(self, _change: Any) -> None:
        if self._waiting:
            self._on_news()

    def _repaint(self) -> None:
        super()._repaint()
        reading = self._attributions.reading
        text = None
        if reading is not None:
            text = f"{reading.n_read:,} of {reading.n_samples:,} passes"
        self._progress.show(reading if self._waiting else None, text)

    def _on_user_target(self, target: Any) -> None:
        with self._guard("could not set target"):
            self.target = target

    def _on_user_setting(self, name: str, value: Any) -> None:
        with self._guard(f"could not set {name}"):
            of_method = {**self.settings.get(self.method, {}), name: value}
            self.settings = {**self.settings, self.method: of_method}

    def _on_user_tile(self, tile: Tile) -> None:
        with self._guard("could not choose the tile"):
            if self.compare == "samples":
                self._session.select(sample=tile.row)
            else:
                self.method = tile.method

    def _place(self, what: str) -> str:
        place = f"{id(self)} {what}"
        self._places.add(place)
        return place
