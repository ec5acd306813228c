"""The JSON form of a contract: written and read strictly, and held to the published schema."""

import dataclasses
import json
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import Any, TypeVar

CONTRACT_VERSION = 2
"""The version of the format that this code reads and writes."""
_Item = TypeVar("_Item")


class ContractError(ValueError):
    """A document is not a valid contract. The message starts with the JSON path: `signals[2].unit: missing`."""

    def __init__(self, path: str, problem: str):
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem


def parse(text: str, definition: str) -> dict[str, Any]:
    """The JSON document `text`, which is a `definition` of the schema: Contract or RobotInterface.

    Raises:
        ContractError: not JSON, of another version, or not what the schema asks for; names the first place.
    """
    try:
        document = json.loads(
            text, parse_constant=_refuse_constant, parse_float=_finite_float, object_pairs_hook=_unique_keys
        )
        _check_version(document)
        validate(document, definition)
    except ContractError:
        raise
    except ValueError as error:  # a syntax error, or an integer of thousands of digits
        raise ContractError("", f"not JSON: {error}") from error
    except RecursionError as error:
        raise ContractError("", "not a contract: nested too deeply") from error
    return document


def write(item: Any, definition: str) -> str:
    """The dataclass `item` as JSON, which is a `definition` of the schema; without what may be missing and is None.

    Raises:
        ContractError: a field holds what the schema does not allow.
    """
    try:
        document = as_json(dataclasses.asdict(item), definition)
        validate(document, definition)  # says where a number is that JSON has not
        text = json.dumps(document, allow_nan=False)
    except ContractError:
        raise
    except (TypeError, ValueError) as error:
        raise ContractError("", f"cannot be written as JSON: {error}") from error
    parse(text, definition)  # nothing is written that could not be read
    return text


def as_json(value: Any, definition: str) -> Any:
    """A `definition` of the schema as JSON has it: lists for tuples, and without what may be missing and is None."""
    return _given(value, {"$ref": f"#/$defs/{definition}"})


def _given(value: Any, rule: Mapping[str, Any]) -> Any:
    """The document without what may be missing and is None."""
    rule = {**_DEFINITIONS.get(rule.get("$ref", "").removeprefix("#/$defs/"), {}), **rule}
    if isinstance(value, list | tuple):
        return [_given(item, rule.get("items", {})) for item in value]
    if not isinstance(value, dict):
        return value
    known, required = rule.get("properties", {}), rule.get("required", value)
    return {
        name: _given(item, known.get(name, {})) for name, item in value.items() if item is not None or name in required
    }


def build(target: Callable[..., _Item], document: Mapping[str, Any]) -> _Item:
    """A signal, command, memory or noise from its parsed document: lists become tuples."""
    fields = {key: frozen(value) for key, value in document.items()}
    fields["shape"] = tuple(int(size) for size in document["shape"])
    return target(**fields)


def frozen(value: Any) -> Any:
    """A value of JSON with tuples for lists."""
    return tuple(frozen(item) for item in value) if isinstance(value, list) else value


def _refuse_constant(name: str) -> float:
    raise ContractError("", f"{name} is not a number that JSON allows")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ContractError("", f"{text} does not fit a float")
    return value


def _unique_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise ContractError("", f"key given twice: {', '.join(twice)}")
    return document


def _check_version(document: Any) -> None:
    version = document.get("version") if isinstance(document, dict) else None
    if isinstance(version, bool) or not isinstance(version, int | float) or version == CONTRACT_VERSION:
        return  # the schema says what is wrong with what is no number
    if version > CONTRACT_VERSION:
        problem = f"{version} is newer than {CONTRACT_VERSION}, which this isthmus reads: update isthmus here"
    else:
        problem = f"{version} is older than {CONTRACT_VERSION}, which this isthmus reads: export the policy again"
    raise ContractError("version", problem)


def schema(name: str = "contract") -> dict[str, Any]:
    """The published JSON Schema (draft 2020-12) of a contract, whose `$defs/RobotInterface` is the robot's side, or of
    a hardware `profile`."""
    return json.loads(resources.files("isthmus_deploy.contracts").joinpath(f"{name}.schema.json").read_text("utf-8"))


