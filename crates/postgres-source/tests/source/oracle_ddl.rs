//! Tables that are changed at random between random changes of rows, and restarts from stored offsets in the middle.
//!
//! Three things hold. Each event is what RETURNING answered for its statement, by the table as it was: name, columns, key,
//! values; none is missing, none comes twice. Where nothing was altered between a change and the moment at which it is
//! read, nullability, defaults and the key's order are the catalog's too. And what came folds, by key, to what the tables
//! hold in the end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use walspring_postgres_source::wire::{ConnectConfig, Connection, Row};
use walspring_record::{ChangeBatch, ChangeKind, OldRow, ReplicaIdentity, SourceOffset, TypeKind};
use walspring_testkit::{TempDatabase, postgres};

use crate::oracle_rounds::rounds;
use crate::support::{Connector, Random, Source, WAIT};

type Cells = BTreeMap<String, Option<String>>;

/// A column as the catalog has it.
#[derive(Debug, Clone, PartialEq)]
struct ModelColumn {
    name: String,
    type_oid: u32,
    ty: String,
    is_enum: bool,
    not_null: bool,
    default: Option<String>,
    generated: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Model {
    oid: u32,
    namespace: String,
    name: String,
    /// `r`, or `p` of a partitioned one.
    kind: String,
    identity: String,
    /// The table at the top of its partitions; else itself.
    root: u32,
    columns: Vec<ModelColumn>,
    key: Vec<String>,
}

impl Model {
    fn sql_name(&self) -> String {
        format!("{}.{}", identifier(&self.namespace), identifier(&self.name))
    }

    /// Where only its own rows count; partitions' are its own.
    fn only(&self) -> String {
        if self.kind == "p" { self.sql_name() } else { format!("only {}", self.sql_name()) }
    }

    fn streamed(&self) -> impl Iterator<Item = &ModelColumn> {
        self.columns.iter().filter(|c| !c.generated)
    }

    /// The key as far as rows have it.
    fn streamed_key(&self) -> Vec<String> {
        self.key.iter().filter(|key| self.streamed().any(|c| c.name == **key)).cloned().collect()
    }

    fn list(&self) -> String {
        self.streamed().map(|c| identifier(&c.name)).collect::<Vec<_>>().join(", ")
    }

    fn is_partition(&self) -> bool {
        self.root != self.oid
    }
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What a statement says must come.
#[derive(Debug, Clone)]
struct Expected {
    op: char,
    /// As it was called and looked; of the root where rows are published as its own.
    table: Model,
    /// The replica identity of the table that has the row.
    identity: String,
    new: Option<Cells>,
    old: Option<Cells>,
    epoch: u64,
    sql: String,
}

/// What came.
#[derive(Debug, Clone)]
struct Seen {
    op: char,
    oid: u32,
    namespace: String,
    name: String,
    identity: ReplicaIdentity,
    columns: Vec<(String, u32)>,
    nullable: Vec<bool>,
    defaults: Vec<Option<String>>,
    /// Of columns whose type is an enumeration.
    labels: Vec<Option<Vec<String>>>,
    key: Vec<String>,
    new: Option<Cells>,
    old: Option<(OldRow, Cells)>,
    /// Of the catalog when it was read.
    epoch: u64,
}

/// A session that changes tables and rows, and knows what of it must come.
struct Author {
    sql: Connection,
    /// Of the statements that were run.
    log: Vec<String>,
    models: Vec<Model>,
    expected: Vec<Expected>,
    /// Of the transaction that is open.
    open: Vec<Expected>,
    /// Counts what changes the catalog.
    epoch: u64,
    via_root: bool,
    counter: u64,
    /// Schemas' names that are no more, and what they became.
    renamed: HashMap<String, String>,
    /// Tables some of whose rows have not come since their columns changed.
    stale: HashSet<u32>,
    /// Tables that rows came into or left with a partition, of which the stream does not tell.
    moved: HashSet<u32>,
}

impl Drop for Author {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.log.join(";\n"));
        }
    }
}

const SCHEMAS: &[&str] = &["public", "a", "B c"];

const COLUMN_TYPES: &[&str] = &[
    "integer",
    "bigint",
    "smallint",
    "text",
    "character varying(12)",
    "numeric",
    "numeric(12,3)",
    "boolean",
    "date",
    "timestamp with time zone",
    "jsonb",
    "uuid",
    "double precision",
    "integer[]",
];

