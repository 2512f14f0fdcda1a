//! How the topics of a connector's records are made: by the groups of `topic.creation.*` (KIP-158), or, without them,
//! by the brokers themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka_sys::rd_kafka_resp_err_t as Code;
use walspring_config::java_regex::JavaRegex;
use walspring_connect::writer::{TopicInfo, WriteError};

use super::{Admin, NewTopic};
use crate::client_config::ClientOptions;
use crate::client_config::Properties;
use crate::kept::{Kept, KeptError, Kind, Until};
use crate::producer::TopicAdmin;

const PREFIX: &str = "topic.creation.";
const DEFAULT: &str = "default";
/// Kafka's default, where the topic's settings may not be read.
const MESSAGE_BYTES_MAX_DEFAULT: usize = 1_048_588;

/// The groups in their order, the default one last.
#[derive(Debug, Clone)]
pub struct TopicRules {
    groups: Vec<Group>,
}

#[derive(Debug, Clone)]
struct Group {
    name: String,
    /// None matches nothing.
    include: Option<JavaRegex>,
    exclude: Option<JavaRegex>,
    partitions: i32,
    replication_factor: i32,
    config: BTreeMap<String, String>,
}

impl TopicRules {
    /// None: the connector has no rules, or the worker does not allow them. The error is in Connect's words.
    pub fn parse<'a>(
        worker: &Properties,
        connector: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Option<Self>, String> {
        let allowed = worker.get("topic.creation.enable").is_none_or(|v| !v.trim().eq_ignore_ascii_case("false"));
        let options: BTreeMap<&str, &str> = connector
            .into_iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, value.trim())))
            .collect();
        if !allowed || options.is_empty() {
            return Ok(None);
        }
        let required = |key: &str| {
            number(&options, DEFAULT, key)?.ok_or_else(|| {
                format!("Missing required configuration \"{PREFIX}{DEFAULT}.{key}\" which has no default value.")
            })
        };
        let replication_factor = required("replication.factor")?;
        let partitions = required("partitions")?;
        let mut groups = Vec::new();
        let names = options.get("groups").copied().unwrap_or_default();
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            if groups.iter().any(|group: &Group| group.name == name) {
                return Err(format!(
                    "Invalid value {names} for configuration {PREFIX}groups: Duplicate group names are not allowed."
                ));
            }
            groups.push(Group {
                name: name.to_owned(),
                include: patterns(&options, name, "include")?,
                exclude: patterns(&options, name, "exclude")?,
                partitions: number(&options, name, "partitions")?.unwrap_or(partitions),
                replication_factor: number(&options, name, "replication.factor")?.unwrap_or(replication_factor),
                config: settings(&options, name),
            });
        }
        groups.push(Group {
            name: DEFAULT.into(),
            include: Some(JavaRegex::new(".*").map_err(|error| error.to_string())?),
            exclude: None,
            partitions,
            replication_factor,
            config: settings(&options, DEFAULT),
        });
        Ok(Some(Self { groups }))
    }

    /// What a topic of this name is made as: by the first group that matches.
    pub fn new_topic(&self, name: &str) -> Result<NewTopic, String> {
        for group in &self.groups {
            let matches = |pattern: &Option<JavaRegex>| match pattern {
                Some(pattern) => pattern.matches(name).map_err(|error| error.to_string()),
                None => Ok(false),
            };
            if matches(&group.include)? && !matches(&group.exclude)? {
                return Ok(NewTopic {
                    name: name.to_owned(),
                    partitions: group.partitions,
                    replication_factor: group.replication_factor,
                    config: group.config.clone(),
                });
            }
        }
        Err(format!("no group of {PREFIX}groups matches topic {name}"))
    }
}

fn number(options: &BTreeMap<&str, &str>, group: &str, key: &str) -> Result<Option<i32>, String> {
    let Some(value) = options.get(format!("{group}.{key}").as_str()) else { return Ok(None) };
    value.parse().ok().filter(|number| *number == -1 || *number > 0).map(Some).ok_or_else(|| {
        format!(
            "Invalid value {value} for configuration {PREFIX}{group}.{key}: it must be positive, or -1 to use the \
             broker's default"
        )
    })
}

/// A list, of which one has to match the whole name; case counts.
fn patterns(options: &BTreeMap<&str, &str>, group: &str, key: &str) -> Result<Option<JavaRegex>, String> {
    let value = options.get(format!("{group}.{key}").as_str()).copied().unwrap_or_default();
    let joined = value.split(',').map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("|");
    if joined.is_empty() {
        return Ok(None);
    }
    JavaRegex::new(&joined)
        .map(Some)
        .map_err(|error| format!("Invalid value {value} for configuration {PREFIX}{group}.{key}: {error}"))
}

fn settings(options: &BTreeMap<&str, &str>, group: &str) -> BTreeMap<String, String> {
    options
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(group)?.strip_prefix('.')?, value)))
        .filter(|(name, _)| !["include", "exclude", "partitions", "replication.factor"].contains(name))
        .map(|(name, value)| (name.to_owned(), (*value).to_owned()))
        .collect()
}

/// Makes topics by a connector's rules, or lets the brokers do it. Connects when it is first needed.
pub struct TopicMaker {
    rules: Option<TopicRules>,
    options: ClientOptions,
    role: String,
    timeout: Duration,
    client: std::cell::RefCell<Option<Admin>>,
}

