"""PostgreSQL and Kafka to throw away, started by ../../reference/stack on loopback, with data in a directory of their own.

PostgreSQL trusts its superuser `postgres` and asks everybody else for a password. A server that runs already can stand in
for it.
"""
import os, subprocess, tempfile
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from machine import ROOT, remove

HBA = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"


class Stack:
    def __init__(self, directory, pg_port, kafka_port):
        # The server may run as another user, who does not get into our directory.
        self.data = Path(tempfile.gettempdir() if os.getuid() else "/var/tmp") / f"{directory.name}-pg"
        self.log = directory
        self.env = {**os.environ, "STACK_DIR": str(directory), "STACK_JARS": jars(), "PG_DATA": str(self.data), "PG_BIN": pg_bin(),
                    "PG_PORT": str(pg_port), "KAFKA_PORT": str(kafka_port)}

    def __call__(self, *words):
        out = subprocess.run([ROOT / "reference/stack", *words], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if out.returncode:
            raise RuntimeError(f"reference/stack {' '.join(words)}: {out.stdout}")


class PostgreSQL:
    def __init__(self, stack, port, url=None):
        """`url`: of a superuser of a server that runs already."""
        given = conninfo_to_dict(url) if url else {}
        self.stack, self.own = stack, not url
        self.host, self.port = given.get("host", "127.0.0.1"), int(given.get("port", 5432 if url else port))
        self.user, self.password = given.get("user", "postgres"), given.get("password")

    def start(self):
        if not self.own:
            return
        self.stack("start", "pg")
        hba = self.stack.data / "pg_hba.conf"
        if not hba.read_text().startswith(HBA):
            hba.write_text(HBA + hba.read_text())
            self.connect("postgres").execute("SELECT pg_reload_conf()")

    def stop(self):
        if self.own:
            self.stack("stop", "pg")

    def restart(self):
        self.stop()
        self.start()

    def wipe(self):
        if self.own:
            self.stack("kill", "pg")
            remove(self.stack.data)

    def connect(self, database, user=None, password=None):
        """A connection that commits each statement; as the superuser unless told otherwise."""
        return psycopg.connect(host=self.host, port=self.port, dbname=database, user=user or self.user,
                               password=password or self.password, autocommit=True)

    def run(self, secrets, *files):
        """SQL files, with psql: they read the secret files themselves."""
        env = {**os.environ, "SECRETS_DIR": str(secrets), "PGHOST": self.host, "PGPORT": str(self.port), "PGUSER": self.user}
        if self.password:
            env["PGPASSWORD"] = self.password
        for file in files:
            out = subprocess.run(["psql", "-X", "-q", "-d", "postgres", "-f", file], env=env, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True)
            if out.returncode:
                raise RuntimeError(f"{file}: {out.stdout}")


class Kafka:
    def __init__(self, stack, port):
        self.stack, self.address = stack, f"127.0.0.1:{port}"

    def start(self):
        self.stack("start", "kafka")

    def stop(self):
        self.stack("stop", "kafka")

    def restart(self):
        self.stop()
        self.start()

    def wipe(self):
        self.stack("kill", "kafka")


def jars():
    return os.environ.get("STACK_JARS") or os.environ.get("STACK_DIR") or os.path.expanduser("~/.cache/walspring-reference")


def pg_bin():
    debian = "/usr/lib/postgresql/15/bin"
    if os.path.exists(f"{debian}/initdb"):
        return debian
    return subprocess.run(["cargo", "run", "--quiet", "-p", "walspring-throwaway-postgres", "--example", "bin_dir", "--", "15"],
                          cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