impl Author {
    fn new(db: &TempDatabase, via_root: bool) -> Author {
        let config = ConnectConfig::from_url(&db.url()).expect("a connection URI");
        let mut sql = Connection::connect(&config).expect("a session");
        sql.set_read_timeout(Some(WAIT));
        sql.batch_execute("set TimeZone = UTC; create schema a; create schema \"B c\"").expect("schemas");
        Author {
            sql,
            log: Vec::new(),
            models: Vec::new(),
            expected: Vec::new(),
            open: Vec::new(),
            epoch: 0,
            via_root,
            counter: 0,
            renamed: HashMap::new(),
            stale: HashSet::new(),
            moved: HashSet::new(),
        }
    }

    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    fn always(&mut self, sql: &str) {
        self.log.push(sql.to_owned());
        self.sql.batch_execute(sql).unwrap_or_else(|e| panic!("{e}\nin: {sql}"));
    }

    /// Runs what may fail; what it did is undone then.
    fn attempt(&mut self, sql: &str) -> Option<Vec<Row>> {
        self.sql.batch_execute("savepoint s").expect("a savepoint");
        let answer = self.sql.query(sql);
        let (end, mark) = if answer.is_ok() { ("release s", "") } else { ("rollback to s; release s", "-- failed: ") };
        self.log.push(format!("{mark}{sql}"));
        if let Err(e) = &answer
            && e.code().is_none()
        {
            panic!("{e}\nin: {sql}");
        }
        self.sql.batch_execute(end).expect("the savepoint's end");
        answer.ok()
    }

    /// Changes the catalog, if it goes.
    fn alter(&mut self, sql: &str) -> bool {
        self.epoch += 1;
        let done = self.attempt(sql).is_some();
        self.refresh();
        done
    }

    fn refresh(&mut self) {
        let text = |row: &Row, n: usize| row.get(n).unwrap_or_default().to_owned();
        let tables = self.sql.query(
            "select c.oid, n.nspname, c.relname, c.relkind, c.relreplident, coalesce(pg_partition_root(c.oid)::oid, c.oid) \
             from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             where c.relkind in ('r', 'p') and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema' order by c.oid",
        );
        let mut models: Vec<Model> = tables
            .expect("the tables")
            .iter()
            .map(|r| Model {
                oid: text(r, 0).parse().expect("an oid"),
                namespace: text(r, 1),
                name: text(r, 2),
                kind: text(r, 3),
                identity: text(r, 4),
                root: text(r, 5).parse().expect("an oid"),
                columns: Vec::new(),
                key: Vec::new(),
            })
            .collect();
        let columns = self.sql.query(
            "select a.attrelid, a.attname, a.atttypid, format_type(a.atttypid, a.atttypmod), t.typtype, a.attnotnull, \
             pg_get_expr(d.adbin, d.adrelid), a.attgenerated \
             from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_type t on t.oid = a.atttypid \
             left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum \
             where c.relkind in ('r', 'p') and c.oid >= 16384 and a.attnum > 0 and not a.attisdropped order by a.attnum",
        );
        for r in &columns.expect("the columns") {
            let oid: u32 = text(r, 0).parse().expect("an oid");
            let Some(model) = models.iter_mut().find(|m| m.oid == oid) else { continue };
            model.columns.push(ModelColumn {
                name: text(r, 1),
                type_oid: text(r, 2).parse().expect("an oid"),
                ty: text(r, 3),
                is_enum: text(r, 4) == "e",
                not_null: text(r, 5) == "t",
                default: r.get(6).map(str::to_owned),
                generated: !text(r, 7).is_empty(),
            });
        }
        let keys = self.sql.query(
            "select i.indrelid, a.attname from pg_index i cross join unnest(i.indkey::int2[]) with ordinality k(n, o) \
             join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.n where i.indisprimary order by k.o",
        );
        for r in &keys.expect("the keys") {
            let oid: u32 = text(r, 0).parse().expect("an oid");
            if let Some(model) = models.iter_mut().find(|m| m.oid == oid) {
                model.key.push(text(r, 1));
            }
        }
        self.models = models;
    }

    fn model(&self, oid: u32) -> &Model {
        self.models.iter().find(|m| m.oid == oid).expect("a table")
    }

    fn any(&self, random: &mut Random) -> Option<Model> {
        (!self.models.is_empty()).then(|| self.models[random.below(self.models.len() as u64) as usize].clone())
    }

    /// A table that is no partition and has none.
    fn any_plain(&self, random: &mut Random) -> Option<Model> {
        self.any(random).filter(|m| m.kind == "r" && !m.is_partition())
    }

    /// The table as whose rows those of `oid` come.
    fn published(&self, oid: u32) -> Model {
        let model = self.model(oid);
        if self.via_root { self.model(model.root).clone() } else { model.clone() }
    }

