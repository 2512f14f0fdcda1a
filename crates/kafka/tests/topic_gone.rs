//! A topic that goes away while it is written, or may not be written any more: an error that names it, and what Connect's
//! workers do: a topic that is gone is made again when the task starts again, a right that is gone fails the task.

mod support;

use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use support::{PATIENCE, Place, connect, unique};
use walspring_connect::writer::{RecordWriter, WriteError};
use walspring_connect::{Backend, WriterRequest};
use walspring_kafka::backend::KafkaBackend;
use walspring_kafka::producer::{Delivery, KafkaProducer, ProducerConfig};
use walspring_kafka::sasl::SaslConfig;
use walspring_testkit::{Kafka, KafkaOptions, Listener, wait_for};

fn delete(place: &Place) {
    let admin: AdminClient<_> = ClientConfig::new().set("bootstrap.servers", &place.bootstrap).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    runtime.block_on(admin.delete_topics(&[&place.topic], &options)).unwrap().remove(0).unwrap();
}

/// Writes until the producer fails, from the number on: why it failed.
fn until_it_fails(producer: &mut KafkaProducer, heard: &support::Heard, place: &Place, first: u64) -> WriteError {
    let mut number = first;
    wait_for("the error", PATIENCE, || {
        if heard.failure_now().is_none() && number < first + 100 {
            let _ = producer.submit(place.ticket(number, (number - 1) * 10, number * 10));
            producer.idle();
            number += 1;
        }
        std::thread::sleep(Duration::from_millis(50));
        heard.failure_now()
    })
}

fn deleted(cluster: &Kafka, config: impl Fn(&Place) -> ProducerConfig) {
    let place = Place::new(&cluster.bootstrap(), "gone", 1);
    let config = ProducerConfig { unknown_topic_timeout: Duration::from_secs(1), ..config(&place) };
    let (mut producer, heard) = connect(config.clone());
    assert_eq!(producer.topic(&place.topic).unwrap().partitions, 1);
    producer.submit(place.ticket(1, 0, 10)).unwrap();
    producer.idle();
    heard.wait_durable(1);
    delete(&place);
    let error = until_it_fails(&mut producer, &heard, &place, 2);
    let WriteError::Transient(reason) = &error else { panic!("{error}") };
    assert!(reason.contains(&*place.topic), "{reason}");
    let durable = heard.durable_now();
    drop(producer);
    // The task starts again: it asks for the topic, as for each that it has not written yet, and goes on.
    let (mut producer, heard) = connect(config);
    let stored = if place.stored_offset().is_some() { place.stored_offset().unwrap() / 10 } else { durable };
    assert_eq!(producer.topic(&place.topic).unwrap().partitions, 1);
    producer.submit(place.ticket(stored + 1, stored * 10, stored * 10 + 10)).unwrap();
    producer.idle();
    heard.wait_durable(stored + 1);
    let committed = place.committed(1).remove(0);
    assert_eq!(committed, (stored * 10..stored * 10 + 10).collect::<Vec<_>>());
}

#[test]
fn a_topic_that_is_deleted_while_it_is_written_and_a_right_that_is_revoked() {
    let login = ("writer", "w");
    let cluster = Kafka::start(
        KafkaOptions::default()
            .property("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer")
            .property("super.users", "User:ANONYMOUS")
            .property("allow.everyone.if.no.acl.found", "true")
            .listener(Listener::plain("LOGIN", &[login])),
    );
    deleted(&cluster, Place::transactional);
    deleted(&cluster, Place::at_least_once);

    let place = Place::new(&cluster.bootstrap(), &unique("rights"), 1);
    let security = || walspring_kafka::producer::Security {
        tls: None,
        sasl: Some(SaslConfig::Plain { username: login.0.into(), password: login.1.into() }),
    };
    let server = cluster.bootstrap_of("LOGIN");
    let with = |delivery| ProducerConfig { security: security(), ..ProducerConfig::new([&server], delivery) };
    let producers = [with(place.transactional().delivery), with(Delivery::AtLeastOnce)];
    let mut running: Vec<_> = producers
        .into_iter()
        .map(|config| {
            let (mut producer, heard) = connect(config);
            producer.submit(place.ticket(1, 0, 10)).unwrap();
            producer.idle();
            heard.wait_durable(1);
            (producer, heard)
        })
        .collect();
    let denied = ["--add", "--deny-principal", "User:writer", "--operation", "WRITE", "--topic", &place.topic];
    let server = ["--bootstrap-server", &place.bootstrap];
    cluster.tool("org.apache.kafka.tools.AclCommand", &[&server[..], &denied].concat()).unwrap();
    for (producer, heard) in &mut running {
        let error = until_it_fails(producer, heard, &place, 2);
        let WriteError::Definite(reason) = &error else { panic!("{error}") };
        assert!(reason.contains(&*place.topic) && reason.contains("grant this principal Write"), "{reason}");
    }

    may_not_be_made(&cluster, login, with(Delivery::AtLeastOnce));
}

/// A topic that is not there, and that nobody lets us make: by our rules, and by asking the brokers.
fn may_not_be_made(cluster: &Kafka, login: (&str, &str), without_rules: ProducerConfig) {
    let name = unique("refused");
    let jaas = format!(
        "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"{}\" password=\"{}\";",
        login.0, login.1
    );
    let options =
        [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "PLAIN"), ("sasl.jaas.config", jaas.as_str())];
    let clients = ["", "producer.", "admin."].map(|owner| options.map(|(key, value)| (format!("{owner}{key}"), value)));
    let clients: Vec<_> = clients.as_flattened().iter().map(|(key, value)| (key.as_str(), *value)).collect();
    let worker = support::worker::properties(&cluster.bootstrap_of("LOGIN"), &unique("group"), &clients);
    let backend = KafkaBackend::connect(&worker).unwrap_or_else(|error| panic!("{error}"));
    let rules = ["partitions", "replication.factor"].map(|key| (format!("topic.creation.default.{key}"), "1".into()));
    let request = WriterRequest { connector: "c".into(), task: 0, config: rules.into(), offsets_topic: None };
    let mut by_rules =
        backend.writer(request, Arc::<support::Heard>::default()).unwrap_or_else(|error| panic!("{error}"));
    let (mut by_asking, _) = connect(without_rules);
    // Whoever may do something here is named; nothing else may be done.
    let described =
        ["--add", "--allow-principal", "User:writer", "--operation", "DESCRIBE", "--cluster", "--topic", &name];
    let server = ["--bootstrap-server", &cluster.bootstrap()];
    cluster.tool("org.apache.kafka.tools.AclCommand", &[&server[..], &described].concat()).unwrap();
    for refused in [by_rules.topic(&name), by_asking.topic(&name)] {
        let Err(WriteError::Definite(reason)) = &refused else { panic!("{refused:?}") };
        assert!(reason.contains(&name) && reason.contains("Create"), "{reason}");
    }
}
