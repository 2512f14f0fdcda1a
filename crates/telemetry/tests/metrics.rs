//! The numbers of `/metrics`, as a receiver of OTLP gets them.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use support::{WAIT, telemetry};
use walspring_testkit::otlp::{MetricData, OtlpReceiver};

#[test]
fn what_is_scraped_is_what_is_exported() {
    let receiver = OtlpReceiver::start();
    let mut telemetry =
        telemetry(&receiver, &[("OTEL_METRIC_EXPORT_INTERVAL", "20"), ("OTEL_TRACES_EXPORTER", "none")]);
    let count = Arc::new(AtomicU64::new(3));
    let read = count.clone();
    telemetry.export_metrics(move || {
        let count = read.load(Ordering::Relaxed);
        format!(
            "# HELP x_records_total Records.\n# TYPE x_records_total counter\nx_records_total{{connector=\"c\"}} {count}\n\
             # TYPE x_lag gauge\nx_lag{{partition=\"0\"}} 1.5\nx_lag{{partition=\"1\"}} NaN\n\
             # TYPE x_duration_seconds histogram\nx_duration_seconds_bucket{{connector=\"c\",le=\"0.01\"}} 2\n\
             x_duration_seconds_bucket{{connector=\"c\",le=\"+Inf\"}} 5\nx_duration_seconds_sum{{connector=\"c\"}} 2.5\n\
             x_duration_seconds_count{{connector=\"c\"}} 5\n"
        )
    });
    let labels = [("connector", "c")];
    receiver.wait_metrics("the first number", WAIT, |metrics| {
        metrics.iter().find(|metric| metric.name == "x_records_total" && metric.number(&labels) == Some(3.0)).map(drop)
    });
    count.store(10, Ordering::Relaxed);
    let metrics = receiver.wait_metrics("the second number", WAIT, |metrics| {
        let found = metrics.iter().any(|metric| metric.number(&labels) == Some(10.0));
        found.then(|| metrics.to_vec())
    });
    let last = |name: &str| metrics.iter().rfind(|metric| metric.name == name).unwrap();
    let records = last("x_records_total");
    assert_eq!((records.description.as_str(), records.unit.as_str()), ("Records.", ""));
    let MetricData::Sum(sum) = &records.data else { panic!("{records:?}") };
    // 2: cumulative.
    assert_eq!((sum.is_monotonic, sum.aggregation_temporality), (true, 2));
    assert!(sum.data_points[0].start_time_unix_nano <= sum.data_points[0].time_unix_nano);
    assert_eq!(last("x_lag").number(&[("partition", "0")]), Some(1.5));
    assert_eq!(last("x_lag").number(&[("partition", "1")]), None);
    let duration = last("x_duration_seconds");
    assert_eq!(duration.unit, "s");
    let point = duration.histogram(&labels).unwrap();
    assert_eq!((point.count, point.sum, point.bucket_counts.as_slice()), (5, Some(2.5), &[2, 3][..]));
    assert_eq!(point.explicit_bounds, [0.01]);
    assert_eq!(duration.resource.get("service.name"), Some(&"walspring".into()));

    // Once more at the end.
    count.store(11, Ordering::Relaxed);
    assert!(telemetry.shutdown(WAIT));
    assert!(receiver.metrics().iter().any(|metric| metric.number(&labels) == Some(11.0)));
    assert_eq!(receiver.complaints(), Vec::<String>::new());
}
