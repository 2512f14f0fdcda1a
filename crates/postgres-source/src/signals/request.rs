//! The channel `in-process`: signals as REST brings them, `{"id": …, "type": …, "data": {…}}` or a list of such. Whoever
//! sends them waits for the answer, so that it says all that is wrong.

use serde_json::Value;
use walspring_config::java_regex::RegexList;
use walspring_connect::SourceSignal;
use walspring_debezium::{Signal, SignalAction};

use crate::events::random_uuid;

/// As in a table of signals.
const ID_MAX: usize = 64;

/// The signals, or what is wrong with any of them. One without an id is given one.
pub fn read(given: &Value) -> Result<Vec<SourceSignal>, Vec<String>> {
    let list = match given {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    if list.is_empty() {
        return Err(vec!["there is no signal in it".into()]);
    }
    let (mut signals, mut mistakes) = (Vec::new(), Vec::new());
    for (n, given) in (1..).zip(list) {
        match read_one(given) {
            Ok(signal) => signals.push(signal),
            // One alone needs no number.
            Err(all) if list.len() == 1 => mistakes.extend(all),
            Err(all) => mistakes.extend(all.into_iter().map(|mistake| format!("signal {n}: {mistake}"))),
        }
    }
    if mistakes.is_empty() { Ok(signals) } else { Err(mistakes) }
}

fn read_one(given: &Value) -> Result<SourceSignal, Vec<String>> {
    let Value::Object(fields) = given else { return Err(vec!["a signal is an object of id, type and data".into()]) };
    let mut mistakes = Vec::new();
    for name in fields.keys().filter(|name| !matches!(name.as_str(), "id" | "type" | "data")) {
        mistakes.push(format!("{name} is not known: a signal has id, type and data"));
    }
    let id = match fields.get("id") {
        None | Some(Value::Null) => random_uuid(),
        Some(Value::Number(id)) => id.to_string(),
        Some(Value::String(id)) if id.len() <= ID_MAX => id.clone(),
        Some(_) => {
            mistakes.push(format!("its id is no text of at most {ID_MAX} bytes"));
            String::new()
        }
    };
    let data = match fields.get("data") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    if kind.is_empty() {
        mistakes.push("it has no type".into());
    } else {
        let signal = Signal { id: id.clone(), kind: kind.clone(), data: data.clone() };
        match signal.read() {
            Err(all) => mistakes.extend(all),
            Ok(SignalAction::Watermark) => mistakes.push(format!("{kind} is the connector's own")),
            Ok(SignalAction::ExecuteSnapshot(request)) => mistakes.extend(expressions(&request.tables)),
            Ok(SignalAction::StopSnapshot(tables)) => mistakes.extend(expressions(&tables)),
            Ok(_) => {}
        }
    }
    if mistakes.is_empty() { Ok(SourceSignal { id, kind, data }) } else { Err(mistakes) }
}

/// What is wrong with expressions.
fn expressions(tables: &[String]) -> Vec<String> {
    let refused = |table: &String| Some(format!("{table} is no expression: {}", RegexList::parse(table).err()?));
    tables.iter().filter_map(refused).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_or_several_are_read() {
        let one = read(&json!({"id": 7, "type": "log", "data": {"message": "m"}})).unwrap();
        assert_eq!((one[0].id.as_str(), one[0].data.as_str()), ("7", r#"{"message":"m"}"#));
        let two =
            read(&json!([{"type": "pause-snapshot"}, {"id": "b", "type": "resume-snapshot", "data": "{}"}])).unwrap();
        assert_eq!((two.len(), two[0].id.len(), two[1].id.as_str()), (2, 36, "b"));
    }

    #[test]
    fn all_that_is_wrong_is_named() {
        let mistakes = |given: Value| read(&given).unwrap_err().join("\n");
        assert_eq!(mistakes(json!([])), "there is no signal in it");
        assert_eq!(mistakes(json!("x")), "a signal is an object of id, type and data");
        assert_eq!(
            mistakes(json!([
                {"type": "log"},
                {"type": "log", "data": {"message": "m"}},
                {"id": [], "typ": "x"},
                {"type": "execute-snapshot", "data": {"data-collections": ["("], "type": "full"}},
            ])),
            "signal 1: its data has no \"message\"\n\
             signal 3: typ is not known: a signal has id, type and data\n\
             signal 3: its id is no text of at most 64 bytes\n\
             signal 3: it has no type\n\
             signal 4: full is no type of snapshot: incremental and blocking are"
        );
        let expression = mistakes(json!({"type": "stop-snapshot", "data": {"data-collections": ["("]}}));
        assert!(expression.starts_with("( is no expression: "), "{expression}");
        assert_eq!(mistakes(json!({"type": "snapshot-window-open"})), "snapshot-window-open is the connector's own");
    }
}
