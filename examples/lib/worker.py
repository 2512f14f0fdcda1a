"""The worker, configured by its environment as the Connect images are, and what is asked of its REST interface."""
import os, subprocess

import requests

from machine import wait_for

FILE_PROVIDER = "org.apache.kafka.common.config.provider.FileConfigProvider"
ENV_PROVIDER = "org.apache.kafka.common.config.provider.EnvVarConfigProvider"
JSON = "org.apache.kafka.connect.json.JsonConverter"


class Worker:
    def __init__(self, program, directory, group, port, postgres, secrets, kafka=None, **extra):
        self.program, self.log, self.url, self.process = program, directory / "worker.log", f"http://127.0.0.1:{port}", None
        self.embedded = kafka is None
        self.env = {
            **os.environ,
            "CONNECT_LISTENERS": self.url,
            # What the connectors' configurations refer to; nothing else of the machine can be read through them.
            "DB_HOST": postgres.host, "DB_PORT": str(postgres.port),
            "CONNECT_CONFIG_PROVIDERS": "file,env",
            "CONNECT_CONFIG_PROVIDERS_FILE_CLASS": FILE_PROVIDER,
            "CONNECT_CONFIG_PROVIDERS_FILE_PARAM_ALLOWED_PATHS": str(secrets),
            "CONNECT_CONFIG_PROVIDERS_ENV_CLASS": ENV_PROVIDER,
            "CONNECT_CONFIG_PROVIDERS_ENV_PARAM_ALLOWLIST_PATTERN": "DB_.*",
            **extra,
        }
        if kafka:
            self.env |= {
                "BOOTSTRAP_SERVERS": kafka.address, "GROUP_ID": group,
                "CONFIG_STORAGE_TOPIC": f"{group}-configs", "OFFSET_STORAGE_TOPIC": f"{group}-offsets", "STATUS_STORAGE_TOPIC": f"{group}-status",
                "CONNECT_CONFIG_STORAGE_REPLICATION_FACTOR": "1", "CONNECT_OFFSET_STORAGE_REPLICATION_FACTOR": "1",
                "CONNECT_STATUS_STORAGE_REPLICATION_FACTOR": "1",
                "KEY_CONVERTER": JSON, "VALUE_CONVERTER": JSON,
            }
        else:
            # A variable of the caller's would take it to another cluster.
            self.env.pop("BOOTSTRAP_SERVERS", None)
            self.env["WALSPRING_DATA_DIR"] = str(directory / "log")

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.program, "worker"], env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_for("the worker to be healthy on " + self.url, self.answers, 60)
        except TimeoutError as error:
            raise RuntimeError(f"{error}; /health says {requests.get(self.url + '/health', timeout=5).text}\n{self.tail()}") from None

    def answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"the worker ended with status {self.process.returncode}:\n{self.tail()}")
        try:
            return requests.get(self.url + "/health", timeout=2).ok
        except requests.ConnectionError:
            return False

    def stop(self):
        """In order, with SIGTERM."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
                raise RuntimeError("the worker did not end on SIGTERM:\n" + self.tail())

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def restart(self):
        self.stop()
        self.start()

    def tail(self):
        """The end of its log, without the lines of records that went through."""
        lines = self.log.read_text(errors="replace").splitlines(keepends=True)
        return "".join([line for line in lines if "a record was processed" not in line][-40:])

    def get(self, path, **params):
        answer = requests.get(self.url + path, params=params, timeout=65)
        answer.raise_for_status()
        return answer.json()

    def put(self, path, body=None):
        answer = requests.put(self.url + path, json=body, timeout=65)
        answer.raise_for_status()

    def running(self, *names):
        """Whether these connectors run, each with its tasks. A failed one is an error, with its trace."""
        for name in names:
            status = self.get(f"/connectors/{name}/status")
            parts = [status["connector"], *status["tasks"]]
            for part in parts:
                if part["state"] == "FAILED":
                    raise RuntimeError(f"{name} has failed: {part.get('trace')}")
            if len(parts) < 2 or any(part["state"] != "RUNNING" for part in parts):
                return False
        return True
