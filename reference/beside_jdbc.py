#!/usr/bin/env python3
"""Our PostgreSQL sink beside Debezium's JDBC sink, on the same topics with schemas: are the target tables the same?

One source connector (ours) captures tables of many types. Two sinks with one configuration, in two groups, write them to
two databases: one runs on Kafka Connect with Debezium's JDBC sink, one on Walspring. Both make their tables themselves
(schema.evolution=basic), and once more into tables of the source's types that are there already. Then the two databases
are compared: columns with their types, and every row as text.

The last line is JSON. Exit status: 0 when the only differences are tables at which the original's task fails and ours has
what the source has.
"""
import argparse, json, sys, time
import psycopg, requests

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("--ours", default="http://127.0.0.1:8283"); p.add_argument("--original", default="http://127.0.0.1:8183")
p.add_argument("--pg-port", type=int, default=5515); p.add_argument("--keep", action="store_true")
a = p.parse_args()
NAME = f"beside_{int(time.time())}"
DSN = lambda db: f"host=127.0.0.1 port={a.pg_port} user=postgres dbname={db}"

# table: columns, rows. One family of types a table, so that one that the original cannot write hides no other.
TABLES = {
    "numbers": ("id int primary key, s smallint, i int, b bigint, r real, d double precision, n numeric(12,3), m numeric(30,0), ok boolean",
        ["(1, -5, 100000, 9000000000, 1.5, 2.25, 12345.678, 123456789012345678901234567890, true)", "(2, null, null, null, null, null, null, null, null)"]),
    "texts": ("id int primary key, t text, v varchar(40), c char(5), u uuid, j json, jb jsonb, x xml",
        ["(1, 'Ünïcode ''quoted''', 'v', 'ab', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"a\": [1, 2]}', '{\"b\": null}', '<a>1</a>')", "(2, '', '', '', null, null, null, null)"]),
    "times": ("id int primary key, d date, t time, ts timestamp, tz timestamptz, tt timetz",
        ["(1, '2024-02-29', '12:34:56.789012', '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56.789012+05', '12:34:56.789+02')", "(2, '1969-12-31', '00:00', '1969-12-31 23:59:59', '1969-12-31 23:59:59+00', '00:00+00')"]),
    "bytes": ("id int primary key, b bytea", ["(1, '\\x00ff10')", "(2, '\\x')", "(3, null)"]),
    "bits": ("id int primary key, one bit(1), five bit(5), many varbit(9)", ["(1, B'1', B'10110', B'101')", "(2, null, null, null)"]),
    "intervals": ("id int primary key, i interval", ["(1, '1 year 2 months 3 days 04:05:06.789')", "(2, null)"]),
    "arrays": ("id int primary key, i int[], t text[], b boolean[]", ["(1, '{1,2,3}', '{a,\"b c\",NULL}', '{t,f}')", "(2, '{}', null, null)"]),
    "net": ("id int primary key, i inet, c cidr, m macaddr", ["(1, '10.0.0.1/24', '10.0.0.0/8', '08:00:2b:01:02:03')"]),
    "keys": ("a int, b text, v text, primary key (a, b)", ["(1, 'x', 'one')", "(1, 'y', 'two')"]),
    "search": ("id int primary key, w tsvector", ["(1, 'fat:2 cat:3')"]),
}
CHANGES = {
    "numbers": ["update t set n = -0.001, s = 7 where id = 1", "delete from t where id = 2", "insert into t (id, s) values (3, 3)"],
    "texts": ["update t set t = 'changed' where id = 2"], "keys": ["update t set b = 'z' where b = 'x'", "delete from t where b = 'y'"],
    "times": ["update t set d = '9999-12-31' where id = 2"],
}
def sql(db, text):
    with psycopg.connect(DSN(db), autocommit=True) as c:
        cursor = c.execute(text)
        return cursor.fetchall() if cursor.description else None

def put(url, name, config):
    r = requests.put(f"{url}/connectors/{name}/config", json=config, timeout=60)
    if r.status_code >= 400: raise SystemExit(f"{name}: {r.status_code} {r.text}")

JSON = {f"{side}.converter{key}": value for side in ("key", "value") for key, value in (("", "org.apache.kafka.connect.json.JsonConverter"), (".schemas.enable", "true"))}

