//! The producer against a cluster that holds it back, moves its coordinator, or has no room left: it waits or goes on,
//! and what it wrote stands there once.

mod support;

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use support::proxy::{END_TXN, Lose, Proxy};
use support::{PATIENCE, Place, connect, run_as_task};
use walspring_connect::StoreError;
use walspring_connect::writer::{RecordWriter, Ticket};
use walspring_kafka::producer::Delivery;
use walspring_testkit::{Kafka, KafkaOptions, wait_for};

/// In bytes a second, and how much goes at once before it counts: two windows of a second.
const QUOTA: u64 = 400_000;

#[test]
fn a_client_over_its_quota_waits_instead_of_timing_out() {
    let kafka = Kafka::start(KafkaOptions::default().property("quota.window.num", "2"));
    let quota = format!("producer_byte_rate={QUOTA}");
    let alter = ["--bootstrap-server", &kafka.bootstrap(), "--alter", "--add-config", &quota];
    let all_clients = ["--entity-type", "clients", "--entity-default"];
    kafka.tool("kafka.admin.ConfigCommand", &[alter.as_slice(), &all_clients].concat()).unwrap();
    for transactional in [false, true] {
        let place = Place::new(&kafka.bootstrap(), "quota", 1);
        let mut config = if transactional { place.transactional() } else { place.at_least_once() };
        // A batch a request, each of which costs more than a second of the quota.
        config.max_request_size = 600_000;
        config.request_timeout = Duration::from_secs(10);
        let (mut producer, heard) = connect(config);
        let begun = Instant::now();
        for number in 0..8 {
            producer.submit(large_ticket(&place, number)).unwrap();
        }
        heard.wait_durable(8);
        let (took, statistics) = (begun.elapsed(), producer.handle().statistics());
        assert!(statistics.throttled_nanos > 0, "the broker did not hold it back: {took:?}");
        assert!(took > Duration::from_secs(3), "4 MB at {QUOTA} bytes a second took {took:?}");
        assert_eq!(statistics.retries, 0);
        place.assert_committed(1, 8);
    }
}

/// One record of half a megabyte.
fn large_ticket(place: &Place, number: u64) -> Ticket {
    let mut builder = walspring_record_batch::RecordBatchBuilder::new(600_000);
    // Only the number counts for a reader: leading zeros fill the rest.
    let value = "0".repeat(500_000) + &number.to_string();
    let headers = walspring_record_batch::EncodedHeaders::new();
    builder.append(support::now_ms(), Some(b"key"), Some(value.as_bytes()), &headers);
    let (bytes, records) = builder.finish();
    let batch = walspring_connect::writer::EncodedBatch { topic: place.topic.clone(), partition: 0, records, bytes };
    Ticket { number: number + 1, batches: vec![batch], offset: Some(support::offset(number + 1)) }
}

#[test]
fn a_coordinator_that_moves_is_followed() {
    let kafka = Kafka::start(KafkaOptions::default().brokers(3));
    let place = Place::replicated(&kafka.bootstrap(), "moved", 1, 3);
    let mut config = place.transactional();
    config.bootstrap_servers = kafka.bootstrap().split(',').map(str::to_owned).collect();
    if let Delivery::Transactional(transaction) = &mut config.delivery {
        transaction.bytes_max = 10_000;
    }
    run_as_task(&place, &config, 100, 10);
    let partition = coordinator_partition(&place.transactional_id);
    let coordinator = || leader(&place.bootstrap, "__transaction_state", partition);
    let mut total = 100;

    // In order: the old one answers that it is not the coordinator any more. The producer lives on.
    let old = coordinator();
    let new = old % 3 + 1;
    std::thread::scope(|scope| {
        let moving = scope.spawn(|| move_leader(&kafka, partition, new));
        while !moving.is_finished() {
            total += 2_000;
            assert_eq!(run_as_task(&place, &config, total, 10), 1, "a move in order ends no producer");
        }
    });
    assert_eq!(coordinator(), new);

    // Killed in the middle.
    let old = coordinator();
    std::thread::scope(|scope| {
        let broker = kafka.broker(old as usize - 1);
        let killing = scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            broker.kill();
            wait_for("another coordinator", PATIENCE, || (coordinator() != old).then_some(()));
        });
        while !killing.is_finished() {
            total += 2_000;
            run_as_task(&place, &config, total, 10);
        }
        broker.start();
    });
    place.assert_committed(1, total);
    place.assert_stored(total);

    markers_of_partitions_without_a_leader(&kafka);
}

