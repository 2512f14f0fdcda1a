//! Every type that events can hold, from a table through the source's mapping and the JSON converter into another table:
//! the same text comes out, with schemas and without them, whatever the source's modes are.

use std::sync::Arc;

use walspring_connect::Side;
use walspring_debezium::{DecimalHandling, HstoreHandling, IntervalHandling, MappingConfig, TimePrecision, TypeMapper};
use walspring_record::leaf::{BinaryForm, Reader};
use walspring_record::{Column, PgType, Schema, Type, TypeKind, TypeRef, Value};
use walspring_testkit::TempDatabase;

use crate::support::*;

/// A column's type, and values as literals.
const CASES: &[(&str, &[&str])] = &[
    ("bool", &["true", "false"]),
    ("int2", &["-32768", "32767"]),
    ("int4", &["-2147483648", "0"]),
    ("int8", &["-9223372036854775808", "9223372036854775807"]),
    ("oid", &["4294967295"]),
    ("float4", &["1.5", "-0.1", "1e20", "3.4028235e38", "1e-7"]),
    ("float8", &["0.1", "-1.7976931348623157e308", "5e-324", "123456789.125", "0"]),
    ("numeric(10,2)", &["39.98", "-0.05", "0", "99999999.99", "-1"]),
    ("numeric(30,0)", &["123456789012345678901234567890", "-1", "1234"]),
    ("numeric(60,20)", &["1234567890123456789012345678901234567890.12345678901234567890"]),
    ("text", &["", "é \"quoted\" 'single' \\ back\nline", "😀", "{}", "NULL", "__debezium"]),
    ("varchar(20)", &["a b "]),
    ("char(5)", &["ab"]),
    ("bytea", &["\\x00ff10deadbeef", "\\x"]),
    ("json", &["{\"a\": [1, null, \"x\"]}", "\"text\"", "null", "5"]),
    ("jsonb", &["{\"a\": 1.50}", "[]"]),
    ("xml", &["<a b=\"c\">d</a>"]),
    ("uuid", &["11111111-2222-3333-4444-555555555555"]),
    ("inet", &["10.0.0.1/8", "::1"]),
    ("cidr", &["10.0.0.0/8"]),
    ("macaddr", &["08:00:2b:01:02:03"]),
    ("macaddr8", &["08:00:2b:01:02:03:04:05"]),
    ("int4range", &["[1,5)", "empty"]),
    ("numrange", &["(1.5,)"]),
    ("tsrange", &["[\"2024-01-01 00:00:00\",\"2024-02-01 00:00:00\")"]),
    ("daterange", &["[2024-01-01,2024-02-01)"]),
    ("mood", &["sad", "so so"]),
    ("email", &["x@y"]),
    ("hstore", &["\"a\"=>\"1\", \"b\"=>NULL, \"c \\\"d\\\"\"=>\"\\\\\""]),
    ("ltree", &["a.b.c"]),
    ("citext", &["MiXed"]),
    ("tsvector", &["'a':1 'b c':2,3A", "'it''s':1"]),
    ("bit(1)", &["1", "0"]),
    ("bit(5)", &["00101", "00000", "11111"]),
    ("bit(17)", &["10000000000000001"]),
    ("varbit(12)", &["101", "1"]),
    ("point", &["(1.5,-2)"]),
    ("line", &["{1,2,3}"]),
    ("lseg", &["[(0,0),(1,1.5)]"]),
    ("box", &["(3,4),(1,2)"]),
    ("path", &["((0,0),(1,1),(2,0))", "[(0,0),(1,1)]"]),
    ("polygon", &["((0,0),(1,1),(2,0))"]),
    ("circle", &["<(1,2),3.5>"]),
    ("int4[]", &["{1,NULL,-3}", "{}"]),
    ("int8[]", &["{9223372036854775807}"]),
    ("text[]", &["{a,\"b,c\",NULL,\"NULL\",\"\",\"\\\\\\\"\"}"]),
    ("bool[]", &["{t,f}"]),
    ("float8[]", &["{1.5,-0.25}"]),
    ("numeric(10,2)[]", &["{1.50,-0.05}"]),
    ("uuid[]", &["{11111111-2222-3333-4444-555555555555}"]),
    ("date[]", &["{2024-02-29,1969-12-31}"]),
    ("mood[]", &["{sad,\"so so\"}"]),
    ("jsonb[]", &["{\"{\\\"a\\\": 1}\"}"]),
    ("bytea[]", &["{\"\\\\xdeadbeef\"}"]),
    ("date", &["2024-02-29", "0001-01-01", "4713-01-01 BC", "9999-12-31", "12345-06-07", "infinity", "-infinity"]),
    ("time(3)", &["04:05:06.789", "00:00:00"]),
    ("time", &["04:05:06.789", "23:59:59"]),
    ("timetz", &["04:05:06.789+00"]),
    ("timestamp(3)", &["2024-02-29 04:05:06.789", "1969-12-31 23:59:59.001", "0044-03-15 12:00:00 BC"]),
    ("timestamp", &["2024-02-29 04:05:06.789", "infinity", "-infinity"]),
    (
        "timestamptz",
        &[
            "2024-02-29 04:05:06.789123+00",
            "0044-03-15 12:00:00+00 BC",
            "infinity",
            "-infinity",
            "12345-01-01 00:00:00+00",
        ],
    ),
    ("interval", &["26:03:04.5", "-00:00:01", "00:00:00.000001"]),
];

