//! `schema.evolution=basic`: tables and columns made from the schemas of records, as the original makes them. What is there
//! is never changed, renamed or dropped.

use walspring_connect::SinkRecord;
use walspring_record::{Fields, Schema, Type};

use crate::catalog::{quote, quote_parts};
use crate::config::{KeyMode, SinkConfig};
use crate::destination::Destination;
use crate::routes::RouteColumn;

/// The name that a new table gets.
pub fn name(parts: &[String], folds: bool) -> String {
    let parts: Vec<String> = parts.iter().map(|part| column_name(part, folds)).collect();
    quote_parts(&parts)
}

fn column_name(name: &str, folds: bool) -> String {
    if folds { name.to_ascii_lowercase() } else { name.to_owned() }
}

/// `None`: the record has no schema, or no row.
pub fn create_table(
    config: &SinkConfig,
    destination: &mut Destination,
    record: &SinkRecord,
    row: Option<Fields<'_>>,
) -> Option<String> {
    let folds = !config.quote;
    let mut columns: Vec<(String, String)> = Vec::new();
    let mut keys: Vec<String> = Vec::new();
    let row = row.filter(|row| row.schema().is_some())?;
    let routed: Vec<RouteColumn> = destination
        .route()
        .iter()
        .flat_map(|route| route.columns.iter().flatten())
        .filter(|column| column.key)
        .cloned()
        .collect();
    let wanted = |name: &str| config.key_fields.is_empty() || config.key_fields.iter().any(|field| field == name);
    let mut key_column = |name: &str, schema: Option<&Schema>, columns: &mut Vec<(String, String)>| {
        let name = column_name(name, folds);
        let ty = schema.map_or_else(|| "text".to_owned(), column_type);
        if !columns.iter().any(|(other, _)| *other == name) {
            columns.push((name.clone(), format!("{} {ty} NOT NULL", quote(&name))));
        }
        keys.push(name);
    };
    let key = Fields::of_typed(&record.key);
    for column in &routed {
        let field = key.and_then(|key| key.get(&column.field)).or_else(|| row.get(&column.field));
        key_column(&column.column, field.and_then(|field| field.schema).map(|schema| &**schema), &mut columns);
    }
    if routed.is_empty() {
        match config.key_mode {
            KeyMode::Kafka => {
                for (name, ty) in
                    [("__connect_topic", "text"), ("__connect_partition", "integer"), ("__connect_offset", "bigint")]
                {
                    columns.push((name.to_owned(), format!("{} {ty} NOT NULL", quote(name))));
                    keys.push(name.to_owned());
                }
            }
            KeyMode::RecordKey => match Fields::of_typed(&record.key) {
                Some(fields) => {
                    for field in fields.iter().filter(|field| wanted(field.name)) {
                        let column = destination.column_name(field.name).unwrap_or(field.name).to_owned();
                        key_column(&column, field.schema.map(|schema| &**schema), &mut columns);
                    }
                }
                None => {
                    for name in &config.key_fields {
                        key_column(name, record.key.schema.as_deref(), &mut columns);
                    }
                }
            },
            KeyMode::RecordValue => {
                for field in row.iter().filter(|field| wanted(field.name)) {
                    key_column(field.name, field.schema.map(|schema| &**schema), &mut columns);
                }
            }
            KeyMode::RecordHeader => {
                for header in record.headers.iter().filter(|header| wanted(&header.name)) {
                    key_column(&header.name, header.value.schema.as_deref(), &mut columns);
                }
            }
            KeyMode::None => {}
        }
    }
    for (name, definition) in definitions(config, destination, row) {
        if !columns.iter().any(|(other, _)| *other == name) {
            columns.push((name, definition));
        }
    }
    if columns.is_empty() {
        return None;
    }
    let mut parts: Vec<String> = columns.into_iter().map(|(_, definition)| definition).collect();
    if !keys.is_empty() {
        let keys: Vec<String> = keys.iter().map(|key| quote(key)).collect();
        parts.push(format!("PRIMARY KEY ({})", keys.join(", ")));
    }
    Some(format!("CREATE TABLE IF NOT EXISTS {} ({})", name(&destination.parts, folds), parts.join(", ")))
}

/// `None`: there are none to add, or nothing says their types.
pub fn add_columns(config: &SinkConfig, destination: &mut Destination, row: Fields<'_>) -> Option<String> {
    row.schema()?;
    let missing: Vec<String> = definitions(config, destination, row)
        .into_iter()
        .filter(|(name, _)| destination.table.column(name).is_none())
        .map(|(_, definition)| format!("ADD COLUMN IF NOT EXISTS {definition}"))
        .collect();
    (!missing.is_empty()).then(|| format!("ALTER TABLE {} {}", destination.table.sql_name, missing.join(", ")))
}

/// The columns of a row's fields, each with its name.
fn definitions(config: &SinkConfig, destination: &Destination, row: Fields<'_>) -> Vec<(String, String)> {
    let mut made = Vec::new();
    for field in row.iter() {
        let Some(schema) = field.schema else { continue };
        let Some(column) = destination.column_name(field.name) else { continue };
        if !config.fields.is_empty() && !config.fields.takes(&destination.topic, field.name) {
            continue;
        }
        let column = column_name(column, !config.quote);
        // A column that rows may lack by an unchanged TOAST value, or that others do not fill, has to be nullable; only
        // what is required and of a fixed width is sure to be there.
        let sure = !schema.optional
            && schema.default.is_none()
            && !matches!(schema.ty, Type::String | Type::Bytes | Type::Array | Type::Map | Type::Struct);
        let definition = format!("{} {}{}", quote(&column), column_type(schema), if sure { " NOT NULL" } else { "" });
        made.push((column, definition));
    }
    made
}

