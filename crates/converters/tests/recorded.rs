//! What the original recorded goes in and comes out again: each record with a schema is decoded and encoded, and must be
//! spelled as it was. Holds the order of a schema's members, numbers, escapes, defaults, decimals.

use std::path::Path;

use serde_json::Value as Json;
use walspring_connect::Side;
use walspring_converters::converter;

/// The recorded value's text: fractions stand in `"<1.0E308>"`, and `<number>` for what differs from run to run.
fn write(json: &Json, spelled: bool, out: &mut String) {
    match json {
        Json::String(s) if s == "<number>" => out.push_str("1700000000000"),
        Json::String(s) if is_number(s) => out.push_str(&s[1..s.len() - 1]),
        // Escapes were kept as they were, but for those of quotes.
        Json::String(s) if spelled => {
            out.push('"');
            out.push_str(&s.replace('"', "\\\""));
            out.push('"');
        }
        Json::Object(members) => {
            out.push('{');
            for (i, (name, value)) in members.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                write(&Json::String(name.clone()), spelled, out);
                out.push(':');
                write(value, spelled, out);
            }
            out.push('}');
        }
        Json::Array(values) => {
            out.push('[');
            for (i, value) in values.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                write(value, spelled, out);
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

fn is_number(s: &str) -> bool {
    s.strip_prefix('<')
        .and_then(|s| s.strip_suffix('>'))
        .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit() || b"+-.E".contains(&b)))
}

/// Shown for the first difference only: the texts are long.
fn same(case: &str, expected: &str, got: &str) {
    if expected == got {
        return;
    }
    let at = expected.bytes().zip(got.bytes()).take_while(|(a, b)| a == b).count();
    let from = at.saturating_sub(60);
    let part = |s: &str| String::from_utf8_lossy(&s.as_bytes()[from..s.len().min(at + 60)]).into_owned();
    panic!("{case}: expected …{}… got …{}…", part(expected), part(got));
}

#[test]
fn recorded_json_comes_out_as_it_went_in() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/cases");
    let (mut with_schema, mut without, mut files) = (0, 0, 0);
    let mut paths: Vec<_> = std::fs::read_dir(cases).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    for case in paths {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let Ok(lines) = std::fs::read_to_string(case.join("expected.jsonl")) else { continue };
        let config = std::fs::read_to_string(case.join("case.json")).unwrap_or_default();
        let option = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut options = vec![option("schemas.enable", "true")];
        if config.contains("\"NUMERIC\"") {
            options.push(option("decimal.format", "NUMERIC"));
        }
        // Values in these went through another converter, or their numbers are scrubbed.
        if config.contains("io.debezium.converters.CloudEvents") {
            continue;
        }
        // The recordings say null where a null stayed null although the schema has a default.
        if config.contains("replace.null.with.default\": \"false\"") {
            options.push(option("replace.null.with.default", "false"));
        }
        let enveloped = converter("JsonConverter", Side::Value, &options).unwrap();
        options[0].1 = "false".to_owned();
        let bare = converter("JsonConverter", Side::Value, &options).unwrap();
        files += 1;
        for line in lines.lines() {
            let record: Json = serde_json::from_str(line).unwrap();
            for side in ["key", "value"] {
                let (json, spelled) = match &record[side]["spelled"] {
                    Json::Null => (&record[side], false),
                    json => (json, true),
                };
                if !json.is_object() || json.get("text").is_some() || json.get("base64").is_some() {
                    continue;
                }
                let mut text = String::new();
                write(json, spelled, &mut text);
                let schemas = json.get("schema").is_some() && json.get("payload").is_some();
                let converter = if schemas { &enveloped } else { &bare };
                let typed = match converter.decode("t", Some(text.as_bytes())) {
                    Ok(typed) => typed,
                    Err(e) => panic!("{name}: {e}: {text}"),
                };
                let mut out = Vec::new();
                converter.encode("t", typed.schema.as_ref(), &typed.value, &mut out).unwrap();
                // Without a schema a NUMERIC decimal is a double to us, as to the original.
                if schemas || options.len() == 1 {
                    same(&name, &text, std::str::from_utf8(&out).unwrap());
                }
                *(if schemas { &mut with_schema } else { &mut without }) += 1;
            }
        }
    }
    println!("{files} cases: {with_schema} texts with a schema, {without} without");
    assert!(with_schema > 100 && without > 300);
}
