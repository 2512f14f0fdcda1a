//! A receiver that is away, refuses or is too slow: said once, and once more when it is over.

use std::time::{Duration, Instant};

const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);
const SLOW_AGAIN: Duration = Duration::from_secs(600);

pub struct Outage {
    /// `spans` or `metrics`
    what: &'static str,
    url: String,
    away: bool,
    refused: bool,
    backoff: Duration,
    dropped_before: u64,
    slow_said: Option<Instant>,
}

impl Outage {
    pub fn new(what: &'static str, url: String) -> Outage {
        Outage { what, url, away: false, refused: false, backoff: BACKOFF_FIRST, dropped_before: 0, slow_said: None }
    }

    /// It may be tried again after what is returned.
    pub fn failed(&mut self, message: &str, retry_after: Option<Duration>) -> Duration {
        if !self.away {
            self.away = true;
            tracing::warn!(
                "{} cannot be exported to {} for now: {message}. It is tried again; what comes meanwhile and does not \
                 fit into the queue is dropped",
                self.what,
                self.url
            );
        }
        let wait = retry_after.unwrap_or(self.backoff);
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
        wait
    }

    /// Something was taken. `dropped`: how many were lost so far.
    pub fn over(&mut self, dropped: u64) {
        self.backoff = BACKOFF_FIRST;
        if self.away {
            self.away = false;
            let lost = dropped - self.dropped_before;
            tracing::info!("{} are exported to {} again; {lost} were dropped meanwhile", self.what, self.url);
        } else if dropped > self.dropped_before && self.slow_said.is_none_or(|said| said.elapsed() >= SLOW_AGAIN) {
            self.slow_said = Some(Instant::now());
            tracing::warn!(
                "{} are made faster than {} takes them; {} were dropped. Fewer are made with \
                 OTEL_TRACES_SAMPLER=parentbased_traceidratio and OTEL_TRACES_SAMPLER_ARG=0.01, or less",
                self.what,
                self.url,
                dropped - self.dropped_before
            );
        }
        self.dropped_before = dropped;
    }

    /// The receiver does not want it, and will not another time.
    pub fn refused(&mut self, message: &str, dropped: u64) {
        self.dropped_before = dropped;
        if !self.refused {
            self.refused = true;
            tracing::warn!(
                "{} are refused by {} and dropped: {message}. This is said once. OTEL_EXPORTER_OTLP_ENDPOINT should \
                 name a receiver of OTLP over HTTP (port 4318 of a Collector)",
                self.what,
                self.url
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use walspring_testkit::Lines;

    use super::*;

    fn said(run: impl FnOnce(&mut Outage)) -> Vec<String> {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        let mut outage = Outage::new("spans", "http://c".to_owned());
        tracing::subscriber::with_default(subscriber, || run(&mut outage));
        lines.text().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_receiver_that_is_slow_is_said_once_in_a_while() {
        let said = said(|outage| {
            for dropped in [0, 5, 5, 9] {
                outage.over(dropped);
            }
        });
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("are made faster than http://c takes them; 5 were dropped"), "{said:?}");
    }

    #[test]
    fn what_is_refused_is_not_called_slow() {
        let said = said(|outage| {
            outage.refused("no", 3);
            outage.refused("no", 6);
            outage.over(6);
        });
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("refused by http://c and dropped: no"), "{said:?}");
    }

    #[test]
    fn an_outage_is_said_at_its_begin_and_its_end() {
        let said = said(|outage| {
            assert_eq!(outage.failed("refused", None), BACKOFF_FIRST);
            assert_eq!(outage.failed("refused", None), BACKOFF_FIRST * 2);
            assert_eq!(outage.failed("busy", Some(Duration::from_secs(9))), Duration::from_secs(9));
            outage.over(7);
            assert_eq!(outage.failed("refused", None), BACKOFF_FIRST);
        });
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[1].contains("7 were dropped meanwhile"), "{said:?}");
    }
}
