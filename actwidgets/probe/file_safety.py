"""What a model file must not do: run code of its own, or name what is not Keras'.

A `Lambda` may hold the byte code of its function, which is never run unless the caller says so.
Where the function is only named, or where the caller gives it, nothing has to be run.
"""

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras

from actwidgets.errors import ModelError
from actwidgets.probe.frameworks import frameworks

_OUR_MODULES = ("keras", "tf_keras", "builtins")
_BUILT_IN = ("activations", "constraints", "initializers", "losses", "metrics", "regularizers")
_GIVEN = "actwidgets_given_"  # before the name of a Lambda whose function the caller gives


def parts_of(config: Any) -> Iterator[Mapping[str, Any]]:
    """Every dict in a configuration."""
    if isinstance(config, Mapping):
        yield config
    if isinstance(config, Mapping | list):
        for part in config.values() if isinstance(config, Mapping) else config:
            yield from parts_of(part)


# --- Lambda ------------------------------------------------------------------------------


def with_given_functions(config: Any, custom: dict[str, Any]) -> Any:
    """Put the caller's own functions in place of those whose code a file holds.

    Args:
        config: Of a model.
        custom: What the caller gives. The function of a `Lambda` goes by the name of its layer,
            or by "Lambda" for all of them; a class called "Lambda" stands in for Keras' own.
            Names for the functions are added to it.

    Returns:
        The configuration, changed where a function is given.
    """
    if isinstance(config, list):
        return [with_given_functions(each, custom) for each in config]
    if not isinstance(config, Mapping):
        return config
    found = {name: with_given_functions(each, custom) for name, each in config.items()}
    if found.get("class_name") != "Lambda" or not isinstance(found.get("config"), Mapping):
        return found
    inner, given = dict(found["config"]), custom.get("Lambda")
    own = custom.get(str(inner.get("name")))
    if isinstance(given, type) and own is None:
        if "module" in found:  # where Keras would take its own of that name
            found.update({"module": None, "registered_name": "Lambda"})
        return found
    if own is None and _is_code(found):
        own = given
    if not callable(own):
        return found
    name = f"{_GIVEN}{inner['name']}"
    custom[name] = own
    if isinstance(inner["function"], Mapping):
        inner["function"] = {
            "module": "builtins",
            "class_name": "function",
            "config": name,
            "registered_name": "function",
        }
    else:  # as Keras 2 writes it
        inner.update(function=name, function_type="function", module=None)
        inner.setdefault("output_shape_type", "raw")
    return {**found, "config": inner}


def refuse_code(config: Any, custom: Mapping[str, Any], file_name: str) -> None:
    """Refuse a file that holds Python code, unless the caller has given what it computes.

    Raises:
        ModelError: There is code in it; says by what it can be replaced.
    """
    given = custom.get("Lambda")
    own = isinstance(given, type) and _reads_for_itself(given)
    for part in _code_in(config, but_of_lambda=own):
        name = part["config"].get("name") if isinstance(part.get("config"), Mapping) else None
        if isinstance(given, type) and part.get("class_name") == "Lambda":
            raise ModelError(
                f"{file_name} holds Python code (in the Lambda layer {name!r}), which the class "
                "given as 'Lambda' would run: give one with a from_config of its own, or the "
                f"function itself, as custom_objects={{{str(name)!r}: function}}"
            )
        where = f"in the Lambda layer {name!r}" if name else "of a function"
        instead = (
            f"pass what it computes as custom_objects={{{str(name)!r}: function}}, or "
            if name
            else ""
        )
        raise ModelError(
            f"{file_name} holds Python code ({where}), which is not run: {instead}"
            "safe_mode=False if you trust the file like a program"
        )


def _code_in(config: Any, *, but_of_lambda: bool) -> Iterator[Mapping[str, Any]]:
    """The parts of a configuration that hold code, but of a Lambda where that is no matter."""
    if isinstance(config, Mapping):
        if _is_code(config):
            if not (but_of_lambda and config.get("class_name") == "Lambda"):
                yield config
            return
        for part in config.values():
            yield from _code_in(part, but_of_lambda=but_of_lambda)
    elif isinstance(config, list):
        for part in config:
            yield from _code_in(part, but_of_lambda=but_of_lambda)


def _is_code(part: Mapping[str, Any]) -> bool:
    if part.get("class_name") == "__lambda__":
        return True
    inner = part.get("config")
    if part.get("class_name") != "Lambda" or not isinstance(inner, Mapping):
        return False
    functions = (inner.get(name) for name in ("function", "output_shape", "mask"))
    types = [inner.get(f"{name}_type") for name in ("function", "output_shape", "mask")]
    return (
        isinstance(inner.get("function"), list)
        or "lambda" in types
        or any(isinstance(each, Mapping) and _holds_lambda(each) for each in functions)
    )