def validate(document: Any, definition: str, path: str = "") -> None:
    """Raise a ContractError that names the first place where a document, which stands at `path` of a larger one, breaks
    a `definition` of the schemas."""
    _validate(document, {"$ref": f"#/$defs/{definition}"}, path)


# --- the part of JSON Schema that the schemas use, so that a robot needs no validator package ---

_DEFINITIONS = {**schema()["$defs"], **schema("profile")["$defs"]}
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def _validate(value: Any, rule: Mapping[str, Any], path: str) -> None:
    """Raise a ContractError that names the first place where `value` breaks `rule`."""
    if "$ref" in rule:
        _validate(value, _DEFINITIONS[rule["$ref"].removeprefix("#/$defs/")], path)
    _check_type(value, rule, path)
    if "enum" in rule and value not in rule["enum"]:
        raise ContractError(path, f"{value!r} is none of {', '.join(map(repr, rule['enum']))}")
    if isinstance(value, str):
        _validate_text(value, rule, path)
    elif isinstance(value, dict):
        _validate_object(value, rule, path)
    elif isinstance(value, list):
        _validate_array(value, rule, path)
    elif _is_type(value, "number"):
        _validate_number(value, rule, path)


def _check_type(value: Any, rule: Mapping[str, Any], path: str) -> None:
    types = rule.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(_is_type(value, name) for name in types):
        raise ContractError(path, f"{_short(value)} is not of type {' or '.join(types)}")


def _is_type(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer":
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return isinstance(value, _TYPES[name])


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _validate_text(value: str, rule: Mapping[str, Any], path: str) -> None:
    if len(value) < rule.get("minLength", 0):
        raise ContractError(path, "is empty")
    if len(value) > rule.get("maxLength", len(value)):
        raise ContractError(path, f"is longer than {rule['maxLength']} characters")
    if not value.isascii() and any(0xD800 <= ord(character) < 0xE000 for character in value):
        raise ContractError(path, f"{value!r} has half of a character, which cannot be printed")
    if "pattern" in rule and (value.endswith("\n") or not re.search(rule["pattern"], value)):  # $ matches before it
        raise ContractError(path, f"{value!r} does not match {rule['pattern']}")


def _validate_number(value: float, rule: Mapping[str, Any], path: str) -> None:
    if not abs(value) <= sys.float_info.max:  # YAML has such numbers, and an integer of JSON may be of any length
        raise ContractError(path, f"{value:.3g} is not finite" if isinstance(value, float) else "does not fit a float")
    if "minimum" in rule and value < rule["minimum"]:
        raise ContractError(path, f"{value} is below {rule['minimum']}")
    if "exclusiveMinimum" in rule and value <= rule["exclusiveMinimum"]:
        raise ContractError(path, f"{value} is not above {rule['exclusiveMinimum']}")
    if "maximum" in rule and value > rule["maximum"]:
        raise ContractError(path, f"{value} is above {rule['maximum']}")


def _validate_array(value: list, rule: Mapping[str, Any], path: str) -> None:
    if len(value) < rule.get("minItems", 0):
        raise ContractError(path, f"needs at least {rule['minItems']} item")
    if len(value) > rule.get("maxItems", len(value)):
        raise ContractError(path, f"has {len(value)} items, at most {rule['maxItems']}")
    for index, item in enumerate(value):
        _validate(item, rule.get("items", {}), f"{path}[{index}]")


def _validate_object(value: dict, rule: Mapping[str, Any], path: str) -> None:
    properties = rule.get("properties", {})
    for key in rule.get("required", ()):
        if key not in value:
            raise ContractError(_join(path, key), "missing")
    others = rule.get("additionalProperties", {})
    for key, item in value.items():
        if key not in properties and others is False:
            raise ContractError(_join(path, key), f"unknown; valid are {', '.join(properties)}")
        _validate(item, properties.get(key, others), _join(path, key))


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
