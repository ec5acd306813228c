"""`python stream_images.py PORT`: a network camera (32 × 48, all of it red) at 30 images/s for at most 60 s; it
prints its port (0: a free one)."""

import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import cv2
import numpy as np

RED = cv2.imencode(".jpg", np.full((32, 48, 3), (0, 0, 200), np.uint8))[1].tobytes()


class Camera(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        for _ in range(1800):
            part = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(RED)}\r\n\r\n".encode()
            self.wfile.write(part + RED + b"\r\n")
            time.sleep(1 / 30)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Camera)
print(server.server_port, flush=True)
server.serve_forever()