def _holds_lambda(part: Mapping[str, Any]) -> bool:
    return any(each.get("class_name") == "__lambda__" for each in parts_of(part))


def _reads_for_itself(given: type) -> bool:
    """Whether a class has a `from_config` other than that of Keras' own Lambda, which runs code."""
    own = inspect.getattr_static(given, "from_config", None)
    return own is not None and not any(
        own is inspect.getattr_static(each.layers.Lambda, "from_config") for each in frameworks()
    )


# --- names -------------------------------------------------------------------------------


def refuse_strangers(config: Any, custom: Mapping[str, Any], file_name: str) -> None:
    """A file may name Keras' classes and the caller's, and nothing else there is to import.

    Raises:
        ModelError: It names something else; says what.
    """
    for part in parts_of(config):
        module, kind = part.get("module"), part.get("class_name")
        if not isinstance(module, str) or kind is None:
            continue
        name = part.get("config") if kind == "function" else kind
        registered = str(part.get("registered_name") or "")
        package = module.partition(".")[0]
        known = package in _OUR_MODULES
        if package == "builtins" and kind == "function":
            known, registered = _is_built_in(str(name)), str(name)
        given = str(name) in custom or _bare(registered) in custom or registered in custom
        if not (known or given or _is_registered(registered)):
            bare, what = _bare(str(name)), "function" if kind == "function" else "class"
            raise ModelError(
                f"{file_name} needs the {what} {bare}"
                f"{'' if package == 'builtins' else f' of {module}'}, which is not part of Keras: "
                "import the package that registers it, or pass "
                f"custom_objects={{{bare!r}: {bare}}}"
            )


def _bare(name: str) -> str:
    return name.rpartition(">")[2]


def _is_built_in(name: str) -> bool:
    """Whether Keras has a function of that name for its layers: no other builtin is looked up."""
    return any(inspect.isfunction(getattr(getattr(keras, each), name, None)) for each in _BUILT_IN)


def _is_registered(name: str) -> bool:
    """Whether the caller has made it known to Keras already, by a decorator."""
    return any(each.saving.get_registered_object(name) is not None for each in frameworks())


def with_registered_names(config: Any, custom: Mapping[str, Any]) -> dict[str, Any]:
    """What the caller gives, also under the names under which the file has it registered."""
    found = dict(custom)
    for part in parts_of(config):
        for name in (part.get("registered_name"), part.get("config"), part.get("class_name")):
            if isinstance(name, str) and ">" in name and _bare(name) in custom:
                found.setdefault(name, custom[_bare(name)])
    return found


def missing_classes(config: Any, custom: Mapping[str, Any]) -> list[str]:
    """Classes of layers that no Keras at hand knows and the caller does not give."""
    found = []
    for part in parts_of(config):
        kind, inner = str(part.get("class_name")), part.get("config")
        if not isinstance(inner, Mapping) or "name" not in inner or kind in found:
            continue
        known = any(
            hasattr(module, kind)
            for each in frameworks()
            for module in (each, each.layers, each.models)
        )
        named = kind in custom or _bare(kind) in custom or _is_registered(kind)
        registered = str(part.get("registered_name") or "")
        named = named or _bare(registered) in custom or _is_registered(registered)
        if not (known or named or kind in ("Functional", "Policy", "DTypePolicy", "function")):
            found.append(kind)
    return [_bare(name) for name in found]


def of_another_framework(config: Any, custom: Mapping[str, Any], framework: Any) -> str | None:
    """The name of a layer class that a file uses and that is given for another Keras, or None."""
    used = {_bare(str(part.get("class_name"))) for part in parts_of(config)}
    for name, value in custom.items():
        if isinstance(value, type) and _bare(name) in used:
            bases = [each for each in _layers_of_all() if issubclass(value, each)]
            if bases and framework.layers.Layer not in bases:
                return _bare(name)
    return None


def _layers_of_all() -> list[type]:
    return [each.layers.Layer for each in frameworks()]


def first_line(failure: Exception) -> str:
    """What an exception says, in a line."""
    text = re.sub(r"\x1b\[\d*m|\{\{[^}]*\}\} ?", "", str(failure))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Exception encountered when calling"):
        lines = lines[1:]
    return lines[0] if lines else type(failure).__name__


def cannot_be_read(
    path: Path | str, config: Any, custom: Mapping[str, Any], failure: Exception
) -> str:
    """Why a file could not be read, as far as that is known."""
    missing = missing_classes(config, custom)
    if missing:
        given = ", ".join(f"{name!r}: {name}" for name in missing)
        what = f"the class {missing[0]}" if len(missing) == 1 else f"classes {', '.join(missing)}"
        return f"{path} needs {what}, not part of Keras: pass custom_objects={{{given}}}"
    return f"{path} cannot be read: {first_line(failure)}"
