"""A real Prometheus that scrapes the worker each second, and what it answers."""
import subprocess

import requests

from machine import ROOT, wait_for

# The worker's name in the configurations for containers.
CONTAINER = "walspring:8083"


class Prometheus:
    def __init__(self, directory, port, config, worker):
        self.dir, self.url, self.process = directory / "prometheus", f"http://127.0.0.1:{port}", None
        self.config = config.read_text().replace(CONTAINER, worker.url.removeprefix("http://"))

    def start(self):
        program = subprocess.run([ROOT / "scripts/prometheus"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        self.dir.mkdir(exist_ok=True)
        (self.dir / "prometheus.yml").write_text(self.config)
        with open(self.dir / "log", "ab") as log:
            self.process = subprocess.Popen([program, f"--config.file={self.dir}/prometheus.yml", f"--storage.tsdb.path={self.dir}/data",
                                             f"--web.listen-address={self.url.removeprefix('http://')}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for("Prometheus to answer", self.ready)

    def ready(self):
        if self.process.poll() is not None:
            raise RuntimeError("Prometheus ended:\n" + (self.dir / "log").read_text()[-2000:])
        try:
            return requests.get(self.url + "/-/ready", timeout=2).ok
        except requests.ConnectionError:
            return False

    def query(self, expression):
        """The value of the expression's one series, or None where there is none."""
        answer = requests.get(self.url + "/api/v1/query", params={"query": expression}, timeout=5).json()
        if answer["status"] != "success":
            raise RuntimeError(f"{expression}: {answer}")
        found = answer["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
