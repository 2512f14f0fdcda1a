//! Rows of random types and values: what the snapshot reads, what the stream sends (new rows, and old ones under REPLICA
//! IDENTITY FULL) and what SQL computes of the column are equal.
//!
//! What the original itself reads differently in the two is left out by name: dates before Christ and infinite ones, and
//! the type `name`. SQL says nothing where it would repeat the mapping; there the two ways are compared with each other.

use std::collections::BTreeMap;

use walspring_record::{ChangeBatch, ChangeKind, OldRow, RecordPlan, Schema, Value, Warnings};
use walspring_testkit::{TempDatabase, postgres};

use crate::oracle_rounds::rounds;
use crate::support::{Connector, Random, Source};

/// What the connector is asked to make of values.
struct Modes {
    time: &'static str,
    decimal: &'static str,
    binary: &'static str,
    unknown: bool,
    options: Vec<(&'static str, &'static str)>,
}

impl Modes {
    fn random(random: &mut Random) -> Modes {
        let times = [
            "adaptive",
            "adaptive_time_microseconds",
            "connect",
            "isostring",
            "microseconds",
            "nanoseconds",
            "structured",
        ];
        let time = random.pick(&times);
        let decimal = random.pick(&["precise", "double", "string"]);
        let binary = random.pick(&["bytes", "base64", "base64-url-safe", "hex"]);
        let unknown = random.percent(50);
        let options = vec![
            ("time.precision.mode", time),
            ("decimal.handling.mode", decimal),
            ("binary.handling.mode", binary),
            ("interval.handling.mode", random.pick(&["numeric", "string"])),
            ("hstore.handling.mode", random.pick(&["json", "map"])),
            ("include.unknown.datatypes", if unknown { "true" } else { "false" }),
        ];
        Modes { time, decimal, binary, unknown, options }
    }
}

/// A type: its name, a random value's text, and the SQL that computes the event's value from `$`. The SQL answers `~`
/// where it does not know.
struct Kind {
    sql: &'static str,
    value: fn(&mut Random) -> String,
    expected: fn(&Modes) -> Option<String>,
    /// In arrays too.
    in_arrays: bool,
}

const fn kind(sql: &'static str, value: fn(&mut Random) -> String, expected: fn(&Modes) -> Option<String>) -> Kind {
    Kind { sql, value, expected, in_arrays: true }
}

/// One that arrays are not made of, or for which the original has no array.
const fn single(sql: &'static str, value: fn(&mut Random) -> String, expected: fn(&Modes) -> Option<String>) -> Kind {
    Kind { sql, value, expected, in_arrays: false }
}

fn itself(_: &Modes) -> Option<String> {
    Some("$::text".into())
}

fn not_known(_: &Modes) -> Option<String> {
    None
}

