//! A value of every type in every form that is configured: by the compiled encoder and by the tree, which must agree.
//!
//! Input: the type, whether an array of it, the options, the modifier, what the cell is, then the text; a zero byte in it ends
//! it, and a column's default begins.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use walspring_config::config::Config;
use walspring_config::postgres::{ColumnRules, PostgresConnectorConfig};
use walspring_connect::{Converter, Presence, RowEncoder, Side};
use walspring_converters::converter;
use walspring_debezium::{
    DecimalHandling, EventConfig, HstoreHandling, IntervalHandling, TimePrecision, TopicNames, plan,
};
use walspring_record::leaf::{BinaryForm, Reader};
use walspring_record::{
    Cell, Change, ChangeBatch, ChangeKind, Column, Lsn, OldRow, PgType, RecordPlan, Relation, ReplicaIdentity,
    SnapshotMark, Transaction, TransactionOrder, TypeKind, TypeRef, Warnings,
};

use crate::input::Input;

/// Name and a usual text.
const TYPES: &[(&str, &str)] = &[
    ("bool", "t"),
    ("int2", "-32768"),
    ("int4", "2147483647"),
    ("int8", "-9223372036854775808"),
    ("oid", "4294967295"),
    ("float4", "1.5e-10"),
    ("float8", "-1e+308"),
    ("numeric", "-12345.67890"),
    ("money", "-$1,234.56"),
    ("text", "a \"b\" \\ \u{1F980}"),
    ("varchar", "v"),
    ("bpchar", "c  "),
    ("char", "c"),
    ("name", "n"),
    ("bytea", "\\x00ff10"),
    ("bit", "10110"),
    ("varbit", "1011011101111"),
    ("date", "0044-03-15 BC"),
    ("time", "23:59:60.5"),
    ("timetz", "12:34:56.789+05:30"),
    ("timestamp", "2024-02-29 13:14:15.123456"),
    ("timestamptz", "12024-02-29 13:14:15.123456+00"),
    ("interval", "-1 years -2 mons +3 days -04:05:06.789"),
    ("uuid", "123e4567-e89b-12d3-a456-426614174000"),
    ("json", "{\"a\": [1, null]}"),
    ("jsonb", "{\"a\": [1, null]}"),
    ("xml", "<a b=\"c\"/>"),
    ("inet", "192.168.0.1/24"),
    ("cidr", "::/0"),
    ("macaddr", "08:00:2b:01:02:03"),
    ("macaddr8", "08:00:2b:01:02:03:04:05"),
    ("point", "(1.5,-2e10)"),
    ("line", "{1,-1,0}"),
    ("lseg", "[(1,2),(3,4)]"),
    ("box", "(3,4),(1,2)"),
    ("path", "[(1,2),(3,4)]"),
    ("polygon", "((1,2),(3,4),(5,6))"),
    ("circle", "<(1,2),3>"),
    ("tsvector", "'a':1 'b':2"),
    ("pg_lsn", "16/B374D848"),
    ("int4range", "[1,10)"),
    ("tstzrange", "[\"2024-01-01 00:00:00+00\",infinity)"),
    ("hstore", "\"a\"=>\"1\", \"b\"=>NULL, \"c\\\"\"=>\"\\\\\""),
    ("ltree", "a.b.c"),
    ("citext", "CI"),
    ("isbn", "0-393-04002-X"),
    ("geometry", "0101000020E6100000000000000000F03F0000000000000040"),
    ("geography", "0101000020E6100000000000000000F03F0000000000000040"),
    ("vector", "[1,2.5,-3]"),
    ("halfvec", "[1,2.5,-3]"),
    ("sparsevec", "{1:1,3:2.5}/5"),
    ("mood", "sad"),
    ("pair", "(1,\"x y\")"),
    ("unheard_of", "whatever"),
];

/// Whose types stand in `pg_catalog`: all but those of extensions and users.
const OWN: &[&str] = &[
    "hstore",
    "ltree",
    "citext",
    "isbn",
    "geometry",
    "geography",
    "vector",
    "halfvec",
    "sparsevec",
    "mood",
    "pair",
    "unheard_of",
];