/// What only modes that keep it can take.
const EXACT: &[(&str, &[&str])] = &[
    ("time", &["04:05:06.789123", "24:00:00"]),
    ("timestamp", &["2024-02-29 04:05:06.789123", "1969-12-31 23:59:59.000001"]),
    ("timestamp[]", &["{\"2024-02-29 04:05:06.789\"}"]),
    ("timestamptz[]", &["{\"2024-02-29 04:05:06.789+00\"}"]),
];

const MONTHS: &[(&str, &[&str])] = &[("interval", &["1 year 2 mons -3 days +04:05:06.789", "-1 mons", "00:00:00"])];

const SPECIAL_NUMBERS: &[(&str, &[&str])] =
    &[("numeric", &["NaN", "Infinity", "-Infinity", "1.2300", "1234"]), ("float8", &["NaN", "Infinity", "-Infinity"])];

const NO_SCALE: &[(&str, &[&str])] = &[("numeric", &["1.23", "-100", "0", "12345678901234567890123.5"])];

struct Run {
    mapping: MappingConfig,
    schemas: bool,
    options: &'static [(&'static str, &'static str)],
}

fn type_of(db: &TempDatabase, oid: &str) -> TypeRef {
    let query = format!(
        "select typname, nspname, typtype, typelem, typcategory, typbasetype, typtypmod from pg_type t \
         join pg_namespace n on n.oid = typnamespace where t.oid = {oid}"
    );
    let row: Vec<String> = db.sql(&query)[0].iter().map(|value| value.clone().unwrap()).collect();
    let kind = match (&*row[2], &*row[4]) {
        ("e", _) => TypeKind::Enum(
            db.sql(&format!("select enumlabel from pg_enum where enumtypid = {oid} order by enumsortorder"))
                .into_iter()
                .map(|row| row[0].as_deref().unwrap().into())
                .collect(),
        ),
        ("d", _) => TypeKind::Domain(type_of(db, &row[5]), row[6].parse().unwrap()),
        ("r", _) => TypeKind::Range,
        (_, "A") => TypeKind::Array(type_of(db, &row[3])),
        _ => TypeKind::Base,
    };
    Arc::new(PgType {
        oid: oid.parse().unwrap(),
        name: row[0].as_str().into(),
        namespace: row[1].as_str().into(),
        kind,
    })
}

fn prepared() -> TempDatabase {
    let db = database();
    db.sql(
        "create extension hstore; create extension ltree; create extension citext; \
         create type mood as enum ('sad', 'so so'); create domain email as varchar(30) check (value like '%@%')",
    );
    db
}

