"""A lab for the length of a `with`, and its server's HTTP interface."""
import contextlib
import http.client
import json
import os
import socket

from harness import Failed

LABS = "/run/penstock/lab"


class Api:
    """One connection to the server's Unix socket, kept open."""

    def __init__(self, path, token):
        self.connection = UnixConnection(path)
        self.headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}

    def call(self, method, target, body=None):
        """The answer's bytes. `body`: JSON text, or an object."""
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        try:
            answer, text = self.exchange(method, target, body)
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"{method} {target}: {error or type(error).__name__}") from error
        if answer.status // 100 != 2:
            raise Failed(f"{method} {target}: HTTP {answer.status}: {text[:500].decode()}")
        return text

    def exchange(self, method, target, body):
        try:
            self.connection.request(method, target, body=body, headers=self.headers)
            answer = self.connection.getresponse()
        except (BrokenPipeError, ConnectionResetError):
            # The server closes connections that were idle for long; nothing was done yet.
            self.connection.close()
            self.connection.request(method, target, body=body, headers=self.headers)
            answer = self.connection.getresponse()
        return answer, answer.read()

    def get(self, target):
        return json.loads(self.call("GET", target))

    def batch(self, items, wait="&deadline=60s"):
        answer = self.call("POST", "/v1:batch?wait=applied" + wait, {"items": items})
        check_outcome(json.loads(answer), "batch")

    def put(self, *objects):
        self.batch([{"put": one} for one in objects])


def check_outcome(answer, what):
    """A write that was refused or did not become applied is no sample."""
    for item in answer.get("items", []):
        error = item.get("error") or {}
        if error.get("code"):
            raise Failed(f"{what}: {error['code']}: {error.get('message', '')} "
                         f"{error.get('details', '')} {error.get('hint', '')}")
    outcome = answer.get("outcome", {})
    if outcome.get("deadlinePassed"):
        raise Failed(f"{what}: not applied in time: {json.dumps(outcome.get('rollout'))}")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Lab:
    def __init__(self, name):
        self.name = name
        self.folder = os.path.join(LABS, name)
        self.socket = os.path.join(self.folder, "server.sock")
        self.token_file = os.path.join(self.folder, "server", "admin.token")
        with open(self.token_file, encoding="utf-8") as file:
            self.api = Api(self.socket, file.read().strip())

    def vms(self, tenant, selector=""):
        """VMs by name, as the server shows them; one page."""
        target = f"/v1/tenants/{tenant}/vms?limit=1000"
        if selector:
            target += "&labelSelector=" + selector.replace("=", "%3D")
        items = self.api.get(target)["items"]
        return {vm["metadata"]["name"]: vm for vm in items}

    def space(self, vm):
        """Path of the network namespace a running VM lives in."""
        place = f"{vm['metadata']['tenant']}@{vm['metadata']['name']}"
        path = os.path.join(self.folder, "hosts", vm["status"]["host"], "run", "netns", place)
        if not os.path.exists(path):
            raise Failed(f"lab {self.name}: no namespace {path}")
        return path

    def resident_mb(self, program):
        """VmRSS in MB (10^6 bytes) of a daemon of the lab: penstockd, or a host's name."""
        with open(os.path.join(self.folder, "pids", program), encoding="utf-8") as file:
            pid = file.read().split()[0]
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024 / 1e6
        raise Failed(f"lab {self.name}: {program} does not run; "
                     f"see {self.folder}/logs/{program}")


@contextlib.contextmanager
def lab(bench, name):
    """The lab of labs/NAME.yaml, called bench-NAME; one left by a run that died is taken down."""
    penstock = bench.program("penstock")
    full = "bench-" + name
    bench.output([penstock, "lab", "down", full])
    try:
        bench.output([penstock, "lab", "up", bench.path(f"labs/{name}.yaml")], timeout=300)
        bench.say(f"lab {full} is up")
        yield Lab(full)
    finally:
        bench.output([penstock, "lab", "down", full], timeout=300)


def address_of(vm, family=4):
    wanted = [a for a in vm["status"]["addresses"] if (":" in a) == (family == 6)]
    return wanted[0].split("/")[0]


FIREWALL_PROFILE = "bench-firewall"


def put_firewall(bench, api):
    """The shipped firewall and a published profile of it: only TCP port 22 may come in."""
    penstock = bench.program("penstock")
    environment = dict(os.environ, PENSTOCK_SERVER="unix:" + api.connection.path,
                       PENSTOCK_TOKEN=api.headers["Authorization"].split()[1])
    bench.output([penstock, "apply", "-f",
                  os.path.join(bench.source, "services/firewall/definition.yaml")],
                 env=environment)
    api.put({"kind": "ServiceProfile", "metadata": {"name": FIREWALL_PROFILE},
             "spec": {"definition": "firewall", "published": True,
                      "availability": {"everyone": True}}})