/// Of compiled columns.
const KNOWN_MAX: usize = 2000;

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let (ty, options, modifier, cell) = (input.short(), input.short(), input.short(), input.byte());
    let mut parts = input.0.splitn(2, |byte| *byte == 0);
    let (text, default) = (parts.next().unwrap_or_default(), parts.next());
    // What comes from a server is UTF-8, or has been refused.
    let default = default.and_then(|default| std::str::from_utf8(default).ok());
    thread_local!(static KNOWN: RefCell<HashMap<(u16, u16, u16), Option<Compiled>>> = RefCell::default());
    if default.is_some() {
        if let Some(compiled) = Compiled::new(ty, options, modifier, default) {
            compiled.check(text, cell);
        }
        return;
    }
    KNOWN.with_borrow_mut(|known| {
        if known.len() > KNOWN_MAX {
            known.clear();
        }
        let compiled =
            known.entry((ty, options, modifier)).or_insert_with(|| Compiled::new(ty, options, modifier, None));
        if let Some(compiled) = compiled {
            compiled.check(text, cell);
        }
    });
}

/// Each type by itself and in an array, under some options.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (n, (name, text)) in (0u16..).zip(TYPES) {
        for (array, options) in [(false, 0u16), (false, 0x1255), (true, 0), (true, 0x0fab)] {
            let mut seed = (n | u16::from(array) << 8).to_be_bytes().to_vec();
            seed.extend(options.to_be_bytes());
            seed.extend(0u16.to_be_bytes());
            seed.push(0);
            match array {
                true => {
                    seed.extend(format!("{{\"{}\",NULL}}", text.replace('\\', "\\\\").replace('"', "\\\"")).bytes())
                }
                false => seed.extend(text.bytes()),
            }
            if options != 0 {
                seed.extend(format!("\0'{}'::{name}", text.replace('\'', "''")).bytes());
            }
            seeds.push(seed);
        }
    }
    seeds
}

struct Compiled {
    plan: Arc<RecordPlan>,
    converter: Box<dyn Converter>,
    encoder: RefCell<Option<Box<dyn RowEncoder>>>,
}

impl Compiled {
    /// `None`: the connector refuses the table.
    fn new(ty: u16, options: u16, modifier: u16, default: Option<&str>) -> Option<Compiled> {
        let (name, _) = TYPES[usize::from(ty & 0xff) % TYPES.len()];
        let bit = |n: u16| options >> n & 1 == 1;
        let column = Column {
            name: "c".into(),
            ty: type_of(name, ty >> 8 & 1 == 1, ty >> 9 & 1 == 1),
            // Of a type: none, or small numbers as they stand in the catalog.
            modifier: match modifier {
                0 => -1,
                n if name == "numeric" => (i32::from(n >> 8) << 16 | i32::from(n & 0xff)) + 4,
                n => i32::from(n),
            },
            nullable: !bit(11),
            default: default.map(Arc::from),
            generated: false,
            comment: None,
        };
        let relation = Relation {
            oid: 1,
            namespace: "public".into(),
            name: "t".into(),
            identity: ReplicaIdentity::Default,
            columns: vec![column],
            key: Vec::new(),
            identifying: Vec::new(),
            key_may_repeat: false,
        };
        let reader = if bit(10) { Reader::Snapshot } else { Reader::Stream };
        let config = event_config(options);
        let plan = Arc::new(plan(Arc::new(relation), &config, reader).ok()?);
        let json = [("schemas.enable".to_owned(), bit(15).to_string())];
        let converter = converter("JsonConverter", Side::Value, &json).ok()?;
        let encoder = RefCell::new(converter.row_encoder(&plan, Side::Value));
        Some(Compiled { plan, converter, encoder })
    }

