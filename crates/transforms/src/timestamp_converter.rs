//! `org.apache.kafka.connect.transforms.TimestampConverter`: a time as text, as a number, or as one of Connect's types.

use walspring_config::tables::transforms::TIMESTAMP_CONVERTER;
use walspring_connect::{CONNECT_EXCEPTION, ConvertError, Transform};
use walspring_record::{Record, Schema, SchemaRef, Type, Value, java};

use crate::date_format::DateFormat;
use crate::error::{config, invalid, no_struct};
use crate::row::{Defaults, Side, defaults, entry, fill, put};
use crate::schema_cache::SchemaCache;
use crate::settings::Settings;

const DAY: i64 = 86_400_000;
const PURPOSE: &str = "converting timestamp formats";

pub(crate) struct TimestampConverter {
    side: Side,
    /// Empty: the whole key or value.
    field: String,
    conversion: Conversion,
    replace_nulls: bool,
    plans: SchemaCache<Plan>,
}

struct Conversion {
    target: Target,
    format: Option<DateFormat>,
    precision: Precision,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Text,
    Unix,
    Date,
    Time,
    Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Precision {
    Seconds,
    Millis,
    Micros,
    Nanos,
}

struct Plan {
    schema: SchemaRef,
    place: Option<usize>,
    defaults: Defaults,
}

impl TimestampConverter {
    pub fn new(given: &[(String, String)], side: Side) -> Result<TimestampConverter, ConvertError> {
        let settings = Settings::new(TIMESTAMP_CONVERTER, given);
        let target = settings.required("target.type")?;
        let target = match target {
            "string" => Target::Text,
            "unix" => Target::Unix,
            "Date" => Target::Date,
            "Time" => Target::Time,
            "Timestamp" => Target::Timestamp,
            _ => {
                let why = "String must be one of: string, unix, Date, Time, Timestamp";
                return Err(invalid("target.type", target, why));
            }
        };
        let precision = match settings.required("unix.precision")? {
            "seconds" => Precision::Seconds,
            "microseconds" => Precision::Micros,
            "nanoseconds" => Precision::Nanos,
            _ => Precision::Millis,
        };
        let pattern = settings.text("format").filter(|pattern| !pattern.is_empty());
        if target == Target::Text && pattern.is_none() {
            return Err(config(
                "TimestampConverter requires format option to be specified when using string timestamps",
            ));
        }
        let format = pattern.map(DateFormat::new).transpose().map_err(|why| {
            let about = "TimestampConverter requires a SimpleDateFormat-compatible pattern for string timestamps";
            config(format!("{about}: {}: {why}", pattern.unwrap_or_default()))
        })?;
        let field = settings.text("field").unwrap_or_default().to_owned();
        let replace_nulls = settings.boolean("replace.null.with.default")?;
        let conversion = Conversion { target, format, precision };
        Ok(TimestampConverter { side, field, conversion, replace_nulls, plans: SchemaCache::new() })
    }
}

impl Transform for TimestampConverter {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConvertError> {
        let (conversion, field, replace_nulls) = (&self.conversion, &self.field, self.replace_nulls);
        let typed = self.side.of(&mut record);
        match (&typed.schema, &mut typed.value) {
            (Some(schema), value) if field.is_empty() => {
                let make = |old: &Schema| Ok::<_, ConvertError>(Plan::whole(old, conversion.target));
                let new = self.plans.get(schema, make)?.schema.clone();
                *value = conversion.convert(Some(schema), value)?;
                typed.schema = Some(new);
            }
            (None, value) if field.is_empty() => *value = conversion.convert(None, value)?,
            (Some(schema), Value::Struct(values)) => {
                let make = |old: &Schema| Ok::<_, ConvertError>(Plan::of(old, field, conversion.target, replace_nulls));
                let plan = self.plans.get(schema, make)?;
                fill(values, &plan.defaults);
                if let Some(at) = plan.place {
                    values[at] = conversion.convert(Some(&schema.fields[at].schema), &values[at])?;
                }
                typed.schema = Some(plan.schema.clone());
            }
            (Some(schema), Value::Null) => {
                let make = |old: &Schema| Ok::<_, ConvertError>(Plan::of(old, field, conversion.target, replace_nulls));
                typed.schema = Some(self.plans.get(schema, make)?.schema.clone());
            }
            (None, Value::Null) => {}
            (None, Value::Map(pairs)) => {
                let value = entry(pairs, field).map_or(Ok(Value::Null), |value| conversion.convert(None, value))?;
                put(pairs, field, value);
            }
            (schema, value) => return Err(no_struct(schema.as_deref(), value, PURPOSE)),
        }
        Ok(Some(record))
    }
}

impl Plan {
    fn whole(old: &Schema, target: Target) -> Plan {
        Plan { schema: target.schema(old.optional).into(), place: None, defaults: Vec::new() }
    }

