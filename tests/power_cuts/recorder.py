"""A disk that keeps a record of all that reaches it: a plugin of nbdkit.

image=FILE is what it holds in the beginning, record=FILE gets every write (where, how much, the bytes) and every flush (-1, 0), in
their order, each before the kernel is told that it is done.
"""

import io
import os
import struct

import nbdkit

API_VERSION = 2
FLUSH = (1 << 64) - 1

content = bytearray()
record = -1
paths = {}


def config(key, value):
    paths[key] = value


def get_ready():
    global content, record
    with io.open(paths["image"], "rb") as image:
        content = bytearray(image.read())
    record = os.open(paths["record"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def note(offset, data):
    event = struct.pack("<QI", offset, len(data)) + bytes(data)
    assert os.write(record, event) == len(event)


def open(readonly):
    return 1


def get_size(handle):
    return len(content)


def pread(handle, buffer, offset, flags):
    buffer[:] = content[offset : offset + len(buffer)]


def pwrite(handle, buffer, offset, flags):
    content[offset : offset + len(buffer)] = buffer
    note(offset, buffer)
    if flags & nbdkit.FLAG_FUA:
        flush(handle, 0)


def flush(handle, flags):
    note(FLUSH, b"")


def can_fua(handle):
    return nbdkit.FUA_NATIVE


def thread_model():
    return nbdkit.THREAD_MODEL_SERIALIZE_ALL_REQUESTS
