//! What the log says of records that could not be processed: each of them with `errors.log.enable`; without it, from time
//! to time how many were left out, so that it is never silent.
//!
//! Never what is in a record: `errors.log.include.messages` adds where it stood (`LogReporter`, `ProcessingContext`).

use std::time::{Duration, Instant};

use super::Stage;
use super::metrics::TaskErrors;
use crate::settings::value;

const SUMMARY_INTERVAL: Duration = Duration::from_secs(30);

pub(crate) struct ErrorLog {
    connector: String,
    task: u32,
    /// `errors.log.enable`
    each: bool,
    /// `errors.log.include.messages`
    places: bool,
    unsaid: u64,
    said: Option<Instant>,
}

/// One record that failed.
pub(crate) struct FailedRecord<'a> {
    pub stage: Stage,
    /// What refused it.
    pub class: &'a str,
    /// With the class of the exception that the original has.
    pub error: &'a dyn std::fmt::Display,
    /// As `errors.tolerance` says; else the task ends with it.
    pub left_out: bool,
}

impl ErrorLog {
    /// Of a configuration that was validated.
    pub fn read(connector: &str, task: u32, config: &[(String, String)]) -> ErrorLog {
        let is_on = |key: &str| value(config, key).is_some_and(|v| v.trim().eq_ignore_ascii_case("true"));
        ErrorLog {
            connector: connector.to_owned(),
            task,
            each: is_on("errors.log.enable"),
            places: is_on("errors.log.include.messages"),
            unsaid: 0,
            said: None,
        }
    }

    /// `place`: where the record stood, as the sentence goes on.
    pub fn tell(&mut self, failed: &FailedRecord<'_>, place: impl FnOnce() -> String, errors: &TaskErrors) {
        let FailedRecord { stage, class, error, left_out } = failed;
        let (connector, task) = (&*self.connector, self.task);
        if self.each {
            let place = if self.places { place() } else { String::new() };
            tracing::error!(
                connector,
                task,
                "Error encountered in task {connector}-{task}. Executing stage '{}' with class '{class}'{place}. {error}",
                stage.name(),
            );
            errors.logged.add(1);
            return;
        }
        if !left_out {
            return;
        }
        self.unsaid += 1;
        if self.said.is_none_or(|said| said.elapsed() >= SUMMARY_INTERVAL) {
            tracing::warn!(
                connector,
                task,
                records = self.unsaid,
                stage = stage.name(),
                "records could not be processed and are left out, because errors.tolerance is all; errors.log.enable \
                 names each"
            );
            self.said = Some(Instant::now());
            self.unsaid = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use walspring_testkit::Lines;

    use super::*;
    use crate::metrics::Metrics;

    fn logged(config: &[(&str, &str)], left_out: bool, times: usize) -> String {
        let lines = Lines::default();
        let heard = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).without_time().with_writer(move || heard.clone()).finish();
        let config: Vec<_> = config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let errors = TaskErrors::new(&Metrics::default(), &[]);
        let mut log = ErrorLog::read("inventory", 0, &config);
        let failed =
            FailedRecord { stage: Stage::Transformation, class: "a.Cast", error: &"a.DataException: bad", left_out };
        tracing::subscriber::with_default(subscriber, || {
            (0..times).for_each(|_| log.tell(&failed, || ", where it stood".to_owned(), &errors));
        });
        lines.text()
    }

    #[test]
    fn each_in_the_words_of_the_original() {
        let words = "Error encountered in task inventory-0. Executing stage 'TRANSFORMATION' with class 'a.Cast'";
        let log = logged(&[("errors.log.enable", "true")], true, 2);
        assert_eq!(log.matches(&format!("{words}. a.DataException: bad")).count(), 2, "{log}");
        let log = logged(&[("errors.log.enable", "true"), ("errors.log.include.messages", "true")], false, 1);
        assert!(log.contains(&format!("{words}, where it stood. a.DataException: bad")), "{log}");
    }

    #[test]
    fn otherwise_how_many_were_left_out() {
        let log = logged(&[("errors.log.include.messages", "true")], true, 3);
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.contains("are left out") && !log.contains("bad"), "{log}");
        assert_eq!(logged(&[], false, 3), "", "the task's failure says it");
    }
}
