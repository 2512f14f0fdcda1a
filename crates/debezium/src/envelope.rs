//! The plan of a relation's events: key, row, envelope and source schemas, topic, and constant headers.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use walspring_config::java_regex::MatchError;
use walspring_config::postgres::ColumnRule;
use walspring_connect::{CONNECT_EXCEPTION, TaskError};
use walspring_record::leaf::Reader;
use walspring_record::{
    Column, ConversionFailure, FieldPlan, Header, Leaf, RecordPlan, Relation, RowPlan, Schema, SchemaRef, SourcePlan,
    Type, Typed, Value,
};

use crate::column_rule;
use crate::config::EventConfig;
use crate::field::TypeMapper;
use crate::naming::TableTopic;
use crate::semantic::{enumeration, string, structure};
use crate::{strict, surprises};

const SNAPSHOT_MARKS: &str = "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental";

static SOURCE: LazyLock<SchemaRef> = LazyLock::new(|| {
    let long = || Schema::new(Type::Int64);
    let mark = enumeration(SNAPSHOT_MARKS).optional().with_default(Some(Value::string("false")));
    Arc::new(
        structure("io.debezium.connector.postgresql.Source", 1)
            .field("version", string())
            .field("connector", string())
            .field("name", string())
            .field("ts_ms", long())
            .field("snapshot", mark)
            .field("db", string())
            .field("sequence", string().optional())
            .field("ts_us", long().optional())
            .field("ts_ns", long().optional())
            .field("schema", string())
            .field("table", string())
            .field("txId", long().optional())
            .field("lsn", long().optional())
            .field("xmin", long().optional())
            .field("origin", string().optional())
            .field("origin_lsn", long().optional()),
    )
});

static TRANSACTION_BLOCK: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(
        structure("event.block", 1)
            .optional()
            .field("id", string())
            .field("total_order", Schema::new(Type::Int64))
            .field("data_collection_order", Schema::new(Type::Int64)),
    )
});

/// The schema of the `source` block.
pub fn source_schema() -> SchemaRef {
    SOURCE.clone()
}

/// The schema of the `transaction` block.
pub(crate) fn transaction_block() -> SchemaRef {
    TRANSACTION_BLOCK.clone()
}

/// The plan of one version of a relation. Rows of a snapshot and of the stream have plans of their own: the original reads
/// some types differently.
pub fn plan(relation: Arc<Relation>, config: &EventConfig, reader: Reader) -> Result<RecordPlan, TaskError> {
    let TableTopic { topic, key_field } =
        config.topics.data(&relation.namespace, &relation.name).map_err(topic_too_complex)?;
    let named = |suffix: &str| structure_name(config.mapping.schema_names.schema_name(&format!("{topic}.{suffix}")));
    let strict = config.mapping.strict;
    let mut captured = Vec::with_capacity(relation.columns.len());
    for (place, column) in relation.columns.iter().enumerate() {
        // A snapshot has what the stream has not.
        if strict && column.generated {
            continue;
        }
        if config.columns.captures(&relation.namespace, &relation.name, &column.name).map_err(too_complex)? {
            captured.push((place, rule(&relation, column, config)?));
        }
    }
    let mut key_rules = Vec::with_capacity(relation.key.len());
    for &place in &relation.key {
        key_rules.push((place, rule(&relation, &relation.columns[place], config)?));
    }
    let mut surprises = surprises::of_table(&relation, &captured, &key_rules, &config.mapping, reader);
    if strict {
        surprises::refuse(&relation, &surprises)?;
        surprises.clear();
    }
    let row = row_plan(&relation, &captured, named("Value").optional(), config, reader)?;
    let key = match relation.key.as_slice() {
        [] if key_field.is_none() => None,
        key => {
            // As the database has it, whatever is captured or masked.
            let key: Vec<_> = key.iter().map(|place| (*place, None)).collect();
            Some(row_plan(&relation, &key, named("Key"), config, reader)?)
        }
    };
    let key = match (key, key_field) {
        // A table without columns has no cell that the field could stand at.
        (Some(_), Some(_)) if relation.columns.is_empty() => None,
        (Some(key), Some((name, value))) => Some(with_constant(key, name, value)),
        (key, _) => key,
    };
    let long = || Schema::new(Type::Int64).optional();
    let envelope = named("Envelope")
        .versioned(2)
        .field("before", row.schema.clone())
        .field("after", row.schema.clone())
        .field("source", source_schema())
        .field("transaction", transaction_block())
        .field("op", string())
        .field("ts_ms", long())
        .field("ts_us", long())
        .field("ts_ns", long());
    Ok(RecordPlan {
        id: RecordPlan::next_id(),
        topic: topic.into(),
        key,
        row,
        envelope: envelope.into(),
        source: source(config, relation.namespace.clone(), relation.name.clone()),
        headers: headers(config),
        tombstones: config.tombstones,
        skipped: config.skipped,
        surprises,
        relation,
    })
}

