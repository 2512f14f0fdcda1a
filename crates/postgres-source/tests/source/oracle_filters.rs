//! Random lists of expressions: what is captured of tables and columns is what SQL says by the same rule, in the snapshot
//! and in the stream.
//!
//! PostgreSQL's regular expressions are not Java's, so the generator keeps to what means the same in both.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use walspring_record::{ChangeBatch, ChangeKind};
use walspring_testkit::{TempDatabase, postgres};

use crate::oracle_rounds::rounds;
use crate::support::{Connector, Random, Source, WAIT};

const SCHEMAS: &[&str] = &["public", "sales", "Sales_2", "x.y", "ops"];
const TABLES: &[&str] = &["orders", "Orders", "order_items", "o", "log$1", "a+b", "tmp 1", "übung"];
const COLUMNS: &[&str] = &["Name", "name_2", "v", "e.mail", "ü", "$"];

/// The names of each table's columns in its events, by `schema.table`.
type Captured = BTreeMap<String, BTreeSet<String>>;

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// An expression that some of the names match, with the same meaning in both dialects.
fn expression(random: &mut Random, names: &[&str]) -> String {
    let escape = |name: &str| -> String {
        name.chars().map(|c| if ".+$*?()[]{}|\\^".contains(c) { format!("\\{c}") } else { c.to_string() }).collect()
    };
    let name = random.pick(names);
    match random.below(9) {
        // Unescaped, as people write them: a point is any character.
        0 if !name.contains(['+', '$']) => name.into(),
        1 => escape(name).to_uppercase().replace("Ü", "ü"),
        2 => {
            let start: String = name.chars().take(1 + random.below(3) as usize).collect();
            format!("{}.*", escape(&start))
        }
        3 => {
            let end: String = name.chars().skip(random.below(3) as usize).collect();
            format!(".*{}", escape(&end))
        }
        4 => format!("({}|{})", escape(name), escape(random.pick(names))),
        5 => format!("{}[a-z_]*", escape(&name.chars().take(1).collect::<String>())),
        6 => format!("[^{}].+", name.chars().find(char::is_ascii_alphanumeric).unwrap_or('q').to_ascii_lowercase()),
        7 => format!("(?:{})?.?", escape(name)),
        _ => escape(name),
    }
}

fn list(random: &mut Random, one: impl Fn(&mut Random) -> String) -> Vec<String> {
    (0..1 + random.below(3)).map(|_| one(random)).collect()
}

/// An option's expressions.
struct List {
    includes: bool,
    expressions: Vec<String>,
}

impl List {
    fn random(random: &mut Random, one: impl Fn(&mut Random) -> String) -> Option<List> {
        random.percent(60).then(|| List { includes: random.percent(50), expressions: list(random, one) })
    }

    fn option(&self, what: &str) -> (String, String) {
        let kind = if self.includes { "include" } else { "exclude" };
        // Blanks around an expression do not count.
        (format!("{what}.{kind}.list"), self.expressions.join(" , "))
    }

    /// The same rule in SQL: the whole name, without regard to case.
    fn sql(list: &Option<List>, name: &str) -> String {
        let Some(list) = list else { return "true".into() };
        let one = |e: &String| format!("{name} ~* '^(?:{})$'", e.replace('\'', "''"));
        let any = list.expressions.iter().map(one).collect::<Vec<_>>().join(" or ");
        if list.includes { format!("({any})") } else { format!("not ({any})") }
    }
}

struct Rule {
    schemas: Option<List>,
    tables: Option<List>,
    columns: Option<List>,
}

impl Rule {
    fn random(random: &mut Random) -> Rule {
        Rule {
            schemas: List::random(random, |r| expression(r, SCHEMAS)),
            tables: List::random(random, |r| match r.below(4) {
                0 => format!("{}\\..*", expression(r, SCHEMAS)),
                1 => format!(".*\\.{}", expression(r, TABLES)),
                _ => format!("{}\\.{}", expression(r, SCHEMAS), expression(r, TABLES)),
            }),
            columns: List::random(random, |r| match r.below(4) {
                0 => format!(".*\\.{}", expression(r, COLUMNS)),
                1 => format!("{}\\..*\\.{}", expression(r, SCHEMAS), expression(r, COLUMNS)),
                2 => format!(".*\\.{}\\.(id|{})", expression(r, TABLES), expression(r, COLUMNS)),
                _ => format!("{}\\.{}\\..*", expression(r, SCHEMAS), expression(r, TABLES)),
            }),
        }
    }

    fn options(&self) -> Vec<(String, String)> {
        let lists = [("schema", &self.schemas), ("table", &self.tables), ("column", &self.columns)];
        lists.iter().filter_map(|(what, list)| list.as_ref().map(|list| list.option(what))).collect()
    }

