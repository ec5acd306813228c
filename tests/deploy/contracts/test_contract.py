"""The contract: round trips, readable errors, agreement with the published schema, comparison with a robot."""

import copy
import dataclasses
import json
import math

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from untrained import second_opinion

from isthmus_deploy.contracts.consistency import InconsistentContract
from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.robot_interface import ContractMismatch, RobotInterface
from isthmus_deploy.contracts.schema import CONTRACT_VERSION, ContractError, schema


@pytest.fixture(scope="module")
def validator():
    published = schema()
    jsonschema.Draft202012Validator.check_schema(published)
    return jsonschema.Draft202012Validator(published)


def edited(contract, edit):
    """The contract's document after `edit` has changed it in place."""
    document = json.loads(contract.to_json())
    edit(document)
    return json.dumps(document)


def refusal(text, kind=Contract):
    with pytest.raises(ContractError) as caught:
        kind.from_json(text)
    return str(caught.value)


# --- round trips ---


def test_the_contract_survives_json(contract):
    assert Contract.from_json(contract.to_json()) == contract


def test_the_interface_survives_json(contract):
    assert RobotInterface.from_json(contract.interface().to_json()) == contract.interface()


@given(value=st.floats(min_value=1e-300, max_value=1e30))
def test_floats_keep_their_last_bit(contract, value):
    changed = dataclasses.replace(contract, control_period_s=value)
    assert Contract.from_json(changed.to_json()).control_period_s == value


def test_nested_initial_memory_survives_json(change):
    changed = change("memory", 0, initial=((0.0, 1.0), (2.0, 3.0), (4.0, 5.0)))
    assert Contract.from_json(changed.to_json()) == changed


def test_what_may_be_none_survives_json(change):
    slow = change("commands", 0, transition_rate=(1.5, 0.7))
    assert Contract.from_json(slow.to_json()) == slow
    trained = change("signals", 2, trained_minimum=(-0.5,), trained_maximum=(0.25,))
    assert Contract.from_json(trained.to_json()) == trained


def test_second_opinions_survive_json_and_are_not_written_where_there_is_none(contract):
    assert "second_opinions" not in contract.to_json()
    origin = contract.provenance.with_opinions([second_opinion("physx"), second_opinion("sapien")])
    judged = dataclasses.replace(contract, provenance=origin)
    assert Contract.from_json(judged.to_json()) == judged
    bad = edited(judged, lambda d: d["provenance"]["second_opinions"][1].update(policy="D0"))
    assert refusal(bad).startswith("provenance.second_opinions[1].policy: 'D0' does not match")


def test_an_engine_has_one_opinion(contract):
    origin = contract.provenance.with_opinions([second_opinion("physx"), second_opinion("sapien", required=0.99)])
    origin = origin.with_opinions([second_opinion("physx", episodes=500)])
    assert [(each.engine, each.episodes, each.enough) for each in origin.second_opinions] == [
        ("physx", 500, True), ("sapien", 64, False)
    ]  # fmt: skip
    assert contract.provenance.with_opinions([]).second_opinions is None


def with_pose(contract, **changed):
    """The contract with a goal for both joints, trained about where they are."""
    trained = {"trained_minimum": (-9.0, -9.0), "trained_maximum": (9.0, 9.0), "trained_around": "joint_position"}
    pose = dataclasses.replace(contract.signals[0], **{"name": "pose", "max_age_s": None, **trained, **changed})
    return dataclasses.replace(contract, signals=(*contract.signals, pose))


def test_a_range_about_a_reading_survives_json_and_is_not_written_where_there_is_none(contract):
    """It may reach beyond what is plausible of the goal itself: that depends on where it begins."""
    around = with_pose(contract)
    assert Contract.from_json(around.to_json()) == around
    assert "trained_around" not in contract.to_json()
    assert Contract.from_json(edited(contract, lambda d: d["signals"][2].update(trained_around=None))) == contract


