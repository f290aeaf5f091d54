#!/usr/bin/env python3
"""Writes the old directories of this folder. Run once, by the program of commit e9436db; kept to show how they came about.

Usage: LL=<program> make.py <folder of the recording>

Each archive holds `data`, `data.keys`, `data.head` and two credentials, `admin.key` and `reader.key`. The keys open nothing else.
"""
import gzip, http.client, io, json, os, shutil, signal, socket, subprocess, sys, tarfile, tempfile, time

LL = os.path.realpath(os.environ["LL"])
HERE = os.path.dirname(os.path.abspath(__file__))
SEGMENT = "131072"


class Ledger:
    def __init__(self, folder=None):
        self.folder = folder or tempfile.mkdtemp(prefix="golden-")
        self.process = None

    def start(self, *flags, segment=SEGMENT):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        at = lambda name: os.path.join(self.folder, name)
        boot = [] if os.path.exists(at("admin.key")) else ["--bootstrap-key-file", at("admin.key")]
        self.process = subprocess.Popen(
            [LL, "serve", "--data", at("data"), "--listen", f"127.0.0.1:{self.port}", *boot, "--segment-bytes", segment,
             "--free-space-floor-bytes", "1", *(flags if "--block-interval-ms" in flags else ["--block-interval-ms", "200", *flags])], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        for _ in range(200):
            try:
                if self.call("GET", "/healthz")[0] == 200:
                    break
            except OSError:
                time.sleep(0.02)
        for name, roles in (("reader", ["reader", "auditor"]), ("privacy", ["privacy"]), ("producer", ["producer"])):
            if not os.path.exists(at(name + ".key")):
                tenant = "*" if name == "reader" else ""
                made = self.call("POST", "/v1/keys", {"tenant": tenant, "source": {"reader": "desk", "privacy": "dpo", "producer": "idp"}[name], "roles": roles}, "admin")
                open(at(name + ".key"), "w").write(json.loads(made[1])["secret"] + "\n")
                os.chmod(at(name + ".key"), 0o600)

    def call(self, method, path, body=None, key=None, timeout=20):
        headers = {}
        if key:
            headers["Authorization"] = "Bearer " + open(os.path.join(self.folder, key + ".key")).read().strip()
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        c.request(method, path, body=body, headers=headers)
        answer = c.getresponse()
        return answer.status, answer.read()

    def record(self, events):
        status, body = self.call("POST", "/v1/events", events, "producer")
        assert status == 200 and all(e["status"] == "recorded" for e in json.loads(body)["events"]), body

    def settle(self):
        """Waits until followers have nothing more to state and a block covers everything."""
        before = None
        for _ in range(60):
            status = json.loads(self.call("GET", "/v1/status", key="reader")[1])
            now = (status["size"], status["published_size"])
            if now == before and now[0] == now[1]:
                return
            before = now
            time.sleep(1.5)

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(20)

    def store(self, name):
        for key in ("privacy", "producer"):
            path = os.path.join(self.folder, key + ".key")
            if os.path.exists(path):
                os.remove(path)
        # Reproducible as an archive: no owner, no time.
        def plain(info):
            info.uid = info.gid = info.mtime = 0
            info.uname = info.gname = ""
            return info
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for entry in sorted(os.listdir(self.folder)):
                tar.add(os.path.join(self.folder, entry), entry, filter=plain)
        path = os.path.join(HERE, name + ".tar.gz")
        with open(path, "wb") as out, gzip.GzipFile("", "wb", 9, out, mtime=0) as packed:
            packed.write(raw.getvalue())
        print(name, os.path.getsize(path))


def event(n, kind, token, second, **more):
    one = {"native_id": f"n{n}", "type": kind, "occurred_at": f"2026-02-03T04:{second // 60:02}:{second % 60:02}Z", "issuer": "idp"}
    one.update({"token_id": f"eu:idp:jti:{token}"} if isinstance(token, str) else {"target": token})
    one.update(more)
    return one


def alice(second):
    return [{"role": "SUBJECT", "user_id": "alice", "ip": "203.0.113.7", "user_agent": "browser/1"}]


def story(start, name, count=3):
    """A login, refreshes, uses, a revocation of the token, one of the grant, and a second name."""
    n, out = start, []
    def add(*args, **more):
        nonlocal n
        n += 1
        out.append(event(n, *args, n % 3000, **more))
    facts = {"client_id": "web", "session_id": f"s-{name}", "grant_id": f"g-{name}", "token_kind": "ACCESS", "scopes": ["orders:read"],
             "audience": ["orders"], "expires_at": "2036-02-03T05:00:00Z"}
    add("ISSUED", f"{name}-r0", **{**facts, "token_kind": "REFRESH"}, personal=alice(0))
    for i in range(count):
        add("REFRESHED", f"{name}-r{i}")
        add("ROTATED", f"{name}-r{i}", links=[{"token_id": f"eu:idp:jti:{name}-r{i + 1}", "relation": "ROTATED_TO", "strength": "ASSERTED"}])
        add("ISSUED", f"{name}-r{i + 1}", **{**facts, "token_kind": "REFRESH"}, personal=alice(0),
            links=[{"token_id": f"eu:idp:jti:{name}-r{i}", "relation": "ROTATED_FROM", "strength": "ASSERTED"}])
        add("ISSUED", f"{name}-a{i}", **facts, personal=alice(0), also_known_as=[f"eu:idp:acc:{name}-acc{i}"],
            links=[{"token_id": f"eu:idp:jti:{name}-r{i}", "relation": "REFRESHED_FROM", "strength": "ASSERTED"}])
        add("RESOURCE_ACCESSED", f"{name}-a{i}", outcome="ALLOW", service="orders", resource="/orders/{id}", action="GET", personal=alice(0))
    add("SUSPENDED", f"{name}-a0")
    add("REINSTATED", f"{name}-a0")
    add("REVOKED", f"{name}-a0", reason="user")
    add("USED", f"{name}-a0", outcome="ALLOW")
    return out


def wide(n, name):
    return [event(n, "REVOKED", {"kind": "GRANT", "id": f"eu:idp:g-{name}"}, n % 3000, reason="admin")]


def clean(recording):
    ledger = Ledger()
    ledger.start(segment="4194304")
    files = [os.path.join(recording, f) for f in ("provider.ndjson", "resource-server.ndjson", "policies.ndjson")]
    subprocess.run([LL, "ingest", "--url", f"http://127.0.0.1:{ledger.port}", "--key-file", ledger.folder + "/producer.key", "--adapter", "oidc-provider", *files], check=True, stdout=subprocess.DEVNULL)
    ledger.settle()
    ledger.stop()
    ledger.store("clean")


def crashed():
    ledger = Ledger()
    ledger.start()
    for round in range(12):
        ledger.record(story(100 * round, f"c{round}"))
    ledger.record(wide(5000, "c1"))
    ledger.stop(signal.SIGKILL)
    ledger.store("crashed")


def torn():
    ledger = Ledger()
    ledger.start("--block-interval-ms", "60000")
    ledger.record(story(0, "t0"))
    time.sleep(1)
    ledger.record(story(100, "t1"))
    ledger.stop(signal.SIGKILL)
    # The head store follows within about 100 ms: the last batch is beyond it, and its end was never written.
    journal = sorted(os.listdir(ledger.folder + "/data/journal"))[-1]
    path = f"{ledger.folder}/data/journal/{journal}"
    content = bytearray(open(path, "rb").read())
    end = len(content.rstrip(b"\0"))
    content[end - 150:end] = bytes(150)
    open(path, "wb").write(content)
    ledger.store("torn")


def tampered():
    ledger = Ledger()
    ledger.start()
    for round in range(4):
        ledger.record(story(100 * round, f"x{round}"))
    ledger.settle()
    ledger.stop()
    path = ledger.folder + "/data/journal/00000000.seg"
    content = bytearray(open(path, "rb").read())
    at = content.index(b"eu:idp:jti:x1-a1")
    content[at + 12] ^= 1
    open(path, "wb").write(content)
    ledger.store("tampered")


def older_origin():
    ledger = Ledger()
    ledger.start()
    ledger.record(story(0, "o0"))
    ledger.settle()
    ledger.stop()
    copy = ledger.folder + "/copy"
    shutil.copytree(ledger.folder + "/data", copy)
    ledger.start()
    ledger.record(story(100, "o1"))
    ledger.settle()
    ledger.stop()
    shutil.rmtree(ledger.folder + "/data")
    os.rename(copy, ledger.folder + "/data")
    ledger.start("--new-origin", "ledgerline.local/second")
    ledger.record(story(200, "o2"))
    ledger.record(wide(900, "o0"))
    ledger.settle()
    ledger.stop()
    ledger.store("older-origin")


def erased():
    ledger = Ledger()
    ledger.start()
    ledger.record(story(0, "e0"))
    ledger.record([event(800, "ISSUED", "bob-a", 800, client_id="web", token_kind="ACCESS", expires_at="2036-02-03T05:00:00Z",
                         personal=[{"role": "SUBJECT", "user_id": "bob", "ip": "198.51.100.9"}])])
    status, body = ledger.call("POST", "/v1/resolve", {"kind": "PERSON", "issuer": "idp", "value": "alice"}, "privacy")
    handle = json.loads(body)["handle"]
    status, body = ledger.call("POST", "/v1/erase", {"handle": handle, "purpose": "test"}, "privacy")
    assert status == 200, body
    ledger.settle()
    ledger.stop()
    ledger.store("erased")


if __name__ == "__main__":
    clean(sys.argv[1]), crashed(), torn(), tampered(), older_origin(), erased()
