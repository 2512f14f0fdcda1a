//! A record's schema as the mapping of an index.

use serde_json::{Map, Value as Json, json};
use walspring_converters::java::Logical;
use walspring_record::{Schema, Type};

use crate::document::{Style, Temporal, VARIABLE_SCALE, is_compact};

/// `{"properties":…}` of a struct's schema; `None` for anything else, which is no document.
pub fn mapping_of(style: Style, schema: &Schema) -> Option<Json> {
    (schema.ty == Type::Struct).then(|| properties(style, schema))
}

fn properties(style: Style, schema: &Schema) -> Json {
    let fields = schema.fields.iter().filter(|field| !field.name.is_empty());
    let fields: Map<String, Json> =
        fields.map(|field| (field.name.to_string(), mapped(style, &field.schema))).collect();
    json!({ "properties": fields })
}

fn mapped(style: Style, schema: &Schema) -> Json {
    let of_type = |name: &str| json!({ "type": name });
    if Logical::of(schema) == Some(Logical::Decimal) || schema.name.as_deref() == Some(VARIABLE_SCALE) {
        // The document keeps every digit; what is searched is a double.
        return of_type("double");
    }
    if style.temporal_as_dates && Temporal::of(schema).is_some() {
        // Years that the formats cannot say (infinity, before Christ) are kept, and not searched.
        return json!({
            "type": "date", "format": "strict_date_optional_time||epoch_millis", "ignore_malformed": true,
        });
    }
    match schema.ty {
        Type::Boolean => of_type("boolean"),
        Type::Int8 => of_type("byte"),
        Type::Int16 => of_type("short"),
        Type::Int32 => of_type("integer"),
        Type::Int64 => of_type("long"),
        Type::Float32 => of_type("float"),
        Type::Float64 => of_type("double"),
        Type::Bytes => of_type("binary"),
        Type::String => match schema.name.as_deref() {
            // One word of a closed form: nobody searches inside of it.
            Some("io.debezium.data.Uuid" | "io.debezium.data.Enum") => of_type("keyword"),
            // What the cluster itself makes of a text.
            _ => json!({ "type": "text", "fields": { "keyword": { "type": "keyword", "ignore_above": 256 } } }),
        },
        // A list has the mapping of what is in it.
        Type::Array => schema.items.as_deref().map_or_else(|| of_type("object"), |items| mapped(style, items)),
        Type::Map if is_compact(style, schema) => of_type("object"),
        Type::Map => {
            let part = |part: &Option<walspring_record::SchemaRef>| {
                part.as_deref().map_or_else(|| of_type("object"), |part| mapped(style, part))
            };
            json!({ "properties": { "key": part(&schema.keys), "value": part(&schema.items) } })
        }
        Type::Struct => properties(style, schema),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_become_mappings() {
        let style = Style { compact_maps: true, temporal_as_dates: true };
        let map = || Schema::map(Schema::new(Type::String), Schema::new(Type::Int16));
        let schema = Schema::new(Type::Struct)
            .field("id", Schema::new(Type::Int32))
            .field("price", Schema::new(Type::Bytes).named("org.apache.kafka.connect.data.Decimal"))
            .field("at", Schema::new(Type::Int64).named("io.debezium.time.MicroTimestamp"))
            .field("uuid", Schema::new(Type::String).named("io.debezium.data.Uuid"))
            .field("title", Schema::new(Type::String))
            .field("tags", Schema::array(Schema::new(Type::Int64)))
            .field("more", map());
        let made = mapping_of(style, &schema).unwrap();
        let of = |field: &str| made["properties"][field].clone();
        assert_eq!(of("id"), json!({"type": "integer"}));
        assert_eq!(of("price"), json!({"type": "double"}));
        assert_eq!(of("at")["type"], "date");
        assert_eq!(of("uuid"), json!({"type": "keyword"}));
        assert_eq!(of("title")["fields"]["keyword"]["ignore_above"], 256);
        assert_eq!(of("tags"), json!({"type": "long"}));
        assert_eq!(of("more"), json!({"type": "object"}));

        let plain = Style { compact_maps: false, temporal_as_dates: false };
        let made = mapping_of(plain, &schema).unwrap();
        assert_eq!(made["properties"]["at"], json!({"type": "long"}));
        assert_eq!(made["properties"]["more"]["properties"]["value"], json!({"type": "short"}));
        assert!(mapping_of(plain, &map()).is_none());
    }
}
