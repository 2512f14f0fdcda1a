//! Bodies of requests: read leniently where the original is (numbers and booleans become strings), and refused in its
//! words where it is not.

use axum::body::Bytes;
use serde_json::{Map, Number, Value};
use walspring_runtime::info::ConnectorOffset;
use walspring_runtime::{Props, Refusal, TargetState};

use crate::json::{Kind, Node, parse, place};

const ENTITIES: &str = "org.apache.kafka.connect.runtime.rest.entities";
const STRING_MAP: &str = "java.util.LinkedHashMap<java.lang.String,java.lang.String>";
const OBJECT_MAP: &str = "java.util.LinkedHashMap<java.lang.String,java.lang.Object>";

/// `POST /connectors`
#[derive(Debug, PartialEq)]
pub(crate) struct CreateConnector {
    pub name: Option<String>,
    pub config: Option<Props>,
    pub initial_state: Option<TargetState>,
}

pub(crate) fn create_connector(body: &Bytes) -> Result<CreateConnector, Refusal> {
    let reader = Reader::new(body)?;
    let class = format!("{ENTITIES}.CreateConnectorRequest");
    let Some(root) = reader.root()? else {
        return Err(Refusal::internal(format!("Cannot invoke \"{class}.name()\" because \"createRequest\" is null")));
    };
    let mut request = CreateConnector { name: None, config: None, initial_state: None };
    for (key, node) in reader.fields(root, &class, &[])? {
        let link = [Link::Field(&class, key)];
        match key.as_str() {
            "name" => request.name = reader.string(node, &link)?,
            "config" => request.config = reader.optional(node, |n| reader.strings(n, &link))?,
            "initial_state" => request.initial_state = reader.initial_state(node, &link)?,
            _ => return Err(reader.unknown_field(key, node, &class, &["name", "config", "initial_state"], &[])),
        }
    }
    Ok(request)
}

/// A flat map of strings. No body: in the words of whoever would have used it.
pub(crate) fn config_map(body: &Bytes, without: &str) -> Result<Props, Refusal> {
    let reader = Reader::new(body)?;
    match reader.root()? {
        Some(root) if root.kind != Kind::Null => reader.strings(root, &[]),
        _ => Err(Refusal::internal(without.to_owned())),
    }
}

/// `PATCH /connectors/{c}/offsets`; no offsets at all is for the supervisor to refuse.
pub(crate) fn offsets(body: &Bytes) -> Result<Vec<ConnectorOffset>, Refusal> {
    let reader = Reader::new(body)?;
    let class = format!("{ENTITIES}.ConnectorOffsets");
    let of_one = format!("{ENTITIES}.ConnectorOffset");
    let Some(root) = reader.root()? else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for (key, node) in reader.fields(root, &class, &[])? {
        if key != "offsets" {
            return Err(reader.unknown_field(key, node, &class, &["offsets"], &[]));
        }
        let items = match &node.kind {
            Kind::Null => continue,
            Kind::Array(items) => items,
            _ => {
                let list = format!("java.util.ArrayList<{of_one}>");
                return Err(reader.mismatch(node, &list, &[Link::Field(&class, key)]));
            }
        };
        for (i, item) in items.iter().enumerate() {
            let path = [Link::Field(&class, key), Link::Item(i)];
            let mut one = ConnectorOffset { partition: Map::new(), offset: None };
            for (key, node) in reader.fields(item, &of_one, &path)? {
                let path = [path[0], path[1], Link::Field(&of_one, key)];
                match key.as_str() {
                    "partition" => {
                        one.partition = reader.optional(node, |n| reader.objects(n, &path))?.unwrap_or_default()
                    }
                    "offset" => one.offset = reader.optional(node, |n| reader.objects(n, &path))?,
                    _ => return Err(reader.unknown_field(key, node, &of_one, &["partition", "offset"], &path[..2])),
                }
            }
            all.push(one);
        }
    }
    Ok(all)
}

/// A step on the way to a value, for messages.
#[derive(Clone, Copy)]
enum Link<'a> {
    Field(&'a str, &'a str),
    Item(usize),
}

struct Reader<'a> {
    text: &'a str,
    root: Option<Node>,
    mistake: Option<Refusal>,
}

