//! The single message transforms of a connector, in their order, each with its predicate.

use walspring_connect::{CONNECT_EXCEPTION, ConvertError, Predicate, Transform};
use walspring_record::Record;

use crate::errors::retry::Retry;
use crate::plugins::{Config, Plugins, is_called};
use crate::settings::{below, value};

const STRICT: &str = "walspring.strict";

#[derive(Default)]
pub(crate) struct TransformChain {
    steps: Vec<Step>,
    /// The step that was begun last.
    last: usize,
}

struct Step {
    class: &'static str,
    transform: Box<dyn Transform>,
    /// It asks somebody, who may be away.
    may_be_retried: bool,
    /// Applied where the predicate holds, or where it does not (`negate`).
    condition: Option<(Box<dyn Predicate>, bool)>,
}

impl TransformChain {
    pub fn new(plugins: &Plugins, config: Config<'_>) -> Result<TransformChain, ConvertError> {
        let step = |alias: &str| {
            let own = below(config, &format!("transforms.{alias}."));
            let class = value(&own, "type").unwrap_or_default();
            let plugin = plugins.transforms.iter().find(|p| is_called(p.class, class, ""));
            let plugin = plugin.ok_or_else(|| not_found(&format!("transforms.{alias}.type"), class))?;
            let condition = match value(&own, "predicate").filter(|p| !p.is_empty()) {
                Some(predicate) => {
                    let negate = value(&own, "negate").is_some_and(|v| v.eq_ignore_ascii_case("true"));
                    Some((make_predicate(plugins, config, predicate)?, negate))
                }
                None => None,
            };
            let mut own: Vec<_> =
                own.into_iter().filter(|(k, _)| !matches!(k.as_str(), "type" | "predicate" | "negate")).collect();
            // Of the connector, for those that would otherwise repeat what is wrong in the original.
            own.extend(value(config, STRICT).map(|strict| (STRICT.to_owned(), strict.to_owned())));
            let transform = (plugin.make)(&own)?;
            let may_be_retried = transform.may_be_retried();
            Ok(Step { class: plugin.class, transform, may_be_retried, condition })
        };
        let steps = aliases(config, "transforms").map(step).collect::<Result<_, ConvertError>>()?;
        Ok(TransformChain { steps, last: 0 })
    }

    /// The transform that refused the record, after an error.
    pub fn last_class(&self) -> &'static str {
        self.steps.get(self.last).map_or("", |step| step.class)
    }

    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// `None`: the record is dropped.
    pub fn apply(&mut self, record: Record, retry: &Retry) -> Result<Option<Record>, ConvertError> {
        let mut record = record;
        for (place, step) in self.steps.iter_mut().enumerate() {
            self.last = place;
            if step.condition.as_ref().is_some_and(|(predicate, negate)| predicate.test(&record) == *negate) {
                continue;
            }
            let changed = if step.may_be_retried && retry.is_on() {
                retry.run(|| step.transform.apply(record.clone()))
            } else {
                step.transform.apply(record)
            };
            match changed? {
                Some(changed) => record = changed,
                None => return Ok(None),
            }
        }
        Ok(Some(record))
    }
}

fn make_predicate(plugins: &Plugins, config: Config<'_>, alias: &str) -> Result<Box<dyn Predicate>, ConvertError> {
    if !aliases(config, "predicates").any(|defined| defined == alias) {
        return Err(undefined_predicate(alias));
    }
    let own = below(config, &format!("predicates.{alias}."));
    let class = value(&own, "type").unwrap_or_default();
    let plugin = plugins.predicates.iter().find(|p| is_called(p.class, class, ""));
    let plugin = plugin.ok_or_else(|| not_found(&format!("predicates.{alias}.type"), class))?;
    let own: Vec<_> = own.into_iter().filter(|(k, _)| k != "type").collect();
    (plugin.make)(&own)
}

fn aliases<'a>(config: Config<'a>, option: &str) -> impl Iterator<Item = &'a str> {
    value(config, option).unwrap_or_default().split(',').map(str::trim).filter(|alias| !alias.is_empty())
}

/// In the words of the original, which looks for the version first, and what is to be done.
fn undefined_predicate(alias: &str) -> ConvertError {
    ConvertError {
        class: CONNECT_EXCEPTION,
        message: format!(
            "{CONNECT_EXCEPTION}: org.apache.kafka.common.config.ConfigException: Unknown configuration \
             'predicates.{alias}.plugin.version'\npredicates does not name {alias}: add it there, and its \
             predicates.{alias}.type"
        ),
    }
}

fn not_found(option: &str, class: &str) -> ConvertError {
    ConvertError {
        class: "org.apache.kafka.common.config.ConfigException",
        message: format!("Invalid value {class} for configuration {option}: Class {class} could not be found."),
    }
}
