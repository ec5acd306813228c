"""The policy file: what it holds, that it stays ordinary ONNX, and that nothing damaged or foreign gets through."""

import dataclasses
import hashlib
import json
import os

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus_deploy.contracts.schema import ContractError
from isthmus_deploy.policy import policy_file
from isthmus_deploy.policy.policy_file import PolicyFileError, append_digest, parse, read, seal, with_contract


def with_metadata(model, **entries):
    """The ONNX model with metadata written by the onnx package, and a right digest."""
    proto = onnx.load_from_string(model)
    for key, value in entries.items():
        proto.metadata_props.add(key=f"isthmus.{key}", value=value)
    return append_digest(proto.SerializeToString())


def refusal(data):
    with pytest.raises((PolicyFileError, ContractError)) as caught:
        parse(data)
    return str(caught.value)


# --- a good file ---


def test_what_was_sealed_is_read_back(policy_path, contract, replay, sealed):
    file = read(policy_path)
    assert file.contract == contract
    assert file.model == sealed
    assert [step.reset for step in file.replay] == [step.reset for step in replay]
    for read_step, step in zip(file.replay, replay, strict=True):
        for name, value in {**step.signals, **step.commands}.items():
            restored = {**read_step.signals, **read_step.commands}[name]
            assert restored.dtype == value.dtype
            np.testing.assert_array_equal(restored, value)