def test_how_long_a_goal_lasts_survives_json_and_readings_do_not_expire(change):
    lasting = change("signals", 2, expires_s=0.25)
    assert Contract.from_json(lasting.to_json()) == lasting
    with pytest.raises(InconsistentContract, match=r"signals\[0\].expires_s: only a goal"):
        change("signals", 0, expires_s=0.25)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"trained_around": "orientation"},
            "signals[3].trained_around: orientation is no reading of what pose asks for; these are: joint_position",
        ),
        ({"unit": "m"}, "joint_position is no reading of what pose asks for; these are: none"),
        (
            {"trained_minimum": None, "trained_maximum": None},
            "signals[3].trained_around: given, but there is no trained range",
        ),
        ({"trained_minimum": (0.0,)}, "signals[3].trained_minimum: 1 values for 2 elements"),
    ],
)
def test_a_range_about_what_is_no_such_reading_is_refused(contract, changed, message):
    with pytest.raises(InconsistentContract) as caught:
        with_pose(contract, **changed)
    assert message in str(caught.value)


def test_the_packages_survive_json_and_older_contracts_without_them_are_read(contract):
    provenance = dataclasses.replace(contract.provenance, packages={"task two_joints": "isthmus 0.1.0"})
    named = dataclasses.replace(contract, provenance=provenance)
    assert Contract.from_json(named.to_json()) == named
    assert Contract.from_json(edited(named, lambda d: d["provenance"].pop("packages"))) == contract


def test_what_a_command_sets_is_measured_by_the_reading_of_the_same_quantity(contract, change):
    command = contract.commands[0]
    assert contract.measured(command) == contract.signals[0]
    for other in ({"unit": "rad/s"}, {"frame": "motor"}, {"order": ("knee", "hip")}, {"max_age_s": None}):
        assert change("signals", 0, **other).measured(command) is None


def test_a_transition_from_one_of_two_readings_is_refused(contract, change):
    second = dataclasses.replace(contract.signals[0], name="other_encoder")
    dataclasses.replace(contract, signals=(*contract.signals, second))  # without a transition it does not matter
    slow = change("commands", 0, transition_rate=(1.0, 1.0))
    with pytest.raises(InconsistentContract) as caught:
        dataclasses.replace(slow, signals=(*contract.signals, second))
    assert str(caught.value).startswith("commands[0].transition_rate: (joint_position, other_encoder) all measure it")


def test_a_contract_that_could_not_be_read_is_not_made_or_written(contract):
    with pytest.raises(InconsistentContract, match=r"control_period_s: -0.01 is not above 0"):
        dataclasses.replace(contract, control_period_s=-0.01)
    nan = dataclasses.replace(contract, trained_latency_s=math.nan)
    with pytest.raises(ContractError, match=r"^trained_latency_s: nan is not finite"):
        nan.to_json()


# --- errors name the place ---


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: d["signals"][1].pop("unit"), "signals[1].unit: missing"),
        (lambda d: d.pop("provenance"), "provenance: missing"),
        (lambda d: d["commands"][0].update(gain=1), "commands[0].gain: unknown; valid are name, shape, unit, frame"),
        (lambda d: d["signals"][0].update(shape=[2.5]), "signals[0].shape[0]: 2.5 is not of type integer"),
        (lambda d: d["signals"][0].update(shape=[]), "signals[0].shape: needs at least 1 item"),
        (lambda d: d["signals"][0].update(dtype="int4"), "signals[0].dtype: 'int4' is none of 'float32', 'uint8'"),
        (lambda d: d["signals"][0].update(name="Joint Position"), "signals[0].name: 'Joint Position' does not match"),
        (lambda d: d["joints"]["knee"].update(damping=-1), "joints.knee.damping: -1 is below 0"),
        (lambda d: d["joints"]["knee"].pop("effort_limit"), "joints.knee.effort_limit: missing"),
        (
            lambda d: d["commands"][0].update(transition_rate=[1.0, 0]),
            "commands[0].transition_rate[1]: 0 is not above 0",
        ),
        (
            lambda d: d["commands"][0].update(transition_rate=2.0),
            "commands[0].transition_rate: 2.0 is not of type array or",
        ),
        (lambda d: d["commands"][0].pop("transition_rate"), "commands[0].transition_rate: missing"),
        (lambda d: d["signals"][2].update(trained_minimum=[]), "signals[2].trained_minimum: needs at least 1 item"),
        (lambda d: d["provenance"].pop("task_config"), "provenance.task_config: missing"),
        (lambda d: d["provenance"].update(task_config=[]), "provenance.task_config: [] is not of type object"),
        (
            lambda d: d["provenance"].update(packages={"task a": 1}),
            "provenance.packages.task a: 1 is not of type string",
        ),
        (lambda d: d.update(noise=[{"name": "z", "shape": [0]}]), "noise[0].shape[0]: 0 is below 1"),
        (lambda d: d.update(control_period_s=True), "control_period_s: true is not of type number"),
        (lambda d: d.update(robot=""), "robot: is empty"),
        (lambda d: d.update(signals={}), "signals: {} is not of type array"),
    ],
)
def test_a_wrong_field_is_named_by_its_path(contract, edit, message):
    assert refusal(edited(contract, edit)).startswith(message)


