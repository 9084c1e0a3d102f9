#!/usr/bin/env python3
"""Measures how many MQTT messages a second an inbox node takes and acknowledges: loadtest/mqtt.py BROKER_PORT OPS STREAMS PID OUT [ROUNDS]

As many backends as there are users publish at QoS 1 as fast as Mosquitto takes it. In turns with the node, `mosquitto_sub`
takes as many: it is the floor, since it does nothing with them. Writes OUT as foghorn-load writes its values.
"""
import json
import os
import re
import subprocess
import sys
import time
import urllib.request

MESSAGES, USERS = 100_000, 8


def metric(ops, name):
    page = urllib.request.urlopen(f"http://{ops}/metrics").read().decode()
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)", page, re.M))


def acknowledged(ops):
    return metric(ops, "foghorn_inbox_mqtt_acknowledged_total")


def cpu(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def publish(port, topic):
    """One backend for each user: its lines are messages of their own."""
    lines = "".join(f"{n}\n" for n in range(MESSAGES // USERS)).encode()
    backends = []
    for user in range(1, USERS + 1):
        backend = subprocess.Popen(["mosquitto_pub", "-p", port, "-q", "1", "-l", "-t", f"{topic}{user}"], stdin=subprocess.PIPE)
        backends.append(backend)
    for backend in backends:
        backend.stdin.write(lines)
        backend.stdin.close()
    for backend in backends:
        if backend.wait() != 0:
            sys.exit("mqtt.py: mosquitto_pub failed")


def node(port, ops, pid):
    before, began, busy = acknowledged(ops), time.monotonic(), cpu(pid)
    publish(port, "notification")
    while acknowledged(ops) < before + MESSAGES:
        time.sleep(0.02)
        if time.monotonic() > began + 300:
            sys.exit("mqtt.py: the node has not acknowledged all messages within five minutes")
    took = time.monotonic() - began
    return MESSAGES / took, (cpu(pid) - busy) * 1e6 / MESSAGES


def floor(port):
    subscribe = ["mosquitto_sub", "-p", port, "-q", "1", "-i", "floor", "-c", "-t", "floor/#"]
    # It ends when it is subscribed, and the broker keeps what comes for it.
    subprocess.run([*subscribe, "-E"], check=True)
    reader = subprocess.Popen([*subscribe, "-C", str(MESSAGES)], stdout=subprocess.DEVNULL)
    began = time.monotonic()
    publish(port, "floor/")
    if reader.wait(300) != 0:
        sys.exit("mqtt.py: mosquitto_sub failed")
    return MESSAGES / (time.monotonic() - began)


def main():
    port, ops, streams, pid, out = sys.argv[1:6]
    rounds = int(sys.argv[6]) if len(sys.argv) > 6 else 5
    tabs = [
        subprocess.Popen(["curl", "-sN", "-o", "/dev/null", f"http://{streams}/sse/{user}"]) for user in range(1, USERS + 1)
    ]
    ours, used, floors = [], [], []
    try:
        while metric(ops, "foghorn_connections") < USERS:
            time.sleep(0.02)
        for _ in range(rounds):
            rate, busy = node(port, ops, pid)
            ours.append(rate)
            used.append(busy)
            floors.append(floor(port))
    finally:
        for tab in tabs:
            tab.kill()
    values = [
        {"metric": "messages/s", "system": "foghorn", "messages": MESSAGES, "rounds": ours},
        {"metric": "messages/s", "system": "floor", "messages": MESSAGES, "rounds": floors},
        {"metric": "CPU per message, µs", "system": "foghorn", "messages": MESSAGES, "rounds": used},
    ]
    with open(out, "w") as file:
        json.dump({"values": values}, file, indent=1)
    for value in values:
        print(f"{value['system']:8} {value['metric']:20} " + " ".join(f"{round(x):,}" for x in value["rounds"]))


if __name__ == "__main__":
    main()
