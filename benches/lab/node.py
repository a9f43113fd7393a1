"""The simulated miner as a plain process: it writes its databases without pause until it is told to stop."""
import json
import os
import signal
import socket
import subprocess
import sys
import time

PATIENCE = 120


class Node:
    """Times are seconds. `end` it whatever happens."""

    def __init__(self, program, directory, rate):
        self.program = program
        self.data = os.path.join(directory, "data")
        self.run = os.path.join(directory, "run")
        self.log = os.path.join(directory, "node.log")
        self.rate = rate
        self.process = None

    def fill(self, size):
        subprocess.run([self.program, "fill", "--data", self.data, "--size", size], stdout=subprocess.DEVNULL, check=True)

    def start(self):
        """Gives the time until it answers."""
        begun = time.monotonic()
        environment = {**os.environ, "TESTNODE_RUN": self.run, "TESTNODE_RATE": str(self.rate)}
        with open(self.log, "a") as log:
            self.process = subprocess.Popen([self.program, "run", "--data", self.data], env=environment,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._until("it answers", lambda: self.height() is not None)
        return time.monotonic() - begun

    def stop(self):
        """Gives the time until it has ended, which has to be with status 0."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(PATIENCE)
        self.process = None
        if status:
            sys.exit(f"the node ended with {status}: see {self.log}")
        return time.monotonic() - begun

    def advance(self, blocks):
        """Waits until it has made so many blocks more."""
        goal = self.height() + blocks
        self._until(f"block {goal}", lambda: self.height() >= goal, 0.05)

    def height(self):
        """What it answers; `None` while it does not."""
        try:
            with socket.socket(socket.AF_UNIX) as asked:
                asked.settimeout(PATIENCE)
                asked.connect(os.path.join(self.run, "control.sock"))
                asked.sendall(b'"facts"\n')
                with asked.makefile() as answer:
                    line = answer.readline()
        except (FileNotFoundError, ConnectionError):
            return None
        return json.loads(line)["facts"]["height"] if line else None

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _until(self, what, ask, pause=0.001):
        deadline = time.monotonic() + PATIENCE
        while not ask():
            if time.monotonic() > deadline or self.process.poll() is not None:
                sys.exit(f"the node ended, or not within {PATIENCE} s: {what}; see {self.log}")
            time.sleep(pause)
