//! `org.apache.kafka.connect.transforms.RegexRouter`: a new topic for records whose whole topic matches.

use std::sync::Arc;

use walspring_config::java_regex::{JavaRegex, Replacement};
use walspring_config::tables::transforms::REGEX_ROUTER;
use walspring_connect::{ConvertError, Transform};
use walspring_record::Record;

use crate::error::config;
use crate::memo::TopicMemo;
use crate::settings::Settings;

pub(crate) struct RegexRouter {
    regex: JavaRegex,
    replacement: Replacement,
    routes: TopicMemo<Option<Arc<str>>>,
}

impl RegexRouter {
    pub fn new(config: &[(String, String)]) -> Result<RegexRouter, ConvertError> {
        let settings = Settings::new(REGEX_ROUTER, config);
        let regex = settings.regex("regex")?;
        let replacement = settings.replacement("replacement", &regex)?;
        Ok(RegexRouter { regex, replacement, routes: TopicMemo::new() })
    }
}

impl Transform for RegexRouter {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConvertError> {
        let (regex, replacement) = (&self.regex, &self.replacement);
        if let Some(topic) = self.routes.get(&record.topic, |topic| route(regex, replacement, topic))? {
            record.topic = topic;
        }
        Ok(Some(record))
    }
}

/// The new topic; `None`: the whole of the old one does not match. As Java's `replaceFirst`, which searches: the part that
/// is replaced may be shorter than what matched (`a*?`).
pub(crate) fn route(
    regex: &JavaRegex,
    replacement: &Replacement,
    topic: &str,
) -> Result<Option<Arc<str>>, ConvertError> {
    let matched = |e: walspring_config::java_regex::MatchError| config(e.to_string());
    if !regex.matches(topic).map_err(matched)? {
        return Ok(None);
    }
    Ok(Some(regex.replace_first(topic, replacement).map_err(matched)?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{config, record};

    fn routed(regex: &str, replacement: &str, topic: &str) -> String {
        let mut router = RegexRouter::new(&config(&[("regex", regex), ("replacement", replacement)])).unwrap();
        let mut route = || router.apply(record(topic)).unwrap().unwrap().topic.to_string();
        let first = route();
        assert_eq!(route(), first, "the second time as the first");
        first
    }

    #[test]
    fn whole_topics_are_routed() {
        assert_eq!(routed("([^.]+)\\.([^.]+)\\.([^.]+)", "$3", "ecom.public.orders"), "orders");
        assert_eq!(routed("(?<p>.*)\\.public\\.(?<t>.*)", "${t}-of-${p}", "ecom.public.orders"), "orders-of-ecom");
        assert_eq!(routed("public", "x", "ecom.public.orders"), "ecom.public.orders", "a part is not enough");
        assert_eq!(routed("a.*?", "x", "abc"), "xbc", "as Java: matched whole, replaced where it is first found");
    }

    #[test]
    fn a_group_that_is_not_there_is_refused() {
        let error = RegexRouter::new(&config(&[("regex", "a"), ("replacement", "$2")])).err().unwrap();
        assert_eq!(error.message, "Invalid value $2 for configuration replacement: No group 2");
        let error = RegexRouter::new(&config(&[("regex", "a")])).err().unwrap();
        assert_eq!(error.message, "Missing required configuration \"replacement\" which has no default value.");
    }
}
