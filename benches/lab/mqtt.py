"""As much of an MQTT 3.1.1 client as it takes to send a command and to see what comes of it."""
import socket
import struct


def string(text):
    data = text.encode()
    return struct.pack("!H", len(data)) + data


class Client:
    """A connection to the broker; every wait of it ends after `patience` seconds."""

    def __init__(self, port, name, patience=60):
        self.socket = socket.create_connection(("127.0.0.1", port), patience)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb")
        self._send(0x10, string("MQTT") + bytes([4, 2, 0, 0]) + string(name))
        self._await(0x20)

    def subscribe(self, *filters):
        self._send(0x82, b"\0\1" + b"".join(string(each) + b"\0" for each in filters))
        self._await(0x90)

    def publish(self, topic, payload):
        """With QoS 1; the broker's PUBACK is passed over by `message`."""
        self._send(0x32, string(topic) + b"\0\2" + payload)

    def message(self):
        """Waits for the next one: topic and payload."""
        body = self._await(0x30)
        length = struct.unpack("!H", body[:2])[0]
        return body[2:2 + length].decode(), body[2 + length:]

    def close(self):
        self._send(0xE0, b"")
        self.socket.close()

    def _send(self, kind, body):
        length, left = b"", len(body)
        while left > 127:
            length, left = length + bytes([left % 128 | 128]), left // 128
        self.socket.sendall(bytes([kind]) + length + bytes([left]) + body)

    def _await(self, kind):
        while True:
            head = self._read(1)[0]
            length, shift = 0, 0
            while True:
                byte = self._read(1)[0]
                length |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            body = self._read(length)
            # The lower half of the first byte are flags: retained or not is all the same here.
            if head & 0xF0 == kind & 0xF0:
                return body

    def _read(self, length):
        data = self.reader.read(length)
        if len(data) < length:
            raise ConnectionError("the broker has closed the connection")
        return data
