"""What a method of attribution is, and which settings it has."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from actwidgets.core.attributions.attribution import Found
from actwidgets.errors import DataError

Progress = tuple[int, int]  # how many of how many pieces are done
Steps = Generator[Progress, None, Found]


@dataclass(frozen=True)
class Option:
    """A setting of a method, and what a view offers for it.

    Attributes:
        name: As a keyword of `attribute`.
        default: Its value where it is not given.
        choices: What it may be, in the order of a list or a slider; empty where a view offers
            nothing.
        help: What it is, in a few words.
        none: What None is called, where that is a choice.
    """

    name: str
    default: Any
    choices: tuple[Any, ...] = ()
    help: str = ""
    none: str = "by default"


@dataclass(frozen=True)
class Method:
    """One way to say which part of the input speaks for a class.

    `run(slice, points, target, **options)` is a generator: it yields `(done, total)` before
    every piece of work, so that whoever drives it may show how far it is or leave it, and
    returns what it found.

    Attributes:
        name: As in `attribute(method=…)`.
        title: As people write it.
        run: The method.
        tells: What its map means, as a sentence.
        source: The paper.
        options: Its settings.
        needs_layer: Whether it looks at the maps of a layer.
        signed: Whether a negative value speaks against the class.
        channels: Whether its map has the channels of the input, rather than its places alone.
        promise: What its values sum to, in words; "" where they need not sum to anything.
    """

    name: str
    title: str
    run: Callable[..., Steps]
    tells: str
    source: str
    options: tuple[Option, ...] = field(default=())
    needs_layer: bool = False
    signed: bool = True
    channels: bool = True
    promise: str = ""

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All options: those given, and the rest by default.

        Raises:
            DataError: The method has no such option.
        """
        names = [option.name for option in self.options]
        unknown = sorted(set(given) - set(names))
        if unknown:
            has = f"it has {', '.join(names)}" if names else "it has none"
            raise DataError(f"method {self.name!r} has no option {', '.join(unknown)}; {has}")
        return {option.name: option.default for option in self.options} | dict(given)