    fn expect(&mut self, op: char, oid: u32, new: Option<Cells>, old: Option<Cells>, sql: &str) {
        let (table, identity) = (self.published(oid), self.model(oid).identity.clone());
        self.open.push(Expected { op, table, identity, new, old, epoch: self.epoch, sql: sql.to_owned() });
    }

    /// Rows that begin with their table's oid.
    fn rows(&self, table: &Model, rows: &[Row]) -> Vec<(u32, Cells)> {
        let cells = |row: &Row| {
            let names = table.streamed().enumerate();
            names.map(|(n, c)| (c.name.clone(), row.get(n + 1).map(str::to_owned))).collect()
        };
        rows.iter().map(|r| (r.get(0).and_then(|oid| oid.parse().ok()).expect("an oid"), cells(r))).collect()
    }

    // Rows.

    fn insert(&mut self, table: &Model, random: &mut Random) {
        let columns: Vec<&ModelColumn> = table
            .streamed()
            .filter(|c| c.name == "id" || c.not_null && c.default.is_none() || random.percent(80))
            .collect();
        let list = columns.iter().map(|c| identifier(&c.name)).collect::<Vec<_>>().join(", ");
        let rows: Vec<String> = (0..1 + random.below(3))
            .map(|_| {
                let id = self.next();
                let value = |c: &&ModelColumn| if c.name == "id" { id.to_string() } else { literal(c, random) };
                format!("({})", columns.iter().map(value).collect::<Vec<_>>().join(", "))
            })
            .collect();
        let (name, all) = (table.sql_name(), table.list());
        let sql = format!("insert into {name} ({list}) values {} returning tableoid::oid, {all}", rows.join(", "));
        for (oid, new) in self.attempt(&sql).map(|rows| self.rows(table, &rows)).unwrap_or_default() {
            self.expect('c', oid, Some(new), None, &sql);
        }
    }

    /// One row by its id: where it stands, and what it is.
    fn pick(&mut self, table: &Model, random: &mut Random) -> Option<(u32, Cells)> {
        let sql = format!("select tableoid::oid, {} from {} order by id", table.list(), table.only());
        let rows = self.sql.query(&sql).unwrap_or_else(|e| panic!("{e}\nin: {sql}"));
        let mut rows = self.rows(table, &rows);
        (!rows.is_empty()).then(|| rows.swap_remove(random.below(rows.len() as u64) as usize))
    }

    fn update(&mut self, table: &Model, random: &mut Random) {
        let Some((leaf, old)) = self.pick(table, random) else { return };
        let columns: Vec<&ModelColumn> = table.streamed().collect();
        let mut sets: BTreeMap<String, String> = BTreeMap::new();
        for _ in 0..1 + random.below(3) {
            let column = columns[random.below(columns.len() as u64) as usize];
            let value = if column.name != "id" {
                literal(column, random)
            } else if random.percent(50) {
                self.next().to_string()
            } else {
                continue;
            };
            sets.insert(identifier(&column.name), value);
        }
        if sets.is_empty() {
            sets.insert("id".into(), "id".into());
        }
        let sets = sets.iter().map(|(name, value)| format!("{name} = {value}")).collect::<Vec<_>>().join(", ");
        let id = old["id"].clone().expect("an id");
        let (only, list) = (table.only(), table.list());
        let sql = format!("update {only} set {sets} where id = {id} returning tableoid::oid, {list}");
        for (oid, new) in self.attempt(&sql).map(|rows| self.rows(table, &rows)).unwrap_or_default() {
            if oid == leaf {
                self.expect('u', oid, Some(new), Some(old.clone()), &sql);
            } else {
                // It went to another partition.
                self.expect('d', leaf, None, Some(old.clone()), &sql);
                self.expect('c', oid, Some(new), None, &sql);
            }
        }
    }

    fn delete(&mut self, table: &Model, random: &mut Random) {
        let Some((leaf, old)) = self.pick(table, random) else { return };
        let id = old["id"].clone().expect("an id");
        let sql = format!("delete from {} where id = {id} returning id", table.only());
        if self.attempt(&sql).is_some_and(|rows| rows.len() == 1) {
            self.expect('d', leaf, None, Some(old), &sql);
        }
    }

    /// All rows come once more.
    fn touch(&mut self, table: &Model) {
        let (only, list) = (table.only(), table.list());
        let sql = format!("update {only} set id = id returning tableoid::oid, {list}");
        for (oid, new) in self.attempt(&sql).map(|rows| self.rows(table, &rows)).unwrap_or_default() {
            self.expect('u', oid, Some(new), None, &sql);
        }
    }

