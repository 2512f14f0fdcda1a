//! The numbers of `/metrics`, sent to a receiver at an interval, and once more at the end.
//!
//! Names stay as they are printed, as a Collector that scrapes them would have it. Sums are cumulative: one that begins
//! again (a connector that was deleted and made anew) gets a new start time.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1 as proto;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use crate::outage::Outage;
use crate::prometheus_text::{Family, Kind, Labels, Sample, Value, parse};
use crate::span_export::scope;
use crate::transport::{SendError, Transport};

/// Gives what `/metrics` prints.
pub type ReadMetrics = Box<dyn Fn() -> String + Send>;

/// Tells the thread to end.
#[derive(Default)]
pub struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    pub fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// True: it has been stopped.
    fn wait(&self, until: Instant) -> bool {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        while !*stopped {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            stopped = self.changed.wait_timeout(stopped, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *stopped
    }
}

/// Sends until it is stopped. What cannot be sent is not kept: the next message says the same and more.
pub fn run(read: &ReadMetrics, transport: &Transport, resource: &Resource, interval: Duration, stop: &Stop) {
    let mut outage = Outage::new("metrics", transport.shown());
    let mut series = Series::new(now_ns());
    let mut failed = 0;
    loop {
        let stopped = stop.wait(Instant::now() + interval);
        let request = series.request(parse(&read()), resource, now_ns());
        match transport.send(&request.encode_to_vec()) {
            Ok(answer) => {
                outage.over(failed);
                let answer = ExportMetricsServiceResponse::decode(answer.as_slice()).ok();
                if let Some(refused) = answer.and_then(|answer| answer.partial_success)
                    && refused.rejected_data_points > 0
                {
                    outage.refused(&refused.error_message, failed);
                }
            }
            Err(SendError::Definite(message)) => outage.refused(&message, failed),
            Err(SendError::Transient { message, .. }) => {
                failed += 1;
                outage.failed(&message, None);
            }
        }
        if stopped {
            return;
        }
    }
}

/// When each sum that was seen last time began, and what it was.
struct Series {
    process_started_ns: u64,
    known: HashMap<(String, Labels), (u64, f64)>,
    /// When the last message was made.
    last_ns: u64,
}

impl Series {
    fn new(process_started_ns: u64) -> Series {
        Series { process_started_ns, known: HashMap::new(), last_ns: process_started_ns }
    }

    fn request(&mut self, families: Vec<Family>, resource: &Resource, now_ns: u64) -> ExportMetricsServiceRequest {
        let mut seen = HashMap::with_capacity(self.known.len());
        let metrics = families.into_iter().map(|family| self.metric(family, now_ns, &mut seen)).collect();
        self.known = seen;
        self.last_ns = now_ns;
        ExportMetricsServiceRequest {
            resource_metrics: vec![proto::ResourceMetrics {
                resource: Some(resource.clone()),
                scope_metrics: vec![proto::ScopeMetrics { scope: Some(scope()), metrics, schema_url: String::new() }],
                schema_url: String::new(),
            }],
        }
    }

    fn metric(&self, family: Family, now_ns: u64, seen: &mut HashMap<(String, Labels), (u64, f64)>) -> proto::Metric {
        let Family { name, help, kind, samples } = family;
        let unit = unit(&name).to_owned();
        let mut started = |labels: &Labels, value: f64| {
            let key = (name.clone(), labels.clone());
            let start = match self.known.get(&key) {
                Some((start, last)) if value >= *last => *start,
                Some(_) => self.last_ns,
                None => self.process_started_ns,
            };
            seen.insert(key, (start, value));
            start
        };
        let cumulative = proto::AggregationTemporality::Cumulative as i32;
        let data = match kind {
            Kind::Gauge => proto::metric::Data::Gauge(proto::Gauge {
                data_points: samples.into_iter().filter_map(|sample| number(sample, 0, now_ns)).collect(),
            }),
            Kind::Counter => proto::metric::Data::Sum(proto::Sum {
                data_points: samples
                    .into_iter()
                    .filter_map(|sample| {
                        let Value::Number(value) = sample.value else { return None };
                        let start = started(&sample.labels, value);
                        number(sample, start, now_ns)
                    })
                    .collect(),
                aggregation_temporality: cumulative,
                is_monotonic: true,
            }),
            Kind::Histogram => proto::metric::Data::Histogram(proto::Histogram {
                data_points: samples
                    .into_iter()
                    .filter_map(|sample| {
                        let Value::Histogram { buckets, sum, count } = sample.value else { return None };
                        let start = started(&sample.labels, count as f64);
                        Some(histogram(sample.labels, &buckets, sum, count, start, now_ns))
                    })
                    .collect(),
                aggregation_temporality: cumulative,
            }),
        };
        proto::Metric { name, description: help, unit, data: Some(data), ..proto::Metric::default() }
    }
}

fn number(sample: Sample, start_ns: u64, now_ns: u64) -> Option<proto::NumberDataPoint> {
    const WHOLE_MAX: f64 = (1_u64 << 53) as f64;
    let Value::Number(value) = sample.value else { return None };
    let value = match value {
        value if !value.is_finite() => return None,
        value if value.fract() == 0.0 && value.abs() <= WHOLE_MAX => {
            proto::number_data_point::Value::AsInt(value as i64)
        }
        value => proto::number_data_point::Value::AsDouble(value),
    };
    Some(proto::NumberDataPoint {
        attributes: attributes(sample.labels),
        start_time_unix_nano: start_ns,
        time_unix_nano: now_ns,
        value: Some(value),
        ..proto::NumberDataPoint::default()
    })
}

/// `buckets` hold what is at or below each bound; the message's hold what is between two.
fn histogram(
    labels: Labels,
    buckets: &[(f64, u64)],
    sum: f64,
    count: u64,
    start_ns: u64,
    now_ns: u64,
) -> proto::HistogramDataPoint {
    // The atomics behind the text are read one after another: the last bucket may be ahead of the count.
    let count = count.max(buckets.last().map_or(0, |(_, below)| *below));
    let mut before = 0;
    let below = buckets.iter().map(|(_, below)| *below).chain([count]);
    let bucket_counts = below
        .map(|below| {
            let between = below.saturating_sub(before);
            before = before.max(below);
            between
        })
        .collect();
    proto::HistogramDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: start_ns,
        time_unix_nano: now_ns,
        count,
        sum: Some(sum),
        bucket_counts,
        explicit_bounds: buckets.iter().map(|(bound, _)| *bound).collect(),
        ..proto::HistogramDataPoint::default()
    }
}

