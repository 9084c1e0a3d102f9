# python real.py http://127.0.0.1:8000 [secret]
import json, subprocess, sys, tempfile, time
from cent.core import Client, ResponseError, RequestException, generate_api_sign, generate_channel_sign, generate_token
base, secret = sys.argv[1], (sys.argv[2:] or ["secret"])[0]
c, ch = Client(base, secret), "public:cent%d" % time.time()
def show(what, call):
    try:
        print(what, "->", json.dumps(call()).replace(ch, "CH"))
    except (ResponseError, RequestException) as e:
        print(what, "->", type(e).__name__, e)
show("publish", lambda: c.publish(ch, {"input": "hello"}))
show("publish with client", lambda: c.publish(ch, "two", client="some-client"))
show("publish nope:x", lambda: c.publish("nope:x", {}))
show("broadcast", lambda: c.broadcast([ch, ch + "-2"], {"n": 1}))
show("history", lambda: [{**m, "uid": "UID"} for m in c.history(ch)])
show("history plain", lambda: c.history("plain"))
show("presence", lambda: c.presence(ch))
show("presence plain", lambda: c.presence("plain"))
show("unsubscribe", lambda: c.unsubscribe("nobody", ch))
show("unsubscribe from all", lambda: c.unsubscribe("nobody"))
show("disconnect", lambda: c.disconnect("nobody"))
show("disconnect ''", lambda: c.disconnect(""))
show("channels is a list", lambda: isinstance(c.channels(), list))
show("stats", lambda: {k: sorted(v[0]) if k == "nodes" else v for k, v in c.stats().items()})
c.add("publish", {"channel": ch, "data": 3}); c.add("publish", {"channel": "nope:x", "data": 3}); c.add("node", {})
show("three at once", lambda: [{**r, "body": sorted(r["body"]["data"]) if r["body"] else None} for r in c.send()])
show("nothing at once", lambda: c.send())
c.add("zork", {}); show("zork", lambda: c.send())
show("wrong secret", lambda: Client(base, "wrong").channels())
show("address ending in /api", lambda: isinstance(Client(base + "/api/", secret).channels(), list))
with tempfile.NamedTemporaryFile("w", suffix=".rc") as rc:
    rc.write("[ref]\naddress = %s\nsecret = %s\ntimeout = 5\n" % (base, secret)); rc.flush()
    for method, params in [("publish", {"channel": ch, "data": {"from": "cli"}}), ("presence", {"channel": ch}), ("history", {"channel": "plain"}), ("disconnect", {"user": "nobody"})]:
        out = subprocess.run(["cent", "ref", method, "--config", rc.name], input=json.dumps(params), capture_output=True, text=True)
        print("$ cent ref", method, "->", (out.stdout + out.stderr).strip().replace(ch, "CH"))
