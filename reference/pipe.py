#!/usr/bin/env python3
"""The whole pipe, table to table: source database -> worker -> Kafka (or the embedded log) -> worker -> target database.

  pipe.py chaos    writes to the source all the time while the worker, the source, Kafka and the target are killed in turn;
                   at the end the target's table equals the source's, and each version of each row was applied once
                   (a second sink writes one row an event, with a table of applied offsets)
  pipe.py latency  from just before a commit in the source to when another session sees the row in the target
  pipe.py sink     rows a second of one sink task from a topic, beside COPY into the same table with the same index
  pipe.py memory   peak memory of a worker with one source and three sinks, under load

The services are those of the script `stack` beside this file; the target is a second server of it. The last line is JSON.
Exit status of chaos: 0 when nothing was lost and nothing came twice.
"""
import argparse, json, os, random, re, subprocess, sys, threading, time
import psycopg, requests

HERE = os.path.dirname(os.path.abspath(__file__))
p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("what", choices=["chaos", "latency", "sink", "memory"])
p.add_argument("--url", default="http://127.0.0.1:8183"); p.add_argument("--kafka", default="127.0.0.1:9192", help="empty: the embedded log")
p.add_argument("--pg-port", type=int, default=5515); p.add_argument("--target-port", type=int, default=5516)
p.add_argument("--target-dir", default=os.environ.get("TARGET_STACK_DIR", ""), help="STACK_DIR of the target's server")
p.add_argument("--faults", default="worker,stop,pg,kafka,target"); p.add_argument("--rounds", type=int, default=2)
p.add_argument("--rate", type=int, default=300); p.add_argument("--gap", type=float, default=6.0); p.add_argument("--settle", type=float, default=90.0)
p.add_argument("--seconds", type=float, default=15.0); p.add_argument("--rows", type=int, default=300000)
p.add_argument("--redis", default="", help="HOST:PORT, for memory")
a = p.parse_args()
NAME = f"pipe_{int(time.time())}"
DSN = lambda port, db=NAME: f"host=127.0.0.1 port={port} user=postgres dbname={db} connect_timeout=3"

def stack(*words, target=False):
    env = dict(os.environ)
    if target: env.update(STACK_DIR=a.target_dir, PG_PORT=str(a.target_port), PG_DATA=os.environ["TARGET_PG_DATA"])
    return subprocess.run([os.path.join(HERE, "stack"), *words], check=True, stdout=subprocess.PIPE, text=True, env=env).stdout.strip()

def sql(port, text, db=NAME, params=None):
    with psycopg.connect(DSN(port, db), autocommit=True) as c:
        cursor = c.execute(text, params)
        return cursor.fetchall() if cursor.description else None

def put(name, config):
    for _ in range(60):
        try:
            r = requests.put(f"{a.url}/connectors/{name}/config", json=config, timeout=60)
            if r.status_code < 400: return
            if r.status_code != 409: raise SystemExit(f"{name}: {r.status_code} {r.text}")
        except requests.ConnectionError: pass
        time.sleep(0.5)
    raise SystemExit(f"{name} is not taken")

def running(*names, seconds=60):
    end = time.time() + seconds
    while time.time() < end:
        try:
            states = [requests.get(f"{a.url}/connectors/{n}/status", timeout=10).json() for n in names]
            if all(s.get("tasks") and all(t["state"] == "RUNNING" for t in s["tasks"]) for s in states): return
        except requests.RequestException: states = ["REST does not answer"]
        time.sleep(0.1)
    raise SystemExit("not running: " + json.dumps(states)[:2000])

JSON = {f"{side}.converter{key}": value for side in ("key", "value") for key, value in (("", "org.apache.kafka.connect.json.JsonConverter"), (".schemas.enable", "false"))}

def source(table, **more):
    return {"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "plugin.name": "pgoutput", "database.hostname": "127.0.0.1",
        "database.port": str(a.pg_port), "database.user": "postgres", "database.password": "postgres", "database.dbname": NAME, "topic.prefix": NAME,
        "slot.name": NAME, "publication.name": NAME, "table.include.list": f"public.{table}", "snapshot.mode": "no_data",
        "producer.override.linger.ms": "0", **JSON, **more}