impl TopicMaker {
    pub fn new(rules: Option<TopicRules>, options: ClientOptions, role: String, timeout: Duration) -> Self {
        Self { rules, options, role, timeout, client: std::cell::RefCell::new(None) }
    }

    fn make(&self, admin: &Admin, name: &str) -> Result<TopicInfo, WriteError> {
        let until = Until::after(self.timeout);
        let failed = |error: KeptError| write_error(&error, &format!("topic {name}"));
        let partitions = match (admin.partitions(name, until.left()).map_err(failed)?, &self.rules) {
            (Some(partitions), _) => partitions,
            (None, Some(rules)) => {
                let topic = rules.new_topic(name).map_err(WriteError::Definite)?;
                admin.create_topic(&topic, until.left()).map_err(|error| match error.code {
                    Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED => WriteError::Definite(format!(
                        "topic {name} is not there, and may not be made ({error}); make it, or grant this principal Create on \
                         the topic or the cluster"
                    )),
                    _ => failed(error),
                })?;
                admin.partitions(name, until.left()).map_err(failed)?.unwrap_or(topic.partitions.max(1))
            }
            (None, None) => self.make_by_asking(name, until)?,
        };
        let batch_bytes_max = admin
            .topic_config(name, until.left())
            .ok()
            .and_then(|config| config.get("max.message.bytes")?.parse().ok())
            .unwrap_or(MESSAGE_BYTES_MAX_DEFAULT);
        Ok(TopicInfo { partitions, batch_bytes_max })
    }

    /// A producer's question for metadata makes the topic where `auto.create.topics.enable` is set.
    fn make_by_asking(&self, name: &str, until: Until) -> Result<i32, WriteError> {
        let config = self.options.kept(&self.role).map_err(|error| WriteError::Definite(error.to_string()))?;
        let failed = |error: KeptError| write_error(&error, &format!("topic {name}"));
        let asking = Kept::open(Kind::Producer, &config, &self.options, None).map_err(failed)?;
        loop {
            match asking.partitions(name, until.left()) {
                Ok(partitions) => return Ok(partitions),
                Err(error) if error.is_definite() => return Err(failed(error)),
                Err(error) if until.is_over() => {
                    return Err(WriteError::Transient(format!(
                        "topic {name} is not there ({error}); make it, or set topic.creation.default.partitions and \
                         topic.creation.default.replication.factor, or the brokers' auto.create.topics.enable"
                    )));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

impl TopicAdmin for TopicMaker {
    fn ensure(&self, name: &str) -> Result<TopicInfo, WriteError> {
        let mut client = self.client.borrow_mut();
        let admin = match client.take() {
            Some(admin) => admin,
            None => Admin::open(&self.options, &self.role).map_err(|error| write_error(&error, "admin client"))?,
        };
        let info = self.make(&admin, name)?;
        *client = Some(admin);
        Ok(info)
    }
}

/// An error of the kept client as a writer's.
pub fn write_error(error: &KeptError, what: &str) -> WriteError {
    let text = format!("{what}: {error}");
    if error.is_fenced() {
        WriteError::Fenced(text)
    } else if error.is_definite() {
        WriteError::Definite(text)
    } else {
        WriteError::Transient(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[(&str, &str)]) -> Result<Option<TopicRules>, String> {
        TopicRules::parse(&Properties::new(), options.iter().copied())
    }

    /// The options of the recorded case `topic_creation`.
    #[test]
    fn the_first_group_that_matches_decides() {
        let rules = parse(&[
            ("topic.creation.default.partitions", "3"),
            ("topic.creation.default.replication.factor", "1"),
            ("topic.creation.default.cleanup.policy", "compact"),
            ("topic.creation.groups", "small,big"),
            ("topic.creation.small.include", ".*\\.s.*"),
            ("topic.creation.small.exclude", ".*\\.s2"),
            ("topic.creation.small.partitions", "1"),
            ("topic.creation.small.retention.ms", "3600000"),
            ("topic.creation.big.include", ".*\\.(b|s2)"),
            ("topic.creation.big.partitions", "5"),
        ])
        .expect("rules")
        .expect("some");
        for (name, partitions, config) in [
            ("c.public.t", 3, vec![("cleanup.policy", "compact")]),
            ("c.public.s1", 1, vec![("retention.ms", "3600000")]),
            ("c.public.s2", 5, vec![]),
        ] {
            let config = config.into_iter().map(|(k, v): (&str, &str)| (k.to_owned(), v.to_owned())).collect();
            let expected = NewTopic { name: name.into(), partitions, replication_factor: 1, config };
            assert_eq!(rules.new_topic(name), Ok(expected));
        }
    }

    #[test]
    fn without_defaults_the_rules_are_refused() {
        let error = parse(&[("topic.creation.default.replication.factor", "1"), ("topic.creation.groups", "a")]);
        assert_eq!(
            error.expect_err("refused"),
            "Missing required configuration \"topic.creation.default.partitions\" which has no default value."
        );
        let zero =
            parse(&[("topic.creation.default.replication.factor", "0"), ("topic.creation.default.partitions", "1")]);
        assert!(zero.expect_err("refused").contains("topic.creation.default.replication.factor"));
        assert!(parse(&[("topic.prefix", "x")]).expect("no rules").is_none());
    }

    #[test]
    fn the_worker_may_switch_rules_off() {
        let worker = Properties::from([("topic.creation.enable".to_owned(), "false".to_owned())]);
        let rules = TopicRules::parse(&worker, [("topic.creation.default.partitions", "3")]);
        assert!(rules.expect("ignored").is_none());
    }
}