    fn change_rows(&mut self, random: &mut Random) {
        let Some(table) = self.any(random) else { return };
        match random.below(10) {
            0..4 => {
                let into = if random.percent(80) { self.model(table.root).clone() } else { table };
                self.insert(&into, random);
            }
            4..7 => self.update(&table, random),
            7..9 => self.delete(&table, random),
            _ if random.percent(60) => self.touch(&table),
            _ if table.kind == "r" && !table.is_partition() => {
                let sql = format!("truncate {}", table.only());
                if self.attempt(&sql).is_some() {
                    self.expect('t', table.oid, None, None, &sql);
                }
            }
            _ => {}
        }
    }

    // Tables.

    fn new_name(&mut self, random: &mut Random) -> String {
        let n = self.next();
        match random.below(4) {
            0 => format!("Ä \"{n}"),
            1 => format!("T{n}"),
            _ => format!("t{n}"),
        }
    }

    fn schemas(&self) -> Vec<String> {
        let current = |s: &&str| self.current_schema(s);
        SCHEMAS.iter().map(current).collect()
    }

    fn current_schema(&self, name: &str) -> String {
        let mut name = name;
        while let Some(next) = self.renamed.get(name) {
            name = next;
        }
        name.to_owned()
    }

    fn any_schema(&self, random: &mut Random) -> String {
        self.schemas().swap_remove(random.below(SCHEMAS.len() as u64) as usize)
    }

    fn create(&mut self, name: &str, random: &mut Random) {
        let columns: String = (0..random.below(4))
            .map(|_| format!(", {} {}", identifier(&format!("c{}", self.next())), random.pick(COLUMN_TYPES)))
            .collect();
        let key = if random.percent(85) { " primary key" } else { "" };
        if random.percent(25) {
            self.alter(&format!("create table {name} (id int{key}{columns}) partition by hash (id)"));
            for n in 0..3 {
                let leaf = identifier(&self.new_name(random));
                let schema = identifier(&self.any_schema(random));
                let of = format!("partition of {name} for values with (modulus 3, remainder {n})");
                self.alter(&format!("create table {schema}.{leaf} {of}"));
            }
        } else {
            self.alter(&format!("create table {name} (id int{key}{columns})"));
        }
    }

    fn change_tables(&mut self, random: &mut Random) {
        let schema = identifier(&self.any_schema(random));
        let table = self.any_plain(random);
        match (random.below(10), table) {
            (0..3, _) | (_, None) => {
                let name = identifier(&self.new_name(random));
                self.create(&format!("{schema}.{name}"), random);
            }
            (3, Some(table)) => {
                self.alter(&format!("drop table {}", table.sql_name()));
            }
            (4, Some(table)) => {
                let name = table.sql_name();
                if self.alter(&format!("drop table {name}")) {
                    self.create(&name, random);
                }
            }
            (5, Some(table)) => {
                let name = identifier(&self.new_name(random));
                self.alter(&format!("alter table {} rename to {name}", table.sql_name()));
            }
            (6, Some(table)) => {
                self.alter(&format!("alter table {} set schema {schema}", table.sql_name()));
            }
            (7, _) => {
                let old = self.any_schema(random);
                let new = format!("s{}", self.next());
                if old != "public" && self.alter(&format!("alter schema {} rename to {new}", identifier(&old))) {
                    self.renamed.insert(old, new);
                }
            }
            (8, Some(table)) => {
                let name = identifier(&self.new_name(random));
                let column = format!("c{}", self.next());
                let key = random.pick(&["", ", primary key (id)"]);
                let parent = table.sql_name();
                self.alter(&format!("create table {schema}.{name} ({column} text{key}) inherits ({parent})"));
            }
            (_, Some(_)) => self.change_partitions(random),
        }
    }

    fn change_partitions(&mut self, random: &mut Random) {
        let Some(leaf) = self.models.iter().find(|m| m.is_partition()).cloned() else { return };
        let root = self.model(leaf.root).sql_name();
        let name = leaf.sql_name();
        if !self.alter(&format!("alter table {root} detach partition {name}")) {
            return;
        }
        self.moved.extend([leaf.oid, leaf.root]);
        self.change_rows(random);
        if random.percent(50) {
            self.change_columns(random);
        }
        for n in 0..3 {
            let of = format!("attach partition {name} for values with (modulus 3, remainder {n})");
            if self.alter(&format!("alter table {root} {of}")) {
                break;
            }
        }
    }

