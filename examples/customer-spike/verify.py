"""Runs the spike on servers of its own and checks that the copy follows, through restarts and errors, and that each step
of it can be seen in spans, numbers and the log.

usage: verify [--embedded]      WALSPRING: the program, else it is built
"""
import json, sys, threading

from customers import Customers
from setup import CONNECTORS, GROUP, HERE, TOPIC, Spike

from machine import end_on_signals, free_port, wait_for
from otlp import CONSUMER, Receiver
from prometheus import Prometheus
from report import Report
from topics import records, waiting

COLUMNS = "id, email, status, updated_at"


class Verification:
    def __init__(self, spike, receiver, prometheus, report):
        self.spike, self.receiver, self.prometheus, self.report = spike, receiver, prometheus, report
        # What the source has said: a delete is two records, the rewritten row and the tombstone.
        self.changes, self.deletes, self.refused = 50, 0, set()
        self.connect()

    def connect(self):
        self.crm, self.copy = self.spike.crm(), self.spike.copy()
        self.customers = Customers(self.crm, seed=self.changes)

    def records(self):
        return records(self.spike.worker, self.spike.kafka, TOPIC)

    def business(self, changes):
        self.changes += changes
        self.deletes += self.customers.business(changes)[2]

    def equal(self):
        """Whether the copy has the rows of the table, but those that it refused, and each write came to it once."""
        source = {row[0]: row for row in self.crm.execute(f"SELECT {COLUMNS} FROM customer") if row[0] not in self.refused}
        copy = {row[0]: row for row in self.copy.execute(f"SELECT {COLUMNS} FROM customer")}
        twice, = self.copy.execute("SELECT count(*) FROM (SELECT 1 FROM applied GROUP BY applied HAVING count(*) > 1) AS t").fetchone()
        differing = sum(source.get(key) != copy.get(key) for key in source.keys() | copy.keys())
        return not differing and not twice, f"{len(copy)} rows, {differing} differ, {twice} written twice"

    def recorded(self):
        """Whether the topic has one record for each change, and the tombstones."""
        found, expected = len(self.records()), self.changes + self.deletes
        return found == expected, f"{found} records of {expected}"

    def follows(self, what, seconds=30):
        def look():
            (good, rows), (all_there, count) = self.equal(), self.recorded()
            return good and all_there, f"{rows}; {count}"
        self.report.check(what, look, seconds)

    def run(self):
        self.copy.execute((HERE / "audit.sql").read_text())
        self.report.check("registered, twice", lambda: (self.spike.register() == self.spike.register(), ", ".join(CONNECTORS)))
        self.existing()
        self.traced()
        self.delete()
        self.worker_restarted()
        self.sink_restarted()
        if self.spike.kafka:
            self.kafka_restarted()
        self.forced_error()
        self.changed_table()
        self.numbers()
        self.follows("at the end: nothing lost, nothing twice")

    def existing(self):
        def look():
            keys = [record.key["id"] for record in self.records()]
            once, = self.copy.execute("SELECT count(*) FROM (SELECT id FROM applied GROUP BY id HAVING count(*) = 1) AS t").fetchone()
            return len(keys) == len(set(keys)) == once == 50 and self.equal()[0], f"{len(keys)} records, {len(set(keys))} keys, {once} written once"
        self.report.check("each existing row exactly once", look)

    def traced(self):
        """Each message is one consumer span, with the names that dashboards look for, in the trace of its traceparent; and a line."""
        names = {"messaging.system": "kafka", "messaging.operation": "process", "messaging.destination.name": TOPIC,
                 "messaging.kafka.consumer.group": GROUP, "messaging.kafka.partition": 0, "db.operation": "upsert"}

        def look():
            sent = {record.offset: record.headers.get("traceparent", "--").split("-")[1] for record in self.records()}
            spans = {s.attributes["messaging.kafka.message.offset"]: s for s in self.receiver.spans(messaging_operation="process")
                     if names.items() <= s.attributes.items() and "messaging.kafka.message.key" in s.attributes and s.kind == CONSUMER and not s.failed}
            lines = {line["offset"]: line["trace_id"] for line in log_lines(self.spike.worker.log) if line.get("outcome") == "upsert"}
            return sent == lines == {at: s.trace_id for at, s in spans.items()}, \
                f"{len(sent)} records, {len(spans)} spans, {len(lines)} lines, {len(set(sent.values()))} traces"
        self.report.check("each message in a span and a line, of one trace", look)

    def delete(self):
        """A delete is the last row with __deleted, and a tombstone; the first removes the row, the second is ignored."""
        id = self.customers.add()
        self.customers.update(id, "ACTIVE")
        self.customers.remove(id)
        self.changes, self.deletes = self.changes + 3, self.deletes + 1

        def look():
            of_it = [record.value and record.value.get("__deleted") for record in self.records() if record.key["id"] == str(id)]
            spans = [s.attributes.get("db.operation") for s in self.receiver.spans(messaging_destination_name=TOPIC, db_operation="ignore")]
            return of_it == ["false", "false", "true", None] and spans == ["ignore"] and self.equal()[0], f"__deleted {of_it}; {self.equal()[1]}; tombstone: {spans}"
        self.report.check("added, updated, removed", look)

    def worker_restarted(self):
        """Killed in the middle of changes, which go on while it is away."""
        writer = threading.Thread(target=self.business, args=(300,))
        written = lambda: self.copy.execute("SELECT count(*) FROM applied").fetchone()[0]
        before = written()
        writer.start()
        wait_for("changes to come while they are made", lambda: written() > before + 20)
        self.spike.worker.kill()
        writer.join()
        self.business(50)
        self.spike.worker.start()
        self.follows("worker killed under 350 changes, and started")

    def sink_restarted(self):
        worker = self.spike.worker
        self.stop_sink()
        self.business(200)
        self.report.check("200 changes wait for it", lambda: (
            (backlog := waiting(worker, self.spike.kafka, "customer-copy", GROUP, TOPIC)) >= 200, f"backlog {backlog}"))
        worker.put("/connectors/customer-copy/resume")
        self.follows("sink started: the backlog is worked off")

    def stop_sink(self):
        self.spike.worker.put("/connectors/customer-copy/stop")

        def look():
            status = self.spike.worker.get("/connectors/customer-copy/status")
            return status["connector"]["state"] == "STOPPED" and not status["tasks"], f"{status['connector']['state']}, {len(status['tasks'])} tasks"
        self.report.check("sink stopped", look)

    def kafka_restarted(self):
        self.spike.kafka.stop()
        self.business(100)
        self.spike.kafka.start()
        self.follows("Kafka restarted, with 100 changes meanwhile", 60)

    def forced_error(self):
        """The copy refuses an address without an at sign: the record is told, counted, traced and skipped."""
        before = self.prometheus.query('sum(walspring_sink_errors_total{connector="customer-copy"})') or 0
        id = self.customers.add("nobody")
        self.refused.add(id)
        self.changes += 1
        seen = {}

        def look():
            spans = [s for s in self.receiver.spans(messaging_destination_name=TOPIC) if s.failed and s.kind == CONSUMER]
            lines = [line for line in log_lines(self.spike.worker.log) if line.get("outcome") == "failed" and str(id) in str(line.get("key"))]
            sent = [record.headers.get("traceparent", "--").split("-")[1] for record in self.records() if record.key["id"] == str(id)]
            errors = (self.prometheus.query('sum(walspring_sink_errors_total{connector="customer-copy"})') or 0) - before
            traces = {s.trace_id for s in spans} | {line.get("trace_id") for line in lines} | set(sent)
            seen.update(spans=spans)
            good = len(spans) == len(lines) == errors == 1 and len(traces) == 1
            return good, f"{len(spans)} error span, {len(lines)} log line, counter +{errors:.0f}, trace {' '.join(t or '-' for t in sorted(traces, key=str))}"
        self.report.check("a row that the copy refuses", look)
        span = seen["spans"][0]
        self.report.check("its span", lambda: (
            bool(span.parent_id) and [name for name, _ in span.events] == ["exception"], f"{span.name}, {dict(span.events)['exception'].get('exception.message', '')[:70]}"))
        self.business(20)
        self.follows("the rows behind it go on")

    def changed_table(self):
        """A nullable column: first only the table has it, then the copy too."""
        some = self.customers.ids()[0]
        self.crm.execute("ALTER TABLE customer ADD COLUMN phone text")
        self.crm.execute("UPDATE customer SET phone = '1', updated_at = clock_timestamp() WHERE id = %s", (some,))
        self.changes += 1
        self.follows("a column added that the copy lacks")
        self.copy.execute("ALTER TABLE customer ADD COLUMN phone text")
        # The sink looks for it again after half a minute; or when it is started.
        self.stop_sink()
        self.spike.worker.put("/connectors/customer-copy/resume")
        self.crm.execute("UPDATE customer SET phone = '2', updated_at = clock_timestamp() WHERE id = %s", (some,))
        self.changes += 1
        self.report.check("the copy has it too", lambda: (
            (phone := self.copy.execute("SELECT phone FROM customer WHERE id = %s", (some,)).fetchone()[0]) == "2", f"phone {phone}"))

    def numbers(self):
        """What Prometheus has scraped: processed, errors, duration, lag, and what was written."""
        sink = '{connector="customer-copy"}'
        queries = {
            "processed": f"sum(walspring_sink_records_total{sink})",
            "upserts": 'sum(walspring_sink_records_total{connector="customer-copy",outcome="upsert"})',
            "deletes": 'sum(walspring_sink_records_total{connector="customer-copy",outcome="delete"})',
            "errors": f"sum(walspring_sink_errors_total{sink})",
            "lag": f"sum(walspring_sink_lag_records{sink})",
            "p95 ms": f"1000 * histogram_quantile(0.95, sum by (le) (walspring_sink_put_seconds_bucket{sink}))",
        }

        def look():
            # Since the worker was killed; what came before was counted by the one before.
            found = {name: self.prometheus.query(query) for name, query in queries.items()}
            text = ", ".join(f"{name} {'-' if number is None else format(number, '.6g')}" for name, number in found.items())
            good = None not in found.values() and found["processed"] >= 350 and found["upserts"] > 0 and found["deletes"] > 0
            return good and found["errors"] == 1 and found["lag"] == 0 and found["p95 ms"] > 0, text
        self.report.check("in Prometheus", look)


def log_lines(path):
    """The worker's log: an object a line, its fields beside the rest."""
    for line in path.read_text(errors="replace").splitlines():
        try:
            parsed = json.loads(line)
        except ValueError:
            continue
        yield parsed | parsed.get("fields", {})


def main():
    if set(sys.argv[1:]) - {"--embedded"}:
        sys.exit(__doc__)
    end_on_signals()
    embedded = "--embedded" in sys.argv
    receiver = Receiver(free_port())
    with Spike(embedded, otlp=receiver.url) as spike:
        prometheus = Prometheus(spike.dir, free_port(), HERE / "prometheus.yaml", spike.worker)
        try:
            spike.start()
            prometheus.start()
            report = Report("customer-spike " + ("on the embedded log" if embedded else "on Kafka"))
            with report.explaining(spike.worker):
                Verification(spike, receiver, prometheus, report).run()
            return report.finish("the copy equals the table, nothing lost, nothing twice, and an error is one trace through span, counter and log")
        finally:
            prometheus.stop()


sys.exit(main())
