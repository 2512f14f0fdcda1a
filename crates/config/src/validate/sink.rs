//! What the table of sink connectors cannot say by itself: which topics are read, and that the dead letter queue is not
//! among them.
//!
//! Source: `org.apache.kafka.connect.runtime.SinkConnectorConfig.validate`.

use crate::config::Config;
use crate::java_regex::JavaRegex;
use crate::validate::report::ConfigEntry;
use crate::values;

const TOPICS: &str = "topics";
const REGEX: &str = "topics.regex";

pub(super) fn judge_topics(entries: &mut [ConfigEntry], config: &Config) {
    let given = |name: &str| config.get(name).filter(|value| !value.trim().is_empty());
    let mut refuse = |name: &str, why: &str| {
        if let Some(entry) = entries.iter_mut().find(|entry| entry.value.name == name) {
            entry.value.errors.push(why.to_owned());
        }
    };
    let (topics, regex) = (given(TOPICS), given(REGEX));
    if topics.is_some() == regex.is_some() {
        let why = match topics {
            Some(_) => "topics and topics.regex are mutually exclusive options, but both are set.",
            None => "Must configure one of topics or topics.regex",
        };
        refuse(TOPICS, why);
        refuse(REGEX, why);
    }
    let mut names: Vec<&str> = topics.map(|topics| topics.split(',').map(str::trim).collect()).unwrap_or_default();
    if names.iter().any(|name| name.is_empty()) {
        refuse(TOPICS, "Configuration 'topics' values must not be empty.");
    }
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        refuse(TOPICS, "Configuration 'topics' values must not be duplicated.");
    }
    let Some(queue) = given("errors.deadletterqueue.topic.name").map(str::trim) else { return };
    if let Some(topics) = topics.map(values::list)
        && topics.iter().any(|topic| topic == queue)
    {
        refuse(
            TOPICS,
            &format!(
                "The DLQ topic '{queue}' may not be included in the list of topics ('topics=[{}]') consumed by the \
                 connector",
                topics.join(", ")
            ),
        );
    }
    if let Some(regex) = regex
        && JavaRegex::new(regex).is_ok_and(|compiled| compiled.matches(queue).unwrap_or(false))
    {
        refuse(
            REGEX,
            &format!(
                "The DLQ topic '{queue}' may not be matched by the regex for the topics ('topics.regex={regex}') consumed \
                 by the connector"
            ),
        );
    }
}