    fn change_columns(&mut self, random: &mut Random) {
        let Some(table) = self.any(random) else { return };
        let others: Vec<ModelColumn> = table.columns.iter().filter(|c| c.name != "id").cloned().collect();
        let column = (!others.is_empty()).then(|| others[random.below(others.len() as u64) as usize].clone());
        let name = table.sql_name();
        let alter = format!("alter table {name}");
        let named = column.as_ref().map(|c| identifier(&c.name)).unwrap_or_default();
        let done = match (random.below(12), column) {
            (0 | 1, _) | (_, None) => {
                let ty = random.pick(COLUMN_TYPES);
                let new = identifier(&format!("c{}", self.next()));
                let column = ModelColumn { not_null: true, ..typed(ty) };
                let more = match random.below(4) {
                    0 => format!(" default {}", literal(&column, random)),
                    1 => format!(" not null default {}", literal(&column, random)),
                    2 if table.kind == "r" => {
                        self.alter(&format!("{alter} add {new} int generated always as (id * 2) stored"));
                        return;
                    }
                    _ => String::new(),
                };
                self.alter(&format!("{alter} add {new} {ty}{more}"))
            }
            (2, Some(_)) => self.alter(&format!("{alter} drop {named}")),
            (3, Some(_)) => {
                let new = identifier(&format!("Ç {}", self.next()));
                self.alter(&format!("{alter} rename {named} to {new}"))
            }
            (4 | 5, Some(_)) => {
                let (ty, using) = random_cast(&named, random);
                self.alter(&format!("{alter} alter {named} drop default, alter {named} type {ty} using {using}"))
            }
            (6, Some(column)) => {
                let value = literal(&ModelColumn { not_null: true, ..column }, random);
                self.alter(&format!("{alter} alter {named} set default {value}"))
            }
            (7, Some(_)) => self.alter(&format!("{alter} alter {named} drop default")),
            (8, Some(_)) => {
                let what = random.pick(&["set", "drop"]);
                self.alter(&format!("{alter} alter {named} {what} not null"))
            }
            (9 | 10, Some(_)) => {
                self.change_key(&table, &named, random);
                false
            }
            (_, Some(_)) => {
                let ty = random.pick(&["int", "bigint"]);
                self.alter(&format!("{alter} alter id type {ty}"))
            }
        };
        if done {
            // A parent's columns are its children's and partitions' too.
            self.stale.extend(self.models.iter().map(|m| m.oid));
        }
    }

    fn change_key(&mut self, table: &Model, column: &str, random: &mut Random) {
        let name = table.sql_name();
        match random.below(4) {
            0 => {
                let what = random.pick(&["full", "default"]);
                self.alter(&format!("alter table {name} replica identity {what}"));
            }
            1 if !table.key.is_empty() => self.drop_key(table),
            _ => {
                if !table.key.is_empty() {
                    self.drop_key(table);
                }
                let key = match random.below(3) {
                    0 => "id".to_owned(),
                    1 => format!("id, {column}"),
                    _ => format!("{column}, id"),
                };
                self.alter(&format!("alter table {name} add primary key ({key})"));
            }
        }
    }

    fn drop_key(&mut self, table: &Model) {
        let sql = format!("select conname from pg_constraint where conrelid = {} and contype = 'p'", table.oid);
        let rows = self.sql.query(&sql).expect("the constraint");
        if let Some(name) = rows.first().and_then(|r| r.get(0)) {
            let name = identifier(name);
            self.alter(&format!("alter table {} drop constraint {name}", table.sql_name()));
        }
    }

    fn change_types(&mut self, random: &mut Random) {
        let types = self.sql.query("select enumtypid::regtype, enumlabel from pg_enum");
        let types: Vec<(String, String)> = types
            .expect("the types")
            .iter()
            .map(|r| (r.get(0).unwrap_or_default().to_owned(), r.get(1).unwrap_or_default().to_owned()))
            .collect();
        let n = self.next();
        if types.is_empty() || random.percent(25) {
            self.alter(&format!("create type \"E{n}\" as enum ('a', 'b''c')"));
        }
        let Some((ty, label)) = types.get(random.below(types.len().max(1) as u64) as usize) else { return };
        let label = label.replace('\'', "''");
        match random.below(6) {
            0 | 1 => {
                if let Some(table) = self.any(random) {
                    let column = identifier(&format!("c{n}"));
                    self.alter(&format!("alter table {} add {column} {ty}", table.sql_name()));
                    self.stale.extend(self.models.iter().map(|m| m.oid));
                }
            }
            2 => drop(self.alter(&format!("alter type {ty} add value 'l{n}' before '{label}'"))),
            3 => {
                self.alter(&format!("alter type {ty} rename value '{label}' to 'l{n}'"));
                // Rows that have the label are not sent again.
                self.stale.extend(self.models.iter().map(|m| m.oid));
            }
            4 => drop(self.alter(&format!("alter type {ty} rename to \"E{n}\""))),
            _ => {
                self.alter(&format!("drop type {ty} cascade"));
                self.stale.extend(self.models.iter().map(|m| m.oid));
            }
        }
    }