    fn of(old: &Schema, field: &str, target: Target, replace_nulls: bool) -> Plan {
        let place = old.index_of(field);
        let mut schema = Schema { default: None, ..old.clone() };
        if let Some(at) = place {
            schema.fields[at].schema = target.schema(old.fields[at].schema.optional).into();
        }
        Plan { schema: schema.into(), place, defaults: defaults(&old.fields, replace_nulls) }
    }
}

impl Target {
    fn schema(self, optional: bool) -> Schema {
        let named = |ty, name| Schema::new(ty).named(name).versioned(1);
        let schema = match self {
            Target::Text => Schema::new(Type::String),
            Target::Unix => Schema::new(Type::Int64),
            Target::Date => named(Type::Int32, java::logical::DATE),
            Target::Time => named(Type::Int32, java::logical::TIME),
            Target::Timestamp => named(Type::Int64, java::logical::TIMESTAMP),
        };
        schema.with_optional(optional)
    }
}

impl Conversion {
    fn convert(&self, schema: Option<&Schema>, value: &Value) -> Result<Value, ConvertError> {
        if value.is_null() {
            return Ok(Value::Null);
        }
        let millis = self.millis(schema, value)?;
        Ok(match (self.target, &self.format) {
            (Target::Text, Some(format)) => Value::string(format.format(millis)),
            (Target::Text | Target::Timestamp, _) => Value::Int64(millis),
            // Toward zero, and at the ends of a long there it stays, as Java's `TimeUnit`.
            (Target::Unix, _) => Value::Int64(match self.precision {
                Precision::Seconds => millis / 1000,
                Precision::Millis => millis,
                Precision::Micros => millis.saturating_mul(1000),
                Precision::Nanos => millis.saturating_mul(1_000_000),
            }),
            (Target::Date, _) => Value::Int32(millis.div_euclid(DAY) as i32),
            (Target::Time, _) => Value::Int32(millis.rem_euclid(DAY) as i32),
        })
    }

    fn millis(&self, schema: Option<&Schema>, value: &Value) -> Result<i64, ConvertError> {
        if let Some(millis) = schema.and_then(java::Logical::of).and_then(|logical| logical.millis(value)) {
            return Ok(millis);
        }
        match value {
            Value::Int64(time) => Ok(match self.precision {
                Precision::Seconds => time.saturating_mul(1000),
                Precision::Millis => *time,
                Precision::Micros => time / 1000,
                Precision::Nanos => time / 1_000_000,
            }),
            Value::String(text) => {
                let Some(format) = &self.format else {
                    return Err(config("TimestampConverter needs the option format to read text"));
                };
                let (text, pattern) = (text, format.pattern());
                format.parse(text).ok_or_else(|| {
                    ConvertError::data(format!(
                        "Could not parse timestamp: value ({text}) does not match pattern ({pattern})"
                    ))
                })
            }
            other => {
                let class = java::class_name(schema, other);
                let message = match schema {
                    None => format!("TimestampConverter does not support class {class} objects as timestamps"),
                    Some(schema) => {
                        let ty = java::type_name(schema.ty);
                        let shown = schema.name.as_ref().map_or_else(|| ty.to_owned(), |name| format!("{name}:{ty}"));
                        format!("Schema Schema{{{shown}}} does not correspond to a known timestamp type format")
                    }
                };
                let class = if schema.is_some() { CONNECT_EXCEPTION } else { return Err(ConvertError::data(message)) };
                Err(ConvertError { class, message })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use walspring_record::Typed;

    use super::*;
    use crate::testing::{config, map, record, shown};

    fn converted(options: &[(&str, &str)], value: Value) -> Result<Value, ConvertError> {
        let mut all = vec![("field", "at")];
        all.extend(options);
        let mut converter = TimestampConverter::new(&config(&all), Side::Value).unwrap();
        let value = map(&[("at", value)]);
        let record = converter.apply(Record { value: Typed { schema: None, value }, ..record("t") })?.unwrap();
        Ok(shown(&record.value).remove(0).1)
    }

    #[test]
    fn times_in_schemaless_records() {
        let text = [("target.type", "string"), ("format", "yyyy-MM-dd")];
        assert_eq!(converted(&text, Value::Int64(1_709_212_455_123)).unwrap(), Value::string("2024-02-29"));
        let unix = [("target.type", "unix"), ("unix.precision", "seconds"), ("format", "yyyy-MM-dd HH:mm:ss")];
        assert_eq!(converted(&unix, Value::string("2024-02-29 13:14:15")).unwrap(), Value::Int64(1_709_212_455));
        assert_eq!(converted(&unix, Value::Null).unwrap(), Value::Null);
        assert!(converted(&unix, Value::string("yesterday")).unwrap_err().message.contains("does not match pattern"));
        assert!(converted(&unix, Value::Boolean(true)).is_err());
        assert!(TimestampConverter::new(&config(&[("target.type", "string")]), Side::Key).is_err());
    }
}