fn attributes(labels: Labels) -> Vec<KeyValue> {
    let value = |value| Some(AnyValue { value: Some(any_value::Value::StringValue(value)) });
    labels.into_iter().map(|(key, text)| KeyValue { key, value: value(text), ..KeyValue::default() }).collect()
}

/// By the name's ending, as Prometheus' names have it.
fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    match name.rsplit_once('_').map_or("", |(_, last)| last) {
        "seconds" => "s",
        "bytes" => "By",
        "ratio" => "1",
        _ => "",
    }
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(series: &mut Series, value: u64, now_ns: u64) -> u64 {
        let text = format!("# TYPE a_total counter\na_total{{task=\"0\"}} {value}\n");
        let request = series.request(parse(&text), &Resource::default(), now_ns);
        let metric = &request.resource_metrics[0].scope_metrics[0].metrics[0];
        let Some(proto::metric::Data::Sum(sum)) = &metric.data else { panic!("{metric:?}") };
        sum.data_points[0].start_time_unix_nano
    }

    #[test]
    fn a_sum_that_begins_again_starts_where_it_was_last_seen() {
        let mut series = Series::new(100);
        assert_eq!(start(&mut series, 5, 200), 100);
        assert_eq!(start(&mut series, 5, 300), 100);
        assert_eq!(start(&mut series, 2, 400), 300);
        assert_eq!(start(&mut series, 3, 500), 300);
    }

    #[test]
    fn buckets_are_counts_of_their_own() {
        let point = histogram(vec![], &[(0.1, 1), (1.0, 3)], 2.0, 7, 0, 1);
        assert_eq!((point.count, point.bucket_counts), (7, vec![1, 2, 4]));
        assert_eq!(point.explicit_bounds, [0.1, 1.0]);
        assert_eq!(histogram(vec![], &[(0.1, 4)], 2.0, 3, 0, 1).bucket_counts, [4, 0]);
    }

    #[test]
    fn units_follow_names() {
        assert_eq!(unit("a_seconds"), "s");
        assert_eq!(unit("a_bytes_total"), "By");
        assert_eq!(unit("a_total"), "");
    }
}
