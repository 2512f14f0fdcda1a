//! Signals: what asks a connector, while it streams, to read tables again, to pause that, or to log a line. A signal is an
//! id, a type and data in JSON, whichever channel brings it; words and defaults are the original's.

use serde_json::{Map, Value as Json};

/// A signal as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    pub id: String,
    pub kind: String,
    /// JSON; empty: none.
    pub data: String,
}

/// What a signal asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignalAction {
    ExecuteSnapshot(SnapshotRequest),
    /// Tables by name or expression; empty: all of them.
    StopSnapshot(Vec<String>),
    PauseSnapshot,
    ResumeSnapshot,
    /// `{}` in it stands for the offset.
    Log(String),
    /// A watermark of an incremental snapshot, which whoever wrote it looks out for.
    Watermark,
}

/// `execute-snapshot`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRequest {
    pub blocking: bool,
    /// Names or expressions.
    pub tables: Vec<String>,
    pub conditions: Vec<Condition>,
    pub surrogate_key: Option<String>,
}

/// One of `additional-conditions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Matched against `schema.table`, whatever its case.
    pub table: String,
    /// A condition (incremental), or a whole query (blocking).
    pub filter: String,
}

/// Types of the rows that mark a window.
pub const WINDOW_OPEN: &str = "snapshot-window-open";
pub const WINDOW_CLOSE: &str = "snapshot-window-close";

impl Signal {
    /// A signal as the channels `file` and `kafka` bring it: `{"id": …, "type": …, "data": {…}}`.
    pub fn from_json(text: &[u8]) -> Result<Signal, String> {
        let json: Json = serde_json::from_slice(text).map_err(|e| format!("it is no JSON: {e}"))?;
        let field = |name: &str| match json.get(name) {
            Some(Json::String(text)) => Some(text.clone()),
            Some(Json::Null) | None => None,
            Some(other) => Some(other.to_string()),
        };
        let kind = field("type").ok_or("it has no \"type\"")?;
        Ok(Signal { id: field("id").unwrap_or_default(), kind, data: field("data").unwrap_or_default() })
    }

    /// What it asks for, or why nothing.
    pub fn action(&self) -> Result<SignalAction, String> {
        self.read().map_err(|mistakes| mistakes.join("; "))
    }

    /// [`Signal::action`], with all that is wrong.
    pub fn read(&self) -> Result<SignalAction, Vec<String>> {
        let mut data = Data::default();
        if !self.data.trim().is_empty() {
            match serde_json::from_str(&self.data) {
                Ok(fields) => data.fields = fields,
                Err(e) => data.mistakes.push(format!("its data is no JSON object: {e}")),
            }
        }
        let action = match self.kind.as_str() {
            "execute-snapshot" => SignalAction::ExecuteSnapshot(data.request()),
            "stop-snapshot" => {
                if data.is_blocking() {
                    data.mistakes.push("a blocking snapshot cannot be stopped".into());
                }
                SignalAction::StopSnapshot(data.tables())
            }
            "pause-snapshot" => SignalAction::PauseSnapshot,
            "resume-snapshot" => SignalAction::ResumeSnapshot,
            "log" => {
                let message = data.text("message").filter(|message| !message.is_empty());
                if message.is_none() && data.mistakes.is_empty() {
                    data.mistakes.push("its data has no \"message\"".into());
                }
                SignalAction::Log(message.unwrap_or_default())
            }
            WINDOW_OPEN | WINDOW_CLOSE => SignalAction::Watermark,
            _ => {
                data.mistakes.push(
                    "its type is not known: execute-snapshot, stop-snapshot, pause-snapshot, resume-snapshot and log are"
                        .into(),
                );
                SignalAction::Watermark
            }
        };
        if data.mistakes.is_empty() { Ok(action) } else { Err(data.mistakes) }
    }
}

/// The fields of a signal's data, and what is wrong with them.
#[derive(Default)]
struct Data {
    fields: Map<String, Json>,
    mistakes: Vec<String>,
}

