//! A receiver that is away or refuses: said once, and once more when it is over.

use std::time::Duration;

const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

pub struct Outage {
    /// `spans` or `metrics`
    what: &'static str,
    url: String,
    away: bool,
    refused: bool,
    backoff: Duration,
    dropped_before: u64,
}

impl Outage {
    pub fn new(what: &'static str, url: String) -> Outage {
        Outage { what, url, away: false, refused: false, backoff: BACKOFF_FIRST, dropped_before: 0 }
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
        }
        self.dropped_before = dropped;
    }

    /// The receiver does not want it, and will not another time.
    pub fn refused(&mut self, message: &str) {
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
