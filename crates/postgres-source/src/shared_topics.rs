//! Tables whose names differ and whose topics do not, because a topic's name has fewer characters: `a$b` and `a#b`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use walspring_connect::{CONNECT_EXCEPTION, TaskError};
use walspring_record::{RecordPlan, Surprise};

/// The table of each topic that has had one. As large as there are tables.
#[derive(Debug, Default)]
pub struct SharedTopics(Mutex<HashMap<Arc<str>, String>>);

impl SharedTopics {
    /// Marks the plan of a table whose topic is another's already; in strict mode there is no such plan.
    pub fn look(&self, mut plan: RecordPlan, strict: bool) -> Result<RecordPlan, TaskError> {
        let table = plan.relation.qualified_name();
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = tables.entry(plan.topic.clone()).or_insert_with(|| table.clone());
        if *first == table {
            return Ok(plan);
        }
        if strict {
            let surprise = Surprise::TopicShared;
            let message = format!(
                "walspring.strict=true: table {table} ({}): its topic {} is that of {first}",
                surprise.name(),
                plan.topic
            );
            return Err(TaskError::definite(CONNECT_EXCEPTION, message).hint(surprise.mend_strict()));
        }
        plan.surprises.push(("*".into(), Surprise::TopicShared));
        Ok(plan)
    }
}
