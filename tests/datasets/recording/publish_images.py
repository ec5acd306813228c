"""`python publish_images.py TOPIC:KIND:AGE_S …`: publishes images (6 × 8) at 50 Hz for at most 60 s.

Pixel (row, column) is (10 row, 10 column, counter), red first. KIND is rgb8, bgr8, mono8 (whose pixels are 10 row) or
jpeg (all of them grey 90). AGE_S is how long before its publication an image is stamped, "none" for no stamp.
"""

import sys
import time

import cv2
import numpy as np
import rclpy
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image

PADDING = 5


def pixels(counter: int) -> np.ndarray:
    rows, columns = np.mgrid[:6, :8]
    return np.stack((10 * rows, 10 * columns, np.full((6, 8), counter % 256)), axis=-1).astype(np.uint8)


def message(kind: str, counter: int) -> Image | CompressedImage:
    if kind == "jpeg":
        data = cv2.imencode(".jpg", np.full((6, 8, 3), 90, np.uint8))[1].tobytes()
        return CompressedImage(format="jpeg", data=data)
    image = pixels(counter)
    image = {"rgb8": image, "bgr8": image[..., ::-1], "mono8": image[..., :1]}[kind]
    rows = np.pad(image.reshape(6, -1), ((0, 0), (0, PADDING)), constant_values=255)
    return Image(height=6, width=8, encoding=kind, step=rows.shape[1], data=rows.tobytes())


def stamp(sent: Image | CompressedImage, age: str) -> None:
    if age != "none":
        seconds, nanoseconds = divmod(time.time_ns() - int(float(age) * 1e9), 10**9)
        sent.header.stamp.sec, sent.header.stamp.nanosec = seconds, nanoseconds


rclpy.init()
node = rclpy.create_node("camera_driver")
cameras = []
for argument in sys.argv[1:]:
    topic, kind, age = argument.split(":")
    publisher = node.create_publisher(CompressedImage if kind == "jpeg" else Image, topic, QoSProfile(depth=1))
    cameras.append((publisher, kind, age))
for counter in range(3000):
    for publisher, kind, age in cameras:
        sent = message(kind, counter)
        stamp(sent, age)
        publisher.publish(sent)
    time.sleep(0.02)