impl Data {
    fn request(&mut self) -> SnapshotRequest {
        let tables = self.tables();
        if tables.is_empty() && self.mistakes.is_empty() {
            self.mistakes.push("its data has no \"data-collections\"".into());
        }
        SnapshotRequest {
            blocking: self.is_blocking(),
            tables,
            conditions: self.conditions(),
            surrogate_key: self.text("surrogate-key").filter(|key| !key.trim().is_empty()),
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        text(&self.fields, name)
    }

    fn list(&mut self, name: &str) -> Vec<Json> {
        match self.fields.get(name) {
            None | Some(Json::Null) => Vec::new(),
            Some(Json::Array(list)) => list.clone(),
            Some(_) => {
                self.mistakes.push(format!("\"{name}\" is no list"));
                Vec::new()
            }
        }
    }

    fn is_blocking(&mut self) -> bool {
        match self.text("type").map(|kind| kind.to_ascii_lowercase()).as_deref() {
            None | Some("incremental") => false,
            Some("blocking") => true,
            Some(other) => {
                self.mistakes.push(format!("{other} is no type of snapshot: incremental and blocking are"));
                false
            }
        }
    }

    fn tables(&mut self) -> Vec<String> {
        let list = self.list("data-collections");
        let tables = list.iter().map(|name| name.as_str().map(|name| name.trim().to_owned())).collect::<Option<_>>();
        tables.unwrap_or_else(|| {
            self.mistakes.push("\"data-collections\" holds what is no text".into());
            Vec::new()
        })
    }

    fn conditions(&mut self) -> Vec<Condition> {
        let condition = |json: &Json| {
            let json = json.as_object()?;
            Some(Condition { table: text(json, "data-collection")?, filter: text(json, "filter")? })
        };
        let conditions = self.list("additional-conditions").iter().map(condition).collect::<Option<_>>();
        conditions.unwrap_or_else(|| {
            let mistake = "each of \"additional-conditions\" has a \"data-collection\" and a \"filter\"";
            self.mistakes.push(mistake.into());
            Vec::new()
        })
    }
}

fn text(fields: &Map<String, Json>, name: &str) -> Option<String> {
    fields.get(name).and_then(Json::as_str).map(str::to_owned)
}

/// The data of a watermark; times in ISO 8601. Spelled as the original does, with a blank after `:` and `,`.
pub fn watermark_data(opened: &str, closed: Option<&str>, signal: Option<&str>, table: &str) -> String {
    let fields = [
        ("openWindowTimestamp", Some(opened)),
        ("closeWindowTimestamp", closed),
        ("correlationId", signal),
        ("dataCollectionId", Some(table)),
    ];
    let field = |(name, value): (&str, Option<&str>)| Some(format!("\"{name}\": {}", Json::from(value?)));
    let fields: Vec<String> = fields.into_iter().filter_map(field).collect();
    format!("{{{}}}", fields.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(kind: &str, data: &str) -> Result<SignalAction, String> {
        Signal { id: "1".into(), kind: kind.into(), data: data.into() }.action()
    }

    #[test]
    fn signals_are_read_with_the_defaults_of_the_original() {
        let SignalAction::ExecuteSnapshot(request) = action(
            "execute-snapshot",
            r#"{"data-collections": [" public.t "], "surrogate-key": " ",
                "additional-conditions": [{"data-collection": "public.t", "filter": "a > 1"}]}"#,
        )
        .unwrap() else {
            panic!("a snapshot")
        };
        assert!(!request.blocking);
        assert_eq!(request.tables, ["public.t"]);
        assert_eq!(request.surrogate_key, None);
        assert_eq!(request.conditions, [Condition { table: "public.t".into(), filter: "a > 1".into() }]);
        assert_eq!(action("stop-snapshot", ""), Ok(SignalAction::StopSnapshot(Vec::new())));
        assert_eq!(action("pause-snapshot", r#"{"type": "INCREMENTAL"}"#), Ok(SignalAction::PauseSnapshot));
        assert_eq!(action("log", r#"{"message": "at {}"}"#), Ok(SignalAction::Log("at {}".into())));
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_its_reason() {
        for (kind, data, why) in [
            ("execute-snapshot", "{}", "data-collections"),
            ("execute-snapshot", r#"{"data-collections": [1]}"#, "no text"),
            ("execute-snapshot", r#"{"data-collections": ["t"], "type": "full"}"#, "full"),
            ("execute-snapshot", r#"{"data-collections": ["t"], "additional-conditions": [{}]}"#, "filter"),
            ("log", "{}", "message"),
            ("log", "[", "no JSON"),
            ("explode", "{}", "not known"),
        ] {
            let refused = action(kind, data).unwrap_err();
            assert!(refused.contains(why), "{kind} {data}: {refused}");
        }
        assert!(Signal::from_json(b"{}").unwrap_err().contains("type"));
        assert!(Signal::from_json(b"\xff").is_err());
    }

    #[test]
    fn all_that_is_wrong_is_told() {
        let data = r#"{"data-collections": [1], "type": "full", "additional-conditions": 2}"#;
        let signal = Signal { id: "1".into(), kind: "execute-snapshot".into(), data: data.into() };
        assert_eq!(
            signal.read().unwrap_err(),
            [
                "\"data-collections\" holds what is no text",
                "full is no type of snapshot: incremental and blocking are",
                "\"additional-conditions\" is no list",
            ]
        );
    }

    #[test]
    fn data_of_files_and_topics_is_an_object_or_text() {
        let signal = Signal::from_json(br#"{"id": 7, "type": "log", "data": {"message": "m"}}"#).unwrap();
        assert_eq!((signal.id.as_str(), signal.data.as_str()), ("7", r#"{"message":"m"}"#));
        let signal = Signal::from_json(br#"{"id": "7", "type": "log", "data": "{\"message\": \"m\"}"}"#).unwrap();
        assert_eq!(signal.action(), Ok(SignalAction::Log("m".into())));
    }

    #[test]
    fn watermarks_are_spelled_as_recorded() {
        assert_eq!(
            watermark_data("a", Some("b"), Some("s\"1"), "public.t"),
            r#"{"openWindowTimestamp": "a", "closeWindowTimestamp": "b", "correlationId": "s\"1", "dataCollectionId": "public.t"}"#
        );
    }
}