@pytest.mark.parametrize(
    ("group", "fields", "message"),
    [
        ("signals", {"order": ("hip",)}, "signals[0].order: 1 names for a last axis of 2"),
        ("signals", {"order": ("hip", "hip")}, "signals[0].order: a name stands twice in (hip, hip)"),
        ("signals", {"max_jump": (1.0,)}, "signals[0].max_jump: 1 values for 2 elements"),
        ("signals", {"minimum": (-3.0, 3.0)}, "signals[0].minimum: 3.0 for knee is not below its maximum 3.0"),
        ("commands", {"safe": (0.0, 1.5)}, "commands[0].safe: 1.5 for knee is outside [-1.0, 1.0]"),
        ("commands", {"standby": (-9.0, 0.0)}, "commands[0].standby: -9.0 for hip is outside [-2.0, 2.0]"),
        ("commands", {"max_rate": (1.0, 1.0, 1.0)}, "commands[0].max_rate: 3 values for 2 elements"),
        ("commands", {"transition_rate": (1.0,)}, "commands[0].transition_rate: 1 values for 2 elements"),
        (
            "commands",
            {"transition_rate": (20.0, 10.5)},
            "commands[0].transition_rate: 10.5 for knee is above its max_rate 10.0",
        ),
        ("commands", {"name": "orientation"}, "commands: the graph name orientation is taken already (by signals)"),
        ("memory", {"initial": ((0.0, 0.0),)}, "memory[0].initial: does not have the shape (3, 2)"),
        ("memory", {"initial": ((0.0, 0.0), (0.0,), (0.0,))}, "memory[0].initial: rows of different lengths"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(change, group, fields, message):
    with pytest.raises(InconsistentContract) as caught:
        change(group, 0, **fields)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("index", "trained", "place"),
    [
        (0, {"trained_minimum": (0.0, 0.0), "trained_maximum": (1.0, 1.0)}, "trained_minimum: only a goal"),
        (2, {"trained_minimum": (-0.5,)}, "trained_maximum: null, but"),
        (2, {"trained_maximum": (0.5,)}, "trained_minimum: null, but"),
        (
            2,
            {"trained_minimum": (-0.5,), "trained_maximum": (1.5,)},
            "trained_maximum: 1.5 for offset is outside [-1.0,",
        ),
        (2, {"trained_minimum": (0.5,), "trained_maximum": (0.25,)}, "trained_minimum: 0.5 for offset is above its"),
        (2, {"trained_minimum": (0.0, 0.0), "trained_maximum": (0.5,)}, "trained_minimum: 2 values for 1 elements"),
    ],
)
def test_a_trained_range_is_a_goals_and_within_what_is_plausible(change, index, trained, place):
    with pytest.raises(InconsistentContract) as caught:
        change("signals", index, **trained)
    assert str(caught.value).startswith(f"signals[{index}].{place}")


def test_a_goal_may_have_been_one_value_in_training(change):
    assert change("signals", 2, trained_minimum=(0.5,), trained_maximum=(0.5,)).signals[2].trained_minimum == (0.5,)


def test_a_newer_version_is_refused_in_words(contract):
    newer = edited(contract, lambda d: d.update(version=CONTRACT_VERSION + 1, tyres=4))
    assert refusal(newer) == "version: 3 is newer than 2, which this isthmus reads: update isthmus here"


@pytest.mark.parametrize("kind", [Contract, RobotInterface])
def test_an_older_version_is_refused_with_the_fix(contract, kind):
    document = json.loads((contract if kind is Contract else contract.interface()).to_json())
    del document["signals"][0]["unit"]
    document["version"] = 1
    assert refusal(json.dumps(document), kind).startswith("version: 1 is older than 2, which this isthmus reads: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "[] is not of type object"),
        ("null", "null is not of type object"),
        ("[" * 100_000, "not a contract: nested too deeply"),
        ("1" * 10_000, "not JSON"),
        ('{"version": NaN}', "NaN is not a number that JSON allows"),
        ('{"version": 1e999}', "1e999 does not fit a float"),
        ('{"robot": "a", "robot": "b"}', "key given twice: robot"),
    ],
)
def test_what_is_no_contract_is_refused(text, message):
    assert refusal(text).startswith(message)


@pytest.mark.parametrize("kind", [Contract, RobotInterface])
@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("control_period_s", 10**400, "control_period_s: does not fit a float"),
        ("robot", "\ud800", r"robot: '\ud800' has half of a character, which cannot be printed"),
    ],
)
def test_what_no_float_holds_and_nobody_can_print_is_refused(contract, kind, field, value, message):
    document = json.loads((contract if kind is Contract else contract.interface()).to_json())
    document[field] = value
    assert refusal(json.dumps(document), kind) == message


