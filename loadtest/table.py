#!/usr/bin/env python3
"""Prints the table of docs/PERFORMANCE.md from what bench.sh left in a folder: loadtest/table.py [FOLDER]

Each cell is the median of the rounds and, in brackets, the smallest and the largest. A ratio is taken round by round. What
upstream needed is not measured here: it was, once, on the same kind of machine, with another client.
"""
import json
import pathlib
import statistics
import sys

# row of bench.sh, size, metric, what it is, what is compared with the goal, goal (None: only compared), upstream
VALUE, FLOOR, NCHAN, CENTRIFUGO = "value", "× floor", "× nchan", "× centrifugo"
ROWS = [
    ("fanout", 10_000, "time to the last, ms", "one event, 10,000 subscribers: ms to the last", FLOOR, 1.25, "13,800"),
    ("fanout", 1_000, "time to the last, ms", "the same, 1,000 subscribers: ms", FLOOR, 1.5, "137"),
    ("fanout", 10_000, "worst pong meanwhile, ms", "pongs while 10,000 are fanned out to: worst, ms", VALUE, 250, ""),
    ("memory", 15_000, "RSS per connection, KiB", "memory per idle subscribed connection, 15,000: KiB", VALUE, 7, "53"),
    ("deliveries", 5_000, "CPU per delivery, µs", "CPU per delivery, 50,000/s, 200 channels × 10: µs", FLOOR, 1.3, "24.9"),
    ("web", 10_000, "CPU, % of a core", "CPU, 10,000 idle web pages: % of a core", VALUE, 1, "31"),
    ("desktop", 10_000, "CPU, % of a core", "CPU, 10,000 desktop clients that ping each second: % of a core", VALUE, 15, "53"),
    ("desktop", 10_000, "worst pong, ms", "the same: worst pong, ms", VALUE, 50, "692"),
    ("storm", 15_000, "all subscribed after, s", "15,000 connections accepted and subscribed at once: s", NCHAN, 1, "3.9"),
    ("storm", 15_000, "worst pong of bystanders, ms", "pongs of 200 others meanwhile: worst, ms", VALUE, 1000, ""),
    ("tokens", 10_000, "CPU, wrong ÷ good tokens", "CPU of a storm with wrong tokens ÷ with good ones", VALUE, 1, ""),
    ("stuck", 5_000, "p99 with ÷ without", "p99 of 4,950 readers beside 50 stuck ones ÷ p99 of 5,000 without", VALUE, 1.1, ""),
    ("cluster", 2_000, "CPU per delivery, µs", "three nodes, one Redis, 2,000 events/s × 10: CPU of the nodes per delivery, µs", VALUE, 12, ""),
    ("cluster", 2_000, "CPU of Redis per event, µs", "the same: CPU of Redis per event, µs", VALUE, 15, ""),
    ("cluster", 2_000, "p99, ms", "the same: p99, ms", CENTRIFUGO, 1, ""),
    ("cluster", 2_000, "post answered p99, ms", "the same: post answered p99, ms", CENTRIFUGO, 1, ""),
    ("cluster", 10_000, "CPU per delivery, µs", "three nodes, one Redis, 10,000 events/s × 10: CPU of the nodes per delivery, µs", VALUE, 12, ""),
    ("cluster", 10_000, "CPU of Redis per event, µs", "the same: CPU of Redis per event, µs", VALUE, 15, ""),
    ("cluster", 10_000, "deliveries/s", "the same: deliveries a second", None, 0, ""),
    ("churn", 1_000_000, "growth, %", "memory after a million subscribe/unsubscribe: growth, %", VALUE, 5, "grows"),
    ("streams", 10_000, "time to the last, ms", "one notification, 10,000 event streams: ms to the last", FLOOR, 1.25, ""),
    ("streams", 1_000, "time to the last, ms", "the same, 1,000 event streams: ms", FLOOR, 1.5, ""),
    ("stream-memory", 15_000, "RSS per connection, KiB", "memory per idle event stream, 15,000: KiB", VALUE, 6, ""),
    ("stream-posts", 5_000, "deliveries/s", "5,000 notifications/s to 1,000 users with one event stream each: delivered a second", None, 0, ""),
    ("stream-posts", 5_000, "CPU per delivery, µs", "the same: CPU per notification, µs", None, 0, ""),
    ("stream-posts", 5_000, "post answered p99, ms", "the same: post answered p99, ms", None, 0, ""),
    ("mqtt", 100_000, "messages/s", "MQTT messages at QoS 1, taken and acknowledged a second; the floor is mosquitto_sub", None, 0, ""),
    ("mqtt", 100_000, "CPU per message, µs", "the same: CPU per message, µs", None, 0, ""),
    ("v1-fanout", 10_000, "time to the last, ms", "Centrifugo v1's protocol, one message, 10,000 subscribers: ms to the last", FLOOR, 1.25, ""),
    ("v1-fanout", 1_000, "time to the last, ms", "the same, 1,000 subscribers: ms", FLOOR, 1.5, ""),
    ("v1-memory", 15_000, "RSS per connection, KiB", "the same protocol, memory per idle connection, 15,000: KiB", VALUE, 5, ""),
    ("v1-deliveries", 5_000, "CPU per delivery, µs", "the same protocol, CPU per delivery, 50,000/s, 200 channels × 10: µs", CENTRIFUGO, 0.6, ""),
    ("v1-requests", 8, "presence, answers/s", "the same protocol's API, who of 10 is in a channel, asked over 8 connections: answers a second", CENTRIFUGO, None, ""),
    ("v1-requests", 8, "CPU per presence, µs", "the same: CPU per answer, µs", CENTRIFUGO, None, ""),
    ("v1-requests", 8, "history, answers/s", "the same, 10 messages of a channel's history: answers a second", CENTRIFUGO, None, ""),
    ("v1-requests", 8, "CPU per history, µs", "the same: CPU per answer, µs", CENTRIFUGO, None, ""),
    ("v1-requests-redis", 8, "presence, answers/s", "who of 10 is in a channel, kept in Redis: answers a second", CENTRIFUGO, None, ""),
    ("v1-requests-redis", 8, "CPU per presence, µs", "the same: CPU per answer, µs", CENTRIFUGO, None, ""),
    ("v1-requests-redis", 8, "CPU of Redis per presence, µs", "the same: CPU of Redis per answer, µs", CENTRIFUGO, None, ""),
    ("v1-requests-redis", 8, "history, answers/s", "10 messages of a channel's history, kept in Redis: answers a second", CENTRIFUGO, None, ""),
    ("v1-requests-redis", 8, "CPU per history, µs", "the same: CPU per answer, µs", CENTRIFUGO, None, ""),
    ("v1-requests-redis", 8, "CPU of Redis per history, µs", "the same: CPU of Redis per answer, µs", CENTRIFUGO, None, ""),
    ("v1-recover", 10_000, "all have all after, s", "10,000 clients come back at once and recover 50 messages each: s", CENTRIFUGO, None, ""),
    ("v1-recover", 10_000, "CPU per client, µs", "the same: CPU per client, µs", CENTRIFUGO, None, ""),
    ("v1-recover-redis", 10_000, "all have all after, s", "the same, with the history in Redis: s", CENTRIFUGO, None, ""),
    ("v1-recover-redis", 10_000, "CPU per client, µs", "the same: CPU per client, µs", CENTRIFUGO, None, ""),
    ("v1-recover-redis", 10_000, "CPU of Redis per client, µs", "the same: CPU of Redis per client, µs", CENTRIFUGO, None, ""),
]


