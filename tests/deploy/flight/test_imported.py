"""A run of the flight recorder becomes a dataset: a row is a tick with what was sent in it, in the contract's units."""

from __future__ import annotations

import numpy as np

from isthmus_datasets.convert.importers.opening import open_source
from isthmus_datasets.convert.importers.source import ImportOptions
from isthmus_deploy.flight.recorded import read_flight
from isthmus_deploy.safety.supervisor import State

TOPICS = {
    "observation.state": "/flight/signals",
    "observation.age": "/flight/ages_s",
    "observation.work": "/flight/tick:work_ns",
    "observation.tick": "/flight/tick:tick",
    "action": "/flight/sent",
}


def test_a_run_becomes_episodes_of_its_ticks(start_run):
    run = start_run()
    run.activate(50)
    run.activate(20)
    assert run.recorder.close()
    flight = read_flight(run.recorder.folder)
    running = f"/flight/tick:state={list(State).index(State.RUNNING)}"
    options = ImportOptions(fps=100, task="move", topics=TOPICS, episodes=(running,))
    source = open_source(run.recorder.folder, options)
    episodes = list(source.episodes)
    driven = flight.numbers["activation"][[state is State.RUNNING for state in flight.states]]
    assert [episode.length for episode in episodes] == np.bincount(driven)[1:].tolist()
    for episode in episodes:
        ticks = np.searchsorted(flight.numbers["tick"], episode.columns["observation.tick"][:, 0])
        np.testing.assert_array_equal(
            episode.columns["observation.state"][:, :2], flight.signals["joint_position"][ticks]
        )
        np.testing.assert_array_equal(episode.columns["action"], flight.sent["joint_command"][ticks])
    assert not any("clock" in text for text in source.findings)
    units = {name: (feature.info or {}).get("units") for name, feature in source.features.items()}
    contract = run.controller.contract
    said = {item.name: item.unit for item in (*contract.signals, *contract.commands)}
    names = source.features["observation.state"].names or ()
    assert units["observation.state"] == [said[name.partition(".")[0]] for name in names]
    assert units["action"] == [said["joint_command"]] * 2
    assert units["observation.age"] == ["s"] * len(contract.signals)
    assert units["observation.work"] == ["ns"]
    assert units["observation.tick"] is None