def sink(topic, **more):
    return {"connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector", "topics": topic, "connection.url": f"jdbc:postgresql://127.0.0.1:{a.target_port}/{NAME}",
        "connection.username": "postgres", "connection.password": "postgres", "insert.mode": "upsert", "primary.key.mode": "record_key", "delete.enabled": "true",
        "consumer.override.auto.offset.reset": "earliest", **JSON, **more}

def databases():
    for port in (a.pg_port, a.target_port):
        sql(port, f"drop database if exists {NAME} with (force)", "postgres"); sql(port, f"create database {NAME}", "postgres")

def slot_active():
    for _ in range(600):
        if sql(a.pg_port, f"select 1 from pg_replication_slots where slot_name='{NAME}' and active", "postgres"): return
        time.sleep(0.1)
    raise SystemExit("the source does not stream")

def clean():
    for n in requests.get(f"{a.url}/connectors", timeout=30).json():
        if n.startswith(NAME): requests.delete(f"{a.url}/connectors/{n}", timeout=60)
    for _ in range(100):
        try:
            sql(a.pg_port, f"select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name='{NAME}'", "postgres"); break
        except psycopg.Error: time.sleep(0.2)
    for port in (a.pg_port, a.target_port): sql(port, f"drop database if exists {NAME} with (force)", "postgres")

def first(statement, table):
    """Until the first row is through: topics are made, the group has its partitions."""
    sql(a.pg_port, statement)
    for _ in range(600):
        if sql(a.target_port, f"select 1 from {table} limit 1"): return
        time.sleep(0.1)
    raise SystemExit(f"nothing comes to {table}: " + requests.get(f"{a.url}/connectors?expand=status").text[:3000])

class Writer(threading.Thread):
    """Raises versions of a few rows a transaction; now and then deletes one, which begins again later with a new version."""
    def __init__(self): super().__init__(daemon=True); self.on, self.commits, self.unknown = True, 0, 0
    def run(self):
        rnd, con = random.Random(7), None
        while self.on:
            try:
                con = con or psycopg.connect(DSN(a.pg_port))
                with con.transaction():
                    for i in sorted(rnd.sample(range(1, 501), 3)):
                        con.execute("insert into account values (%s,1,repeat('x',100)) on conflict (id) do update set version=account.version+1", (i,))
                self.commits += 1; time.sleep(1 / a.rate)
            except psycopg.Error:
                self.unknown += 1; con = None; time.sleep(0.2)

def hit(fault):
    if fault == "worker": stack("kill", "worker"); time.sleep(0.5); stack("start", "worker")
    elif fault == "stop": stack("stop", "worker"); stack("start", "worker")
    elif fault == "pg": stack("kill", "pg"); time.sleep(1); stack("start", "pg")
    elif fault == "kafka": stack("kill", "kafka"); time.sleep(1); stack("start", "kafka")
    elif fault == "target": stack("kill", "pg", target=True); time.sleep(1); stack("start", "pg", target=True)
    else: raise SystemExit(f"unknown fault {fault}")

