//! The producer against a broker that dies, stops, or loses answers (D1-D5 of the failure matrix): nothing is lost,
//! and a reader of committed records sees nothing twice.

mod support;

use std::time::Duration;

use support::proxy::{END_TXN, Lose, PRODUCE, Proxy};
use support::{PATIENCE, Place, add_partitions, connect, run_as_task};
use walspring_connect::writer::{RecordWriter, Ticket, WriteError};
use walspring_kafka::producer::{Delivery, ProducerConfig};
use walspring_testkit::{Kafka, KafkaOptions, kafka};

fn through(proxy: &Proxy, mut config: ProducerConfig) -> ProducerConfig {
    config.bootstrap_servers = vec![proxy.address.clone()];
    config
}

fn first_broker() -> String {
    kafka().bootstrap().split(',').next().unwrap().to_owned()
}

#[test]
fn a_commit_whose_answer_is_lost_is_neither_repeated_nor_forgotten() {
    let broker = first_broker();
    for version_1 in [false, true] {
        for lose in [Lose::Reply, Lose::Request] {
            let place = Place::new(&broker, "lost-end", 1);
            let proxy = Proxy::start(&broker, END_TXN, lose, 3, 4);
            let config = if version_1 { place.version_1() } else { place.transactional() };
            let mut config = through(&proxy, config);
            if let Delivery::Transactional(transaction) = &mut config.delivery {
                transaction.bytes_max = 1000;
            }
            let producers = run_as_task(&place, &config, 2000, 10);
            assert_eq!(proxy.times_left(), 0);
            assert_eq!(producers, 5, "each lost answer ends a producer");
            place.assert_committed(1, 2000);
            place.assert_stored(2000);
        }
    }
}

#[test]
fn batches_whose_answer_is_lost_are_sent_again_and_written_once() {
    let broker = first_broker();
    for lose in [Lose::Reply, Lose::Request] {
        for transactional in [false, true] {
            let place = Place::new(&broker, "lost-produce", 1);
            let proxy = Proxy::start(&broker, PRODUCE, lose, 5, 10);
            let config = if transactional { place.transactional() } else { place.at_least_once() };
            let (mut producer, heard) = connect(through(&proxy, config));
            for number in 0..300 {
                producer.submit(place.ticket(number + 1, number * 10, number * 10 + 10)).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
            heard.wait_durable(300);
            assert_eq!(proxy.times_left(), 0);
            place.assert_committed(1, 3000);
            assert!(producer.handle().statistics().retries > 0);
        }
    }
}

#[test]
fn a_broker_that_is_killed_again_and_again_costs_nothing_but_time() {
    let kafka = Kafka::start(KafkaOptions::default());
    let place = Place::new(&kafka.bootstrap(), "killed", 1);
    std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            for pause_ms in [700, 300, 1100] {
                std::thread::sleep(Duration::from_millis(pause_ms));
                kafka.kill();
                std::thread::sleep(Duration::from_millis(200));
                kafka.restart();
            }
        });
        let mut total = 0;
        let mut config = place.transactional();
        if let Delivery::Transactional(transaction) = &mut config.delivery {
            transaction.bytes_max = 20_000;
        }
        while !killer.is_finished() || total == 0 {
            total += 20_000;
            run_as_task(&place, &config, total, 20);
        }
        place.assert_committed(1, total);
        place.assert_stored(total);
    });
}

#[test]
fn without_transactions_a_killed_broker_costs_no_duplicate_either_while_the_producer_lives() {
    let kafka = Kafka::start(KafkaOptions::default());
    let place = Place::new(&kafka.bootstrap(), "killed-alo", 1);
    let (mut producer, heard) = connect(place.at_least_once());
    let mut submit = |from: u64| {
        for number in from..from + 500 {
            producer.submit(place.ticket(number + 1, number * 10, number * 10 + 10)).unwrap();
        }
    };
    submit(0);
    kafka.kill();
    submit(500);
    support_status(&mut producer);
    kafka.restart();
    heard.wait_durable(1000);
    place.assert_committed(1, 10_000);
}

