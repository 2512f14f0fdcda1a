//! `topic.naming.strategy` and what belongs to it: how a table's topic is named, and what tables that share one add to
//! their keys. The names themselves are made in the `debezium` crate.

use std::fmt;

use crate::config::{ConfigError, Reader};
use crate::java_regex::{JavaRegex, MatchError, Replacement};

/// The strategies of the original, by the simple names of their classes.
pub const NAMING_STRATEGIES: &[&str] = &[
    "io.debezium.schema.SchemaTopicNamingStrategy",
    "io.debezium.schema.SchemaUnicodeTopicNamingStrategy",
    "io.debezium.schema.SchemaRegexTopicNamingStrategy",
    "io.debezium.schema.DefaultTopicNamingStrategy",
    "io.debezium.schema.DefaultUnicodeTopicNamingStrategy",
    "io.debezium.schema.DefaultRegexTopicNamingStrategy",
];

#[derive(Debug, Clone)]
pub struct TopicNaming {
    /// The class, in full.
    pub class: &'static str,
    /// `Schema…`: prefix, schema and table. `Default…`: prefix and table, the schema left out.
    pub with_schema: bool,
    pub form: TopicForm,
}

#[derive(Debug, Clone)]
pub enum TopicForm {
    /// What Kafka does not allow becomes an underscore.
    Plain,
    /// It becomes its code, and so does an underscore.
    Unicode,
    Regex(RegexNaming),
}

/// The options of the regex strategies.
#[derive(Debug, Clone)]
pub struct RegexNaming {
    /// `topic.regex` and `topic.replacement`; `None`: they are missing, and the task fails as the original's does.
    pub topic: Option<Rewrite>,
    /// `topic.key.…`; `None`: keys stay as they are.
    pub key: Option<SourceKey>,
}

/// The field of the key that tells tables apart which share a topic.
#[derive(Debug, Clone)]
pub struct SourceKey {
    pub field: String,
    /// Of the topic's name before it was rewritten; `None` leaves it.
    pub value: Option<Rewrite>,
}

/// A text that matches as a whole is replaced; others stay as they are.
#[derive(Clone)]
pub struct Rewrite {
    regex: std::sync::Arc<JavaRegex>,
    replacement: Replacement,
}

impl fmt::Debug for Rewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {:?}", self.regex.as_str(), self.replacement)
    }
}

impl Default for TopicNaming {
    fn default() -> TopicNaming {
        TopicNaming { class: NAMING_STRATEGIES[0], with_schema: true, form: TopicForm::Plain }
    }
}

impl TopicNaming {
    pub(super) fn parse(options: Reader<'_>) -> Result<TopicNaming, ConfigError> {
        const NAME: &str = "topic.naming.strategy";
        let given = options.string(NAME)?;
        let known = NAMING_STRATEGIES.iter().find(|class| **class == given.trim());
        let class = known.ok_or_else(|| {
            ConfigError::invalid(
                NAME,
                &given,
                "it names a Java class; Walspring has the original's own strategies only",
            )
        })?;
        let form = if class.contains("Unicode") {
            TopicForm::Unicode
        } else if class.contains("Regex") {
            TopicForm::Regex(RegexNaming::parse(options)?)
        } else {
            TopicForm::Plain
        };
        Ok(TopicNaming { class, with_schema: class.contains(".Schema"), form })
    }
}

impl RegexNaming {
    fn parse(options: Reader<'_>) -> Result<RegexNaming, ConfigError> {
        let key = options.boolean("topic.key.enforce.uniqueness")?.then_some(());
        Ok(RegexNaming {
            topic: Rewrite::parse(options, "topic.regex", "topic.replacement")?,
            key: match key {
                None => None,
                Some(()) => Some(SourceKey {
                    field: options.string("topic.key.field.name")?,
                    value: Rewrite::parse(options, "topic.key.field.regex", "topic.key.field.replacement")?,
                }),
            },
        })
    }
}

impl Rewrite {
    /// Both are given, or there is none.
    fn parse(options: Reader<'_>, regex_name: &str, replacement_name: &str) -> Result<Option<Rewrite>, ConfigError> {
        let regex = options.optional_nonempty(regex_name);
        let (Some(pattern), Some(replacement)) = (regex, options.optional_nonempty(replacement_name)) else {
            return Ok(None);
        };
        let regex = JavaRegex::new(&pattern).map_err(|e| ConfigError::invalid(regex_name, &pattern, e.to_string()))?;
        let replaced = Replacement::new(&replacement, &regex)
            .map_err(|e| ConfigError::invalid(replacement_name, &replacement, e.to_string()))?;
        Ok(Some(Rewrite { regex: regex.into(), replacement: replaced }))
    }

    /// # Errors
    ///
    /// The expression is too complex for the text.
    pub fn apply(&self, text: &str) -> Result<String, MatchError> {
        if self.regex.matches(text)? { self.regex.replace_first(text, &self.replacement) } else { Ok(text.to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matches_as_a_whole_is_rewritten() {
        let regex = JavaRegex::new("(.*)\\.a\\d").unwrap();
        let replacement = Replacement::new("$1.all", &regex).unwrap();
        let rewrite = Rewrite { regex: regex.into(), replacement };
        for (topic, expected) in [("p.public.a1", "p.public.all"), ("p.public.a1b", "p.public.a1b"), ("", "")] {
            assert_eq!(rewrite.apply(topic).unwrap(), expected);
        }
    }
}