fn check(db: &TempDatabase, run: &Run, lists: &[&[(&str, &[&str])]]) {
    let mut wrong = Vec::new();
    for (ty, values) in lists.iter().flat_map(|list| list.iter()) {
        db.sql(&format!("drop table if exists s, t; create table s (id int primary key, c {ty}); create table t (id int primary key, c {ty})"));
        let mut task = start(db, run.options);
        let catalog =
            db.sql("select atttypid, atttypmod from pg_attribute where attrelid = 's'::regclass and attname = 'c'");
        let (oid, modifier) = (catalog[0][0].clone().unwrap(), catalog[0][1].clone().unwrap());
        let column = Column {
            name: "c".into(),
            ty: type_of(db, &oid),
            modifier: modifier.parse().unwrap(),
            nullable: true,
            default: None,
            generated: false,
            comment: None,
        };
        let mapper = TypeMapper { config: &run.mapping, reader: Reader::Stream };
        let Some(field) = mapper.column_field(&column) else {
            wrong.push(format!("{ty} is not mapped"));
            continue;
        };
        let schema: Arc<Schema> =
            Schema::new(Type::Struct).field("id", Schema::new(Type::Int32)).field("c", field.schema).into();
        let options = [("schemas.enable".to_owned(), run.schemas.to_string())];
        let converter = walspring_converters::converter(JSON, Side::Value, &options).unwrap();
        for value in *values {
            db.sql(&format!("truncate s; set timezone = 'UTC'; insert into s values (1, $x${value}$x$)"));
            let shown = "set timezone = 'UTC'; select c::text from ";
            let text = rows(db, &format!("{shown} s")).remove(0);
            let text_now = match &**ty {
                // The stream prints booleans as PostgreSQL's output function does.
                "bool" => text[..1].to_owned(),
                _ => text.clone(),
            };
            let read = match field.leaf.value(text_now.as_bytes()) {
                Ok(read) => read,
                Err(error) => {
                    wrong.push(format!("{ty} {value}: the source: {}", error.0));
                    continue;
                }
            };
            let row = Value::Struct(vec![Value::Int32(1), read]);
            let mut json = Vec::new();
            converter.encode("x", Some(&schema), &row, &mut json).unwrap();
            let json = String::from_utf8(json).unwrap();
            let key = Some(r#"{"id":1}"#.to_owned());
            let mut outcomes = Vec::new();
            match task.put(&records(0, &[(key, Some(json.clone()))]), &mut outcomes) {
                Ok(()) => {
                    let got = rows(db, &format!("{shown} t")).remove(0);
                    if got != text {
                        wrong.push(format!("{ty}: {text} became {got}: {}", payload(&json)));
                    }
                }
                Err(error) => wrong.push(format!("{ty} {text}: {}: {}", told(&error), payload(&json))),
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn payload(json: &str) -> &str {
    json.find("\"payload\"").map_or(json, |at| &json[at..])
}

fn mapping(time: TimePrecision, decimal: DecimalHandling, interval: IntervalHandling) -> MappingConfig {
    MappingConfig { time, decimal, interval, ..MappingConfig::default() }
}

#[test]
fn with_schemas_as_the_source_writes_by_default() {
    let run = Run { mapping: MappingConfig::default(), schemas: true, options: &[] };
    check(&prepared(), &run, &[CASES, EXACT, NO_SCALE]);
}

#[test]
fn with_schemas_in_the_other_modes() {
    let db = prepared();
    let moments: Vec<(&str, &[&str])> = CASES
        .iter()
        .filter(|(ty, _)| ty.contains("time") || ty.contains("date") || *ty == "interval")
        .copied()
        .collect();
    for time in
        [TimePrecision::Connect, TimePrecision::Microseconds, TimePrecision::Isostring, TimePrecision::Structured]
    {
        let run = Run {
            mapping: mapping(time, DecimalHandling::Precise, IntervalHandling::Numeric),
            schemas: true,
            options: &[],
        };
        let mut lists = vec![&moments[..]];
        if matches!(time, TimePrecision::Microseconds) {
            lists.push(EXACT);
        }
        check(&db, &run, &lists);
    }
    let mapping = MappingConfig {
        hstore: HstoreHandling::Map,
        binary: BinaryForm::Hex,
        ..mapping(TimePrecision::AdaptiveTimeMicroseconds, DecimalHandling::String, IntervalHandling::String)
    };
    let run = Run { mapping, schemas: true, options: &[("walspring.sink.binary.handling.mode", "hex")] };
    check(&db, &run, &[CASES, EXACT, MONTHS, SPECIAL_NUMBERS]);
}

#[test]
fn without_schemas_where_texts_say_it() {
    let mapping = mapping(TimePrecision::Isostring, DecimalHandling::String, IntervalHandling::String);
    let run = Run { mapping, schemas: false, options: &[("walspring.sink.decimal.handling.mode", "string")] };
    check(&prepared(), &run, &[CASES, MONTHS, SPECIAL_NUMBERS]);
}

#[test]
fn without_schemas_where_the_modes_are_declared() {
    let db = prepared();
    let run = Run {
        mapping: MappingConfig::default(),
        schemas: false,
        options: &[
            ("walspring.sink.decimal.handling.mode", "precise"),
            ("walspring.sink.time.precision.mode", "adaptive"),
        ],
    };
    check(&db, &run, &[CASES, &EXACT[..2], NO_SCALE]);
    let nanoseconds = Run {
        mapping: mapping(TimePrecision::Nanoseconds, DecimalHandling::Precise, IntervalHandling::Numeric),
        schemas: false,
        options: &[
            ("walspring.sink.decimal.handling.mode", "precise"),
            ("walspring.sink.time.precision.mode", "nanoseconds"),
        ],
    };
    check(&db, &nanoseconds, &[&EXACT[..2]]);
}
