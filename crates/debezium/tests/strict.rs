//! What `walspring.strict` makes of tables: for each surprise that a definition shows, both modes.

use std::sync::Arc;

use walspring_config::config::Config;
use walspring_config::postgres::PostgresConnectorConfig;
use walspring_connect::TaskError;
use walspring_debezium::{EventConfig, TopicNames, plan};
use walspring_record::leaf::Reader;
use walspring_record::{
    Cell, Column, PgType, RecordPlan, Relation, ReplicaIdentity, RowRef, Surprise, TypeKind, TypeRef, Value, Warnings,
};

fn ty(namespace: &str, name: &str, kind: TypeKind) -> TypeRef {
    Arc::new(PgType { oid: 0, name: name.into(), namespace: namespace.into(), kind })
}

fn base(name: &str) -> TypeRef {
    ty("pg_catalog", name, TypeKind::Base)
}

fn array(element: TypeRef) -> TypeRef {
    let name = format!("_{}", element.name);
    ty(&element.namespace.clone(), &name, TypeKind::Array(element))
}

fn column(name: &str, ty: TypeRef) -> Column {
    Column { name: name.into(), ty, modifier: -1, nullable: true, default: None, generated: false, comment: None }
}

fn required(name: &str, ty: TypeRef) -> Column {
    Column { nullable: false, ..column(name, ty) }
}

/// `id int primary key`, and more.
fn table(more: Vec<Column>) -> Relation {
    let mut columns = vec![required("id", base("int4"))];
    columns.extend(more);
    Relation {
        oid: 1,
        namespace: "public".into(),
        name: "t".into(),
        identity: ReplicaIdentity::Default,
        columns,
        key: vec![0],
        identifying: vec![0],
        key_may_repeat: false,
    }
}

fn config(options: &[(&str, &str)], strict: bool) -> EventConfig {
    let required = [
        ("database.hostname", "h"),
        ("database.user", "u"),
        ("database.dbname", "d"),
        ("topic.prefix", "p"),
        ("plugin.name", "pgoutput"),
    ];
    let given: Config = required.iter().chain(options).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let typed = PostgresConnectorConfig::parse(&given).unwrap().0;
    let mut config = EventConfig::new(TopicNames::new("p"), "d", "run");
    config.columns = Arc::new(typed.columns);
    config.mapping.strict = strict;
    config
}

fn plans(relation: &Relation, options: &[(&str, &str)], reader: Reader) -> (RecordPlan, Result<RecordPlan, TaskError>) {
    let relation = Arc::new(relation.clone());
    let original = plan(relation.clone(), &config(options, false), reader).unwrap();
    (original, plan(relation, &config(options, true), reader))
}

fn told(plan: &RecordPlan) -> Vec<(&str, Surprise)> {
    plan.surprises.iter().map(|(column, surprise)| (&**column, *surprise)).collect()
}

#[track_caller]
fn refused(relation: &Relation, options: &[(&str, &str)], column: &str, surprise: Surprise) {
    let (original, strict) = plans(relation, options, Reader::Stream);
    assert!(told(&original).contains(&(column, surprise)), "{:?}", told(&original));
    let why = strict.unwrap_err().trace();
    let mend = surprise.mend_strict();
    assert!(why.contains(&format!("public.t.{column} ({}): ", surprise.name())) && why.contains(mend), "{why}");
}

/// A row's cells as text, `None` is NULL; an error as its text.
fn values(plan: &RecordPlan, row: &[Option<&str>]) -> Result<Vec<Value>, String> {
    let (mut bytes, mut cells) = (Vec::new(), Vec::new());
    for text in row {
        cells.push(match text {
            Some(text) => {
                let start = bytes.len();
                bytes.extend_from_slice(text.as_bytes());
                Cell::text(start, text.len())
            }
            None => Cell::NULL,
        });
    }
    match plan.row.tree(RowRef { bytes: &bytes, cells: &cells }, &mut Warnings::default()) {
        Ok(Value::Struct(values)) => Ok(values),
        Ok(other) => Ok(vec![other]),
        Err(e) => Err(e.to_string()),
    }
}

#[test]
fn masks_of_what_is_not_text_are_refused() {
    for name in ["int4", "jsonb", "uuid", "bytea"] {
        let relation = table(vec![column("c", base(name))]);
        refused(&relation, &[("column.mask.with.5.chars", "public.t.c")], "c", Surprise::MaskIgnored);
        refused(&relation, &[("column.mask.hash.SHA-256.with.salt.s", "public.t.c")], "c", Surprise::MaskIgnored);
    }
}

