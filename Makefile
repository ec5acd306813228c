# The front door. Every target below with a `##` remark appears in `make help`.
TASK ?= quadrotor
# What is demonstrated, and where it is recorded.
TELEOP_TASK = $(if $(filter file,$(origin TASK)),push_t,$(TASK))
DATASET ?= runs/teleop/$(TELEOP_TASK)
# ROS 2: what is installed already, else the distribution's when it is sourced, else wheels of jazzy. Or say ROS=kilted.
INSTALLED := $(patsubst .venv/.ready-%,%,$(firstword $(wildcard .venv/.ready-*)))
ROS ?= $(or $(INSTALLED),$(if $(ROS_DISTRO),system,jazzy))
BIN := .venv/bin
STAMP := .venv/.ready-$(ROS)
PEERS := .venv/.peers

.DEFAULT_GOAL := help
.PHONY: help setup setup-physx demo train teleop play export compare deploy test test-long test-lerobot lint campaign clean \
	need-RUN need-POLICY $(shell sed -n 's/^\(bench-[a-z-]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## list every target
	@echo 'make TARGET [ARGS="options for the program"]     every program explains itself: ARGS=--help'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## create .venv and install everything; ROS=jazzy, kilted or system (the sourced one); done by every target

$(STAMP): pyproject.toml constraints.txt constraints-kilted.txt scripts/setup.sh
	@scripts/setup.sh $(ROS)
	@touch $@

setup-physx: $(STAMP) ## PHYSX_LICENCE=accepted: Isaac's PhysX, under NVIDIA's licence, for the engine physx, into .physx
	@scripts/physx.sh

demo: $(STAMP) ## TASK=quadrotor, quadruped, biped, push_t, pick_place or peg: learn, export, do it over ROS 2, write a report into runs/
	$(BIN)/isthmus-demo --task $(TASK) $(ARGS)

train: $(STAMP) ## TASK=quadrotor: train a policy into runs/
	$(BIN)/isthmus-train $(TASK) $(ARGS)

teleop: $(STAMP) ## TASK=push_t: a page in the browser where a person demonstrates, recorded into DATASET=runs/teleop/...
	$(BIN)/isthmus-teleop $(TELEOP_TASK) $(DATASET) $(ARGS)

play: $(if $(POLICY),,need-RUN) $(STAMP) ## RUN=runs/... or POLICY=....onnx: evaluate with 95 % intervals and a video
	$(BIN)/isthmus-play $(if $(POLICY),--exported $(POLICY),$(RUN)) $(ARGS)

export: need-RUN $(STAMP) ## RUN=runs/...: compile a trained policy into one ONNX file, sensors in, motor commands out
	$(BIN)/isthmus-export $(RUN) $(ARGS)

compare: need-POLICY $(STAMP) ## POLICY=....onnx: on several engines, ARGS="--engines mujoco sapien": a second opinion before hardware
	$(BIN)/isthmus-compare $(POLICY) $(ARGS)

deploy: need-POLICY $(STAMP) ## POLICY=....onnx: start the ROS 2 node that drives the robot with an exported policy
	$(BIN)/isthmus-deploy $(POLICY) $(ARGS)

# Tests with ROS processes run by themselves: they keep real time. With 5, pytest says that none was chosen.
test: lint ## lint and all tests but the long ones
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not long and not ros" $(ARGS) || test $$? = 5
	$(BIN)/python -m pytest -m "ros and not long" $(ARGS) || test $$? = 5

test-long: $(STAMP) ## the tests that take minutes each
	$(BIN)/python -m pytest -m long $(ARGS)

test-lerobot: $(STAMP) ## LeRobot itself, in .lerobot, reads, trains on and appends to what is made here, and the other way round
	@scripts/lerobot.sh
	$(BIN)/python benchmarks/with_lerobot.py $(ARGS)

bench-with-lerobot: test-lerobot ## the same: every benchmark has such a name

lint: $(STAMP) ## ruff and pyright
	$(BIN)/ruff check .
	$(BIN)/pyright

bench-quadrotor: $(STAMP) ## training time and policy quality over seeds, beside the published figures
	$(BIN)/python benchmarks/quadrotor.py $(ARGS)

bench-walking: $(STAMP) ## ARGS="--task TASK": a robot with legs: training time, falls, errors and energy over seeds
	$(BIN)/python benchmarks/walking.py $(ARGS)

bench-quadruped: $(STAMP) ## the same for the quadruped
	$(BIN)/python benchmarks/walking.py --task quadruped $(ARGS)

bench-biped: $(STAMP) ## the same for the biped
	$(BIN)/python benchmarks/walking.py --task biped $(ARGS)

bench-pixels: $(STAMP) ## an arm reaches a cube by its camera, beside a blind one and one told where: success, shares of time
	$(BIN)/python benchmarks/pixels.py $(ARGS)

bench-rough: $(STAMP) ## the quadruped on rough ground: success by kind and level
	$(BIN)/python benchmarks/rough.py $(ARGS)

bench-policies: $(STAMP) ## history, recurrent unit and estimator on the quadruped at equal training time
	$(BIN)/python benchmarks/policies.py $(ARGS)

bench-steering: $(STAMP) ## a policy of partly spoiled demonstrations: success with the best of K chunks, any, and the most usual one
	$(BIN)/python benchmarks/steering.py $(ARGS)

bench-train: $(PEERS) ## learning speed beside rsl_rl's PPO on the same worlds, memory, share of raw physics
	$(BIN)/python benchmarks/train.py $(ARGS)

bench-adapter: $(PEERS) ## stable-baselines3's PPO learns to fly through the gymnasium adapter
	$(BIN)/python benchmarks/adapter.py $(ARGS)

bench-repertoire: $(STAMP) ## a repertoire of gaits by MAP-Elites, and how fast a robot with a dead motor finds one that still works
	$(BIN)/python benchmarks/repertoire.py $(ARGS)

bench-sac: $(PEERS) ## SAC beside stable-baselines3's SAC on gymnasium's tasks: steps/s with learning, returns
	$(BIN)/python benchmarks/sac.py $(ARGS)

bench-sequences: $(STAMP) ## a robot that decides every 1, 4, 8 and 16 steps: sequences of actions beside SAC that holds each action
	$(BIN)/python benchmarks/sequences.py $(ARGS)

bench-temperatures: $(STAMP) ## SAC's learned temperature beside fixed ones on three of gymnasium's tasks
	$(BIN)/python benchmarks/temperatures.py $(ARGS)

bench-resets: $(STAMP) ## learning from a teacher's snapshots, demonstrations' states and Go-Explore's archive; levels by learning progress
	$(BIN)/python benchmarks/resets.py $(ARGS)

bench-interventions: $(STAMP) ## somebody who succeeds half of the time takes over: RLIF beside HG-DAgger and cloning; SAC with demonstrations
	$(BIN)/python benchmarks/interventions.py $(ARGS)

bench-peg: $(STAMP) ## a peg into a hole from 20 demonstrations and a script that takes over, 15 minutes of one arm; beside HG-DAgger and cloning
	$(BIN)/python benchmarks/peg.py $(ARGS)

$(PEERS): $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c .venv/constraints.txt -e ".[bench]"
	@touch $@

bench-contention: $(STAMP) ## training alone and beside busy programs, with torch's threads asleep while they wait and spinning
	$(BIN)/python benchmarks/contention.py $(ARGS)

bench-push-t: $(STAMP) ## Push-T: human demonstrations replayed, beside gym-pusht where .gym-pusht has it
	$(BIN)/python benchmarks/push_t.py $(ARGS)

bench-gym-pusht: $(STAMP) ## ARGS="--runs runs/chunks/...": a chunk run's last policies in gym-pusht, in .gym-pusht, and here
	@scripts/gym_pusht.sh
	$(BIN)/python benchmarks/gym_pusht.py $(ARGS)

bench-bimodal: $(STAMP) ## two equally good ways round a disc: which methods choose one, and which plans keep to it
	$(BIN)/python benchmarks/bimodal.py $(ARGS)

bench-goals: $(STAMP) ## policies that are told where to go: three evaluations beside fifty
	$(BIN)/python benchmarks/goals.py $(ARGS)

bench-chunks: $(STAMP) ## ARGS="--runs runs/chunks/...": methods, samplers, strategies on Push-T: score beside time of a decision
	$(BIN)/python benchmarks/chunks.py $(ARGS)

bench-distill: $(STAMP) ## ARGS="--teachers runs/chunks/...": students by each way: score kept, evaluations and time saved
	$(BIN)/python benchmarks/distill.py $(ARGS)

bench-finetune: $(STAMP) ## ARGS="--runs runs/chunks/...": policies of chunks go on learning in simulation, tried in gym-pusht
	scripts/gym_pusht.sh
	$(BIN)/python benchmarks/finetune.py $(ARGS)

bench-imitation: $(STAMP) ## a student that sees learns from a teacher that knows: an arm reaches a cube
	$(BIN)/python benchmarks/imitation.py $(ARGS)

bench-chunk-latency: $(STAMP) ## one decision of exported chunk policies on one core, beside torch and bare products
	$(BIN)/python benchmarks/chunk_latency.py $(ARGS)

bench-monitor: $(STAMP) ## ARGS="--runs runs/chunks/...": failures told before they happen, and false alarms, beside each score alone
	$(BIN)/python benchmarks/monitor.py $(ARGS)

bench-monitor-steps: $(STAMP) ## ARGS="--runs runs/...": the same of a quadrotor's policies, with other bodies, air and sensors
	$(BIN)/python benchmarks/monitor_steps.py $(ARGS)

bench-recording: $(STAMP) ## recording two cameras at 30 Hz: dropped frames, jitter; cost of an episode as the dataset grows
	$(BIN)/python benchmarks/recording.py $(ARGS)

bench-rendering: $(STAMP) ## images per second of the arm's two cameras on one core
	$(BIN)/python benchmarks/rendering.py $(ARGS)

bench-importing: $(STAMP) ## ARGS=....zarr: an import compared with its source: numbers to the bit, images within the codec
	$(BIN)/python benchmarks/importing.py $(ARGS)

bench-bags: $(STAMP) ## actions of imported bags beside what they were decided on, in every phase, where that is known
	$(BIN)/python benchmarks/bags.py $(ARGS)

bench-loader: $(STAMP) ## windows per second for training, the first epoch, memory and disk of large images
	$(BIN)/python benchmarks/loader.py $(ARGS)

bench-engine: $(STAMP) ## engine throughput beside a bare MuJoCo loop
	$(BIN)/python benchmarks/engine.py $(ARGS)

bench-engines: $(STAMP) ## the quadruped on every engine that is here: heights, weight on its feet, speed, a trip to a worker
	$(BIN)/python benchmarks/engines.py $(ARGS)

bench-transfer: $(STAMP) ## ARGS="--policies runs/.../policy.onnx": what policies keep of their success on other engines
	$(BIN)/python benchmarks/transfer.py $(ARGS)

bench-gpu: $(STAMP) ## steps per second of the quadruped's worlds on a GPU, 256 to 16384 of them; says so without one
	$(BIN)/python benchmarks/gpu.py $(ARGS)

bench-runtime: $(STAMP) ## one inference of the exported graph on one core
	$(BIN)/python benchmarks/runtime.py $(ARGS)

bench-deploy: $(STAMP) ## the policy node at 100 and 500 Hz: jitter, latency, memory, beside a bare loop and a bare echo
	$(BIN)/python benchmarks/deploy.py $(ARGS)

bench-latency: $(STAMP) ## sensor-to-command time over DDS beside a bare echo
	$(BIN)/python benchmarks/latency.py $(ARGS)

bench-safety: $(STAMP) ## adversarial commands through the safety filter, and what a call costs
	$(BIN)/python benchmarks/safety.py $(ARGS)

bench-identify: $(STAMP) ## ARGS="--logs ...": a servo fitted to logs, judged on logs kept back; known servos found again
	$(BIN)/python benchmarks/identify.py $(ARGS)

bench-identify-robot: $(STAMP) ## hidden quadrotors found from one flight each, and policies trained within what was found
	$(BIN)/python benchmarks/identify_robot.py $(ARGS)

bench-demonstrations: $(STAMP) ## a second operator's demonstrations beside those of the first: all, some, those that fit
	$(BIN)/python benchmarks/demonstrations.py $(ARGS)

bench-mismatch: $(STAMP) ## faults of twelve kinds between training and robot: is the right cause named, and none in sound logs?
	$(BIN)/python benchmarks/mismatch.py $(ARGS)

campaign: $(STAMP) ## faults of many kinds into a running robot and its node: does it end safe, and how soon?
	$(BIN)/python benchmarks/campaign.py $(ARGS)

clean: ## remove .venv and caches; keeps runs/
	rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find sim policies datasets deploy tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

need-RUN need-POLICY: need-%:
	@test -n "$($*)" || { echo "make needs $*=...; 'make help' says what" >&2; exit 2; }
