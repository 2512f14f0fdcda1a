#!/usr/bin/env python3
"""Writes the cells of recorded cases, as PostgreSQL prints them, to `cells/NAME.json`: what `recorded.rs` reads.

    dump_cells.py --pg-port 5515 ../../../conformance/cases/types_*

For each table: its columns as the catalog has them, the rows after setup.sql, and the rows after steps.sql.
"""
import argparse, json, os, subprocess

COLUMNS = """
with recursive needed(oid) as (
  select atttypid from pg_attribute where attrelid = '{t}'::regclass and attnum > 0 and not attisdropped
  union select x.oid from needed n join pg_type t on t.oid = n.oid, lateral (values (t.typelem), (t.typbasetype)) x(oid) where x.oid <> 0)
select json_build_object('types', (select json_object_agg(t.oid, json_build_object('name', t.typname, 'namespace', n.nspname,
    'typtype', t.typtype, 'category', t.typcategory, 'element', t.typelem, 'base', t.typbasetype, 'modifier', t.typtypmod,
    'labels', (select json_agg(enumlabel order by enumsortorder) from pg_enum where enumtypid = t.oid)))
  from needed d join pg_type t on t.oid = d.oid join pg_namespace n on n.oid = t.typnamespace),
 'columns', (select json_agg(json_build_object('name', attname, 'type', atttypid, 'modifier', atttypmod,
    'nullable', not (attnotnull or exists (select from pg_type where oid = atttypid and typtype = 'd' and typnotnull)),
    'default', pg_get_expr(adbin, adrelid), 'generated', attgenerated <> '' or attidentity <> '', 'comment', col_description(attrelid, attnum)) order by attnum)
  from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
  where attrelid = '{t}'::regclass and attnum > 0 and not attisdropped),
 'key', (select json_agg(k - 1 order by o) from pg_index, lateral unnest(indkey) with ordinality as u(k, o) where indrelid = '{t}'::regclass and indisprimary))
"""

def main():
    p = argparse.ArgumentParser()
    p.add_argument("--pg-port", default="5515")
    p.add_argument("--no-rows", action="store_true", help="of large values: leave the rows out")
    p.add_argument("cases", nargs="+")
    a = p.parse_args()
    def psql(db, sql):
        return subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", a.pg_port, "-U", "postgres", "-d", db],
                              input=sql, text=True, capture_output=True, check=True).stdout
    for case in a.cases:
        name = "c_" + os.path.basename(case.rstrip("/"))
        read = lambda f: "\n".join(l for l in open(f"{case}/{f}").read().replace("${name}", name).splitlines() if not l.startswith("--@")) if os.path.exists(f"{case}/{f}") else ""
        psql("postgres", f'drop database if exists {name}'); psql("postgres", f'create database {name}')
        def tables():
            return [t.split("\t") for t in psql(name, "select format('%s\t%s', schemaname, tablename) from pg_tables where schemaname not in ('pg_catalog', 'information_schema') and tablename <> 'spatial_ref_sys' order by 1").splitlines()]
        def rows(s, t):
            rows = []
            if a.no_rows: return rows
            for line in psql(name, f"set timezone = 'UTC'; copy \"{s}\".\"{t}\" to stdout").split("\n")[:-1]:
                rows.append([None if c == "\\N" else unescape(c) for c in line.split("\t")])
            return rows
        psql(name, read("setup.sql"))
        before = {(s, t): rows(s, t) for s, t in tables()}
        psql(name, read("steps.sql"))
        out = []
        for s, t in tables():
            qualified = f'"{s}"."{t}"'.replace("'", "''")
            out.append({"namespace": s, "name": t, **json.loads(psql(name, COLUMNS.format(t=qualified))), "snapshot": before.get((s, t), []), "stream": rows(s, t)})
        psql("postgres", f'drop database {name}')
        with open(f"{os.path.dirname(os.path.abspath(__file__))}/cells/{name[2:]}.json", "w") as f:
            f.write("[\n" + ",\n".join(json.dumps(t, ensure_ascii=False) for t in out) + "\n]\n")

def unescape(cell):
    """COPY's escapes."""
    out, i = [], 0
    while i < len(cell):
        c = cell[i]
        if c == "\\":
            i += 1
            c = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}.get(cell[i], cell[i])
        out.append(c)
        i += 1
    return "".join(out)

main()