#[test]
fn a_masked_null_stays_null() {
    let relation = table(vec![column("c", base("text")), required("d", base("text"))]);
    let options = [("column.mask.with.3.chars", "public.t.c,public.t.d")];
    let (original, strict) = plans(&relation, &options, Reader::Snapshot);
    assert_eq!(told(&original), [("c", Surprise::MaskNull)]);
    let row = [Some("1"), None, Some("x")];
    let mask = || Value::string("***");
    assert_eq!(values(&original, &row).unwrap()[1..], [mask(), mask()]);
    assert_eq!(values(&strict.unwrap(), &row).unwrap()[1..], [Value::Null, mask()]);
}

#[test]
fn keys_that_lie_are_refused() {
    let mut relation = table(vec![required("c", base("text"))]);
    refused(&relation, &[("column.exclude.list", "public.t.id")], "id", Surprise::KeyExcluded);
    relation.key = vec![1];
    relation.identifying = vec![1];
    refused(&relation, &[("column.mask.with.3.chars", "public.t.c")], "c", Surprise::MaskKey);
    refused(&relation, &[("column.truncate.to.3.chars", "public.t.c")], "c", Surprise::MaskKey);
    // An identity index that is not the primary key.
    relation.key = vec![0];
    relation.identity = ReplicaIdentity::Index;
    refused(&relation, &[], "id", Surprise::KeyIdentity);
    relation.identity = ReplicaIdentity::Full;
    // Found by the catalog, which does not give such a key in strict mode.
    let repeating = Relation { key_may_repeat: true, ..relation.clone() };
    assert!(told(&plans(&repeating, &[], Reader::Stream).0).contains(&("id", Surprise::KeyIndex)));
    assert!(plans(&relation, &[], Reader::Stream).1.is_ok());
}

#[test]
fn columns_that_old_rows_do_not_have_are_optional() {
    let relation =
        table(vec![required("c", base("int4")), Column { default: Some("7".into()), ..required("d", base("int4")) }]);
    let (original, strict) = plans(&relation, &[], Reader::Stream);
    assert_eq!(told(&original), [("c", Surprise::BeforeMadeUp), ("d", Surprise::BeforeMadeUp)]);
    let strict = strict.unwrap();
    let old_row = [Some("1"), None, None];
    assert_eq!(values(&original, &old_row).unwrap(), [Value::Int32(1), Value::Int32(0), Value::Int32(7)]);
    assert_eq!(values(&strict, &old_row).unwrap(), [Value::Int32(1), Value::Null, Value::Null]);
    let optional = |plan: &RecordPlan| plan.row.schema.fields.iter().map(|f| f.schema.optional).collect::<Vec<_>>();
    assert_eq!((optional(&original), optional(&strict)), (vec![false; 3], vec![false, true, true]));
    assert!(strict.row.schema.fields[2].schema.default.is_none());
    // Snapshot and stream have the same schema.
    let (_, snapshot) = plans(&relation, &[], Reader::Snapshot);
    assert_eq!(snapshot.unwrap().row.schema, strict.row.schema);
    let full = Relation { identity: ReplicaIdentity::Full, ..relation };
    let (original, strict) = plans(&full, &[], Reader::Stream);
    assert_eq!(told(&original), []);
    assert_eq!(strict.unwrap().row.schema, original.row.schema);
}

#[test]
fn schemas_have_no_defaults_that_are_not_sure() {
    let with = |default: &str, column: Column| Column { default: Some(default.into()), ..column };
    let full = Relation {
        identity: ReplicaIdentity::Full,
        ..table(vec![
            with("('a'::text || 'b'::text)", required("a", base("text"))),
            with("now()", required("b", base("timestamp"))),
            with("'x'::text", required("c", base("text"))),
            with("'x'::text", column("d", base("text"))),
            with("nextval('s'::regclass)", required("e", base("int4"))),
        ])
    };
    let (original, strict) = plans(&full, &[], Reader::Stream);
    use Surprise::{DefaultMisread, NullDefault};
    assert_eq!(told(&original), [("a", DefaultMisread), ("b", DefaultMisread), ("d", NullDefault)]);
    let defaults: Vec<_> = strict.unwrap().row.schema.fields[1..].iter().map(|f| f.schema.default.clone()).collect();
    assert_eq!(defaults, [None, None, Some(Value::string("x")), None, None]);
}