def test_the_file_is_ordinary_onnx_for_other_tools(sealed, contract):
    model = onnx.load_from_string(sealed)
    onnx.checker.check_model(model)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert list(metadata) == ["isthmus.contract", "isthmus.test_vectors", "isthmus.sha256"]
    assert metadata["isthmus.contract"] == contract.to_json()
    assert json.loads(metadata["isthmus.test_vectors"])["steps"][1]["reset"] is False
    session = onnxruntime.InferenceSession(sealed, providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map == metadata


def test_the_trailer_is_the_digest_of_everything_before_it(sealed):
    body, trailer = sealed[:-84], sealed[-84:]
    key, value = b"isthmus.sha256", hashlib.sha256(body).hexdigest().encode()
    assert trailer == b"\x72\x52\x0a\x0e" + key + b"\x12\x40" + value
    assert parse(sealed).digest == value.decode()


def test_metadata_written_by_another_tool_is_read(make_model, contract, sealed):
    metadata = {entry.key: entry.value for entry in onnx.load_from_string(sealed).metadata_props}
    data = with_metadata(
        make_model(), contract=metadata["isthmus.contract"], test_vectors=metadata["isthmus.test_vectors"]
    )
    assert parse(data).contract == contract


def test_a_sealed_model_is_not_sealed_again(sealed, contract, replay):
    with pytest.raises(PolicyFileError, match="carries Isthmus metadata already"):
        seal(sealed, contract, replay)


def test_another_contract_leaves_all_else(sealed, contract):
    other = dataclasses.replace(contract, provenance=dataclasses.replace(contract.provenance, seed=8))
    data = with_contract(sealed, other)
    before, after = parse(sealed), parse(data)
    assert after.contract == other
    assert after.digest != before.digest
    assert with_contract(data, contract) == sealed
    graphs = [onnx.load_from_string(each) for each in (sealed, data)]
    for graph in graphs:
        graph.ClearField("metadata_props")
    assert graphs[0] == graphs[1]


def test_a_damaged_file_gets_no_other_contract(sealed, contract):
    with pytest.raises(PolicyFileError, match="truncated"):
        with_contract(sealed[:-1], contract)


# --- a damaged, foreign or altered file ---


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_change_of_any_byte_is_found(sealed, data):
    position = data.draw(st.integers(0, len(sealed) - 1))
    bits = data.draw(st.integers(1, 255))
    changed = bytearray(sealed)
    changed[position] ^= bits
    refusal(bytes(changed))


def test_a_change_of_each_byte_of_the_trailer_is_found(sealed):
    for position in range(len(sealed) - 84, len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        refusal(bytes(changed))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_file_cut_anywhere_is_refused(sealed, data):
    refusal(sealed[: data.draw(st.integers(0, len(sealed) - 1))])


@settings(deadline=None)
@given(data=st.binary(max_size=400))
def test_random_bytes_are_refused_even_with_a_right_digest(data):
    refusal(data)
    refusal(append_digest(data))


@pytest.mark.parametrize(
    ("place", "reason"),
    [("graph", "altered or damaged"), ("contract", "altered or damaged"), ("digest", "altered or damaged")],
)
def test_an_edit_is_named_as_such(sealed, place, reason):
    position = {"graph": 60, "contract": sealed.index(b"two_joints"), "digest": len(sealed) - 1}[place]
    changed = bytearray(sealed)
    changed[position] ^= 1
    assert refusal(bytes(changed)).startswith(reason)


def test_reasons_tell_the_kinds_of_damage_apart(sealed, make_model):
    assert refusal(b"") == "the file is empty"
    assert refusal(sealed[:-1]).startswith("truncated, or something was appended")
    assert refusal(sealed + b"\n").startswith("truncated, or something was appended")
    assert refusal(make_model()).startswith("not an Isthmus policy file")
    assert refusal(b"PK\x03\x04 a zip file").startswith("not an Isthmus policy file")
    assert refusal(sealed[:100]).startswith("not an Isthmus policy file, or only the start of one")


def test_a_file_that_cannot_be_read_is_a_policy_file_error(tmp_path):
    with pytest.raises(PolicyFileError, match=r"policy\.onnx: cannot be read: No such file or directory"):
        read(tmp_path / "policy.onnx")
    with pytest.raises(PolicyFileError, match="cannot be read: Is a directory"):
        read(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(PolicyFileError, match=r"pipe\.onnx: cannot be read: is no file"):
        read(tmp_path / "pipe.onnx")


def test_errors_name_the_file(tmp_path, sealed):
    path = tmp_path / "half.onnx"
    path.write_bytes(sealed[:-10])
    with pytest.raises(PolicyFileError, match=r"half\.onnx: truncated"):
        read(path)


# --- a right digest over wrong metadata ---


def test_a_model_without_or_with_two_contracts_is_refused(make_model, contract):
    assert refusal(append_digest(make_model())) == ("has 0 entries isthmus.contract instead of one: export it again")
    proto = onnx.load_from_string(with_metadata(make_model(), contract=contract.to_json()))
    proto.metadata_props.add(key="isthmus.contract", value=contract.to_json())
    assert "has 2 entries isthmus.contract" in refusal(append_digest(proto.SerializeToString()))


def test_a_contract_of_a_newer_version_is_refused(tmp_path, make_model, contract):
    newer = json.dumps({**json.loads(contract.to_json()), "version": 99})
    path = tmp_path / "newer.onnx"
    path.write_bytes(with_metadata(make_model(), contract=newer, test_vectors="{}"))
    with pytest.raises(PolicyFileError, match=r"newer\.onnx: version: 99 is newer than 2"):
        read(path)


@pytest.mark.parametrize(
    "vectors",
    [
        "",
        "[]",
        "{}",
        '{"steps": 3}',
        '{"steps": [3]}',
        '{"steps": [null]}',
        '{"steps": []}',
        '{"steps": [{"reset": true}]}',
        '{"steps": [{"reset": true, "signals": {}, "commands": {}}]}',
        '{"steps": [{"reset": true, "signals": {"joint_position": "x"}, "commands": {}}]}',
    ],
)
def test_missing_or_malformed_test_vectors_are_refused(make_model, contract, vectors):
    data = with_metadata(make_model(), contract=contract.to_json(), test_vectors=vectors)
    assert "test vectors" in refusal(data)


def test_test_vectors_must_start_with_a_reset(make_model, contract, replay):
    assert refusal(seal(make_model(), contract, replay[1:])) == "its test vectors do not start with a reset step"


def test_test_vectors_of_another_shape_are_refused(make_model, contract, replay):
    wrong = dataclasses.replace(replay[0], commands={"joint_command": np.zeros(3, np.float32)})
    assert "joint_command has the shape (3,), not (2,)" in refusal(seal(make_model(), contract, [wrong]))


def test_long_metadata_is_read(make_model, contract, replay):
    """Lengths of one, two and three bytes in the wire format."""
    for size in (1, 200, 20_000, 3_000_000):
        evaluation = {"note": "x" * size}
        provenance = dataclasses.replace(contract.provenance, evaluation=evaluation)
        changed = dataclasses.replace(contract, provenance=provenance)
        assert parse(seal(make_model(), changed, replay)).contract == changed


def test_the_tolerance_is_the_one_of_the_design():
    assert policy_file.TOLERANCE == 1e-5
