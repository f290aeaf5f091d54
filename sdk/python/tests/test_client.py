"""The client against an agent that fails in every way: events arrive once, or are counted."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import unittest
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List

from fake_agent import FakeAgent

from ledgerline import Issuer, Ledgerline

TOKEN = "sEcReT-Jq8Zr2Wm5Tk9Xs4Vb7Nc1Hd6"
SRC = Path(__file__).resolve().parents[1] / "src"
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z\Z")


def event(n: int) -> Dict[str, Any]:
    return {"type": "USED", "token_id": "eu:idp:jti:t-%d" % n}


class Case(unittest.TestCase):
    def setUp(self) -> None:
        self.agent = self.enterContextOf(FakeAgent())
        self.logged: List[str] = []
        handler = logging.Handler()
        handler.emit = self.keep  # type: ignore[method-assign]
        logger = logging.getLogger("ledgerline")
        logger.addHandler(handler)
        logger.propagate = False
        self.addCleanup(logger.removeHandler, handler)

    def keep(self, record: logging.LogRecord) -> None:
        self.logged.append(record.getMessage())

    def enterContextOf(self, context: Any) -> Any:
        # `enterContext` is newer than the oldest Python.
        entered = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return entered

    def client(self, **settings: Any) -> Ledgerline:
        settings.setdefault("agent", self.agent.address)
        settings.setdefault("timeout_s", 0.5)
        client = Ledgerline("orders", **settings)
        self.addCleanup(client.close, 0.0)
        return client


class Delivery(Case):
    def test_every_event_arrives_once_and_in_order(self) -> None:
        client = self.client()
        for n in range(2000):
            self.assertTrue(client.record(event(n)))
        self.assertTrue(client.flush(10))
        tokens = [one["token_id"] for one in self.agent.events]
        self.assertEqual(tokens, ["eu:idp:jti:t-%d" % n for n in range(2000)])
        self.assertEqual(len(set(self.agent.ids())), 2000)
        self.assertEqual([one["source_seq"] for one in self.agent.events], list(range(2000)))
        self.assertEqual(len({one["source_instance"] for one in self.agent.events}), 1)
        self.assertRegex(self.agent.events[0]["source_instance"], UUID7)
        stats = client.stats
        self.assertEqual((stats.recorded, stats.sent, stats.dropped), (2000, 2000, 0))
        self.assertEqual((stats.queued, stats.queued_bytes), (0, 0))
        self.assertLess(self.agent.requests, 100)
        self.assertEqual(self.agent.connections, 1)

    def test_an_event_has_id_and_time_of_when_it_was_recorded(self) -> None:
        client = self.client()
        before_ms = time.time_ns() // 1_000_000
        client.record(event(1))
        client.record({**event(2), "event_id": "given", "occurred_at": "then"})
        client.record({**event(3), "native_id": "n-3"})
        self.assertTrue(client.flush())
        one, two, three = self.agent.events
        self.assertRegex(one["event_id"], UUID7)
        self.assertRegex(one["occurred_at"], TIME)
        millis = int(one["event_id"].replace("-", "")[:12], 16)
        self.assertLessEqual(before_ms, millis)
        self.assertLessEqual(millis, time.time_ns() // 1_000_000)
        self.assertEqual((two["event_id"], two["occurred_at"]), ("given", "then"))
        self.assertNotIn("event_id", three)
        own = {**event(4), "source_instance": "own", "source_seq": 7}
        client.record(own)
        client.record(event(5))
        self.assertTrue(client.flush())
        numbers = [one["source_seq"] for one in self.agent.events]
        self.assertEqual(numbers, [0, 1, 2, 7, 3])

    def test_a_burst_at_once_from_many_threads_arrives(self) -> None:
        client = self.client()

        def burst(k: int) -> None:
            for n in range(200):
                client.record(event(1000 * k + n))

        threads = [threading.Thread(target=burst, args=(k,)) for k in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertTrue(client.flush(10))
        self.assertEqual(len(set(self.agent.ids())), 1600)
        self.assertEqual(client.stats.recorded, 1600)

    def test_close_sends_what_is_queued_and_takes_no_more(self) -> None:
        client = self.client(linger_s=30.0)
        client.record(event(1))
        began = time.monotonic()
        self.assertTrue(client.close())
        self.assertLess(time.monotonic() - began, 3.0)
        self.assertEqual(len(self.agent.events), 1)
        self.assertFalse(client.record(event(2)))
        self.assertEqual(client.stats.dropped, 1)

    def test_over_loopback_the_key_is_sent_and_never_shown(self) -> None:
        agent = self.enterContextOf(FakeAgent(tcp_key="sEcReT-key"))
        client = self.client(agent=agent.address, key="sEcReT-key")
        client.record(event(1))
        self.assertTrue(client.flush())
        self.assertEqual(len(agent.events), 1)
        wrong = self.client(agent=agent.address, key="sEcReT-other")
        wrong.record(event(2))
        self.assertFalse(wrong.flush(0.3))
        self.assertEqual(len(agent.events), 1)
        self.assertGreater(wrong.stats.failures, 0)
        self.assertIn("401 unauthorized", self.logged[-1])
        said = repr(client) + repr(vars(client)) + repr(client.stats) + "".join(self.logged)
        self.assertNotIn("sEcReT", said)
        self.assertNotIn("Authorization", self.agent_heads(self.client()))

    def agent_heads(self, client: Ledgerline) -> str:
        client.record(event(3))
        self.assertTrue(client.flush())
        return "".join(self.agent.heads)

    def test_a_renewed_key_file_is_taken_without_a_restart(self) -> None:
        agent = self.enterContextOf(FakeAgent(tcp_key="new"))
        path = os.path.join(os.path.dirname(self.agent.path), "key")
        client = self.client(agent=agent.address, key_file=path)
        client.record(event(1))
        self.assertFalse(client.flush(0.2))
        for key in ("old", "new"):
            Path(path).write_text(key + "\n")
        self.assertTrue(client.flush(10))
        self.assertEqual(len(agent.events), 1)

    def test_an_address_beyond_this_machine_is_refused(self) -> None:
        for address in (
            "http://192.0.2.1:8791",
            "https://127.0.0.1:8791",
            "unix:relative",
            "agent.sock",
            "http://user:pass@127.0.0.1:8791",
            "http://127.0.0.1:8791/path",
        ):
            with self.assertRaises(ValueError, msg=address):
                Ledgerline("orders", agent=address)

    def test_wrong_settings_are_refused(self) -> None:
        for settings in (
            {"when_full": "block"},
            {"max_events": 0},
            {"max_bytes": 0},
            {"linger_s": -1},
            {"timeout_s": 0},
        ):
            with self.assertRaises(ValueError, msg=str(settings)):
                Ledgerline("orders", agent=self.agent.address, **settings)  # type: ignore[arg-type]
        with self.assertRaises(ValueError):
            Ledgerline("", agent=self.agent.address)


class Faults(Case):
    def test_whatever_the_agent_does_the_events_arrive_when_it_mends(self) -> None:
        for mode in (
            "busy",
            "full",
            "garbage",
            "not_json",
            "drip",
            "lost",
            "short",
            "forbidden",
            "flood",
            "slow",
        ):
            with self.subTest(mode), FakeAgent() as agent:
                agent.mode = mode
                agent.delay_s = 1.0
                client = self.client(agent=agent.address, timeout_s=0.4)
                for n in range(20):
                    client.record(event(n))
                agent.wait_for_requests(1)
                self.assertFalse(client.flush(0.6))
                self.assertGreater(client.stats.failures, 0)
                self.assertEqual(client.stats.sent, 0)
                agent.mode = "ok"
                self.assertTrue(client.flush(15), client.stats)
                self.assertEqual(len(set(agent.ids())), 20)
                stats = client.stats
                self.assertEqual((stats.sent, stats.dropped, stats.refused), (20, 0, 0))

    def test_an_agent_that_is_killed_and_started_again_loses_nothing(self) -> None:
        client = self.client()
        stop = threading.Event()
        counts = [0]

        def work() -> None:
            while not stop.is_set():
                if client.record(event(counts[0])):
                    counts[0] += 1
                time.sleep(0.001)

        thread = threading.Thread(target=work)
        thread.start()
        for _ in range(3):
            time.sleep(0.2)
            self.agent.stop()
            time.sleep(0.2)
            self.agent.start()
        stop.set()
        thread.join()
        self.assertTrue(client.flush(20), client.stats)
        self.assertEqual(len(set(self.agent.ids())), counts[0])
        self.assertEqual(client.stats.sent, counts[0])
        # One line when it goes, one when it comes, and not one for each attempt.
        self.assertLessEqual(len(self.logged), 6)
        self.assertTrue(any("again" in line for line in self.logged))

    def test_a_busy_agent_is_left_alone_for_as_long_as_it_asks(self) -> None:
        self.agent.mode = "busy"
        client = self.client()
        client.record(event(1))
        self.agent.wait_for_requests(1)
        time.sleep(0.7)
        self.assertEqual(self.agent.requests, 1)
        self.agent.wait_for_requests(2)

    def test_one_malformed_event_does_not_lose_the_others(self) -> None:
        for mode, code in (("ok", "unknown_member"), ("blunt", "bad_json")):
            with self.subTest(mode), FakeAgent() as agent:
                agent.mode = mode
                agent.is_bad = lambda one: one["token_id"].endswith(("-7", "-13"))
                client = self.client(agent=agent.address)
                for n in range(20):
                    client.record(event(n))
                self.assertTrue(client.flush())
                stats = client.stats
                self.assertEqual((stats.sent, stats.refused, stats.dropped), (18, 2, 0))
                self.assertEqual((stats.queued, stats.queued_bytes), (0, 0))
                self.assertEqual(len(set(agent.ids())), 18)
                self.assertIn(code, self.logged[-1])

    def test_what_is_no_agent_refuses_nothing_for_good(self) -> None:
        self.agent.mode = "no_agent"
        client = self.client()
        for n in range(20):
            client.record(event(n))
        self.assertFalse(client.flush(1.0))
        self.assertEqual((client.stats.refused, client.stats.queued), (0, 20))
        self.agent.mode = "ok"
        self.assertTrue(client.flush(15))
        self.assertEqual((client.stats.sent, client.stats.refused), (20, 0))

    def test_nothing_but_malformed_events_is_refused_in_one_request(self) -> None:
        self.agent.is_bad = lambda one: True
        client = self.client()
        for n in range(300):
            client.record(event(n))
        self.assertTrue(client.flush())
        self.assertEqual((client.stats.sent, client.stats.refused), (0, 300))
        self.assertLessEqual(self.agent.requests, 5)

    def test_record_never_waits_for_the_agent(self) -> None:
        self.agent.mode = "slow"
        self.agent.delay_s = 30.0
        client = self.client(timeout_s=30.0)
        client.record(event(0))
        self.agent.wait_for_requests(1)
        slowest = 0.0
        for n in range(1, 5000):
            began = time.perf_counter()
            client.record(event(n))
            slowest = max(slowest, time.perf_counter() - began)
        self.assertLess(slowest, 1.0)
        began = time.monotonic()
        self.assertFalse(client.close(0.2))
        self.assertLess(time.monotonic() - began, 3.0)
        self.assertEqual(client.stats.dropped, 5000)
        self.assertIn("5000 events", self.logged[-1])


class Drops(Case):
    def fill(self, **settings: Any) -> Ledgerline:
        self.agent.mode = "full"
        client = self.client(**settings)
        for n in range(100):
            client.record(event(n))
        return client

    def check(self, client: Ledgerline, kept: List[int]) -> None:
        self.assertEqual(client.stats.dropped, 90)
        self.agent.mode = "ok"
        self.assertTrue(client.flush(15))
        used = [int(one["token_id"].rpartition("-")[2]) for one in self.agent.of_type("USED")]
        self.assertEqual(used, kept)
        client.record(event(1000))
        self.assertTrue(client.flush(15))
        beats = self.agent.of_type("HEARTBEAT")
        told = [
            int(detail["value"])
            for beat in beats
            for detail in beat["detail"]
            if detail["key"] == "client_dropped"
        ]
        self.assertEqual(sum(told), 90)
        self.assertEqual(beats[0]["target"], {"kind": "SOURCE", "id": "orders"})
        # Each lost event is a gap in the numbers, too.
        numbers = {one["source_seq"] for one in self.agent.events}
        self.assertEqual(len(numbers), len(self.agent.events))
        self.assertEqual(max(numbers) + 1 - len(numbers), 90)
        self.assertEqual(client.stats.dropped, 90)

    def test_a_full_queue_keeps_what_is_there_and_tells_how_many_it_lost(self) -> None:
        self.check(self.fill(max_events=10), list(range(10)))

    def test_a_full_queue_may_keep_the_newest_instead(self) -> None:
        client = self.client(max_events=10, when_full="drop_oldest", linger_s=60.0)
        for n in range(100):
            client.record(event(n))
        self.check(client, list(range(90, 100)))

    def test_the_queue_is_bounded_in_bytes(self) -> None:
        self.agent.mode = "full"
        client = self.client(max_bytes=10_000)
        for n in range(1000):
            client.record({**event(n), "reason": "x" * 400})
        stats = client.stats
        self.assertLessEqual(stats.queued_bytes, 10_000)
        self.assertEqual(stats.queued + stats.dropped, 1000)
        self.assertFalse(client.record({**event(1), "reason": "x" * 20_000}))
        self.assertEqual(client.stats.unusable, 1)

    def test_what_is_no_json_is_counted_and_breaks_nothing(self) -> None:
        client = self.client()
        endless: List[Any] = []
        endless.append(endless)
        for bad in (object(), float("nan"), "\ud800", endless, {1, 2}):
            self.assertFalse(client.record({**event(1), "reason": bad}))
        self.assertFalse(client.record(None))  # type: ignore[arg-type]
        self.assertEqual(client.stats.unusable, 6)
        self.assertTrue(client.record(event(2)))
        self.assertTrue(client.flush())


class Tokens(Case):
    def test_a_used_token_is_an_id_in_the_event_and_nowhere_itself(self) -> None:
        client = self.client(issuer=Issuer("eu", "idp"))
        self.assertTrue(client.token_used(TOKEN, outcome="DENY", status=403))
        self.assertTrue(client.token_used(TOKEN.encode(), resource="/orders/{id}"))
        self.assertFalse(client.token_used("short"))
        self.assertEqual(client.stats.unusable, 1)
        self.assertTrue(client.flush())
        first, second = self.agent.events
        self.assertEqual(first["type"], "USED")
        self.assertEqual((first["outcome"], first["status"]), ("DENY", 403))
        self.assertEqual(
            (second["type"], second["resource"]), ("RESOURCE_ACCESSED", "/orders/{id}")
        )
        self.assertEqual(first["token_id"], second["token_id"])
        self.assertRegex(first["token_id"], r"eu:idp:t1:[A-Za-z0-9_-]{43}\Z")
        said = b"".join(self.agent.bodies).decode() + repr(client) + repr(vars(client))
        said += "".join(self.logged) + repr(client.stats)
        self.assertNotIn("sEcReT", said)

    def test_no_token_is_logged_whatever_fails(self) -> None:
        for mode in ("garbage", "full", "forbidden", "not_json"):
            self.agent.mode = mode
            client = self.client()
            client.token_used(TOKEN)
            client.flush(0.2)
            client.close(0.0)
        self.assertTrue(self.logged)
        self.assertNotIn("sEcReT", "".join(self.logged))


class Processes(Case):
    def run_program(self, text: str, **more: str) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "PYTHONPATH": str(SRC), "LEDGERLINE_AGENT": self.agent.address}
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(text)],
            env={**environment, **more},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def check_program(self, text: str, count: int) -> None:
        done = self.run_program(text)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(len(set(self.agent.ids())), count)
        self.assertEqual(len(self.agent.ids()), count)

    def test_what_is_queued_at_the_end_of_a_program_is_sent(self) -> None:
        self.check_program(
            """
            from ledgerline import Ledgerline
            client = Ledgerline("orders", linger_s=60)
            for n in range(700):
                client.record({"type": "USED", "token_id": "eu:idp:jti:%d" % n})
            """,
            700,
        )

    def test_a_program_ends_although_there_is_no_agent(self) -> None:
        self.agent.stop()
        began = time.monotonic()
        done = self.run_program(
            """
            from ledgerline import Ledgerline
            Ledgerline("orders").record({"type": "USED", "token_id": "eu:idp:jti:1"})
            """
        )
        self.assertEqual(done.returncode, 0)
        self.assertIn("1 events that the agent has not taken", done.stderr)
        self.assertLess(time.monotonic() - began, 10)

    def test_forked_workers_each_send_their_own(self) -> None:
        self.check_program(
            """
            import os, sys, threading
            from ledgerline import Ledgerline
            client = Ledgerline("orders")
            record = lambda n: client.record({"type": "USED", "token_id": "eu:idp:jti:%d" % n})
            record(0)
            client.flush()
            record(1)                  # still queued when the process forks: it is the parent's
            children = []
            for k in range(1, 5):
                child = os.fork()
                if child == 0:
                    for n in range(100):
                        assert record(1000 * k + n)
                    assert client.stats.recorded == 100
                    os._exit(0 if client.close(20) else 1)
                children.append(child)
            for child in children:
                assert os.waitpid(child, 0)[1] == 0
            assert client.close(20)
            """,
            402,
        )
        runs = Counter(one["source_instance"] for one in self.agent.events)
        self.assertEqual(sorted(runs.values()), [2, 100, 100, 100, 100])

    def test_a_fork_under_load_ends_in_no_deadlock(self) -> None:
        self.check_program(
            """
            import os, threading
            from ledgerline import Ledgerline
            client = Ledgerline("orders", linger_s=0)
            go = True
            count = 0
            def work():
                global count
                while go:
                    if client.record({"type": "USED", "token_id": "eu:idp:jti:1"}):
                        count += 1
                    if count > 3000:
                        return
            thread = threading.Thread(target=work)
            thread.start()
            for _ in range(30):
                child = os.fork()
                if child == 0:
                    assert client.record({"type": "USED", "token_id": "eu:idp:jti:2"})
                    os._exit(0 if client.close(20) else 1)
                assert os.waitpid(child, 0)[1] == 0
            thread.join()
            assert client.close(30)
            """,
            3001 + 30,
        )

    def test_a_signal_handler_may_record(self) -> None:
        client = self.client(max_events=1_000_000, max_bytes=1 << 30)
        seen: List[bool] = []

        def handler(number: int, frame: object) -> None:
            seen.append(client.record(event(-1)))
            if len(seen) == 100:
                signal.setitimer(signal.ITIMER_REAL, 0)

        before = signal.signal(signal.SIGALRM, handler)
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        recorded = 0
        try:
            while len(seen) < 100:
                recorded += client.record(event(recorded))
                if recorded % 5000 == 0:
                    client.flush()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        self.assertTrue(all(seen))
        self.assertTrue(client.flush(20))
        self.assertEqual(len(set(self.agent.ids())), recorded + 100)


if __name__ == "__main__":
    unittest.main()