#[test]
fn no_type_is_left_out() {
    let domain = ty("public", "positive", TypeKind::Domain(base("int4"), -1));
    let mood = ty("public", "mood", TypeKind::Enum(vec!["sad".into(), "ok".into()]));
    let relation = table(vec![
        column("a", ty("public", "pair", TypeKind::Composite)),
        column("b", array(base("money"))),
        column("c", array(base("name"))),
        column("d", array(base("interval"))),
        column("e", array(domain)),
        column("f", array(mood)),
        Column { modifier: 4, ..column("g", array(base("bit"))) },
        column("h", base("name")),
    ]);
    let (original, strict) = plans(&relation, &[], Reader::Stream);
    use Surprise::{NameNull, TypeLeftOut};
    assert_eq!(
        told(&original),
        [
            ("a", TypeLeftOut),
            ("b", TypeLeftOut),
            ("c", TypeLeftOut),
            ("d", TypeLeftOut),
            ("e", TypeLeftOut),
            ("h", NameNull)
        ]
    );
    let row = [
        Some("1"),
        Some("(1,x)"),
        Some("{$1.50,NULL}"),
        Some("{n}"),
        Some("{01:00:00}"),
        Some("{3,NULL}"),
        Some("{ok,NULL}"),
        Some("{1010,NULL}"),
        Some("me"),
    ];
    let list = |values: &[Value]| Value::Array(values.to_vec());
    assert_eq!(
        values(&strict.unwrap(), &row).unwrap()[1..],
        [
            Value::bytes(*b"(1,x)"),
            list(&[Value::bytes([0, 150]), Value::Null]),
            list(&[Value::string("n")]),
            list(&[Value::Int64(3_600_000_000)]),
            list(&[Value::Int32(3), Value::Null]),
            list(&[Value::string("ok"), Value::Null]),
            list(&[Value::bytes([10]), Value::Null]),
            Value::string("me"),
        ]
    );
}

#[test]
fn a_negative_scale_is_whole_numbers() {
    // numeric(5,-2)
    let relation = table(vec![Column { modifier: (5 << 16 | (-2 & 0x7FF)) + 4, ..column("n", base("numeric")) }]);
    let (original, strict) = plans(&relation, &[], Reader::Stream);
    assert_eq!(told(&original), [("n", Surprise::NumericScale)]);
    let strict = strict.unwrap();
    assert_eq!(values(&strict, &[Some("1"), Some("12300")]).unwrap()[1], Value::bytes([0x30, 0x0C]));
    let parameter = |plan: &RecordPlan, name: &str| {
        let parameters = &plan.row.schema.fields[1].schema.parameters;
        parameters.iter().find(|(key, _)| &**key == name).map(|(_, value)| value.to_string())
    };
    assert_eq!(parameter(&original, "scale").as_deref(), Some("2046"));
    assert_eq!(parameter(&strict, "scale").as_deref(), Some("0"));
    assert_eq!(parameter(&strict, "connect.decimal.precision").as_deref(), Some("7"));
}

#[test]
fn generated_columns_are_in_neither() {
    let relation =
        table(vec![Column { generated: true, default: Some("(id * 2)".into()), ..column("g", base("int4")) }]);
    let (original, strict) = plans(&relation, &[], Reader::Snapshot);
    assert_eq!(told(&original), [("g", Surprise::GeneratedColumn)]);
    assert_eq!((original.row.fields.len(), strict.unwrap().row.fields.len()), (2, 1));
}

#[test]
fn a_large_value_that_is_not_there_is_refused_where_nothing_can_stand_for_it() {
    for (of, known) in [("numeric", false), ("text", true), ("bytea", true), ("uuid", true), ("tsvector", true)] {
        unchanged(base(of), known);
    }
    for (of, known) in
        [("int4", false), ("int8", false), ("date", false), ("uuid", false), ("float8", false), ("text", true)]
    {
        unchanged(array(base(of)), known);
    }
}

#[track_caller]
fn unchanged(ty: TypeRef, known: bool) {
    let name = ty.name.clone();
    let relation = table(vec![column("c", ty)]);
    let (original, strict) = plans(&relation, &[], Reader::Stream);
    let cells = [Cell::NULL, Cell::UNCHANGED];
    let read = |plan: &RecordPlan, warnings: &mut Warnings| {
        plan.row.fields[1].value(RowRef { bytes: b"", cells: &cells }, &"c".into(), warnings)
    };
    let mut warnings = Warnings::default();
    let value = read(&original, &mut warnings).unwrap();
    let made_up = matches!(&value, Value::Array(v) if matches!(v.first(), Some(Value::String(s)) if s.len() == 36));
    assert!(made_up || warnings.surprises.seen.is_empty() == known, "{name}: {value:?}");
    match read(&strict.unwrap(), &mut warnings) {
        Ok(value) => assert!(known && value != Value::Null, "{name}: {value:?}"),
        Err(e) => assert!(!known && e.to_string().contains("REPLICA IDENTITY FULL"), "{name}: {e}"),
    }
}