def digits(x):
    if abs(x) >= 1000:
        return f"{x:,.0f}"
    return f"{x:.0f}" if abs(x) >= 100 else f"{x:.1f}" if abs(x) >= 10 else f"{x:.2f}"


def cell(values):
    if not values:
        return ""
    middle, low, high = statistics.median(values), min(values), max(values)
    return digits(middle) if len(values) == 1 else f"{digits(middle)} ({digits(low)}–{digits(high)})"


def over(a, b):
    return [x / y for x, y in zip(a, b) if y > 0]


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "target/bench")
    print("| what | reach | Foghorn | × floor | nchan | its × floor | Centrifugo | its × floor | floor | upstream | reached |")
    print("|" + " --- |" * 11)
    for row, size, metric, what, kind, goal, upstream in ROWS:
        file = folder / f"{row}.json"
        if not file.exists():
            continue
        found = json.loads(file.read_text())["values"]

        def rounds(system):
            return next((v["rounds"] for v in found if v["metric"] == metric and v["system"] == system and size in v.values()), [])

        ours, nchan, centrifugo, floor = (rounds(name) for name in ("foghorn", "nchan", "centrifugo", "floor"))
        # Idle clients cost the floor next to nothing, so there it is no measure.
        compared = [] if row in ("memory", "web", "stream-memory", "v1-memory") else floor
        ratio = over(ours, compared)
        judged = {VALUE: ours, FLOOR: ratio, NCHAN: over(ours, nchan), CENTRIFUGO: over(ours, centrifugo), None: []}[kind]
        reach = reached = ""
        if judged:
            middle = statistics.median(judged)
            if goal is None:
                reached = f"{cell(judged)} {kind}"
            else:
                reached = "yes" if middle <= goal else f"no: {digits(middle)}"
                if kind in (NCHAN, CENTRIFUGO):
                    reached += f" ({cell(judged)} {kind})"
                reach = f"≤ {goal:g}" + ("" if kind == VALUE else f" {kind}")
        others = " | ".join(f"{cell(peer)} | {cell(over(peer, compared))}" for peer in (nchan, centrifugo))
        print(f"| {what} | {reach} | {cell(ours)} | {cell(ratio)} | {others} | {cell(floor)} | {upstream} | {reached} |")


main()