def test_a_name_ends_where_its_line_does(contract):
    document = json.loads(contract.to_json())
    document["signals"][0]["name"] += "\n"
    assert refusal(json.dumps(document)).startswith(r"signals[0].name: 'joint_position\n' does not match")


def test_a_field_nested_too_deeply_is_refused(contract):
    deep = "[" * 400 + "]" * 400
    text = contract.to_json().replace('"initial": 0.0', f'"initial": {deep}')
    assert refusal(text) == "not a contract: nested too deeply"


# --- the published schema and from_json agree ---

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "a", "float32", "uint8", "A B", "1"]),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.sampled_from(["a", "unit"]), children),
    max_leaves=4,
)


def places(document):
    """Every container and key of a JSON document, outermost first."""
    keys = document if isinstance(document, dict) else range(len(document))
    for key in list(keys):
        yield document, key
        if isinstance(document[key], dict | list):
            yield from places(document[key])


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_the_schema_and_from_json_accept_the_same_documents(contract, validator, data):
    document = json.loads(contract.to_json())
    for _ in range(data.draw(st.integers(0, 2))):
        container, key = data.draw(st.sampled_from(list(places(document))))
        action = data.draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "replace":
            container[key] = copy.deepcopy(data.draw(JSON_VALUES))
        elif action == "remove":
            del container[key]
        elif isinstance(container, dict):
            container["extra"] = data.draw(JSON_VALUES)
        else:
            container.append(data.draw(JSON_VALUES))
    assert validator.is_valid(document) == accepts(json.dumps(document))


def accepts(text):
    """Whether the form is accepted; contradictions between fields are beyond what a schema can state."""
    try:
        Contract.from_json(text)
    except InconsistentContract:
        return True
    except ContractError:
        return False
    return True


def test_the_schema_covers_the_robots_interface(contract, validator):
    rule = {**schema(), "$ref": "#/$defs/RobotInterface"}
    assert jsonschema.Draft202012Validator(rule).is_valid(json.loads(contract.interface().to_json()))
    assert not validator.is_valid(json.loads(contract.interface().to_json()))


# --- comparison with a robot ---


def replaced(interface, group, index, **fields):
    items = list(getattr(interface, group))
    items[index] = dataclasses.replace(items[index], **fields)
    return dataclasses.replace(interface, **{group: tuple(items)})


