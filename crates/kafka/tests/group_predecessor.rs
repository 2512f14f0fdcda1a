//! What a worker that was killed leaves in a group does not keep its successor waiting.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use walspring_connect::{Backend, Consumed, ConsumerRequest, StopToken, Topics};
use walspring_kafka::admin::{Admin, NewTopic};
use walspring_kafka::backend::KafkaBackend;
use walspring_kafka::client_config::keys::Owner;
use walspring_kafka::client_config::{ClientOptions, Properties};
use walspring_testkit::{kafka, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);
/// Of the dead member: far beyond the test's patience.
const SESSION_MS: &str = "300000";

#[test]
fn a_dead_member_of_the_same_task_makes_room_at_once() {
    let bootstrap = kafka().bootstrap();
    let name = format!("predecessor-{}", std::process::id());
    let mut worker: Properties = Properties::new();
    for (key, value) in
        [("bootstrap.servers", bootstrap.as_str()), ("group.id", &name), ("exactly.once.source.support", "disabled")]
    {
        worker.insert(key.into(), value.into());
    }
    for topic in ["config", "offset", "status"] {
        worker.insert(format!("{topic}.storage.topic"), format!("{name}-{topic}"));
        worker.insert(format!("{topic}.storage.replication.factor"), "1".into());
    }
    let backend = KafkaBackend::connect(&worker).unwrap_or_else(|error| panic!("{error}"));
    let admin = Admin::open(&ClientOptions::internal(Owner::Admin, &worker).unwrap(), "test").unwrap();
    let topic = NewTopic { name: name.clone(), partitions: 2, replication_factor: 1, config: Default::default() };
    admin.create_topic(&topic, PATIENCE).unwrap();

    let member = |client_id: &str| -> BaseConsumer {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &bootstrap)
            .set("group.id", format!("connect-{name}"))
            .set("client.id", client_id)
            .set("session.timeout.ms", SESSION_MS)
            .set("max.poll.interval.ms", SESSION_MS)
            .set("partition.assignment.strategy", "range")
            .create()
            .unwrap();
        consumer.subscribe(&[&name]).unwrap();
        wait_for("its partitions", PATIENCE, || {
            let _ = consumer.poll(Duration::from_millis(50));
            (consumer.assignment().unwrap().count() > 0).then_some(())
        });
        consumer
    };
    // It holds both partitions, and is not heard of any more.
    let dead = member(&format!("connector-consumer-{name}-0"));
    let begun = Instant::now();
    let request = ConsumerRequest {
        connector: name.clone(),
        task: 0,
        group: format!("connect-{name}"),
        topics: Topics::Named(vec![name.clone()]),
        config: Vec::new(),
        stop: StopToken::default(),
    };
    let mut consumer = backend.consumer(request).unwrap();
    let mut records = Vec::new();
    let partitions = wait_for("the partitions", PATIENCE, || {
        match consumer.poll(&mut records, 10, Duration::from_millis(100)).unwrap() {
            Consumed::Assigned(partitions) => Some(partitions),
            _ => None,
        }
    });
    assert_eq!(partitions.len(), 2);
    assert!(begun.elapsed() < PATIENCE);
    consumer.close();
    drop(dead);
}
