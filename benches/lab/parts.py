"""The parts around an agent: a broker, a Docker engine of its own with the simulated miner, and what ends them.

Everything is on loopback or below one temporary directory. Needs root and Debian's docker.io, busybox-static,
mosquitto and util-linux; the miner's image is built by tests/testnode/image.
"""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATIENCE = 60


def until(what, ask):
    """Asks again and again until there is an answer."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.02)
    sys.exit(f"not within {PATIENCE} s: {what}")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Lab:
    """Use it with `with`: at the end everything that it has started has ended."""

    def __enter__(self):
        # On a disk: what is written to a filesystem in memory is not counted.
        self.directory = tempfile.mkdtemp(prefix="ostler-figures-", dir="/var/tmp")
        self.processes = []
        try:
            self._start_engine()
            self._start_broker()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            self.end(process, signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)
        subprocess.run(["find", "/sys/fs/cgroup", "-depth", "-type", "d", "-path", f"*/{os.path.basename(self.directory)}*",
                        "-exec", "rmdir", "{}", "+"], stderr=subprocess.DEVNULL, check=False)

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def start(self, log, command):
        """Starts a program that ends with this one, whatever happens."""
        with open(self.path(log), "a") as output:
            process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command],
                                       stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self.processes.append(process)
        return process

    def end(self, process, how=signal.SIGTERM):
        process.send_signal(how)
        process.wait(PATIENCE)
        if process in self.processes:
            self.processes.remove(process)

    def docker(self, *arguments):
        result = subprocess.run(["docker", "--host", f"unix://{self.engine_socket}", *arguments],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        return result.stdout if result.returncode == 0 else None

    def _start_engine(self):
        self.engine_socket = self.path("docker.sock")
        # The first process of its namespace: when it ends, the kernel ends all that it has started.
        self.start("docker.log", [
            "unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "slave",
            "dockerd", "--host", f"unix://{self.engine_socket}", "--data-root", self.path("docker"),
            "--exec-root", self.path("exec"), "--pidfile", self.path("docker.pid"),
            "--cgroup-parent", os.path.basename(self.directory), "--bridge=none", "--iptables=false"])
        until("the Docker engine answers", lambda: self.docker("version"))
        environment = {**os.environ, "DOCKER_HOST": f"unix://{self.engine_socket}"}
        subprocess.run([os.path.join(ROOT, "tests/testnode/image"), "miner"],
                       env=environment, stdout=subprocess.DEVNULL, check=True)
        self.docker("run", "--detach", "--name", "miner", "--network", "none", "--volume",
                    self.path("miner") + ":/var/data", "miner")
        until("the miner answers", lambda: self.docker("exec", "miner", "miner", "info", "height"))

    def _start_broker(self):
        self.port = free_port()
        with open(self.path("mosquitto.conf"), "w") as config:
            config.write(f"user root\nlistener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
                         "set_tcp_nodelay true\nmax_queued_messages 0\n")
        self.start("mosquitto.log", ["mosquitto", "-c", self.path("mosquitto.conf")])
        until("the broker answers", self._broker_answers)

    def _broker_answers(self):
        with socket.socket() as attempt:
            return attempt.connect_ex(("127.0.0.1", self.port)) == 0
