//! Names of topics, schemas and fields.

use std::sync::Arc;

use walspring_config::java_regex::MatchError;
use walspring_config::postgres::{RegexNaming, TopicForm, TopicNaming};
use walspring_connect::{CONNECT_EXCEPTION, TaskError};
pub use walspring_record::NameAdjustment;
use walspring_record::escape_unit;

/// Kafka's limit on a topic's name.
const TOPIC_LEN_MAX: usize = 249;

/// The options that name topics.
#[derive(Debug, Clone)]
pub struct TopicNames {
    /// `topic.prefix`
    pub prefix: Arc<str>,
    /// `topic.delimiter`
    pub delimiter: String,
    /// `topic.heartbeat.prefix`
    pub heartbeat_prefix: String,
    /// `topic.heartbeat.name`: the whole name, instead of prefix and prefix.
    pub heartbeat_name: Option<String>,
    /// `topic.transaction`
    pub transaction: String,
    /// `topic.naming.strategy`
    pub naming: TopicNaming,
}

/// What a table is called in Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableTopic {
    /// The topic of its events, which is also the base of its schemas' names.
    pub topic: String,
    /// A field that every key has besides the table's own, and its value: where several tables may share a topic.
    pub key_field: Option<(String, String)>,
}

impl TopicNames {
    /// The original's defaults.
    pub fn new(prefix: impl Into<Arc<str>>) -> TopicNames {
        TopicNames {
            prefix: prefix.into(),
            delimiter: ".".into(),
            heartbeat_prefix: "__debezium-heartbeat".into(),
            heartbeat_name: None,
            transaction: "transaction".into(),
            naming: TopicNaming::default(),
        }
    }

    /// Fails as the task of the original does, which looks at these only when it starts.
    pub fn check(&self) -> Result<(), TaskError> {
        let named = [
            ("topic.prefix", &*self.prefix),
            ("topic.delimiter", &self.delimiter),
            ("topic.heartbeat.prefix", &self.heartbeat_prefix),
            ("topic.heartbeat.name", self.heartbeat_name.as_deref().filter(|n| !n.is_empty()).unwrap_or("_")),
            ("topic.transaction", &self.transaction),
        ];
        let bad = named.iter().find(|(_, value)| value.is_empty() || !value.chars().all(is_topic_char));
        let hint = match (bad, &self.naming.form) {
            (Some((option, value)), _) => {
                format!("set {option} to letters, digits, dots, hyphens and underscores only; it is {value:?}")
            }
            (None, TopicForm::Regex(RegexNaming { topic: None, .. })) => {
                "set topic.regex and topic.replacement, which this topic.naming.strategy needs".to_owned()
            }
            _ => return Ok(()),
        };
        let message = format!("Call to constructor of class {} failed", self.naming.class);
        Err(TaskError::definite("java.lang.IllegalArgumentException", message)
            .caused_by("java.lang.reflect.InvocationTargetException", "")
            .caused_by(CONNECT_EXCEPTION, "Unable to validate config.")
            .hint(hint))
    }

    /// The names for a table.
    ///
    /// # Errors
    ///
    /// A regular expression is too complex for the name.
    pub fn data(&self, namespace: &str, table: &str) -> Result<TableTopic, MatchError> {
        let namespace = if self.naming.with_schema { namespace } else { "" };
        let parts: Vec<&str> =
            [&*self.prefix, namespace, table].into_iter().filter(|part| !part.trim().is_empty()).collect();
        let name = parts.join(&self.delimiter);
        let topic = match &self.naming.form {
            TopicForm::Plain => sanitized(&name, false),
            TopicForm::Unicode => sanitized(&name, true),
            TopicForm::Regex(regex) => return rewritten(regex, name),
        };
        Ok(TableTopic { topic, key_field: None })
    }

    pub fn heartbeat(&self) -> String {
        match self.heartbeat_name.as_deref() {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ => [&*self.heartbeat_prefix, &self.prefix].join(&self.delimiter),
        }
    }

    pub fn transaction(&self) -> String {
        [&*self.prefix, &self.transaction].join(&self.delimiter)
    }