    fn by_sql(&self, db: &TempDatabase) -> Captured {
        let tables = List::sql(&self.tables, "(n.nspname || '.' || c.relname)");
        let schemas = List::sql(&self.schemas, "n.nspname");
        let columns = List::sql(&self.columns, "(n.nspname || '.' || c.relname || '.' || a.attname)");
        let rows = db.sql(&format!(
            "select n.nspname || '.' || c.relname, case when {columns} then a.attname end \
             from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid \
             where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') \
             and a.attnum > 0 and ({schemas}) and ({tables})"
        ));
        let mut captured = Captured::new();
        for row in rows {
            let of_table = captured.entry(row[0].clone().expect("a table")).or_default();
            of_table.extend(row[1].clone());
        }
        captured
    }
}

/// What events had, by whether they are of the snapshot.
#[derive(Default)]
struct Seen {
    snapshot: Captured,
    stream: Captured,
}

impl Seen {
    fn batch(&mut self, batch: &ChangeBatch) {
        for change in &batch.changes {
            let plan = &batch.plans[change.plan as usize];
            let columns = plan.row.schema.fields.iter().map(|f| f.name.to_string()).collect();
            let into = if change.kind == ChangeKind::Read { &mut self.snapshot } else { &mut self.stream };
            let before = into.insert(plan.relation.qualified_name(), columns);
            assert!(before.is_none(), "{} twice", plan.relation.qualified_name());
            let key = plan.key.as_ref().map(|key| key.schema.fields.iter().map(|f| &*f.name).collect::<Vec<_>>());
            assert_eq!(key.as_deref(), Some(&["id"][..]), "the key of {}", plan.relation.qualified_name());
        }
    }

    fn until(&mut self, source: &mut Source, what: &str, done: impl Fn(&Seen, &Source) -> bool) {
        let end = Instant::now() + WAIT;
        while !done(self, source) {
            assert!(Instant::now() < end, "waited for {what}: {:?}, {:?}", self.snapshot.keys(), self.stream.keys());
            match source.poll(Duration::from_millis(20)) {
                Ok(None) => {}
                Ok(Some(_)) => self.batch(source.batch()),
                Err(e) => panic!("{what}: {}", e.trace()),
            }
        }
    }
}

fn round(random: &mut Random) {
    let db = postgres(15).database();
    let mut made: BTreeSet<(String, String)> = BTreeSet::new();
    for schema in SCHEMAS {
        db.sql(&format!("create schema if not exists {}", quoted(schema)));
        for _ in 0..3 {
            made.insert((schema.to_string(), random.pick(TABLES).to_owned()));
        }
    }
    let mut create = String::new();
    for (schema, table) in &made {
        let name = format!("{}.{}", quoted(schema), quoted(table));
        let columns: Vec<&str> = COLUMNS.iter().filter(|_| random.percent(60)).copied().collect();
        let columns: String = columns.iter().map(|c| format!(", {} int default 1", quoted(c))).collect();
        create += &format!("create table {name} (id int primary key{columns}); insert into {name} values (1);");
    }
    db.sql(&create);
    let rule = Rule::random(random);
    let options = rule.options();
    let want = rule.by_sql(&db);
    println!("{} of {} tables by {options:?}", want.len(), made.len());
    let mut connector = Connector::new(&db, &[("publication.autocreate.mode", "all_tables")]);
    for (name, value) in &options {
        connector.set(name, value);
    }
    let mut source = connector.start(None);
    let mut seen = Seen::default();
    seen.until(&mut source, &format!("the snapshot by {options:?}"), |_, source| {
        source.offset.as_ref().is_some_and(|o| o.get("snapshot_completed") == Some(&true.into()))
    });
    assert_eq!(seen.snapshot.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>(), "tables by {options:?}");
    assert_eq!(seen.snapshot, want, "columns in the snapshot by {options:?}");
    let changes: String =
        made.iter().map(|(s, t)| format!("insert into {}.{} values (2);", quoted(s), quoted(t))).collect();
    db.sql(&changes);
    seen.until(&mut source, &format!("the stream by {options:?}"), |seen, _| seen.stream.len() >= want.len());
    // What comes too much would come with it: the inserts are one transaction.
    let end = Instant::now() + WAIT;
    while Instant::now() < end && source.poll(Duration::from_millis(20)).expect("no error").is_some() {
        seen.batch(source.batch());
    }
    assert_eq!(seen.stream, want, "the stream by {options:?}");
}

#[test]
fn random_lists_capture_what_sql_says() {
    rounds("filters", 6, round);
}
