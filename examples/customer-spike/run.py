"""Starts the spike and keeps it busy until Ctrl-C, which takes everything down again.

usage: run [--embedded] [--rate CHANGES_A_SECOND] [--otlp URL] [--postgres URL]

--embedded    without Kafka: topics are kept in the worker's own log
--otlp        where spans go, such as a Collector or Jaeger on http://127.0.0.1:4318
--postgres    a superuser's URL of a server that runs already, with wal_level=logical. drop.sql removes what is made there

WALSPRING names the program, else it is built.
"""
import argparse, sys, time

from customers import Customers
from setup import HERE, TOPIC, Spike

from machine import end_on_signals, free_port
from prometheus import Prometheus

PLACES = """
The copy follows.

  REST        {rest}/connectors?expand=status
  metrics     {rest}/metrics, scraped by Prometheus on {prometheus}
  {topics}
  databases   {postgres}/crm  …/crm_copy
  worker log  {log}, an object a line, with trace_id and span_id

Try, in another terminal:

  psql {postgres}/crm_copy -c 'SELECT * FROM customer ORDER BY updated_at DESC LIMIT 5'
  psql {postgres}/crm -c "INSERT INTO customer VALUES (gen_random_uuid(), 'no address', 'TRIAL')" && sleep 1 && grep '"failed"' {log}

Ctrl-C takes everything down.
"""


def arguments():
    if {"-h", "--help"} & set(sys.argv):
        sys.exit(__doc__)
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--embedded", action="store_true")
    parser.add_argument("--rate", type=float, default=5)
    parser.add_argument("--otlp")
    parser.add_argument("--postgres")
    return parser.parse_args()


def places(spike, prometheus):
    w, pg = spike.worker, spike.postgres
    topic = f"topic       {TOPIC}, read with {w.program} tail {TOPIC} " + (
        f"--bootstrap {spike.kafka.address}" if spike.kafka else f"--data-dir {w.env['WALSPRING_DATA_DIR']}")
    print(PLACES.format(rest=w.url, prometheus=prometheus.url, topics=topic, log=w.log, postgres=f"postgres://{pg.user}@{pg.host}:{pg.port}"), flush=True)


def main():
    wanted = arguments()
    end_on_signals()
    with Spike(wanted.embedded, 5433, 9092, 8083, otlp=wanted.otlp, postgres_url=wanted.postgres) as spike:
        prometheus = Prometheus(spike.dir, free_port(9090), HERE / "prometheus.yaml", spike.worker)
        try:
            print("starting PostgreSQL," + ("" if wanted.embedded else " Kafka,") + " the worker, Prometheus and the connectors ...", flush=True)
            spike.start()
            prometheus.start()
            print(spike.register(), end="")
            places(spike, prometheus)
            customers, copy = Customers(spike.crm()), spike.copy()
            while True:
                for _ in range(10):
                    customers.business(1)
                    time.sleep(1 / wanted.rate)
                print("copy:", *copy.execute("SELECT count(*) FROM customer").fetchone(), "customers", flush=True)
        except KeyboardInterrupt:
            print("\nclosing ...")
        finally:
            prometheus.stop()


main()