def main():
    for db in (NAME, *(f"{NAME}_{who}_{how}" for who in ("ours", "original") for how in ("made", "there"))):
        sql("postgres", f"drop database if exists {db} with (force)"); sql("postgres", f"create database {db}")
    for table, (columns, rows) in TABLES.items():
        for db in (NAME, f"{NAME}_ours_there", f"{NAME}_original_there"): sql(db, f"create table {table} ({columns})")
        for row in rows: sql(NAME, f"insert into {table} values {row}")
    put(a.ours, NAME, {"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "plugin.name": "pgoutput", "database.hostname": "127.0.0.1", "database.port": str(a.pg_port),
        "database.user": "postgres", "database.password": "postgres", "database.dbname": NAME, "topic.prefix": NAME, "slot.name": NAME, "publication.name": NAME,
        "include.unknown.datatypes": "true", "interval.handling.mode": "string", **JSON})
    for _ in range(600):
        if sql("postgres", f"select 1 from pg_replication_slots where slot_name='{NAME}' and active"): break
        time.sleep(0.1)
    time.sleep(3)
    for table, statements in CHANGES.items():
        for s in statements: sql(NAME, s.replace("update t ", f"update {table} ").replace("from t ", f"from {table} ").replace("into t ", f"into {table} "))
    connectors = []
    for who, url in (("ours", a.ours), ("original", a.original)):
        for how in ("made", "there"):
            for table in TABLES: # a sink a table: one that fails stops no other
                name = f"{NAME}_{who}_{how}_{table}"; connectors.append((url, name))
                put(url, name, {"connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector", "topics": f"{NAME}.public.{table}", "tasks.max": "1",
                    "connection.url": f"jdbc:postgresql://127.0.0.1:{a.pg_port}/{NAME}_{who}_{how}", "connection.username": "postgres", "connection.password": "postgres",
                    "insert.mode": "upsert", "delete.enabled": "true", "primary.key.mode": "record_key", "schema.evolution": "basic" if how == "made" else "none",
                    "collection.name.format": "${source.table}", "consumer.override.auto.offset.reset": "earliest", "connection.pool.max_size": "2", "connection.pool.min_size": "1", **JSON})
    end, state = time.time() + 150, None
    while time.time() < end: # until nothing changes any more
        now = {db: snapshot(db) for db in databases()}
        if now == state and all(now.values()): break
        state = now; time.sleep(10)
    failed = {}
    for url, name in connectors:
        status = requests.get(f"{url}/connectors/{name}/status", timeout=30).json()
        for t in status.get("tasks", []):
            if t["state"] == "FAILED": failed[name[len(NAME) + 1:]] = ([line for line in t.get("trace", "").split("\n") if line.startswith("Caused by")] or t.get("trace", "").split("\n"))[-1][:300]
    same, different, better = 0, [], []
    for how in ("made", "there"):
        ours, original, source = state[f"{NAME}_ours_{how}"], state[f"{NAME}_original_{how}"], snapshot(NAME)
        for table in TABLES:
            if ours.get(table) == original.get(table): same += 1; print(f"same       {how:5} {table}"); continue
            truth = "ours equals the source" if rows_of(ours, table) == rows_of(source, table) else ""
            # A table that the original fails at, and ours writes as the source has it, is what we want.
            if truth and f"original_{how}_{table}" in failed: better.append((how, table))
            different.append((how, table)); print(f"different  {how:5} {table}  {truth}")
            for who, seen in (("ours    ", ours), ("original", original)): print(f"    {who} {json.dumps(seen.get(table))[:1500]}")
            for who in ("ours", "original"):
                if f"{who}_{how}_{table}" in failed: print(f"    {who} failed: {failed[f'{who}_{how}_{table}']}")
    if not a.keep:
        for url, name in connectors + [(a.ours, NAME)]: requests.delete(f"{url}/connectors/{name}", timeout=60)
    unexplained = [d for d in different if d not in better]
    print(json.dumps({"same": same, "original_fails_ours_equals_source": len(better), "otherwise_different": unexplained, "failed": failed}))
    sys.exit(bool(unexplained))

def databases(): return [f"{NAME}_{who}_{how}" for who in ("ours", "original") for how in ("made", "there")]
def rows_of(seen, table): return (seen.get(table) or {}).get("rows")

def snapshot(db):
    found = {}
    for (table,) in sql(db, "select tablename from pg_tables where schemaname='public' order by 1"):
        if table not in TABLES: continue
        columns = sql(db, f"select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute where attrelid='public.{table}'::regclass and attnum>0 and not attisdropped order by attname")
        names = ", ".join(f'"{c[0]}"::text' for c in columns)
        found[table] = {"columns": [list(c) for c in columns], "rows": sorted(rows(db, names, table), key=str)}
    return found

def rows(db, names, table):
    with psycopg.connect(DSN(db), autocommit=True) as c:
        c.execute("set timezone='UTC'")
        return [list(r) for r in c.execute(f"select {names} from {table}").fetchall()]

main()
