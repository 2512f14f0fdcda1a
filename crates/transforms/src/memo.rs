//! What was found out about a topic's name, so that a regular expression sees each name once.

use std::collections::HashMap;
use std::sync::Arc;

/// Most connectors have fewer topics. Beyond, all is forgotten and found out anew.
const TOPICS_MAX: usize = 1024;

pub(crate) struct TopicMemo<V> {
    /// Records of one topic come in runs.
    last: Option<(Arc<str>, V)>,
    known: HashMap<Arc<str>, V>,
    max: usize,
}

impl<V: Clone> TopicMemo<V> {
    pub fn new() -> TopicMemo<V> {
        TopicMemo::with_capacity(TOPICS_MAX)
    }

    /// At least the usual number.
    pub fn with_capacity(max: usize) -> TopicMemo<V> {
        TopicMemo { last: None, known: HashMap::new(), max: max.max(TOPICS_MAX) }
    }

    pub fn get<E>(&mut self, topic: &Arc<str>, find_out: impl FnOnce(&str) -> Result<V, E>) -> Result<V, E> {
        if let Some((last, value)) = &self.last
            && Arc::ptr_eq(last, topic)
        {
            return Ok(value.clone());
        }
        let value = match self.known.get(topic) {
            Some(value) => value.clone(),
            None => {
                let value = find_out(topic)?;
                if self.known.len() >= self.max {
                    self.known.clear();
                }
                self.known.insert(topic.clone(), value.clone());
                value
            }
        };
        self.last = Some((topic.clone(), value.clone()));
        Ok(value)
    }
}