/// The broker of all of a transaction's partitions is away while it is committed. The coordinator, on another one, takes
/// them for deleted and the transaction for ended (KAFKA-20734): the next producer writes the markers.
fn markers_of_partitions_without_a_leader(kafka: &Kafka) {
    let on = |node: i32| kafka.broker(node as usize - 1);
    let bootstrap = kafka.bootstrap();
    let coordinator = |id: &str| leader(&bootstrap, "__transaction_state", coordinator_partition(id));
    let place = Place::on_broker(&bootstrap, "no-leader", |id| coordinator(id) % 3 + 1);
    let coordinator = coordinator(&place.transactional_id);
    let node = coordinator % 3 + 1;

    let proxy = Proxy::start(&bootstrap, END_TXN, Lose::Time, 1, 1);
    let mut config = place.transactional();
    config.bootstrap_servers = proxy.address.split(',').map(str::to_owned).collect();
    let (mut producer, heard) = connect(config);
    producer.submit(place.ticket(1, 0, 10)).unwrap();
    proxy.wait_held();
    on(node).pause();
    let asked = format!("127.0.0.1:{}", on(coordinator).port("PLAINTEXT"));
    wait_for("a partition without a leader", PATIENCE, || {
        let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &asked).create().unwrap();
        let metadata = client.fetch_metadata(Some(&place.topic), Duration::from_secs(5)).ok()?;
        (metadata.topics().first()?.partitions().first()?.leader() < 0).then_some(())
    });
    proxy.let_go();
    assert!(heard.wait_durable(1), "with its offset");
    on(node).resume();
    drop(producer);
    assert_eq!(leader(&place.bootstrap, &place.topic, 0), node);
    assert!(place.committed(1)[0].is_empty(), "markers are no longer lost: this can go, with what writes them");

    let mut config = place.transactional();
    config.bootstrap_servers = bootstrap.split(',').map(str::to_owned).collect();
    let (producer, _) = connect(config.clone());
    drop(producer);
    assert_eq!(place.settled_offset().unwrap(), Some(10));
    place.assert_committed(1, 10);
    assert_eq!(run_as_task(&place, &config, 30, 10), 1);
    place.assert_committed(1, 30);
}

/// As brokers choose it, of the four partitions that the testkit's brokers have.
fn coordinator_partition(transactional_id: &str) -> i32 {
    let hash = transactional_id.encode_utf16().fold(0i32, |h, c| h.wrapping_mul(31).wrapping_add(i32::from(c)));
    hash.checked_abs().unwrap_or(0) % 4
}

fn leader(bootstrap: &str, topic: &str, partition: i32) -> i32 {
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    wait_for("a leader", PATIENCE, || {
        let metadata = client.fetch_metadata(Some(topic), Duration::from_secs(5)).ok()?;
        let found = metadata.topics().first()?.partitions().iter().find(|p| p.id() == partition)?;
        (found.leader() > 0).then_some(found.leader())
    })
}

