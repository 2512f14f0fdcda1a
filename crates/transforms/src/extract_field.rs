//! `org.apache.kafka.connect.transforms.ExtractField`: one field in place of the whole key or value.

use walspring_config::tables::transforms::EXTRACT_FIELD;
use walspring_connect::{ConvertError, Transform};
use walspring_record::{Record, Schema, SchemaRef, Typed, Value};

use crate::error::{config, no_struct};
use crate::row::{Side, entry};
use crate::schema_cache::SchemaCache;
use crate::settings::Settings;

const PURPOSE: &str = "field extraction";

pub(crate) struct ExtractField {
    side: Side,
    /// As it was given.
    path: String,
    steps: Vec<String>,
    replace_nulls: bool,
    found: SchemaCache<Found>,
}

struct Found {
    /// The places of the steps, each with its default.
    places: Vec<(usize, Option<Value>)>,
    schema: SchemaRef,
}

impl ExtractField {
    pub fn new(config: &[(String, String)], side: Side) -> Result<ExtractField, ConvertError> {
        let settings = Settings::new(EXTRACT_FIELD, config);
        let path = settings.required("field")?.to_owned();
        let nested = settings.text("field.syntax.version").is_some_and(|version| version.eq_ignore_ascii_case("V2"));
        let steps = if nested { steps(&path)? } else { vec![path.clone()] };
        let replace_nulls = settings.boolean("replace.null.with.default")?;
        Ok(ExtractField { side, path, steps, replace_nulls, found: SchemaCache::new() })
    }
}

impl Transform for ExtractField {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConvertError> {
        let typed = self.side.of(&mut record);
        let mut value = std::mem::replace(&mut typed.value, Value::Null);
        let Some(schema) = &typed.schema else {
            for step in &self.steps {
                value = match value {
                    Value::Null => Value::Null,
                    Value::Map(mut pairs) => {
                        entry(&mut pairs, step).map_or(Value::Null, |value| std::mem::replace(value, Value::Null))
                    }
                    other => return Err(no_struct(None, &other, PURPOSE)),
                };
            }
            typed.value = value;
            return Ok(Some(record));
        };
        if !matches!(value, Value::Null | Value::Struct(_)) {
            return Err(no_struct(Some(schema), &value, PURPOSE));
        }
        let (steps, path) = (&self.steps, &self.path);
        let found = self.found.get(schema, |schema| Found::of(schema, steps, path))?;
        let last = found.places.len() - 1;
        for (step, (place, default)) in found.places.iter().enumerate() {
            let Value::Struct(values) = &mut value else { break };
            let inner = std::mem::replace(&mut values[*place], Value::Null);
            // On the way a default always counts, at the end only if it is asked for.
            let default = default.as_ref().filter(|_| inner.is_null() && (step < last || self.replace_nulls));
            value = default.cloned().unwrap_or(inner);
        }
        *typed = Typed::new(found.schema.clone(), value);
        Ok(Some(record))
    }
}

impl Found {
    fn of(schema: &Schema, steps: &[String], path: &str) -> Result<Found, ConvertError> {
        let unknown =
            || ConvertError { class: "java.lang.IllegalArgumentException", message: format!("Unknown field: {path}") };
        let mut places = Vec::with_capacity(steps.len());
        let mut current = schema;
        let mut found = None;
        for step in steps {
            let at = current.index_of(step).ok_or_else(unknown)?;
            let field = &current.fields[at].schema;
            places.push((at, field.default.clone()));
            found = Some(field);
            current = field;
        }
        Ok(Found { places, schema: found.ok_or_else(unknown)?.clone() })
    }
}

/// A path of the second syntax: names parted by dots; a name with dots stands in backticks, a backtick before a dot in such
/// a name has a backslash before it.
fn steps(path: &str) -> Result<Vec<String>, ConvertError> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let Some(quoted) = rest.strip_prefix('`') else {
            let (step, after) = rest.split_once('.').unwrap_or((rest, ""));
            steps.push(step.to_owned());
            rest = after;
            continue;
        };
        let mut step = String::new();
        let mut tail = quoted;
        rest = loop {
            let incomplete = || {
                let at = path.len() - quoted.len() - 1;
                config(format!(
                    "Incomplete backtick pair in path: [{path}], consider adding a backslash before backtick at position \
                     {at} to escape it"
                ))
            };
            let (before, after) = tail.split_once('`').ok_or_else(incomplete)?;
            let escaped = before.ends_with('\\');
            match after.strip_prefix('.') {
                None if after.is_empty() && escaped => return Err(incomplete()),
                None if after.is_empty() => {
                    step.push_str(before);
                    break "";
                }
                None => step.extend([before, "`"]),
                Some(_) if escaped => step.extend([&before[..before.len() - 1], "`"]),
                Some(after) => {
                    step.push_str(before);
                    break after;
                }
            }
            tail = after;
        };
        steps.push(step);
    }
    if path.ends_with('.') || steps.is_empty() {
        steps.push(String::new());
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{config, envelope, event, map, record, row};

    #[test]
    fn paths_of_the_second_syntax() {
        for (path, expected) in [
            ("a", vec!["a"]),
            ("a.b", vec!["a", "b"]),
            ("`a.b`.c", vec!["a.b", "c"]),
            ("`a`b`", vec!["a`b"]),
            ("`a\\`.b`", vec!["a`.b"]),
            ("a.", vec!["a", ""]),
            ("", vec![""]),
        ] {
            assert_eq!(steps(path).unwrap(), expected, "{path}");
        }
        assert!(steps("`a").is_err());
    }

    #[test]
    fn nested_fields_and_maps() {
        let options = config(&[("field", "source.table"), ("field.syntax.version", "V2")]);
        let mut extract = ExtractField::new(&options, Side::Value).unwrap();
        let extracted = extract.apply(event(&envelope(), "c", Value::Null, row(1, None, "x"))).unwrap().unwrap();
        assert_eq!(extracted.value.value, Value::string("t"));
        let nested = map(&[("source", map(&[("table", Value::string("u"))]))]);
        let maps = Record { value: Typed { schema: None, value: nested }, ..record("t") };
        assert_eq!(extract.apply(maps).unwrap().unwrap().value.value, Value::string("u"));
        assert_eq!(extract.apply(record("t")).unwrap().unwrap().value, Typed::NULL);
        let mut unknown = ExtractField::new(&config(&[("field", "source.table")]), Side::Value).unwrap();
        let error = unknown.apply(event(&envelope(), "c", Value::Null, Value::Null)).unwrap_err();
        assert_eq!(error.message, "Unknown field: source.table");
    }
}
