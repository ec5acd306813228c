"""What `benchmarks/with_lerobot.py` has done by LeRobot itself, in a Python of its own that knows nothing of us.

usage: inside_lerobot.py make ROOT | look ROOT OUT.npz | append ROOT | train ROOT act|diffusion
"""

# pyright: reportMissingImports=false, reportArgumentType=false

import json
import sys

import numpy as np
import torch
from lerobot.configs.types import FeatureType
from lerobot.datasets.compute_stats import compute_episode_stats, get_feature_stats
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.datasets.utils import dataset_to_policy_features
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors

NAME, BACKEND = "local/it", "pyav"
INDICES = ("timestamp", "frame_index", "episode_index", "index", "task_index")


def opened(root, **options):
    """The dataset, as LeRobot's own class."""
    return LeRobotDataset(NAME, root=root, video_backend=BACKEND, **options)


def make(root):
    """Three episodes of six joints and a camera, two tasks."""
    joints = {"dtype": "float32", "shape": (6,), "names": [f"joint_{i}" for i in range(6)]}
    camera = {"dtype": "video", "shape": (96, 128, 3), "names": ["height", "width", "channels"]}
    features = {"observation.state": joints, "action": joints, "observation.images.front": camera}
    dataset = LeRobotDataset.create(NAME, fps=30, features=features, root=root, video_backend=BACKEND)
    random = np.random.default_rng(0)
    for episode in range(3):
        for step in range(30):
            image = np.full((96, 128, 3), 40 + 60 * episode, np.uint8)
            image[step : step + 30, step : step + 30] = 220
            dataset.add_frame(
                {
                    "observation.state": random.normal(size=6).astype(np.float32),
                    "action": random.normal(size=6).astype(np.float32),
                    "observation.images.front": image,
                    "task": ("lift", "put")[episode % 2],
                }
            )
        dataset.save_episode()
    dataset.finalize()


def plain(statistics):
    """As JSON has it."""
    return {
        name: {key: np.asarray(value).tolist() for key, value in each.items()} for name, each in statistics.items()
    }


def look(root, out):
    """Every frame, images as bytes; and statistics that LeRobot computes, of all rows and of each episode's."""
    dataset = opened(root)
    rows = [dataset[i] for i in range(len(dataset))]
    tensors = {name: torch.stack([row[name] for row in rows]) for name, v in rows[0].items() if torch.is_tensor(v)}
    frames = {
        name: (255 * values).round().to(torch.uint8) if name in dataset.meta.camera_keys else values
        for name, values in tensors.items()
    }
    columns = {
        name: values.numpy().reshape(len(rows), -1)
        for name, values in frames.items()
        if name not in (*INDICES, *dataset.meta.camera_keys) and values.dtype.is_floating_point
    }
    features, cameras = dataset.features, dataset.meta.camera_keys
    found = compute_episode_stats(columns, {name: features[name] for name in columns})
    episode = frames["episode_index"].numpy().ravel()
    each = []
    for number in range(dataset.num_episodes):
        own = {name: values[episode == number] for name, values in columns.items()}
        told_of = compute_episode_stats(own, {name: features[name] for name in own})
        for camera in cameras:
            images = frames[camera].numpy()[episode == number]
            of_images = get_feature_stats(images, axis=(0, 2, 3), keepdims=True)
            told_of[camera] = {key: value if key == "count" else value / 255 for key, value in of_images.items()}
        each.append(plain(told_of))
    tasks = [row["task"] for row in rows]
    np.savez(
        out,
        told=json.dumps(plain(dataset.meta.stats)),
        found=json.dumps(plain(found)),
        episodes=json.dumps(each),
        tasks=json.dumps(tasks),
        **{n: v.numpy() for n, v in frames.items()},
    )


def append(root):
    """The first episode once more."""
    dataset = opened(root)
    skipped = (*INDICES, "task")
    for i in range(int(dataset.meta.episodes[0]["length"])):
        row = dataset[i]
        frame = {name: value for name, value in row.items() if name in dataset.features and name not in skipped}
        for name in frame:
            if name in dataset.meta.camera_keys:
                frame[name] = (255 * frame[name]).round().to(torch.uint8).permute(1, 2, 0).numpy()
            else:
                feature = dataset.features[name]
                frame[name] = frame[name].numpy().astype(feature["dtype"]).reshape(feature["shape"])
        dataset.add_frame(frame | {"task": row["task"]})
    dataset.save_episode()
    dataset.finalize()


def train(root, kind):
    """One step of a policy that is built from the dataset's features and statistics; prints its loss."""
    plain = opened(root)
    features = dataset_to_policy_features(plain.meta.features)
    outputs = {name: each for name, each in features.items() if each.type is FeatureType.ACTION}
    inputs = {name: each for name, each in features.items() if name not in outputs}
    small = {
        "act": {
            "chunk_size": 8,
            "n_action_steps": 8,
            "dim_model": 64,
            "n_heads": 2,
            "pretrained_backbone_weights": None,
        },
        "diffusion": {"down_dims": (32, 64), "n_groups": 8, "crop_shape": None},
    }[kind]
    config = {"act": ACTConfig, "diffusion": DiffusionConfig}[kind](
        input_features=inputs, output_features=outputs, device="cpu", **small
    )
    observed, acted = config.observation_delta_indices or [0], config.action_delta_indices
    steps = {name: [i / plain.fps for i in observed] for name in inputs} | {
        name: [i / plain.fps for i in acted] for name in outputs
    }
    if kind == "act":
        steps = {name: each for name, each in steps.items() if name in outputs}
    dataset = opened(root, delta_timestamps=steps)
    batch = next(iter(torch.utils.data.DataLoader(dataset, batch_size=4)))
    policy = get_policy_class(kind)(config)
    before, _ = make_pre_post_processors(config, dataset_stats=plain.meta.stats)
    loss, _ = policy.forward(before(batch))
    loss.backward()
    torch.optim.AdamW(policy.parameters(), lr=1e-4).step()
    print(json.dumps({"loss": loss.item(), "inputs": sorted(inputs), "outputs": sorted(outputs)}))


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    {"make": make, "look": look, "append": append, "train": train}[command](*arguments)