fn move_leader(kafka: &Kafka, partition: i32, to: i32) {
    let topic = "__transaction_state";
    let replicas = [to, to % 3 + 1, (to + 1) % 3 + 1];
    let plan = serde_json::json!({
        "version": 1, "partitions": [{"topic": topic, "partition": partition, "replicas": replicas}]
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), plan.to_string()).unwrap();
    let (bootstrap, number) = (kafka.bootstrap(), partition.to_string());
    let server = ["--bootstrap-server", &bootstrap];
    let plan = ["--reassignment-json-file", file.path().to_str().unwrap(), "--execute"];
    let reassign = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand";
    kafka.tool(reassign, &[server.as_slice(), &plan].concat()).unwrap();
    let which = ["--election-type", "preferred", "--topic", topic, "--partition", &number];
    // Right after the first, the order may not be known yet, and the old leader is still the preferred one.
    wait_for("the move", PATIENCE, || {
        kafka.tool("org.apache.kafka.tools.LeaderElectionCommand", &[server.as_slice(), &which].concat()).unwrap();
        (leader(&bootstrap, topic, partition) == to).then_some(())
    });
}

#[test]
fn a_broker_whose_disk_is_full_is_waited_for() {
    let kafka = Kafka::start(KafkaOptions::default());
    let place = Place::new(&kafka.bootstrap(), "full", 1);
    let mut config = place.at_least_once();
    config.buffer_bytes = 1 << 20;
    let (mut producer, heard) = connect(config);
    producer.submit(place.ticket(1, 0, 10)).unwrap();
    heard.wait_durable(1);
    kafka.broker(0).fill_disk();
    let handle = producer.handle();
    std::thread::scope(|scope| {
        // More than the buffer holds: it waits for room.
        let submitting = scope.spawn(|| {
            for number in 1..1000 {
                producer.submit(place.ticket(number + 1, number * 10, number * 10 + 10)).unwrap();
            }
        });
        wait_for("the broker's end", PATIENCE, || (!kafka.broker(0).is_running()).then_some(()));
        wait_for("a status that says so", PATIENCE, || handle.status().starts_with("waiting for Kafka").then_some(()));
        assert!(heard.failure_now().is_none() && !submitting.is_finished());
        kafka.broker(0).start();
    });
    heard.wait_durable(1000);
    place.assert_committed(1, 10_000);

    let place = Place::new(&kafka.bootstrap(), "full-eos", 1);
    let mut config = place.transactional();
    if let Delivery::Transactional(transaction) = &mut config.delivery {
        transaction.bytes_max = 20_000;
    }
    run_as_task(&place, &config, 1000, 10);
    place.assert_stored(1000);
    std::thread::scope(|scope| {
        let filling = scope.spawn(|| {
            kafka.broker(0).fill_disk();
            wait_for("the broker's end", PATIENCE, || (!kafka.broker(0).is_running()).then_some(()));
            kafka.broker(0).start();
        });
        let mut total = 1000;
        while !filling.is_finished() {
            total += 5_000;
            run_as_task(&place, &config, total, 10);
        }
        place.assert_committed(1, total);
        place.assert_stored(total);
    });
}

/// The disk is full between a commit and its markers. A broker has been seen to come back without them and to take the
/// transaction for ended (docs/testing.md): it grants a producer, and the partitions would have the transaction open for good.
#[test]
fn a_transaction_whose_markers_are_lost_is_not_sent_twice() {
    let kafka = Kafka::start(KafkaOptions::default());
    let place = Place::new(&kafka.bootstrap(), "lost-markers", 1);
    let mut config = place.transactional();
    if let Delivery::Transactional(transaction) = &mut config.delivery {
        transaction.bytes_max = 20_000;
    }
    run_as_task(&place, &config, 1000, 10);
    kafka.broker(0).fill_disk();
    // What the broker writes by itself, markers among it, shows it that the disk is full.
    wait_for("the broker's end", PATIENCE, || (!kafka.broker(0).is_running()).then_some(()));
    kafka.broker(0).start();
    // Each start writes what it finds lost; where a partition has no leader yet, the next one does.
    let started = wait_for("the stored offset", PATIENCE, || {
        let (producer, _) = connect(config.clone());
        drop(producer);
        match place.settled_offset() {
            Err(StoreError::Transient(_)) => None,
            settled => Some(settled.unwrap()),
        }
    });
    assert_eq!(started, Some(1000));
    run_as_task(&place, &config, 2000, 10);
    place.assert_stored(2000);
    place.assert_committed(1, 2000);
}
