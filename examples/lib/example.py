"""An example's servers, databases, secret files and worker: what `run` and `verify` of each have in common."""
import os, subprocess
from concurrent.futures import ThreadPoolExecutor

from machine import EXAMPLES, directory, free_port, remove, walspring
from servers import Kafka, PostgreSQL, Stack
from worker import Worker


class Example:
    """Whatever was started is taken down when its `with` ends, and all that it wrote is removed."""

    def __init__(self, home, secrets, embedded, pg_port=0, kafka_port=0, rest_port=0, postgres_url=None, **worker_env):
        """`home`: the example's directory. Ports are those given if they are free, else others. `postgres_url`: a server that runs."""
        program = walspring()
        self.home, self.dir = home, directory(home.name)
        # Kafka's controller takes the port behind the broker's.
        pg, kafka, rest = free_port(pg_port), free_port(kafka_port, 2), free_port(rest_port)
        stack = Stack(self.dir, pg, kafka)
        self.postgres = PostgreSQL(stack, pg, postgres_url)
        self.kafka = None if embedded else Kafka(stack, kafka)
        self.secrets = self.dir / "secrets"
        subprocess.run([EXAMPLES / "lib/secrets", self.secrets, *secrets], check=True)
        self.worker = Worker(program, self.dir, home.name, rest, self.postgres, self.secrets, self.kafka, **worker_env)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.worker.kill()
        if self.kafka:
            self.kafka.wipe()
        self.postgres.wipe()
        remove(self.dir)

    def start(self):
        """Everything but the connectors."""
        with ThreadPoolExecutor() as pool:
            for started in [pool.submit(self._start_databases), pool.submit(self.kafka.start if self.kafka else lambda: None)]:
                started.result()
        self.worker.start()

    def _start_databases(self):
        self.postgres.start()
        self.postgres.run(self.secrets, *sorted((self.home / "sql").glob("0*.sql")))

    def register(self):
        """The example's own script; answers what it printed."""
        out = subprocess.run([self.home / "register"], env={**os.environ, "CONNECT_URL": self.worker.url, "SECRETS_DIR": str(self.secrets)},
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if out.returncode:
            raise RuntimeError("register: " + out.stdout)
        return out.stdout

    def secret(self, name):
        return (self.secrets / name).read_text()