    fn check(&self, text: &[u8], cell: u8) {
        let mut batch = ChangeBatch::default();
        batch.bytes.extend_from_slice(text);
        batch.cells.push(match cell & 3 {
            1 => Cell::NULL,
            2 => Cell::UNCHANGED,
            _ => Cell::text(0, text.len()),
        });
        batch.plans.push(self.plan.clone());
        batch.transactions.push(Transaction {
            xid: Some(1),
            commit_us: 0,
            last_commit_lsn: None,
            has_lsn: true,
            xmin: None,
            origin: None,
            origin_lsn: None,
        });
        let change = Change {
            kind: ChangeKind::Insert,
            old_row: OldRow::None,
            snapshot: SnapshotMark::False,
            plan: 0,
            transaction: 0,
            new: 0,
            old: 0,
            change_lsn: Lsn(1),
            seen_us: 0,
            order: TransactionOrder::default(),
        };
        for step in self.plan.steps(&batch, &change).iter() {
            let (mut by_row, mut by_tree) = (Vec::new(), Vec::new());
            let (mut of_row, mut of_tree) = (Warnings::default(), Warnings::default());
            let tree = self.plan.value_tree(&batch, &change, step, &mut of_tree).ok();
            let envelope = Some(&self.plan.envelope);
            let tree = tree.and_then(|tree| self.converter.encode("t", envelope, &tree, &mut by_tree).ok());
            let Some(encoder) = &mut *self.encoder.borrow_mut() else { return };
            let row = encoder.encode(&batch, &change, step, &mut by_row, &mut of_row).ok();
            assert_eq!(row, tree, "one of row and tree is refused");
            if row == Some(Presence::Bytes) {
                assert_eq!(by_row, by_tree);
                assert_eq!(of_row.count, of_tree.count);
                // Whatever the database holds, a reader of JSON can read it.
                let read = serde_json::from_slice::<serde::de::IgnoredAny>(&by_row);
                assert!(read.is_ok(), "no JSON: {}", String::from_utf8_lossy(&by_row));
            }
        }
    }
}

/// Seven bits for the five options that shape values, and three more.
fn event_config(options: u16) -> EventConfig {
    let mut config = EventConfig::new(TopicNames::new("p"), "d", "run");
    let pick = |shift: u16, n: u16| (options >> shift & 7) % n;
    let mapping = &mut config.mapping;
    mapping.decimal =
        [DecimalHandling::Precise, DecimalHandling::Double, DecimalHandling::String][usize::from(pick(0, 3))];
    mapping.time = [
        TimePrecision::Adaptive,
        TimePrecision::AdaptiveTimeMicroseconds,
        TimePrecision::Connect,
        TimePrecision::Isostring,
        TimePrecision::Microseconds,
        TimePrecision::Nanoseconds,
        TimePrecision::Structured,
    ][usize::from(pick(2, 7))];
    mapping.binary =
        [BinaryForm::Bytes, BinaryForm::Base64, BinaryForm::Base64Url, BinaryForm::Hex][usize::from(pick(5, 4))];
    mapping.hstore = if options >> 7 & 1 == 1 { HstoreHandling::Map } else { HstoreHandling::Json };
    mapping.interval = if options >> 8 & 1 == 1 { IntervalHandling::String } else { IntervalHandling::Numeric };
    mapping.unknown_types = options >> 9 & 1 == 0;
    mapping.strict = options >> 12 & 1 == 1;
    config.columns = column_rules()[usize::from(options >> 13 & 3)].clone();
    config
}

/// None, and three that change texts; made once, since they are expressions.
fn column_rules() -> &'static [Arc<ColumnRules>; 4] {
    static RULES: OnceLock<[Arc<ColumnRules>; 4]> = OnceLock::new();
    RULES.get_or_init(|| {
        let rules =
            ["column.truncate.to.3.chars", "column.mask.with.4.chars", "column.mask.hash.v2.SHA-256.with.salt.s"];
        let [cut, masked, hashed] = rules.map(|rule| {
            let pairs = [
                ("database.hostname", "h"),
                ("database.user", "u"),
                ("database.dbname", "d"),
                ("topic.prefix", "p"),
                ("plugin.name", "pgoutput"),
                (rule, "public.t.c"),
            ];
            let given: Config = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let (typed, _) = PostgresConnectorConfig::parse(&given).unwrap_or_else(|e| panic!("{e}"));
            Arc::new(typed.columns)
        });
        [Arc::default(), cut, masked, hashed]
    })
}

fn type_of(name: &str, array: bool, domain: bool) -> TypeRef {
    let namespace = if OWN.contains(&name) { "public" } else { "pg_catalog" };
    let kind = match name {
        "mood" => TypeKind::Enum(vec!["sad".into(), "ok \"\\".into()]),
        "pair" => TypeKind::Composite,
        "int4range" | "tstzrange" => TypeKind::Range,
        _ => TypeKind::Base,
    };
    let named = |namespace: &str, name: &str, kind| {
        Arc::new(PgType { oid: 0, name: name.into(), namespace: namespace.into(), kind })
    };
    let mut ty = named(namespace, name, kind);
    if domain {
        ty = named("public", "dom", TypeKind::Domain(ty, -1));
    }
    if array { named(namespace, &format!("_{name}"), TypeKind::Array(ty)) } else { ty }
}