impl<'a> Reader<'a> {
    fn new(body: &'a Bytes) -> Result<Reader<'a>, Refusal> {
        let text = std::str::from_utf8(body).map_err(|_| Refusal::bad_request("The request's body is not UTF-8"))?;
        let mut reader = Reader { text, root: None, mistake: None };
        match parse(text) {
            Ok(root) => reader.root = root,
            Err(mistake) => reader.mistake = Some(reader.refuse(&mistake.message, mistake.at, &[])),
        }
        Ok(reader)
    }

    fn root(&self) -> Result<Option<&Node>, Refusal> {
        self.mistake.clone().map_or(Ok(self.root.as_ref()), Err)
    }

    fn refuse(&self, message: &str, at: usize, path: &[Link<'_>]) -> Refusal {
        let (line, column) = place(self.text, at);
        let mut message = format!(
            "{message}\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: {line}, \
             column: {column}]"
        );
        let link = |link: &Link<'_>| match link {
            Link::Field(class, field) => format!("{class}[\"{field}\"]"),
            Link::Item(i) => format!("java.util.ArrayList[{i}]"),
        };
        if !path.is_empty() {
            let links: Vec<String> = path.iter().map(link).collect();
            message.push_str(&format!(" (through reference chain: {})", links.join("->")));
        }
        Refusal::internal(message)
    }

    fn mismatch(&self, node: &Node, wanted: &str, path: &[Link<'_>]) -> Refusal {
        let (kind, token) = match &node.kind {
            Kind::Null => ("Null", "VALUE_NULL"),
            Kind::Boolean(true) => ("Boolean", "VALUE_TRUE"),
            Kind::Boolean(false) => ("Boolean", "VALUE_FALSE"),
            Kind::Number(n) if n.contains(['.', 'e', 'E']) => ("Floating-point", "VALUE_NUMBER_FLOAT"),
            Kind::Number(_) => ("Integer", "VALUE_NUMBER_INT"),
            Kind::Array(_) => ("Array", "START_ARRAY"),
            Kind::Object(_) => ("Object", "START_OBJECT"),
            Kind::String(s) => {
                return self.refuse(
                    &format!(
                        "Cannot construct instance of `{wanted}` (although at least one Creator exists): no \
                         String-argument constructor/factory method to deserialize from String value ('{s}')"
                    ),
                    node.at,
                    path,
                );
            }
        };
        let message =
            format!("Cannot deserialize value of type `{wanted}` from {kind} value (token `JsonToken.{token}`)");
        self.refuse(&message, node.at, path)
    }

    fn unknown_field(&self, key: &str, node: &Node, class: &str, known: &[&str], path: &[Link<'_>]) -> Refusal {
        let names: Vec<String> = known.iter().map(|k| format!("\"{k}\"")).collect();
        let message = format!(
            "Unrecognized field \"{key}\" (class {class}), not marked as ignorable ({} known properties: {}])",
            known.len(),
            names.join(", ")
        );
        let path: Vec<Link<'_>> = path.iter().copied().chain([Link::Field(class, key)]).collect();
        self.refuse(&message, node.at, &path)
    }

    fn fields<'n>(&self, node: &'n Node, class: &str, path: &[Link<'_>]) -> Result<&'n [(String, Node)], Refusal> {
        match &node.kind {
            Kind::Object(fields) => Ok(fields),
            _ => Err(self.mismatch(node, class, path)),
        }
    }

    fn optional<T>(&self, node: &Node, read: impl FnOnce(&Node) -> Result<T, Refusal>) -> Result<Option<T>, Refusal> {
        if node.kind == Kind::Null { Ok(None) } else { read(node).map(Some) }
    }

    fn string(&self, node: &Node, path: &[Link<'_>]) -> Result<Option<String>, Refusal> {
        match &node.kind {
            Kind::Null => Ok(None),
            Kind::Boolean(b) => Ok(Some(b.to_string())),
            Kind::Number(s) | Kind::String(s) => Ok(Some(s.clone())),
            Kind::Array(_) | Kind::Object(_) => Err(self.mismatch(node, "java.lang.String", path)),
        }
    }

    fn strings(&self, node: &Node, path: &[Link<'_>]) -> Result<Props, Refusal> {
        let mut map = Props::new();
        for (key, value) in self.fields(node, STRING_MAP, path)? {
            let path: Vec<Link<'_>> =
                path.iter().copied().chain([Link::Field("java.util.LinkedHashMap", key)]).collect();
            map.insert(key.clone(), self.string(value, &path)?.map_or(Value::Null, Value::String));
        }
        Ok(map)
    }

    fn objects(&self, node: &Node, path: &[Link<'_>]) -> Result<Map<String, Value>, Refusal> {
        let fields = self.fields(node, OBJECT_MAP, path)?;
        Ok(fields.iter().map(|(key, node)| (key.clone(), node.to_value())).collect())
    }

    fn initial_state(&self, node: &Node, path: &[Link<'_>]) -> Result<Option<TargetState>, Refusal> {
        let Some(name) = self.string(node, path)? else { return Ok(None) };
        match name.to_uppercase().as_str() {
            "RUNNING" => Ok(Some(TargetState::Started)),
            "PAUSED" => Ok(Some(TargetState::Paused)),
            "STOPPED" => Ok(Some(TargetState::Stopped)),
            _ => Err(self.refuse(
                &format!(
                    "Cannot construct instance of `{ENTITIES}.CreateConnectorRequest$InitialState`, problem: No enum \
                     constant {ENTITIES}.CreateConnectorRequest.InitialState.{}",
                    name.to_uppercase()
                ),
                node.at,
                path,
            )),
        }
    }
}

impl Node {
    pub(crate) fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Boolean(b) => Value::Bool(*b),
            Kind::Number(s) => serde_json::from_str::<Number>(s).map_or(Value::Null, Value::Number),
            Kind::String(s) => Value::String(s.clone()),
            Kind::Array(items) => items.iter().map(Node::to_value).collect(),
            Kind::Object(fields) => Value::Object(fields.iter().map(|(k, v)| (k.clone(), v.to_value())).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str =
        "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: ";

    fn message<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
        let refusal = result.unwrap_err();
        assert_eq!(refusal.status, 500);
        refusal.message
    }

    #[test]
    fn refuses_in_the_words_of_the_original() {
        let create = |text: &'static str| message(create_connector(&Bytes::from_static(text.as_bytes())));
        assert_eq!(create(r#"{"name":"#), format!("Unexpected end-of-input within/between Object entries{AT}9]"));
        assert_eq!(
            create("not json"),
            format!(
                "Unrecognized token 'not': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or \
                 'false'){AT}1]"
            )
        );
        assert_eq!(
            create("[]"),
            format!(
                "Cannot deserialize value of type `{ENTITIES}.CreateConnectorRequest` from Array value (token \
                 `JsonToken.START_ARRAY`){AT}1]"
            )
        );
        assert_eq!(
            create(r#""text""#),
            format!(
                "Cannot construct instance of `{ENTITIES}.CreateConnectorRequest` (although at least one Creator \
                 exists): no String-argument constructor/factory method to deserialize from String value ('text'){AT}1]"
            )
        );
        assert_eq!(
            create(""),
            format!("Cannot invoke \"{ENTITIES}.CreateConnectorRequest.name()\" because \"createRequest\" is null")
        );
        assert_eq!(
            create(r#"{"name": "x", "config": {"a": {"b": 1}}}"#),
            format!(
                "Cannot deserialize value of type `java.lang.String` from Object value (token `JsonToken.START_OBJECT`)\
                 {AT}31] (through reference chain: {ENTITIES}.CreateConnectorRequest[\"config\"]->\
                 java.util.LinkedHashMap[\"a\"])"
            )
        );
        assert_eq!(
            message(offsets(&Bytes::from_static(br#"{"offsets": [{"partition": 5}]}"#))),
            format!(
                "Cannot deserialize value of type `{OBJECT_MAP}` from Integer value (token `JsonToken.VALUE_NUMBER_INT`)\
                 {AT}28] (through reference chain: {ENTITIES}.ConnectorOffsets[\"offsets\"]->java.util.ArrayList[0]->\
                 {ENTITIES}.ConnectorOffset[\"partition\"])"
            )
        );
    }

    #[test]
    fn numbers_become_strings_as_they_are_spelled() {
        let body = Bytes::from_static(
            br#"{"name": 5, "config": {"a": 1.50, "b": true, "c": null}, "initial_state": "paused"}"#,
        );
        let request = create_connector(&body).unwrap();
        let config = request.config.unwrap();
        assert_eq!((request.name.as_deref(), request.initial_state), (Some("5"), Some(TargetState::Paused)));
        assert_eq!(Value::Object(config), serde_json::json!({"a": "1.50", "b": "true", "c": null}));
    }
}