    /// One transaction; most are committed.
    fn transaction(&mut self, random: &mut Random) {
        let before = (self.renamed.clone(), self.stale.clone());
        self.always("begin");
        for _ in 0..1 + random.below(6) {
            match random.below(12) {
                0 => self.change_tables(random),
                1 | 2 => self.change_columns(random),
                3 if random.percent(50) => self.change_types(random),
                _ => self.change_rows(random),
            }
        }
        if random.percent(10) {
            self.always("rollback");
            self.open.clear();
            self.epoch += 1;
            (self.renamed, self.stale) = before;
        } else {
            self.always("commit");
            self.expected.append(&mut self.open);
        }
        self.refresh();
    }

    /// Sends the rows once more that the stream cannot tell of: a table's change does not come by itself.
    fn touch_stale(&mut self) {
        self.always("begin");
        for table in self.models.clone() {
            if self.stale.contains(&table.oid) && !table.is_partition() {
                for leaf in self.models.clone().iter().filter(|m| m.root == table.oid) {
                    // Since 18 the two are not possible together.
                    for column in leaf.columns.iter().filter(|c| c.generated) {
                        let name = identifier(&column.name);
                        self.alter(&format!("alter table {} drop column if exists {name} cascade", leaf.sql_name()));
                    }
                    self.alter(&format!("alter table {} replica identity full", leaf.sql_name()));
                }
                self.touch(&table);
            }
        }
        self.always("commit");
        self.expected.append(&mut self.open);
    }
}

fn typed(ty: &str) -> ModelColumn {
    ModelColumn {
        name: String::new(),
        type_oid: 0,
        ty: ty.into(),
        is_enum: false,
        not_null: false,
        default: None,
        generated: false,
    }
}

fn literal(column: &ModelColumn, random: &mut Random) -> String {
    if !column.not_null && random.percent(15) {
        return "null".into();
    }
    if column.is_enum {
        return format!("(enum_range(null::{}))[{}]", column.ty, random.between(1, 3));
    }
    let n = random.between(-999, 999);
    match column.ty.as_str() {
        "integer" | "bigint" | "smallint" | "double precision" => n.to_string(),
        "numeric" | "numeric(12,3)" => format!("{n}.{}", random.below(1000)),
        "boolean" => (n > 0).to_string(),
        "date" => format!("'2024-01-01'::date + {n}"),
        "timestamp with time zone" => format!("'2024-01-01 00:00:00+00'::timestamptz + interval '{n} minutes'"),
        "jsonb" => format!("'{{\"n\": {n}}}'"),
        "uuid" => format!("'{:08x}-0000-4000-8000-000000000000'", random.below(1 << 32)),
        "integer[]" => format!("array[{n}, null]"),
        _ => format!("'x''{n}'"),
    }
}

fn random_cast(column: &str, random: &mut Random) -> (&'static str, String) {
    match random.below(5) {
        0 => ("text", format!("{column}::text")),
        1 => ("bigint", format!("length({column}::text)")),
        2 => ("numeric(12,3)", format!("length({column}::text)")),
        3 => ("character varying(12)", format!("left({column}::text, 12)")),
        _ => ("jsonb", format!("to_jsonb({column})")),
    }
}

/// Reads the stream, and starts again from offsets that were stored.
struct Reader {
    connector: Connector,
    source: Option<Source>,
    seen: Vec<Seen>,
    /// After how many events which offset stood.
    offsets: Vec<(usize, SourceOffset)>,
    /// What was told to be stored.
    stored: usize,
}

impl Reader {
    fn new(connector: Connector) -> Reader {
        let source = Some(connector.streaming(None));
        Reader { connector, source, seen: Vec::new(), offsets: Vec::new(), stored: 0 }
    }

    fn poll(&mut self, wait: Duration, epoch: u64) {
        let source = self.source.as_mut().expect("a source");
        match source.poll(wait) {
            Ok(None) => {}
            Ok(Some(step)) => {
                seen(source.batch(), epoch, &mut self.seen);
                if let Some(offset) = step.offset {
                    self.offsets.push((self.seen.len(), offset));
                }
            }
            Err(e) => panic!("{}", e.trace()),
        }
    }

