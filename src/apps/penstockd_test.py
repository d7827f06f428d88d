#!/usr/bin/env python3
"""Drives the real penstockd over HTTP on the loopback: the loop of figure 2 without hosts, bad input, kill -9.

usage: penstockd_test.py PATH-OF-PENSTOCKD
"""
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

PENSTOCKD = sys.argv.pop()


class Daemon:
    """One run of penstockd on a data folder, on ports of its own."""

    def __init__(self, data):
        self.process = subprocess.Popen(
            [PENSTOCKD, "--data", data, "--listen-http", "127.0.0.1:0", "--listen-grpc", "127.0.0.1:0"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        ready = self.process.stdout.readline()
        if not ready.startswith("ready "):
            self.process.kill()
            raise RuntimeError(f"not ready: {ready!r} {self.process.stderr.read()}")
        # The log must not fill the pipe.
        self.log = []
        threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True).start()
        self.port = int(ready.split("http=127.0.0.1:")[1].split()[0])
        with open(os.path.join(data, "admin.token")) as file:
            self.token = file.read().strip()

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        code = self.process.wait(20)
        self.process.stdout.close()
        return code


class Client:
    def __init__(self, daemon, token=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=20)
        self.token = daemon.token if token is None else token

    def call(self, method, path, body=None, media=None):
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        headers = {"Authorization": f"Bearer {self.token}"}
        if media:
            headers["Content-Type"] = media
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        kind = answer.getheader("Content-Type", "")
        return answer.status, json.loads(text) if "json" in kind else text


class Test(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="penstockd-test-")
        self.data = self.folder.name
        self.daemon = Daemon(self.data)
        self.client = Client(self.daemon)

    def tearDown(self):
        if self.daemon.process.poll() is None:
            self.daemon.stop(signal.SIGKILL)
        self.folder.cleanup()

    def good(self, method, path, body=None):
        status, answer = self.client.call(method, path, body)
        self.assertEqual(status, 200, answer)
        return answer

    def furnish(self):
        self.good("PUT", "/v1/tenants/acme", {})
        self.good("PUT", "/v1/hosts/h1", {"spec": {"uplinks": [
            {"name": "u0", "device": "eth0", "address": "192.0.2.1", "mtu": 1500}]}})
        self.good("PUT", "/v1/tenants/acme/networks/blue", {"spec": {"subnets": [{"cidr": "10.0.0.0/16"}]}})
        self.good("PUT", "/v1/definitions/fw", {"spec": {
            "vendor": "v", "serviceName": "fw", "version": "1", "levels": [{"name": "basic"}],
            "insertionPoint": "VIRTUAL_SWITCH",
            "filter": {"rules": [{"name": "no-ssh", "action": "DENY", "protocols": ["tcp"], "ports": ["22"]}]}}})
        self.good("PUT", "/v1/profiles/office", {"spec": {
            "definition": "fw", "published": True, "availability": {"everyone": True}}})
        self.good("PUT", "/v1/tenants/acme/vms/web-1", {"spec": {
            "nics": [{"name": "eth0", "network": "blue"}], "placement": {"host": "h1"}}})

    def test_the_loop(self):
        self.furnish()
        self.assertEqual(oct(os.stat(os.path.join(self.data, "admin.token")).st_mode & 0o777), "0o600")
        catalog = self.good("GET", "/v1/tenants/acme/catalog?vm=web-1")
        self.assertEqual([entry["metadata"]["name"] for entry in catalog["entries"]], ["office"])
        enabled = self.good("POST", "/v1/tenants/acme:enable?wait=applied&deadline=100ms",
                            {"profile": "office", "vm": "web-1"})
        self.assertTrue(enabled["outcome"]["deadlinePassed"])
        self.assertEqual(enabled["outcome"]["rollout"]["waiting"][0]["host"], "h1")
        again = self.good("POST", "/v1/tenants/acme:enable", {"profile": "office", "vm": "web-1"})
        self.assertEqual(again["outcome"]["change"], "UNCHANGED")
        vm = self.good("GET", "/v1/tenants/acme/vms/web-1")
        self.assertEqual(vm["kind"], "VirtualMachine")
        self.assertEqual(vm["status"]["steps"][0]["profile"], "office")
        explained = self.good("GET", "/v1:explain?kind=vm&tenant=acme&name=web-1")
        self.assertIn("acme/web-1 on h1", explained["headline"])
        self.good("POST", "/v1/tenants/acme:disable", {"profile": "office", "vm": "web-1"})
        status, answer = self.client.call("DELETE", "/v1/tenants/acme/networks/blue")
        self.assertEqual(answer["code"], "failed_precondition", status)
        self.good("DELETE", "/v1/tenants/acme/networks/blue?cascade=true")
        self.assertEqual(self.client.call("GET", "/v1/tenants/acme/vms/web-1")[0], 404)
        events = self.good("GET", "/v1/events")
        self.assertIn("Created", {event["reason"] for event in events["items"]})

    def test_openapi_names_every_path(self):
        document = self.good("GET", "/openapi.json")
        self.assertEqual(document["openapi"], "3.1.0")
        for path in ("/v1/tenants/{tenant}/vms/{name}", "/v1/tenants/{tenant}:enable", "/v1:batch", "/v1/hosts"):
            self.assertIn(path, document["paths"])
        names = set(document["components"]["schemas"])
        text = json.dumps(document)
        for used in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
            self.assertIn(used, names)

    def test_bad_input_is_refused_with_reasons(self):
        cases = [
            ("PUT", "/v1/tenants/acme", "{", 400, "invalid_argument"),
            ("PUT", "/v1/tenants/acme", '{"spec":{"dispayName":"x"}}', 400, "invalid_argument"),
            ("PUT", "/v1/tenants/acme", '{"metadata":{"name":"other"}}', 400, "invalid_argument"),
            ("PUT", "/v1/tenants/acme?wiat=applied", "{}", 400, "invalid_argument"),
            ("PUT", "/v1/tenants/acme?deadline=soon", "{}", 400, "invalid_argument"),
            ("PUT", "/v1/tenants/acme", "[" * 100000, 400, "invalid_argument"),
            ("GET", "/v1/nonsense", None, 404, "not_found"),
            ("GET", "/v2/tenants", None, 404, "not_found"),
            ("GET", "/v1/tenants?labelSelector=%28%28", None, 400, "invalid_argument"),
            ("GET", "/v1/tenants?limit=many", None, 400, "invalid_argument"),
            ("PATCH", "/v1/tenants/acme", "{}", 415, "invalid_argument"),
            ("PATCH", "/v1/tenants", "{}", 405, "invalid_argument"),
            ("POST", "/v1:batch", '{"items":[{"put":{"kind":"Tenant","metadata":{"name":"UPPER"}}}]}', 207, None),
        ]
        for method, path, body, status, code in cases:
            got, answer = self.client.call(method, path, body)
            self.assertEqual(got, status, f"{method} {path}: {answer}")
            if code:
                self.assertEqual(answer["code"], code, path)
                self.assertTrue(answer["message"], path)
        self.assertEqual(self.good("GET", "/v1/tenants").get("items", []), [])
        self.assertEqual(Client(self.daemon, "wrong").call("GET", "/v1/tenants")[0], 401)

    def test_files_are_uploaded_as_they_are(self):
        yaml = "application/yaml; charset=utf-8"
        status, answer = self.client.call("PUT", "/v1/tenants/acme", "spec: {displayName: Acme}\n", yaml)
        self.assertEqual(status, 200, answer)
        self.assertEqual(answer["object"]["spec"]["displayName"], "Acme")
        both = "kind: Tenant\nmetadata: {name: one}\n---\nkind: Tenant\nmetadata: {name: two}\n"
        status, answer = self.client.call("POST", "/v1:batch", both, yaml)
        self.assertEqual(status, 200, answer)
        self.assertEqual([i["outcome"]["change"] for i in answer["items"]], ["CREATED", "CREATED"])
        status, answer = self.client.call("PUT", "/v1/tenants/acme", both, yaml)
        self.assertEqual(status, 400)
        self.assertIn("/v1:batch", answer["hint"])
        status, answer = self.client.call("PUT", "/v1/tenants/acme", "spec:\n  displayName: [\n", yaml)
        self.assertEqual(status, 400)
        self.assertRegex(answer["details"][0]["field"], "line 3, column")
        bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
            f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(8))
        self.assertEqual(self.client.call("PUT", "/v1/tenants/acme", bomb, yaml)[0], 400)

    def test_random_json_does_no_harm(self):
        dice = random.Random(1)
        paths = ["/v1/tenants/a/vms/b", "/v1/definitions/d", "/v1/profiles/p", "/v1:batch", "/v1/tenants/a:enable"]
        whole = json.dumps({"kind": "VirtualMachine", "metadata": {"name": "b", "tenant": "a", "labels": {"x": "y"}},
                            "spec": {"nics": [{"name": "e", "network": "n", "addresses": ["10.0.0.1"]}]}})
        for _ in range(300):
            text = bytearray(whole.encode())
            for _ in range(dice.randrange(1, 6)):
                text[dice.randrange(len(text))] = dice.randrange(256)
            path = dice.choice(paths)
            status, _ = self.client.call("POST" if ":" in path else "PUT", path, bytes(text))
            self.assertIn(status // 100, (2, 4))
        self.assertEqual(self.client.call("GET", "/healthz")[0], 200)

    def test_watch_streams_lines(self):
        watcher = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=20)
        watcher.request("GET", "/v1/tenants?watch=true", headers={"Authorization": f"Bearer {self.daemon.token}"})
        stream = watcher.getresponse()
        self.assertEqual(json.loads(stream.readline())["type"], "BOOKMARK")
        self.good("PUT", "/v1/tenants/acme", {})
        event = json.loads(stream.readline())
        self.assertEqual((event["type"], event["object"]["metadata"]["name"]), ("ADDED", "acme"))
        watcher.close()

    def test_kill_9_loses_nothing_acknowledged(self):
        acknowledged = []
        for round_ in range(4):
            done = threading.Event()

            def write(lane, daemon=self.daemon, round_=round_):
                client = Client(daemon)
                try:
                    for i in range(100000):
                        name = f"t{round_}-{lane}-{i}"
                        if client.call("PUT", f"/v1/tenants/{name}", {})[0] == 200:
                            acknowledged.append(name)
                        if len(acknowledged) > 200 * (round_ + 1):
                            done.set()
                except (OSError, http.client.HTTPException):
                    done.set()

            lanes = [threading.Thread(target=write, args=(lane,)) for lane in range(4)]
            for lane in lanes:
                lane.start()
            done.wait(30)
            self.daemon.stop(signal.SIGKILL)
            for lane in lanes:
                lane.join()
            self.daemon = Daemon(self.data)
            self.client = Client(self.daemon)
        names, token = set(), ""
        while True:
            page = self.good("GET", "/v1/tenants?limit=1000" + (f"&continue={token}" if token else ""))
            names |= {item["metadata"]["name"] for item in page.get("items", [])}
            token = page.get("continue")
            if not token:
                break
        self.assertGreater(len(acknowledged), 500)
        self.assertEqual(set(acknowledged) - names, set())

    def test_request_id_across_a_restart(self):
        first = self.good("PUT", "/v1/tenants/acme?requestId=once", {"spec": {"displayName": "one"}})
        self.assertEqual(self.daemon.stop(), 0)
        self.daemon = Daemon(self.data)
        self.client = Client(self.daemon)
        self.good("PUT", "/v1/tenants/acme", {"spec": {"displayName": "two"}})
        again = self.good("PUT", "/v1/tenants/acme?requestId=once", {"spec": {"displayName": "one"}})
        self.assertEqual(again["outcome"]["revision"], first["outcome"]["revision"])
        self.assertEqual(self.good("GET", "/v1/tenants/acme")["spec"]["displayName"], "two")

    def test_a_second_server_on_the_same_data_is_refused(self):
        with self.assertRaisesRegex(RuntimeError, "not ready"):
            Daemon(self.data)


def refuses_open_addresses():
    with tempfile.TemporaryDirectory() as data:
        run = subprocess.run([PENSTOCKD, "--data", data, "--listen-http", "0.0.0.0:0"], capture_output=True, text=True,
                             timeout=20)
        assert run.returncode != 0 and "--insecure-listen" in run.stderr, run


if __name__ == "__main__":
    refuses_open_addresses()
    unittest.main(verbosity=2, warnings="ignore")