/// The key with a field that is the same for all rows of the table.
fn with_constant(mut key: RowPlan, name: String, value: String) -> RowPlan {
    let value = Value::string(value);
    key.schema = Arc::new((*key.schema).clone().field(name, string()));
    key.fields.push(FieldPlan {
        // Any column that there is: its cell is not looked at.
        column: key.fields.first().map_or(0, |field| field.column),
        leaf: Leaf::Constant(value.clone()),
        null: value.clone(),
        unavailable: value,
        on_error: ConversionFailure::Fail,
    });
    key
}

fn topic_too_complex(e: MatchError) -> TaskError {
    TaskError::definite(CONNECT_EXCEPTION, format!("A table's topic cannot be named: {e}"))
        .hint("write topic.regex and topic.key.field.regex without nested repetition")
}

fn structure_name(name: String) -> Schema {
    Schema::new(Type::Struct).named(name)
}

/// Columns with a mask or a hash that leaves them as they are, because they are not text.
pub fn masks_without_effect(relation: &Relation, config: &EventConfig) -> Result<Vec<Arc<str>>, TaskError> {
    let mut ignored = Vec::new();
    for column in relation.columns.iter().filter(|column| !column_rule::is_text(&column.ty)) {
        if let Some(ColumnRule::Mask(_) | ColumnRule::Hash(_)) = rule(relation, column, config)? {
            ignored.push(column.name.clone());
        }
    }
    Ok(ignored)
}

fn rule<'a>(
    relation: &Relation,
    column: &Column,
    config: &'a EventConfig,
) -> Result<Option<&'a ColumnRule>, TaskError> {
    let ty = column_rule::type_name(column);
    config.columns.rule(&relation.namespace, &relation.name, &column.name, ty).map_err(too_complex)
}

fn too_complex(e: MatchError) -> TaskError {
    TaskError::definite(CONNECT_EXCEPTION, format!("A regular expression of the column lists cannot be matched: {e}"))
        .hint("write the expression without nested repetition")
}

/// A struct of some of the relation's columns, each with the rule that holds for it.
fn row_plan(
    relation: &Relation,
    columns: &[(usize, Option<&ColumnRule>)],
    mut schema: Schema,
    config: &EventConfig,
    reader: Reader,
) -> Result<RowPlan, TaskError> {
    let mapper = TypeMapper { config: &config.mapping, reader };
    let mut fields = Vec::with_capacity(columns.len());
    let mut names = HashSet::new();
    for &(column, rule) in columns {
        let Some(mut field) = mapper.column_field(&relation.columns[column]) else { continue };
        if let Some(rule) = rule {
            field = column_rule::apply(rule, &relation.columns[column], field, reader);
        }
        if config.mapping.strict {
            field = strict::exact(field, column, relation, rule);
        }
        if !names.insert(field.name.clone()) {
            let message = format!("Cannot create field because of field name duplication {}", field.name);
            let hint = format!(
                "two columns of {} come to the same name under field.name.adjustment.mode; leave one of them out with \
                 column.exclude.list, or choose avro_unicode",
                relation.qualified_name()
            );
            let class = "org.apache.kafka.connect.errors.SchemaBuilderException";
            return Err(TaskError::definite(class, message).hint(hint));
        }
        schema = schema.field(field.name, field.schema);
        fields.push(FieldPlan {
            column,
            leaf: field.leaf,
            null: field.null,
            unavailable: field.unavailable,
            on_error: field.on_error,
        });
    }
    Ok(RowPlan { schema: schema.into(), fields })
}

/// The constant part of `source` for logical messages, which belong to no table.
pub fn message_source(config: &EventConfig) -> SourcePlan {
    source(config, "".into(), "".into())
}

fn source(config: &EventConfig, namespace: Arc<str>, table: Arc<str>) -> SourcePlan {
    SourcePlan {
        schema: source_schema(),
        version: config.version.clone(),
        connector: "postgresql".into(),
        name: config.topics.prefix.clone(),
        db: config.database.clone(),
        namespace,
        table,
    }
}

fn headers(config: &EventConfig) -> Vec<Header> {
    if !config.extended_headers {
        return Vec::new();
    }
    let schema = Arc::new(string());
    let header = |name: &str, value: &Arc<str>| Header {
        name: format!("__debezium.context.{name}").into(),
        value: Typed::new(schema.clone(), Value::String(value.clone())),
    };
    vec![
        header("connectorLogicalName", &config.topics.prefix),
        header("taskId", &config.task_id),
        header("connectorName", &"postgresql".into()),
        header("runId", &config.run_id),
    ]
}