    /// Checks what comes.
    #[track_caller]
    fn poll_once(&mut self, author: &Author) {
        let before = self.seen.len();
        self.poll(Duration::from_millis(20), author.epoch);
        for nth in before..self.seen.len() {
            assert!(nth < author.expected.len(), "one too many: {:#?}", self.seen[nth]);
            check(author, nth, &self.seen[nth]);
        }
    }

    /// Until all that is expected has come.
    #[track_caller]
    fn read(&mut self, author: &Author) {
        let end = Instant::now() + WAIT;
        let expected = author.expected.len();
        while self.seen.len() < expected {
            assert!(Instant::now() < end, "waited for {expected} events, {} came", self.seen.len());
            self.poll_once(author);
        }
    }

    fn store(&mut self) {
        if let Some((count, offset)) = self.offsets.last() {
            self.source.as_ref().expect("a source").stored(offset);
            self.stored = *count;
        }
    }

    /// Events after the offset come again.
    fn restart(&mut self, random: &mut Random) {
        let possible: Vec<usize> = (0..self.offsets.len()).filter(|&n| self.offsets[n].0 >= self.stored).collect();
        if possible.is_empty() {
            return;
        }
        let chosen = possible[random.below(possible.len() as u64) as usize];
        let (count, offset) = self.offsets[chosen].clone();
        self.source.take().expect("a source").close();
        self.seen.truncate(count);
        self.offsets.truncate(chosen + 1);
        // What it starts from counts as stored.
        self.stored = count;
        self.source = Some(self.connector.streaming(Some(&offset)));
    }
}

fn seen(batch: &ChangeBatch, epoch: u64, into: &mut Vec<Seen>) {
    for change in &batch.changes {
        let relation = &batch.plans[change.plan as usize].relation;
        let cells = |first: u32| -> Cells {
            let row = batch.row(first, relation.columns.len());
            let value = |n| row.get(n).map(|v| String::from_utf8(v.to_vec()).expect("UTF-8"));
            relation.columns.iter().enumerate().map(|(n, c)| (c.name.to_string(), value(n))).collect()
        };
        let op = match change.kind {
            ChangeKind::Insert => 'c',
            ChangeKind::Update => 'u',
            ChangeKind::Delete => 'd',
            ChangeKind::Truncate => 't',
            other => panic!("{other:?} in the stream"),
        };
        into.push(Seen {
            op,
            oid: relation.oid,
            namespace: relation.namespace.to_string(),
            name: relation.name.to_string(),
            identity: relation.identity,
            columns: relation.columns.iter().map(|c| (c.name.to_string(), c.ty.oid)).collect(),
            nullable: relation.columns.iter().map(|c| c.nullable).collect(),
            defaults: relation.columns.iter().map(|c| c.default.as_deref().map(str::to_owned)).collect(),
            labels: relation
                .columns
                .iter()
                .map(|c| match &c.ty.kind {
                    TypeKind::Enum(labels) => Some(labels.iter().map(|l| l.to_string()).collect()),
                    _ => None,
                })
                .collect(),
            key: relation.key.iter().map(|&k| relation.columns[k].name.to_string()).collect(),
            new: matches!(op, 'c' | 'u').then(|| cells(change.new)),
            old: (change.old_row != OldRow::None).then(|| (change.old_row, cells(change.old))),
            epoch,
        });
    }
}