def chaos():
    databases()
    sql(a.pg_port, "create table account (id int primary key, version int not null, note text)")
    sql(a.target_port, "create table account (id int primary key, version int not null, note text)")
    sql(a.target_port, "create table counted (id int primary key, applied bigint not null default 0)")
    topic = f"{NAME}.public.account"
    # One row an event, into a table without a key: an event that is applied twice stands there twice.
    sql(a.target_port, "create table history (id int, version int, note text)")
    put(NAME, source("account")); slot_active()
    put(NAME + "_copy", sink(topic, **{"collection.name.format": "account"}))
    put(NAME + "_history", sink(topic, **{"collection.name.format": "history", "insert.mode": "insert", "primary.key.mode": "none", "delete.enabled": "false",
        "walspring.sink.deletes": "skip", "walspring.sink.offsets.table": "walspring_sink_offsets"}))
    running(NAME, NAME + "_copy", NAME + "_history")
    writer = Writer(); writer.start(); time.sleep(2)
    target = lambda: (sql(a.target_port, "select coalesce(sum(version),0), count(*) from account") or [(0, 0)])[0]
    recoveries = {}
    for _ in range(a.rounds):
        for fault in a.faults.split(","):
            before, begun = target() if fault != "target" else None, time.time()
            hit(fault); back = time.time(); before = target()
            while target() <= before and time.time() - back < a.settle: time.sleep(0.05)
            recoveries.setdefault(fault, []).append(round(time.time() - back, 2))
            print(f"{fault}: back {back - begun:.1f} s after it was hit, the target goes on {recoveries[fault][-1]} s later", flush=True)
            time.sleep(a.gap)
    writer.on = False; writer.join(30)
    want = sql(a.pg_port, "select id, version, note from account order by id")
    total, end = sum(row[1] for row in want), time.time() + a.settle
    while time.time() < end:
        got = sql(a.target_port, "select id, version, note from account order by id")
        if got == want and sql(a.target_port, "select count(distinct (id, version)) from history")[0][0] >= total: break
        time.sleep(0.5)
    lost = sum(1 for row in want if row not in set(got)); extra = sum(1 for row in got if row not in set(want))
    twice = sql(a.target_port, "select coalesce(sum(n-1),0)::bigint from (select count(*) n from history group by id, version) x")[0][0]
    missing = total - sql(a.target_port, "select count(distinct (id, version)) from history")[0][0]
    result = {"what": "chaos", "commits": writer.commits, "events": total, "rows": len(want), "rows_different": lost + extra, "history_lost": missing, "history_twice": twice,
        "recovery_s": recoveries}
    if lost + extra + missing + twice:
        result["status"] = {n: requests.get(f"{a.url}/connectors/{NAME}{n}/status").json() for n in ("", "_copy", "_history")}
    else: clean()
    print(json.dumps(result)); sys.exit(bool(lost + extra + missing + twice))

def percentile(values, q): return sorted(values)[min(len(values) - 1, int(len(values) * q))]

def latency():
    databases()
    for port in (a.pg_port, a.target_port): sql(port, "create table event (id bigint primary key, payload text)")
    put(NAME, source("event")); slot_active()
    put(NAME + "_copy", sink(f"{NAME}.public.event", **{"collection.name.format": "event"}))
    running(NAME, NAME + "_copy")
    first(f"insert into event values (0, 'first')", "event")
    sent, seen, done = {}, {}, threading.Event()
    def write():
        with psycopg.connect(DSN(a.pg_port), autocommit=True) as c:
            begun = time.perf_counter()
            for i in range(1, int((a.seconds + 3) * a.rate) + 1):
                due = begun + i / a.rate
                while (left := due - time.perf_counter()) > 0: time.sleep(left)
                sent[i] = time.perf_counter(); c.execute("insert into event values (%s, repeat('y', 200))", (i,))
        done.set()
    writer = threading.Thread(target=write); writer.start()
    last, total = 0, int((a.seconds + 3) * a.rate)
    with psycopg.connect(DSN(a.target_port), autocommit=True) as c:
        end = time.time() + a.seconds + 60
        while last < total and time.time() < end:
            rows = c.execute("select id from event where id > %s order by id", (last,), prepare=True).fetchall(); now = time.perf_counter()
            for (i,) in rows: seen[i] = now; last = max(last, i)
            time.sleep(0.0005)
    writer.join()
    warm = 3 * a.rate
    times = [(seen[i] - sent[i]) * 1000 for i in seen if i > warm]
    clean()
    print(json.dumps({"what": "latency", "rate": a.rate, "rows": len(times), "lost": total - len(seen), "p50_ms": round(percentile(times, .5), 1), "p90_ms": round(percentile(times, .9), 1),
        "p99_ms": round(percentile(times, .99), 1), "max_ms": round(max(times), 1)}))

TABLE = "id bigint primary key, name text not null, email text not null, status text not null, amount numeric(12,2) not null, updated_at timestamptz not null, note text"

def row(i): return (i, f"customer {i}", f"customer{i}@example.com", "ACTIVE", f"{i % 100000}.25", "2026-01-02T03:04:05.678901Z", "n" * 180)

