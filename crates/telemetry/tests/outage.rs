//! A receiver that is away: records go on, memory stays, the log says it once. Alone in its process: the log of the
//! exporting threads is the process's.

mod support;

use support::{WAIT, identity, processed, read, record, telemetry};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use walspring_connect::Fate;
use walspring_record::Value;
use walspring_testkit::Lines;
use walspring_testkit::otlp::OtlpReceiver;

#[test]
fn what_does_not_fit_while_the_receiver_is_away_is_dropped_and_said() {
    let lines = Lines::default();
    let heard = lines.clone();
    tracing_subscriber::registry()
        .with(fmt::layer().json().flatten_event(true).with_writer(move || heard.clone()))
        .init();
    let receiver = OtlpReceiver::start();
    receiver.refuse(Some(503));
    let telemetry = telemetry(&receiver, &[("OTEL_BSP_MAX_QUEUE_SIZE", "1000")]);
    let observer = telemetry.sink_observer();
    let record = record(7, Value::Null, &[]);
    let batch: Vec<_> = (0..100).map(|_| processed(&record, None, Fate::Dropped)).collect();
    observer.processed(&identity(), &batch);
    receiver.wait_requests(2, WAIT);
    for _ in 0..20 {
        observer.processed(&identity(), &batch);
    }
    // 1,000 wait in the queue, beside what of the first hundred is being sent.
    let dropped = telemetry.spans_dropped();
    assert!((1000..1100).contains(&dropped), "{dropped}");
    receiver.refuse(None);
    let kept = 2100 - usize::try_from(dropped).unwrap();
    receiver.wait_spans("the spans that were kept", WAIT, |spans| (spans.len() == kept).then_some(()));
    let said: Vec<String> = read(&lines).iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect();
    let away = said.iter().filter(|line| line.contains("for now: it answers 503")).count();
    assert_eq!(away, 1, "{said:?}");

    // Refused for good: nothing is kept.
    receiver.refuse(Some(404));
    let before = receiver.requests().len();
    observer.processed(&identity(), &batch);
    receiver.wait_requests(before + 1, WAIT);
    assert!(telemetry.shutdown(WAIT));
    let said: Vec<String> = read(&lines).iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        said.iter().filter(|line| line.contains(&format!("again; {dropped} were dropped"))).count(),
        1,
        "{said:?}"
    );
    assert_eq!(said.iter().filter(|line| line.contains("refused")).count(), 1, "{said:?}");
}