/// Whether the event is what the statement said.
fn check(author: &Author, nth: usize, seen: &Seen) {
    let expected = &author.expected[nth];
    let table = &expected.table;
    let about = format!(
        "event {nth}\n{seen:#?}\nof {}\n{table:#?}\nthe catalog has had {} changes",
        expected.sql, expected.epoch
    );
    assert_eq!((seen.op, seen.oid, &seen.name), (expected.op, table.oid, &table.name), "{about}");
    // The stream may know a schema by the name that it had when the table was last changed.
    assert_eq!(author.current_schema(&seen.namespace), author.current_schema(&table.namespace), "{about}");
    let columns: Vec<(String, u32)> = table.streamed().map(|c| (c.name.clone(), c.type_oid)).collect();
    assert_eq!(seen.columns, columns, "{about}");
    assert_eq!(seen.new, expected.new, "{about}");
    let key = table.streamed_key();
    let old = seen.old.as_ref().map(|(kind, cells)| (*kind, cells));
    match (&expected.old, old) {
        // The server sends a partition's key alone as a whole row of a root that has REPLICA IDENTITY FULL.
        (Some(want), Some((OldRow::Full, have))) if expected.identity == "f" => assert_eq!(have, want, "{about}"),
        (Some(want), Some((_, have))) => {
            for key in &key {
                assert_eq!(have[key], want[key], "{about}");
            }
        }
        (_, None) => assert_ne!(seen.op, 'd', "{about}"),
        (None, _) => {}
    }
    let sorted = |key: &[String]| {
        let mut key = key.to_vec();
        key.sort();
        key
    };
    if seen.identity == ReplicaIdentity::Default {
        assert_eq!(sorted(&seen.key), sorted(&key), "{about}");
    }
    if seen.epoch != expected.epoch {
        return;
    }
    assert_eq!(seen.key, key, "{about}");
    let nullable: Vec<bool> = table.streamed().map(|c| !c.not_null).collect();
    assert_eq!(seen.nullable, nullable, "{about}");
    let defaults: Vec<Option<String>> = table.streamed().map(|c| c.default.clone()).collect();
    assert_eq!(seen.defaults, defaults, "{about}");
    for ((column, _), labels) in seen.columns.iter().zip(&seen.labels) {
        if let (Some(labels), Some(Some(value))) = (labels, seen.new.as_ref().map(|new| &new[column])) {
            assert!(labels.contains(value), "{column}: {about}");
        }
    }
}

/// Rows by their table's oid, as a consumer would keep them.
fn fold(seen: &[Seen]) -> HashMap<u32, Vec<Cells>> {
    let mut tables: HashMap<u32, Vec<Cells>> = HashMap::new();
    for event in seen {
        let rows = tables.entry(event.oid).or_default();
        // Every key has the id; what else it has may have been renamed or retyped since the row came.
        let same = |row: &Cells, key: &Cells| row["id"] == key["id"];
        let old = event.old.as_ref().map(|(_, cells)| cells).or(event.new.as_ref());
        match event.op {
            't' => rows.clear(),
            'c' => rows.extend(event.new.clone()),
            _ => {
                if let Some(place) = rows.iter().position(|row| old.is_some_and(|old| same(row, old))) {
                    rows.remove(place);
                }
                rows.extend(event.new.clone());
            }
        }
    }
    tables
}

fn round(random: &mut Random) {
    let db = postgres(random_major(random)).database();
    let via_root = random.percent(50);
    let options = [
        ("snapshot.mode", "no_data"),
        ("skipped.operations", "none"),
        ("publication.autocreate.mode", "all_tables"),
        ("publish.via.partition.root", if via_root { "true" } else { "false" }),
    ];
    let batch = 1 + random.below(20) as usize;
    let mut author = Author::new(&db, via_root);
    if random.percent(70) {
        author.always("begin");
        author.change_tables(random);
        author.always("commit");
    }
    let mut reader = Reader::new(Connector::new(&db, &options).limits(|l| l.batch_changes = batch));
    // One that reads each transaction before the next is made, or one that is behind.
    let behind = random.percent(50);
    for _ in 0..25 {
        author.transaction(random);
        if !behind {
            reader.read(&author);
        } else if random.percent(30) {
            reader.poll_once(&author);
        }
        if random.percent(15) {
            reader.store();
        }
        if random.percent(15) {
            reader.restart(random);
        }
    }
    author.touch_stale();
    reader.read(&author);
    check_fold(&mut author, &reader);
    reader.source.take().map(Source::close);
}

fn check_fold(author: &mut Author, reader: &Reader) {
    let mut folded = fold(&reader.seen);
    for table in author.models.clone() {
        if via_other(author, &table) || author.moved.contains(&table.oid) {
            continue;
        }
        let sql = format!("select tableoid::oid, {} from {}", table.list(), table.only());
        let rows = author.sql.query(&sql).unwrap_or_else(|e| panic!("{e}\nin: {sql}"));
        let mut want: Vec<Cells> = author.rows(&table, &rows).into_iter().map(|(_, cells)| cells).collect();
        let mut have = folded.remove(&table.oid).unwrap_or_default();
        want.sort();
        have.sort();
        assert_eq!(have, want, "{}", table.sql_name());
    }
}

/// Its rows come as those of another table.
fn via_other(author: &Author, table: &Model) -> bool {
    if author.via_root { table.is_partition() } else { table.kind == "p" }
}

fn random_major(random: &mut Random) -> u32 {
    if random.percent(50) { 15 } else { 18 }
}

#[test]
fn random_changes_of_tables_and_rows_come_as_they_were_and_fold_to_the_tables() {
    rounds("ddl", 3, round);
}