/// The type of a column for values of a schema.
pub fn column_type(schema: &Schema) -> String {
    let parameter = |name: &str| schema.parameters.iter().find(|(n, _)| &**n == name).map(|(_, value)| &**value);
    // `column.propagate.source.type` of the source.
    if let Some(source) = parameter("__debezium.source.column.type")
        && let Some(ty) = propagated(source, parameter("__debezium.source.column.length"))
    {
        return ty;
    }
    let named = schema.name.as_deref().and_then(|name| {
        Some(match name {
            "io.debezium.time.Date" | "org.apache.kafka.connect.data.Date" | "io.debezium.time.IsoDate" => "date",
            "io.debezium.time.StructuredDate" => "date",
            "io.debezium.time.Time" | "org.apache.kafka.connect.data.Time" => "time(3)",
            "io.debezium.time.MicroTime"
            | "io.debezium.time.NanoTime"
            | "io.debezium.time.IsoTime"
            | "io.debezium.time.StructuredTime" => "time(6)",
            "io.debezium.time.Timestamp" | "org.apache.kafka.connect.data.Timestamp" => "timestamp(3)",
            "io.debezium.time.MicroTimestamp"
            | "io.debezium.time.NanoTimestamp"
            | "io.debezium.time.IsoTimestamp"
            | "io.debezium.time.StructuredTimestamp" => "timestamp(6)",
            "io.debezium.time.ZonedTimestamp" | "io.debezium.time.StructuredZonedTimestamp" => {
                "timestamp(6) with time zone"
            }
            "io.debezium.time.ZonedTime" | "io.debezium.time.StructuredZonedTime" => "time(6) with time zone",
            "io.debezium.time.MicroDuration"
            | "io.debezium.time.NanoDuration"
            | "io.debezium.time.StructuredDuration" => "interval",
            // Text in the original, as it comes.
            "io.debezium.time.Interval" => "text",
            "io.debezium.data.Uuid" => "uuid",
            "io.debezium.data.Json" => "json",
            "io.debezium.data.Xml" => "xml",
            "io.debezium.data.Ltree" => "ltree",
            "io.debezium.data.Tsvector" => "tsvector",
            "io.debezium.data.Enum" | "io.debezium.data.EnumSet" => "text",
            "io.debezium.data.VariableScaleDecimal" => "numeric",
            "io.debezium.data.geometry.Point" => "point",
            "io.debezium.data.geometry.Geometry" => "geometry",
            "io.debezium.data.geometry.Geography" => "geography",
            "io.debezium.data.geometry.Circle" => "circle",
            "io.debezium.data.geometry.Line" => "line",
            "io.debezium.data.DoubleVector" => "vector",
            "io.debezium.data.FloatVector" => "halfvec",
            "io.debezium.data.SparseDoubleVector" => "sparsevec",
            _ => return None,
        })
    });
    if let Some(named) = named {
        return named.to_owned();
    }
    match schema.name.as_deref() {
        Some("org.apache.kafka.connect.data.Decimal") => {
            let scale = parameter("scale").and_then(|scale| scale.parse::<i32>().ok()).unwrap_or(0);
            return match parameter("connect.decimal.precision").and_then(|p| p.parse::<u32>().ok()) {
                Some(precision) => format!("numeric({precision},{scale})"),
                None => "numeric".to_owned(),
            };
        }
        Some("io.debezium.data.Bits") => {
            return match parameter("length").and_then(|length| length.parse::<u32>().ok()) {
                // An unbounded `bit varying`.
                None | Some(2_147_483_647) => "bit varying".to_owned(),
                Some(length) => format!("bit({length})"),
            };
        }
        _ => {}
    }
    let plain = match schema.ty {
        Type::Int8 | Type::Int16 => "smallint",
        Type::Int32 => "integer",
        Type::Int64 => "bigint",
        Type::Float32 => "real",
        Type::Float64 => "double precision",
        Type::Boolean => "boolean",
        Type::String => "text",
        Type::Bytes => "bytea",
        Type::Array => {
            let items = schema.items.as_deref().map_or_else(|| "text".to_owned(), column_type);
            return format!("{items}[]");
        }
        Type::Map => "hstore",
        Type::Struct => "jsonb",
    };
    plain.to_owned()
}

/// Types of PostgreSQL that a record's schema alone does not tell apart.
fn propagated(source: &str, length: Option<&str>) -> Option<String> {
    let lower = source.to_ascii_lowercase();
    Some(match &*lower {
        "jsonb" | "inet" | "cidr" | "macaddr" | "macaddr8" | "citext" | "money" | "int4range" | "int8range"
        | "numrange" | "tsrange" | "tstzrange" | "daterange" => lower,
        "varchar" | "bpchar" => {
            let length: u32 = length.and_then(|length| length.parse().ok()).filter(|n| (1..=10_485_760).contains(n))?;
            format!("{}({length})", if lower == "bpchar" { "char" } else { "varchar" })
        }
        _ => return None,
    })
}