    /// Of logical messages; the delimiter has no say in it.
    pub fn message(&self) -> String {
        format!("{}.message", self.prefix)
    }
}

fn is_topic_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn rewritten(regex: &RegexNaming, name: String) -> Result<TableTopic, MatchError> {
    let plain = sanitized(&name, false);
    let topic = match &regex.topic {
        Some(rewrite) => Some(rewrite.apply(&plain)?).filter(|topic| !topic.is_empty()).unwrap_or(plain),
        None => plain,
    };
    let key_field = match &regex.key {
        // Of the name as it was joined: nothing in it is replaced.
        Some(key) => {
            let value = match &key.value {
                Some(rewrite) => rewrite.apply(&name)?,
                None => name,
            };
            Some((key.field.clone(), value))
        }
        None => None,
    };
    Ok(TableTopic { topic, key_field })
}

/// What Kafka does not allow is replaced, in UTF-16 units, and the rest cut.
fn sanitized(name: &str, unicode: bool) -> String {
    let mut out = String::with_capacity(name.len());
    for unit in name.encode_utf16() {
        match char::from_u32(unit.into()).filter(|c| is_topic_char(*c) && !(unicode && *c == '_')) {
            Some(c) => out.push(c),
            None if unicode => out.push_str(&escape_unit(unit)),
            None => out.push('_'),
        }
    }
    // All of it is ASCII now.
    out.truncate(TOPIC_LEN_MAX);
    let dot = if unicode { "_u002e" } else { "_" };
    match out.as_str() {
        "." => dot.to_owned(),
        ".." => dot.repeat(2),
        _ => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_for_avro() {
        for (name, avro, unicode) in [
            ("dash-col", "dash_col", "dash_u002dcol"),
            ("sp ace", "sp_ace", "sp_u0020ace"),
            ("日本", "__", "_u65e5_u672c"),
            ("1st", "_1st", "_u0031st"),
            ("dot.col", "dot_col", "dot_u002ecol"),
            ("$d", "_d", "_u0024d"),
            ("q\"q", "q_q", "q_u0022q"),
        ] {
            assert_eq!(NameAdjustment::Avro.field_name(name), avro);
            assert_eq!(NameAdjustment::AvroUnicode.field_name(name), unicode);
            assert_eq!(NameAdjustment::None.field_name(name), name);
        }
        assert_eq!(NameAdjustment::Avro.schema_name("a-1st.public.t.Value"), "a_1st.public.t.Value");
        assert_eq!(NameAdjustment::AvroUnicode.schema_name("c_x._n_.Key"), "c_u005fx._u005fn_u005f.Key");
    }

    #[test]
    fn names_of_topics() {
        let names = TopicNames::new("p");
        let topic = |names: &TopicNames, namespace: &str, table: &str| names.data(namespace, table).unwrap().topic;
        assert_eq!(topic(&names, "public", "Ünï"), "p.public._n_");
        assert_eq!(topic(&names, "My-Schema", "weird-Table"), "p.My-Schema.weird-Table");
        assert_eq!(topic(&names, "s", &"x".repeat(300)).len(), 249);
        assert_eq!((names.heartbeat(), names.transaction()), ("__debezium-heartbeat.p".into(), "p.transaction".into()));
        let naming = TopicNaming { form: TopicForm::Unicode, ..TopicNaming::default() };
        let unicode = TopicNames { naming, ..TopicNames::new("c_p") };
        assert_eq!(topic(&unicode, "public", "Ünï"), "c_u005fp.public._u00dcn_u00ef");
        let naming = TopicNaming { with_schema: false, ..TopicNaming::default() };
        assert_eq!(topic(&TopicNames { naming, ..names }, "public", "t"), "p.t");
    }

    #[test]
    fn a_delimiter_that_kafka_does_not_allow_stops_the_task() {
        let odd = TopicNames { delimiter: "$".into(), ..TopicNames::new("p") };
        let trace = odd.check().unwrap_err().trace();
        assert!(trace.starts_with("java.lang.IllegalArgumentException: Call to constructor of class "), "{trace}");
        assert!(trace.ends_with("ConnectException: Unable to validate config."), "{trace}");
        assert!(TopicNames::new("p").check().is_ok());
    }
}