fn support_status(producer: &mut walspring_kafka::producer::KafkaProducer) {
    walspring_testkit::wait_for("a status that says so", PATIENCE, || {
        producer.status().starts_with("waiting for Kafka").then_some(())
    });
}

#[test]
fn a_transaction_that_outlives_its_timeout_starts_the_task_again_instead_of_ending_it() {
    let kafka = Kafka::start(
        KafkaOptions::default().property("transaction.abort.timed.out.transaction.cleanup.interval.ms", "200"),
    );
    let place = Place::new(&kafka.bootstrap(), "timeout", 1);
    let mut config = place.transactional();
    if let Delivery::Transactional(transaction) = &mut config.delivery {
        transaction.timeout = Duration::from_secs(1);
    }
    // A partition that does not exist yet holds the transaction open while the other's batch is in it.
    let (mut producer, heard) = connect(config);
    let batches = vec![place.batch(0, 0, 5), place.batch(1, 0, 5)];
    producer.submit(Ticket { number: 1, batches, offset: None }).unwrap();
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!((heard.durable_now(), heard.failure_now().is_none()), (0, true));
    add_partitions(&place.bootstrap, &place.topic, 2);
    let WriteError::Transient(message) = heard.wait_failed() else { panic!("not transient") };
    assert!(message.contains("transaction.timeout.ms"), "{message}");
    let config = place.transactional();
    run_as_task(&place, &config, 100, 10);
    place.assert_committed(1, 100);
    assert_eq!(place.committed(2)[1], Vec::<u64>::new());
}

#[test]
fn a_broker_that_stops_answering_is_given_up_after_the_request_timeout() {
    let kafka = Kafka::start(KafkaOptions::default());
    let place = Place::new(&kafka.bootstrap(), "paused", 1);
    let mut config = place.at_least_once();
    config.request_timeout = Duration::from_secs(1);
    config.connection_setup_timeout = Duration::from_secs(1);
    let (mut producer, heard) = connect(config.clone());
    producer.submit(place.ticket(1, 0, 10)).unwrap();
    heard.wait_durable(1);
    kafka.broker(0).pause();
    producer.submit(place.ticket(2, 10, 20)).unwrap();
    let Err(WriteError::Transient(message)) = producer.flush(Duration::from_secs(6)) else { panic!("flushed") };
    assert!(message.contains("waiting for Kafka"), "{message}");
    kafka.broker(0).resume();
    heard.wait_durable(2);
    place.assert_committed(1, 20);

    config.delivery_timeout = Some(Duration::from_secs(2));
    let (mut producer, heard) = connect(config);
    kafka.broker(0).pause();
    producer.submit(place.ticket(1, 20, 30)).unwrap();
    assert!(matches!(heard.wait_failed(), WriteError::Transient(_)));
    kafka.broker(0).resume();
}

#[test]
fn a_leader_that_dies_is_followed_by_another() {
    let kafka = Kafka::start(
        KafkaOptions::default()
            .brokers(3)
            .property("default.replication.factor", "3")
            .property("transaction.state.log.replication.factor", "3")
            .property("transaction.state.log.min.isr", "2")
            .property("min.insync.replicas", "2"),
    );
    let place = Place::replicated(&kafka.bootstrap(), "leaders", 3, 3);
    let mut config = place.transactional();
    config.bootstrap_servers = kafka.bootstrap().split(',').map(str::to_owned).collect();
    std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            for index in 0..3 {
                std::thread::sleep(Duration::from_millis(800));
                kafka.broker(index).kill();
                std::thread::sleep(Duration::from_millis(1500));
                kafka.broker(index).start();
            }
        });
        let mut records = 0;
        while !killer.is_finished() {
            records += 5_000;
            run_as_task(&place, &config, records, 20);
        }
        place.assert_committed(1, records);
    });
}
