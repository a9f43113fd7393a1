"""A stand-in for a Harmony node in sync: the simulated miner writes its database, and the RPC at port 9500 answers as a node of today does."""

import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

DATA = os.path.expanduser("~/harmony_db_0")


def answers():
    now = int(time.time())
    shards = [{"current": n == 0, "shardID": n, "http": "http://127.0.0.1:9500", "ws": "ws://127.0.0.1:9800"} for n in range(4)]
    return {
        "hmyv2_getNodeMetadata": {
            "blskey": ["0e1f"],
            "version": "Harmony (C) 2020. harmony, version v2024",
            "network": "mainnet",
            "chain-config": {"chain-id": 1},
            "is-leader": False,
            "shard-id": 0,
            "current-epoch": 186,
            "role": "Validator",
            "is-archival": False,
        },
        "hmyv2_latestHeader": {"blockHash": "0x5f", "blockNumber": now // 2, "shardID": 0, "leader": "one1leader", "epoch": 186, "unixtime": now},
        "hmyv2_inSync": True,
        "hmyv2_getShardingStructure": shards,
    }


class Rpc(BaseHTTPRequestHandler):
    def do_POST(self):
        question = json.loads(self.rfile.read(int(self.headers["content-length"])))
        reply = {"jsonrpc": "2.0", "id": question["id"]}
        known = answers()
        if question["method"] in known:
            reply["result"] = known[question["method"]]
        else:
            reply["error"] = {"code": -32601, "message": "the method does not exist/is not available"}
        body = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    os.makedirs(DATA, exist_ok=True)
    node = subprocess.Popen(["/in/testnode", "run", "--data", DATA])

    def end(*_):
        node.terminate()
        sys.exit(node.wait())

    signal.signal(signal.SIGTERM, end)
    HTTPServer(("127.0.0.1", 9500), Rpc).serve_forever()


main()
