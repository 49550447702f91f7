"""A client of i-PI's protocol that keeps to it, or not: usage ipi_client.py SOCKET HOW [FOLDER].

Every atom hangs on a spring at the origin (atomic units). The fault happens at frames whose first atom is beyond 50 Bohr
along x, or at the start. Needs nothing but Python.
"""

import os
import signal
import socket
import struct
import subprocess
import sys
import time

name, how = sys.argv[1:3]
folder = sys.argv[3] if len(sys.argv) > 3 else "."
print("this is", how, flush=True)
if how == "start":
    print("no licence", flush=True)
    sys.exit(7)
if how == "flaky":
    # The first two that are started fail.
    for attempt in range(2):
        try:
            os.close(os.open(f"{folder}/attempt-{attempt}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        sys.exit(1)
if how == "asleep":
    time.sleep(600)

if ":" in name:
    host, port = name.split(":")
    connection = socket.create_connection((host, int(port)))
else:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect("/tmp/ipi_" + name)
stream = connection.makefile("rwb")
if how == "mute":
    time.sleep(600)


def read(count):
    data = stream.read(count)
    if len(data) < count:
        sys.exit(0)
    return data


def say(word, *more):
    stream.write(word.ljust(12) + b"".join(more))
    stream.flush()


state, answered = b"NEEDINIT", 0
energy, forces, poisoned = 0.0, [], False
while True:
    word = read(12).rstrip()
    if word == b"STATUS":
        if poisoned and how == "word":
            say(b"HTTP/1.1 404")
        elif poisoned and how == "forgetful":
            say(b"READY")
        else:
            say(state)
    elif word == b"INIT":
        _, length = struct.unpack("2i", read(8))
        read(length)
        state = b"READY"
    elif word == b"POSDATA":
        read(144)
        (count,) = struct.unpack("i", read(4))
        positions = struct.unpack(f"{3 * count}d", read(24 * count))
        energy, forces = 0.0, []
        for x in positions:
            energy += 0.5 * x * x
            forces.append(-x)
        state = b"HAVEDATA"
        poisoned = positions[0] > 50.0
        if how == "chatter":
            print("x" * 1_000_000)
            print("y" * 1_000_000, file=sys.stderr)
        if poisoned and how == "exit":
            print("what a frame", file=sys.stderr, flush=True)
            os._exit(3)
        if poisoned and how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if poisoned and how == "hang":
            time.sleep(600)
        if poisoned and how == "offspring":
            subprocess.Popen(["sleep", "600"], start_new_session=True)
            time.sleep(600)
        if poisoned and how == "energy":
            energy = float("nan")
        if poisoned and how == "force":
            forces[4] = float("inf")
    elif word == b"GETFORCE":
        if poisoned and how == "atoms":
            count += 1
        if poisoned and how == "negative":
            count = -1
        extra = b'{"frame": %d}' % answered
        length = len(extra)
        if poisoned and how == "extra":
            length = 2**31 - 1
        if poisoned and how == "length":
            length = -7
        numbers = struct.pack(f"{len(forces)}d", *forces)
        virial = struct.pack("9d", 1, 0, 0, 0, 1, 0, 0, 0, 1)
        say(b"FORCEREADY", struct.pack("di", energy, count), numbers, virial, struct.pack("i", length), extra)
        state, answered = b"READY", answered + 1
        if how == "leaves":
            sys.exit(0)
    elif word == b"EXIT":
        if folder != ".":
            open(f"{folder}/left-{os.getpid()}", "w").close()
        sys.exit(0)
