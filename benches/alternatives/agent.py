"""The agent that one writes in an afternoon, as the other side of benches/footprint.

    agent.py PORT DEVICE STATE_DIR DOCKER_SOCKET CONTAINER

Takes commands from the broker, keeps each in a file that is synced before `accepted` goes out, looks at the container
every 30 seconds and reports the host every minute: the same paths and intervals as Ostler's, and nothing beyond. It does
not probe the miner, notices no event of the engine, has no HTTP API, refuses nothing and recovers nothing.
"""
import http.client
import json
import os
import socket
import sys
import threading
import time

import paho.mqtt.client as mqtt


class Engine(http.client.HTTPConnection):
    """The Docker engine on its unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def state_of(container, engine_socket):
    try:
        engine = Engine(engine_socket)
        engine.request("GET", f"/containers/{container}/json")
        return json.load(engine.getresponse())["State"]["Status"]
    except (OSError, KeyError, ValueError) as error:
        return str(error)


def host():
    with open("/proc/loadavg") as load, open("/proc/meminfo") as memory:
        lines = dict(line.split(":", 1) for line in memory)
        disk = os.statvfs("/")
        return {"load": load.read().split()[0], "available": lines["MemAvailable"].split()[0],
                "disk_free": disk.f_bavail * disk.f_frsize}


def main():
    port, device, state_dir, engine_socket, container = sys.argv[1:]
    root = f"ostler/{device}"
    os.makedirs(state_dir, exist_ok=True)

    def on_connect(client, *_):
        client.subscribe(f"{root}/command/+", 1)
        client.publish(f"{root}/availability", "online", 1, True)
        client.publish(f"{root}/workload/miner", state_of(container, engine_socket), 1, True)

    def on_message(client, _, message):
        command = json.loads(message.payload)
        record = json.dumps({"id": command["id"], "operation": message.topic.rsplit("/")[-1], "state": "accepted"})
        with open(os.path.join(state_dir, command["id"] + ".json"), "w") as file:
            file.write(record)
            file.flush()
            os.fsync(file.fileno())
        client.publish(f"{root}/operation/{command['id']}", record, 1, True)

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, device, clean_session=False)
    client.on_connect, client.on_message = on_connect, on_message
    client.will_set(f"{root}/availability", "offline", 1, True)
    client.connect("127.0.0.1", int(port), keepalive=30)
    threading.Thread(target=client.loop_forever, daemon=True).start()
    last = None
    for tick in range(sys.maxsize):
        if tick % 2 == 0:
            client.publish(f"{root}/telemetry", json.dumps(host()), 1)
        time.sleep(30)
        state = state_of(container, engine_socket)
        if state != last:
            client.publish(f"{root}/workload/miner", state, 1, True)
            last = state


main()