const KINDS: &[Kind] = &[
    kind("bool", |r| r.pick(&["true", "false"]).into(), itself),
    kind("int2", |r| extreme(r, i16::MIN.into(), i16::MAX.into()), itself),
    kind("int4", |r| extreme(r, i32::MIN.into(), i32::MAX.into()), itself),
    kind("int8", |r| if r.percent(20) { i64::MIN.to_string() } else { extreme(r, -(1 << 60), 1 << 60) }, itself),
    kind("oid", |r| extreme(r, 0, u32::MAX.into()), itself),
    kind("float4", |r| float(r, &["3.4028235e38", "1e-45", "16777217"]), itself),
    kind("float8", |r| float(r, &["1.7976931348623157e308", "5e-324", "1e23", "0.1"]), itself),
    kind("numeric", |r| decimal(r, 18, 9, true), |m| (m.decimal != "string").then(|| finite("trim_scale($)::text"))),
    kind("numeric(20,5)", |r| decimal(r, 15, 5, false), |m| number_of_scale(m, 5)),
    kind("numeric(6,0)", |r| decimal(r, 6, 0, false), |m| number_of_scale(m, 0)),
    kind("numeric(38,37)", |r| decimal(r, 1, 37, false), |m| number_of_scale(m, 37)),
    single(
        "money",
        |r| format!("{}.{:02}", extreme(r, -(1 << 40), 1 << 40), r.below(100)),
        |m| (m.decimal == "precise").then(|| "$::numeric(20,2)::text".into()),
    ),
    kind("text", text, itself),
    kind("varchar", text, itself),
    kind("varchar(60)", short_text, itself),
    // A cast to text cuts the padding off.
    kind("char(60)", short_text, |_| Some("rpad($::text, 60)".into())),
    kind("citext", text, itself),
    single("name", short_text, not_known),
    single("\"char\"", |r| r.pick(&["a", "Z", "~"]).into(), itself),
    kind("bytea", bytes, |m| {
        Some(match m.binary {
            "hex" => "encode($, 'hex')".into(),
            "bytes" => "$::text".into(),
            mode => {
                let base64 = "replace(encode($, 'base64'), E'\\n', '')";
                if mode == "base64" { base64.into() } else { format!("translate({base64}, '+/', '-_')") }
            }
        })
    }),
    kind("json", json, itself),
    kind("jsonb", json, itself),
    single("xml", |r| r.pick(&["<a>b</a>", "<a b=\"c\"/>", "x &amp; y"]).into(), itself),
    kind("uuid", uuid, itself),
    kind(
        "inet",
        |r| r.pick(&["1.2.3.4", "10.0.0.0/8", "::1", "fe80::1/64"]).into(),
        |_| Some("format('%s', $)".into()),
    ),
    kind("cidr", |r| r.pick(&["10.0.0.0/8", "1.2.3.4/32", "2001:db8::/32"]).into(), itself),
    kind("macaddr", |r| format!("08:00:2b:01:02:{:02x}", r.below(256)), itself),
    kind("macaddr8", |r| format!("08:00:2b:01:02:03:04:{:02x}", r.below(256)), itself),
    kind("int4range", |r| r.pick(&["[1,5)", "empty", "(,3]", "[7,)", "(,)"]).into(), itself),
    kind("int8range", |r| r.pick(&["[1,5]", "empty", "(,9223372036854775806)"]).into(), itself),
    kind("numrange", |r| r.pick(&["[1.10,5)", "empty", "(,)", "(0,1]"]).into(), itself),
    kind("daterange", |r| r.pick(&["[2020-01-01,2021-01-01)", "empty", "(,infinity]"]).into(), itself),
    kind("tsrange", |r| r.pick(&["[2020-01-01 10:00,2020-01-01 10:00:00.5)", "empty"]).into(), itself),
    kind("tstzrange", |r| r.pick(&["[2020-01-01 10:00+02,2020-07-01 10:00-07)", "empty"]).into(), itself),
    single("bit(1)", |r| bits(r, 1), |_| Some("($::bit(1) = B'1')::text".into())),
    single("bit(7)", |r| bits(r, 7), backwards),
    single("bit(17)", |r| bits(r, 17), backwards),
    single(
        "varbit(30)",
        |r| {
            let n = r.below(31);
            bits(r, n)
        },
        not_known,
    ),
    single(
        "varbit",
        |r| {
            let n = r.below(70);
            bits(r, n)
        },
        not_known,
    ),
    kind("date", date, |m| match m.time {
        "isostring" => Some(in_years(1, 9999, "to_char($, 'YYYY-MM-DD') || 'Z'")),
        "structured" => None,
        _ => Some("case when isfinite($) then ($ - date '1970-01-01')::text else '~' end".into()),
    }),
    kind("time", time, |m| time_number(m, 6)),
    kind("time(3)", time, |m| time_number(m, 3)),
    kind("time(0)", time, |m| time_number(m, 0)),
    kind("timetz", |r| format!("{}{}", time(r), r.pick(&["+00", "+05:30", "-11", "+14"])), not_known),
    kind("timestamp", moment, |m| moment_number(m, 6)),
    kind("timestamp(3)", moment, |m| moment_number(m, 3)),
    kind("timestamp(0)", moment, |m| moment_number(m, 0)),
    kind("timestamptz", zoned, |m| zoned_text(m, "YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"")),
    kind("timestamptz(3)", zoned, |m| zoned_text(m, "YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"")),
    kind("timestamptz(0)", zoned, |m| zoned_text(m, "YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"")),
    single("interval", interval, |m| {
        let numeric = m.time != "structured" && m.options.contains(&("interval.handling.mode", "numeric"));
        let days = "extract(year from $) = 0 and extract(month from $) = 0";
        numeric.then(|| format!("case when {days} then (extract(epoch from $) * 1000000)::int8::text else '~' end"))
    }),
    single("point", |r| format!("({},{})", r.between(-9, 9), r.below(1000)), not_known),
    single("box", |_| "(1,2),(3,4)".into(), not_known),
    single("lseg", |_| "[(1,2),(3.5,4)]".into(), not_known),
    single("path", |r| r.pick(&["[(1,2),(3,4)]", "((1,2),(3,4),(5,6))"]).into(), not_known),
    single("polygon", |_| "((0,0),(1,1),(1,0))".into(), not_known),
    single("circle", |_| "<(1,2),3>".into(), not_known),
    single("line", |_| "{1,2,3}".into(), not_known),
    single("tsvector", |r| r.pick(&["a:1 fat:2 cat:3", "'it''s'"]).into(), itself),
    single("tsquery", |_| "a & b".into(), not_known),
    single("pg_lsn", |_| "16/B374D848".into(), not_known),
    single("int4multirange", |_| "{[1,3),[5,9)}".into(), not_known),
    single("pair", |_| "(1,\"a b\")".into(), not_known),
    single("hstore", |r| r.pick(&["a=>1, b=>NULL", "", "\"k \\\" \"=>\"v,w\""]).into(), not_known),
    kind("ltree", |r| r.pick(&["a.b.c", "top"]).into(), itself),
    kind("mood", |r| r.pick(&["sad", "it's ok", "glad"]).into(), itself),
    single("d_mood", |r| r.pick(&["sad", "glad"]).into(), itself),
    single("d_int", |r| extreme(r, 1, i32::MAX.into()), itself),
    single("d_number", |r| decimal(r, 8, 2, false), |m| number_of_scale(m, 2)),
    single("d_d_text", text, itself),
    single("d_numbers", |r| format!("{{{}}}", r.below(9)), not_known),
];

const TYPES: &str = "create extension citext; create extension hstore; create extension ltree; \
     create type mood as enum ('sad', 'it''s ok', 'glad'); create type pair as (a int, b text); \
     create domain d_mood as mood; create domain d_int as int check (value > 0); create domain d_number as numeric(10,2); \
     create domain d_text as varchar; create domain d_d_text as d_text; create domain d_numbers as int[]";

fn extreme(r: &mut Random, low: i64, high: i64) -> String {
    match r.below(4) {
        0 => low.to_string(),
        1 => high.to_string(),
        2 => low.max(0).to_string(),
        _ => r.between(low, high).to_string(),
    }
}

fn float(r: &mut Random, more: &[&'static str]) -> String {
    match r.below(3) {
        0 => r.pick(&["NaN", "Infinity", "-Infinity", "0", "-0", "-1.5"]).into(),
        1 => r.pick(more).into(),
        _ => format!("{}e{}", r.between(-99_999_999, 99_999_999), r.between(-30, 30)),
    }
}

/// With so many digits before the point, and behind it.
fn decimal(r: &mut Random, before: u64, behind: u64, special: bool) -> String {
    if special && r.percent(25) {
        return r.pick(&["0", "0.000", "1000", "1e20", "-0.000001", "NaN", "Infinity", "1.50"]).into();
    }
    let mut digits = |most: u64, at_least: u64| -> String {
        let count = if r.percent(30) { most } else { r.below(most + 1) };
        (0..count.max(at_least)).map(|_| char::from(b'0' + r.below(10) as u8)).collect()
    };
    let (mut whole, part) = (digits(before, 1), digits(behind, 0));
    if r.percent(40) {
        whole.insert(0, '-');
    }
    if part.is_empty() { whole } else { format!("{whole}.{part}") }
}

fn characters(r: &mut Random, most: u64) -> String {
    const LETTERS: &[&str] =
        &["a", "Z", "0", " ", "\\", "'", "\"", "\t", "\n", "\r", ",", "{", "}", "\\N", "ä", "€", "😀", "\u{1}"];
    let count = r.below(most + 1);
    (0..count).map(|_| r.pick(LETTERS)).collect()
}

fn short_text(r: &mut Random) -> String {
    characters(r, 15)
}

fn text(r: &mut Random) -> String {
    // Now and then so long that it is stored out of line.
    if r.percent(5) { characters(r, 30).repeat(800) } else { characters(r, 25) }
}

fn bytes(r: &mut Random) -> String {
    let count = if r.percent(5) { 9000 } else { r.below(30) };
    let hex: String = (0..count).map(|_| format!("{:02x}", r.below(256))).collect();
    format!("\\x{hex}")
}

fn json(r: &mut Random) -> String {
    r.pick(&["{\"a\": 1, \"b\" :[null, \"x\\n\"]}", "[]", "null", "\"😀\"", "1.50", "{\"z\":1,\"a\":2,\"z\":3}"]).into()
}

fn uuid(r: &mut Random) -> String {
    format!("{:08x}-0000-4000-8000-{:012x}", r.below(1 << 32), r.below(1 << 48))
}

fn bits(r: &mut Random, count: u64) -> String {
    (0..count).map(|_| r.pick(&["0", "1"])).collect()
}

fn date(r: &mut Random) -> String {
    match r.below(5) {
        0 => r.pick(&["infinity", "-infinity", "0044-03-15 BC", "5874897-12-31", "1970-01-01", "0001-01-01"]).into(),
        1 => format!("{}-02-28", r.between(1000, 9999)),
        _ => format!("{}-{:02}-{:02}", r.between(1900, 2100), r.between(1, 12), r.between(1, 28)),
    }
}

fn time(r: &mut Random) -> String {
    match r.below(5) {
        0 => r.pick(&["00:00:00", "23:59:59.999999", "24:00:00", "12:00:00.5"]).into(),
        _ => format!("{:02}:{:02}:{:02}.{:06}", r.below(24), r.below(60), r.below(59), r.below(1_000_000)),
    }
}

fn moment(r: &mut Random) -> String {
    match r.below(6) {
        0 => r
            .pick(&[
                "infinity",
                "-infinity",
                "1969-12-31 23:59:59.999999",
                "294276-12-30 23:59:59",
                "0044-03-15 01:02:03 BC",
            ])
            .into(),
        _ => format!(
            "{}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}",
            r.between(1700, 2250),
            r.between(1, 12),
            r.between(1, 28),
            r.below(24),
            r.below(60),
            r.below(59),
            r.below(1_000_000)
        ),
    }
}

fn zoned(r: &mut Random) -> String {
    match moment(r) {
        m if m.contains("infinity") || m.ends_with("BC") => m,
        m => m + r.pick(&["+00", "+05:30", "-11", "+14"]),
    }
}

fn interval(r: &mut Random) -> String {
    match r.below(4) {
        0 => r
            .pick(&["1 year 2 mons 3 days 04:05:06.789", "-1 mons +5 days -00:00:00.000001", "0", "-178000 days"])
            .into(),
        _ => format!(
            "{} days {}:{:02}:{:02}.{:06}",
            r.between(-99, 99),
            r.between(0, 99),
            r.below(60),
            r.below(60),
            r.below(1_000_000)
        ),
    }
}

/// Numbers are compared as numbers: the scale is not looked at.
fn number_of_scale(m: &Modes, scale: u32) -> Option<String> {
    Some(if m.decimal == "string" { "$::text".into() } else { format!("$::numeric(38,{scale})::text") })
}

fn finite(expression: &str) -> String {
    format!("case when $::text in ('NaN', 'Infinity', '-Infinity') then '~' else {expression} end")
}

fn in_years(first: i32, last: i32, expression: &str) -> String {
    format!("case when isfinite($) and extract(year from $) between {first} and {last} then {expression} else '~' end")
}

/// The first bit is the last byte's highest.
fn backwards(_: &Modes) -> Option<String> {
    let byte = |n: u32| format!("lpad(to_hex(((lpad($::text, 24, '0')::bit(24)::int4 >> {}) & 255)), 2, '0')", 8 * n);
    Some(format!("'bits ' || {} || {} || {}", byte(0), byte(1), byte(2)))
}

fn unit(m: &Modes, precision: u32, moments: bool) -> Option<&'static str> {
    match m.time {
        "adaptive" if precision <= 3 => Some("1000"),
        "adaptive_time_microseconds" if moments && precision <= 3 => Some("1000"),
        "adaptive" | "adaptive_time_microseconds" | "microseconds" => Some("1000000"),
        "connect" => Some("1000"),
        "nanoseconds" => Some("1000000000"),
        _ => None,
    }
}

fn time_number(m: &Modes, precision: u32) -> Option<String> {
    let number = |unit| format!("floor(extract(epoch from $) * {unit})::int8::text");
    // Connect's own type ends before midnight.
    let midnight = |number| format!("case when $ = time '24:00' then '~' else {number} end");
    unit(m, precision, false).map(number).map(|n| if m.time == "connect" { midnight(n) } else { n })
}

fn moment_number(m: &Modes, precision: u32) -> Option<String> {
    let number = |unit| in_years(1600, 2261, &format!("floor(extract(epoch from $) * {unit})::int8::text"));
    unit(m, precision, true).map(number)
}

fn zoned_text(m: &Modes, format: &str) -> Option<String> {
    let utc = "($ at time zone 'UTC')";
    let text = format!("to_char({utc}, '{format}')");
    (m.time != "structured").then(|| {
        format!("case when isfinite($) and extract(year from {utc}) between 1 and 9999 then {text} else '~' end")
    })
}

struct TestColumn {
    kind: &'static Kind,
    is_array: bool,
    name: String,
}

impl TestColumn {
    fn random(random: &mut Random, place: usize) -> TestColumn {
        let kind = &KINDS[random.below(KINDS.len() as u64) as usize];
        TestColumn { kind, is_array: kind.in_arrays && random.percent(30), name: format!("c{place}") }
    }

    fn sql_type(&self) -> String {
        format!("{}{}", self.kind.sql, if self.is_array { "[]" } else { "" })
    }

    fn literal(&self, random: &mut Random) -> String {
        if random.percent(12) {
            return "null".into();
        }
        let mut one = |nulls| {
            if nulls && random.percent(15) { "null".to_owned() } else { quoted(&(self.kind.value)(random)) }
        };
        if !self.is_array {
            return format!("{}::{}", one(false), self.kind.sql);
        }
        let elements: Vec<String> = (0..random_length(&mut one)).map(|_| one(true)).collect();
        format!("array[{}]::{}", elements.join(", "), self.sql_type())
    }

    /// The SQL for the value; of an array a JSON array of the elements' values.
    fn expected(&self, modes: &Modes) -> String {
        let Some(expression) = (self.kind.expected)(modes) else { return "'~'".into() };
        if !self.is_array {
            return of_value(&expression, &self.name);
        }
        // The original reads times in arrays to the millisecond, the end of the day as its beginning.
        let milliseconds =
            "(case when e = time '24:00' then time '00:00' else date_trunc('milliseconds', e)::time end)";
        let is_time = self.kind.sql.split('(').next() == Some("time");
        let element = of_value(&expression, if is_time { milliseconds } else { "e" });
        let name = &self.name;
        format!(
            "case when {name} is null then null else \
             (select coalesce(json_agg({element} order by o), '[]')::text from unnest({name}) with ordinality x(e, o)) end"
        )
    }
}

fn of_value(expression: &str, name: &str) -> String {
    format!("case when {name} is null then null else {} end", expression.replace('$', name))
}

/// Up to three elements.
fn random_length(one: &mut impl FnMut(bool) -> String) -> usize {
    one(false).len() % 4
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// What is compared of a row: each field's name, its cell as it came, and its value.
type Row = Vec<(String, Option<String>, Value)>;

#[derive(Default)]
struct Seen {
    snapshot: BTreeMap<i64, Row>,
    /// What they were, and the row; the row's cells that were left out as unchanged are none.
    streamed: Vec<(String, i64, Row)>,
    schema: Option<Schema>,
}

impl Seen {
    fn batch(&mut self, batch: &ChangeBatch) {
        for change in &batch.changes {
            if change.kind == ChangeKind::Record {
                continue;
            }
            let plan = &batch.plans[change.plan as usize];
            match change.kind {
                ChangeKind::Read => {
                    let (id, row) = row(batch, plan, change.new);
                    self.schema = Some(Schema::clone(&plan.row.schema));
                    assert!(self.snapshot.insert(id, row).is_none(), "row {id} twice");
                }
                kind => {
                    if kind != ChangeKind::Delete {
                        let (id, row) = row(batch, plan, change.new);
                        self.streamed.push((format!("{kind:?}"), id, row));
                    }
                    if change.old_row == OldRow::Full {
                        let (id, row) = row(batch, plan, change.old);
                        self.streamed.push((format!("{kind:?}'s old row"), id, row));
                    }
                }
            }
        }
    }

    fn until(&mut self, source: &mut Source, what: &str, done: impl Fn(&Seen, &Source) -> bool) {
        let end = std::time::Instant::now() + crate::support::WAIT;
        while !done(self, source) {
            assert!(std::time::Instant::now() < end, "waited for {what}; {} streamed", self.streamed.len());
            match source.poll(std::time::Duration::from_millis(50)) {
                Ok(None) => {}
                Ok(Some(_)) => self.batch(source.batch()),
                Err(e) => panic!("{what}: {}", e.trace()),
            }
        }
    }
}

fn row(batch: &ChangeBatch, plan: &RecordPlan, first: u32) -> (i64, Row) {
    let cells = batch.row(first, plan.relation.columns.len());
    let mut warnings = Warnings::default();
    let Ok(Value::Struct(values)) = plan.row.tree(cells, &mut warnings) else { panic!("a row that fails") };
    let fields = plan.row.fields.iter().zip(&plan.row.schema.fields);
    let row: Row = fields
        .zip(values)
        .map(|((field, schema), value)| {
            let cell = cells.get(field.column).map(|text| String::from_utf8(text.to_vec()).expect("UTF-8"));
            if cells.cells[field.column].is_unchanged() {
                assert_eq!(format!("{value:?}"), format!("{:?}", field.unavailable), "the placeholder");
                return (schema.name.to_string(), Some("unchanged".into()), Value::string("unchanged"));
            }
            (schema.name.to_string(), cell, value)
        })
        .collect();
    let Some((_, Some(id), _)) = row.first() else { panic!("no id: {row:?}") };
    (id.parse().expect("an id"), row)
}

const ROWS: i64 = 8;

fn round(random: &mut Random) {
    let db = postgres(if random.percent(50) { 15 } else { 18 }).database();
    let modes = Modes::random(random);
    let columns: Vec<TestColumn> = (0..14).map(|place| TestColumn::random(random, place)).collect();
    db.sql(TYPES);
    create(&db, &columns, random);
    let mut connector = Connector::new(&db, &modes.options);
    connector.set("slot.name", &db.slot("types"));
    let mut source = connector.start(None);
    let mut seen = Seen::default();
    seen.until(&mut source, "the snapshot", |_, source| {
        source.offset.as_ref().is_some_and(|o| o.get("snapshot_completed") == Some(&true.into()))
    });
    assert_eq!(seen.snapshot.len() as i64, ROWS);
    let list: String = columns.iter().map(|c| format!(", {}", c.name)).collect();
    db.sql(&format!(
        "update t set n = 1; insert into t select id + 1000, 2{list} from t; delete from t where id >= 1000; \
         alter table t replica identity default; update t set n = 3 where id < 1000"
    ));
    // Two rows of each update under FULL, one of each insert, delete and later update.
    seen.until(&mut source, "the stream", |seen, _| seen.streamed.len() as i64 >= ROWS * 5);
    check(&db, &columns, &modes, &seen);
}

fn create(db: &TempDatabase, columns: &[TestColumn], random: &mut Random) {
    let definitions: String = columns.iter().map(|c| format!(", {} {}", c.name, c.sql_type())).collect();
    let rows: Vec<String> = (1..=ROWS)
        .map(|id| {
            let values: String = columns.iter().map(|c| format!(", {}", c.literal(random))).collect();
            format!("({id}, 0{values})")
        })
        .collect();
    db.sql(&format!(
        "create table t (id bigint primary key, n int{definitions}); alter table t replica identity full; \
         insert into t values {}",
        rows.join(", ")
    ));
}

fn check(db: &TempDatabase, columns: &[TestColumn], modes: &Modes, seen: &Seen) {
    let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
    let expected: Vec<String> = columns.iter().map(|c| c.expected(modes)).collect();
    let set = "set DateStyle = ISO; set IntervalStyle = postgres; set TimeZone = UTC; set extra_float_digits = 3";
    let (names, expected) = (names.join(", "), expected.join(", "));
    let table = db.sql(&format!("{set}; select id, {names}, {expected} from t where id < 1000 order by id"));
    for sql in &table {
        let id: i64 = sql[0].as_deref().and_then(|id| id.parse().ok()).expect("an id");
        let cells = &sql[1..=columns.len()];
        let computed = &sql[columns.len() + 1..];
        let read = &seen.snapshot[&id];
        let about = |c: &TestColumn, row: &Row| {
            let field = row.iter().find(|(name, ..)| *name == c.name);
            format!("{} {}, row {id}, modes {:?}: {field:?}", c.name, c.sql_type(), modes.options)
        };
        for (place, column) in columns.iter().enumerate() {
            let Some((_, cell, value)) = read.iter().find(|(name, ..)| *name == column.name) else {
                assert!(!modes.unknown || column.is_array, "left out: {}", about(column, read));
                continue;
            };
            assert_eq!(*cell, cells[place], "the snapshot's cell: {}", about(column, read));
            let want = computed[place].as_deref();
            let schema = field_schema(seen, &column.name);
            let odd = column.kind.sql == "date" && is_odd_date(cell);
            assert!(odd || holds(value, schema, want, column), "SQL has {want:?}: {}", about(column, read));
        }
        let mut count = 0;
        for (what, _, row) in seen.streamed.iter().filter(|(_, streamed, _)| streamed % 1000 == id) {
            count += 1;
            for ((column, cell), want) in columns.iter().zip(cells).zip(computed) {
                let field = row.iter().find(|(name, ..)| *name == column.name);
                let of_snapshot = read.iter().find(|(name, ..)| *name == column.name);
                let (Some((_, streamed, value)), Some((_, _, read_value))) = (field, of_snapshot) else {
                    assert_eq!(field, of_snapshot, "{what} {}", about(column, row));
                    continue;
                };
                if streamed.as_deref() == Some("unchanged") {
                    assert!(cell.as_ref().is_some_and(|c| c.len() > 1000), "{what}: {}", about(column, row));
                    continue;
                }
                assert_eq!(streamed, cell, "{what}: {}", about(column, row));
                if reads_differ(column, cell) && column.kind.sql == "date" {
                    let schema = field_schema(seen, &column.name);
                    assert!(holds(value, schema, want.as_deref(), column), "SQL has {want:?}: {}", about(column, row));
                }
                // A value that is not a number is equal to itself here.
                let equal = format!("{value:?}") == format!("{read_value:?}");
                assert!(equal || reads_differ(column, cell), "{what}: {} not {read_value:?}", about(column, row));
            }
        }
        assert_eq!(count, 5, "rows {id} in the stream");
    }
}

fn field_schema<'a>(seen: &'a Seen, name: &str) -> &'a Schema {
    let schema = seen.schema.as_ref().expect("a schema");
    &schema.fields.iter().find(|f| *f.name == *name).expect("the field").schema
}

fn is_odd_date(cell: &Option<String>) -> bool {
    cell.as_ref().is_some_and(|c| c.contains("infinity") || c.contains(" BC"))
}

/// Where the original's snapshot and its stream differ.
fn reads_differ(column: &TestColumn, cell: &Option<String>) -> bool {
    column.kind.sql == "name" || (column.kind.sql == "date" && !column.is_array && is_odd_date(cell))
}

fn holds(value: &Value, schema: &Schema, want: Option<&str>, column: &TestColumn) -> bool {
    if want == Some("~") || want.is_some_and(|w| column.is_array && w.contains("\"~\"")) {
        return true;
    }
    let Some(want) = want else { return value.is_null() };
    if !column.is_array {
        return is(value, schema, want);
    }
    let elements: Vec<Option<String>> = serde_json::from_str(want).unwrap_or_else(|e| panic!("{e}: {want}"));
    // The original takes such an array for NULL.
    let null_fails = matches!(column.kind.sql, "mood" | "ltree");
    match (value, &schema.items) {
        (Value::Null, _) => null_fails && elements.contains(&None),
        (Value::Array(values), Some(items)) => {
            values.len() == elements.len()
                && values.iter().zip(&elements).all(|(value, element)| match element {
                    Some(element) => is(value, items, element),
                    None => value.is_null(),
                })
        }
        _ => false,
    }
}

fn is(value: &Value, schema: &Schema, want: &str) -> bool {
    let name = schema.name.as_deref().unwrap_or_default();
    match value {
        Value::Null => false,
        Value::Boolean(b) => b.to_string() == want,
        Value::Int8(n) => n.to_string() == want,
        Value::Int16(n) => n.to_string() == want,
        Value::Int32(n) => n.to_string() == want,
        // The original computes with doubles.
        Value::Int64(n) if name.ends_with("MicroDuration") => want.parse::<i64>().is_ok_and(|w| w.abs_diff(*n) <= 1),
        Value::Int64(n) => n.to_string() == want,
        Value::Float32(x) => want.parse::<f32>().is_ok_and(|w| w.to_bits() == x.to_bits() || w.is_nan() && x.is_nan()),
        Value::Float64(x) => want
            .parse::<f64>()
            .is_ok_and(|w| w == *x && w.is_sign_negative() == x.is_sign_negative() || w.is_nan() && x.is_nan()),
        Value::String(s) => **s == *want,
        Value::Bytes(b) if name.ends_with(".Decimal") => {
            let scale = schema.parameters.iter().find(|(n, _)| &**n == "scale").map_or("0", |(_, v)| v);
            plain(unscaled(b), scale.parse().expect("a scale")) == normal(want)
        }
        Value::Bytes(b) => {
            let hex: String = b.iter().map(|b| format!("{b:02x}")).collect();
            match want.strip_prefix("bits ") {
                Some(bits) => bits.starts_with(&hex) && bits[hex.len()..].bytes().all(|b| b == b'0'),
                None => want == format!("\\x{hex}"),
            }
        }
        Value::Struct(fields) if name.ends_with("VariableScaleDecimal") => match fields.as_slice() {
            [Value::Int32(scale), Value::Bytes(b)] => plain(unscaled(b), *scale) == normal(want),
            _ => false,
        },
        _ => false,
    }
}

fn unscaled(bytes: &[u8]) -> i128 {
    let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
    bytes.iter().fold(sign, |number: i128, byte| number << 8 | i128::from(*byte))
}

/// Without zeros at the end.
fn plain(unscaled: i128, scale: i32) -> String {
    let digits = format!("{:0>1$}", unscaled.unsigned_abs(), scale as usize + 1);
    let (whole, part) = digits.split_at(digits.len() - scale as usize);
    normal(&format!("{}{whole}.{part}", if unscaled < 0 { "-" } else { "" }))
}

fn normal(number: &str) -> String {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.').into() } else { number.into() }
}

#[test]
fn random_values_are_the_same_in_the_snapshot_in_the_stream_and_in_sql() {
    rounds("types", 15, round);
}