def sink_rate():
    from confluent_kafka import Producer
    databases()
    for table in ("copied", "sunk"): sql(a.target_port, f"create table {table} ({TABLE})")
    names = ["id", "name", "email", "status", "amount", "updated_at", "note"]
    producer = Producer({"bootstrap.servers": a.kafka, "linger.ms": 20, "queue.buffering.max.messages": 1000000})
    for i in range(a.rows):
        value = json.dumps(dict(zip(names, row(i)))); key = json.dumps({"id": i})
        while True:
            try: producer.produce(NAME, value, key, partition=0) if i else producer.produce(NAME, value, key); break
            except BufferError: producer.poll(0.1)
        if i % 1000 == 0: producer.poll(0)
    producer.flush()
    begun = time.perf_counter()
    with psycopg.connect(DSN(a.target_port)) as c, c.cursor().copy("copy copied from stdin") as copy:
        for i in range(a.rows): copy.write_row(row(i))
    python_copy = time.perf_counter() - begun
    # The limit itself: the server alone, from a file that it wrote.
    with psycopg.connect(DSN(a.target_port), autocommit=True) as c:
        path = os.path.join(os.environ["TARGET_PG_DATA"], "rows.copy")
        c.execute(f"copy copied to '{path}'"); c.execute("truncate copied"); c.execute("checkpoint")
        begun = time.perf_counter(); c.execute(f"copy copied from '{path}'"); copy = time.perf_counter() - begun; c.execute("checkpoint")
    cpu = lambda: sum(int(x) for x in open(f"/proc/{stack('pid', 'worker')}/stat").read().rsplit(")", 1)[1].split()[11:13]) / os.sysconf("SC_CLK_TCK")
    before = cpu()
    put(NAME + "_sink", sink(NAME, **{"collection.name.format": "sunk"}))
    first = None; end = time.time() + 600
    with psycopg.connect(DSN(a.target_port), autocommit=True) as c:
        while time.time() < end:
            count = c.execute("select n_live_tup + n_dead_tup, (select max(id) from sunk) from pg_stat_user_tables where relname='sunk'").fetchone()[1]
            now = time.perf_counter()
            if count is not None and first is None: first = (now, count)
            if count == a.rows - 1: break
            time.sleep(0.01)
        done = c.execute("select count(*) from sunk").fetchone()[0]; same = c.execute("select count(*) from (select * from copied except select * from sunk) x").fetchone()[0]
    took = now - first[0]; spent = cpu() - before
    if done != a.rows or same: raise SystemExit(f"{done} of {a.rows} rows, {same} differ")
    clean(); rate = (a.rows - first[1]) / took
    print(json.dumps({"what": "sink", "rows": a.rows, "rows_per_s": round(rate), "copy_rows_per_s": round(a.rows / copy), "ratio": round(rate * copy / a.rows, 2),
        "worker_cpu_s_per_million": round(spent * 1e6 / a.rows, 2), "copy_by_python_rows_per_s": round(a.rows / python_copy)}))

def memory():
    databases()
    sql(a.pg_port, "create table event (id bigint primary key, payload text)")
    for table in ("event", "event_audit"): sql(a.target_port, f"create table {table} (id bigint primary key, payload text)")
    put(NAME, source("event")); slot_active()
    topic = f"{NAME}.public.event"; names = [NAME + "_copy", NAME + "_second", NAME + "_third"]
    put(names[0], sink(topic, **{"collection.name.format": "event"}))
    put(names[1], sink(topic, **{"collection.name.format": "event_audit"}))
    if a.redis: put(names[2], {"connector.class": "com.redis.kafka.connect.RedisSinkConnector", "topics": topic, "redis.uri": f"redis://{a.redis}", **JSON})
    else: put(names[2], sink(topic, **{"collection.name.format": "event"}))
    running(NAME, *names)
    sql(a.pg_port, f"insert into event select i, repeat('z', 300) from generate_series(1, {a.rows}) i")
    end = time.time() + 600
    while time.time() < end and any(sql(a.target_port, f"select count(*) from {t}")[0][0] < a.rows for t in ("event", "event_audit")): time.sleep(0.5)
    counts = [sql(a.target_port, f"select count(*) from {t}")[0][0] for t in ("event", "event_audit")]
    peak = int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{stack('pid', 'worker')}/status").read())[1]) / 1024
    clean()
    print(json.dumps({"what": "memory", "rows": a.rows, "applied": counts, "sinks": 3, "redis": bool(a.redis), "peak_mib": round(peak, 1)}))

{"chaos": chaos, "latency": latency, "sink": sink_rate, "memory": memory}[a.what]()