def test_the_contracts_own_robot_fits(contract):
    assert contract.differences(contract.interface()) == []
    contract.check_robot(contract.interface())


@pytest.mark.parametrize(
    ("group", "index", "fields", "line"),
    [
        (
            "signals",
            1,
            {"order": ("x", "y", "z", "w")},
            "signals.orientation.order: contract (w, x, y, z), robot (x, y, z, w)",
        ),
        ("signals", 1, {"frame": "body_from_world"}, "signals.orientation.frame: contract world_from_body, robot body"),
        (
            "signals",
            0,
            {"order": ("knee", "hip")},
            "signals.joint_position.order: contract (hip, knee), robot (knee, h",
        ),
        ("signals", 0, {"unit": "deg"}, "signals.joint_position.unit: contract rad, robot deg"),
        (
            "signals",
            0,
            {"name": "other"},
            "signals.joint_position: contract needs it, robot has only goal, orientation",
        ),
        ("signals", 2, {"dtype": "float64"}, "signals.goal.dtype: contract float32, robot float64"),
        ("commands", 0, {"order": ("knee", "hip")}, "commands.joint_command.order: contract (hip, knee), robot (knee"),
        ("commands", 0, {"maximum": (2.0, 0.9)}, "commands.joint_command.maximum: contract 1.0 for knee, robot 0.9"),
        ("commands", 0, {"minimum": (-1.9, -1.0)}, "commands.joint_command.minimum: contract -2.0 for hip, robot -1.9"),
    ],
)
def test_each_difference_is_one_line(contract, group, index, fields, line):
    lines = contract.differences(replaced(contract.interface(), group, index, **fields))
    assert len(lines) == 1
    assert lines[0].startswith(line)


def test_a_shape_that_differs_is_named(contract):
    unsaid = dict.fromkeys(("minimum", "maximum", "max_jump"))
    robot = replaced(contract.interface(), "signals", 0, shape=(3,), order=("hip", "knee", "ankle"), **unsaid)
    assert contract.differences(robot)[0] == "signals.joint_position.shape: contract (2), robot (3)"


def test_another_period_and_other_gains_are_named(contract):
    robot = dataclasses.replace(contract.interface(), control_period_s=0.02)
    assert contract.differences(robot) == ["control_period_s: contract 0.01, robot 0.02"]
    knee = dataclasses.replace(contract.joints["knee"], stiffness=1.0)
    robot = dataclasses.replace(contract.interface(), joints={**contract.joints, "knee": knee})
    assert contract.differences(robot) == ["joints.knee.stiffness: contract 20.0, robot 1.0"]
    robot = dataclasses.replace(contract.interface(), joints={"hip": contract.joints["hip"]})
    assert contract.differences(robot) == ["joints.knee: contract needs it, robot has only hip"]


def test_a_richer_robot_fits_but_not_one_with_a_command_nobody_gives(contract):
    robot = contract.interface()
    more = dataclasses.replace(robot.signals[0], name="joint_velocity", unit="rad/s")
    assert contract.differences(dataclasses.replace(robot, signals=(more, *robot.signals))) == []
    gripper = dataclasses.replace(robot.commands[0], name="gripper")
    lines = contract.differences(dataclasses.replace(robot, commands=(*robot.commands, gripper)))
    assert lines == ["commands.gripper: robot expects it, contract does not give it"]


def test_a_wider_command_range_and_float32_rounding_fit(contract):
    robot = replaced(contract.interface(), "commands", 0, maximum=(2.5, 1.0), minimum=(-2.0, -1.0000001))
    assert contract.differences(dataclasses.replace(robot, control_period_s=0.009999999776)) == []


def test_check_robot_lists_every_difference(contract):
    robot = dataclasses.replace(contract.interface(), robot="other", control_period_s=0.005)
    with pytest.raises(ContractMismatch, match="robot: contract two_joints, robot other") as caught:
        contract.check_robot(robot)
    assert caught.value.differences == (
        "robot: contract two_joints, robot other",
        "control_period_s: contract 0.01, robot 0.005",
    )
