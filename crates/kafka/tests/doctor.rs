//! The doctor on real clusters: one whose worker is fine, and one where much is wrong and little is allowed.

use std::collections::BTreeMap;
use std::time::Duration;

use walspring_doctor::Outcome::{self, Fail, NotApplicable, Pass, Skip, Warn};
use walspring_doctor::Report;
use walspring_kafka::admin::{Admin, NewTopic};
use walspring_kafka::backend::KafkaBackend;
use walspring_kafka::client_config::keys::Owner;
use walspring_kafka::client_config::{ClientOptions, Properties};
use walspring_kafka::doctor::{Examined, checks, examine};
use walspring_testkit::{Kafka, KafkaOptions, Listener, free_port};

#[path = "support/worker.rs"]
mod worker_file;

use worker_file::properties as worker;

const TIMEOUT: Duration = Duration::from_secs(30);

fn report(worker: &Properties, connector: &[(&str, &str)], topics: &[&str]) -> Report {
    let connector: Vec<_> = connector.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
    let examined = Examined { worker, connector: Some(("shop", connector.as_slice())), topics: &topics };
    let report = examine(&examined).unwrap_or_else(|e| panic!("{e}"));
    let ids: Vec<&str> = report.entries().iter().map(|entry| entry.check.id).collect();
    assert_eq!(ids, checks().iter().map(|check| check.id).collect::<Vec<_>>(), "each check once, in its order");
    report
}

#[track_caller]
fn check(report: &Report, expected: &[(&str, Outcome, &str)]) {
    let mut wrong = Vec::new();
    for (id, outcome, words) in expected {
        let finding = report.find(id).unwrap_or_else(|| panic!("there is no check {id}"));
        if finding.outcome != *outcome || !format!("{} {}", finding.message, finding.hint()).contains(words) {
            wrong.push(format!("{id}: wanted {} with {words:?}: {finding:?}", outcome.name()));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn a_worker_that_is_fine_is_told_so() {
    let kafka = walspring_testkit::kafka();
    let worker = worker(&kafka.bootstrap(), &format!("doctor-{}", std::process::id()), &[]);
    let before = report(&worker, &[], &["doctor.nobody.has.made.it"]);
    check(
        &before,
        &[("kafka.config_topic", Pass, "will be made"), ("kafka.topics", Pass, "will be made by the brokers")],
    );
    drop(KafkaBackend::connect(&worker).unwrap_or_else(|error| panic!("{error}")));
    let found = report(&worker, &[], &["doctor.nobody.has.made.it"]);
    check(
        &found,
        &[
            ("kafka.bootstrap", Pass, ""),
            ("kafka.advertised", Pass, ""),
            ("kafka.transport", Pass, "this machine"),
            ("kafka.brokers", Warn, "one that is lost"),
            ("kafka.transactions", Pass, "transaction.version is 2"),
            ("kafka.transaction_timeout", Pass, ""),
            ("kafka.transaction_state", Pass, ""),
            ("kafka.config_topic", Pass, "compacted"),
            ("kafka.offset_topic", Pass, "compacted"),
            ("kafka.status_topic", Pass, "compacted"),
            ("kafka.leaders", Pass, ""),
            ("kafka.min_insync", Pass, ""),
            ("kafka.replication", Warn, "one copy only"),
            // Looking did not make it.
            ("kafka.topics", Pass, "will be made by the brokers"),
            ("kafka.message_size", Pass, ""),
            ("kafka.group", Pass, ""),
            ("kafka.transactional_id", Pass, "-shop-0"),
            ("kafka.topic_rights", Pass, ""),
            ("kafka.create_right", Pass, ""),
        ],
    );
    assert_eq!(found.count(Fail), 0);
}

#[test]
fn what_is_wrong_is_found_and_what_may_not_be_done_is_told() {
    let kafka = Kafka::start(
        KafkaOptions::default()
            .property("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer")
            .property("super.users", "User:ANONYMOUS")
            .property("auto.create.topics.enable", "false")
            .property("unclean.leader.election.enable", "true")
            .property("transaction.max.timeout.ms", "20000")
            .property("message.max.bytes", "500000")
            .listener(Listener::plain("LOGIN", &[("cdc", "canary-Zq81")])),
    );
    let dead = format!("127.0.0.1:{}", free_port());
    let bootstrap = format!("{},{dead}", kafka.bootstrap());
    // Makes the group's and the transactions' topics.
    let fine = worker(
        &kafka.bootstrap(),
        "fine",
        &[("exactly.once.source.support", "enabled"), ("transaction.timeout.ms", "10000")],
    );
    drop(KafkaBackend::connect(&fine).unwrap_or_else(|error| panic!("{error}")));
    let worker = worker(&bootstrap, "odd", &[("status.storage.replication.factor", "3")]);
    let options = ClientOptions::internal(Owner::Admin, &worker).expect("options");
    let admin = Admin::open(&options, "test").expect("a client");
    let make = |name: &str, partitions: i32, config: &[(&str, &str)]| {
        let config: BTreeMap<String, String> = config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let topic = NewTopic { name: name.into(), partitions, replication_factor: 1, config };
        admin.create_topic(&topic, TIMEOUT).expect("made");
    };
    make("odd-configs", 2, &[("cleanup.policy", "compact")]);
    make("odd-offsets", 3, &[("cleanup.policy", "delete")]);
    make("shop.public.there", 1, &[("min.insync.replicas", "2"), ("retention.ms", "60000")]);
    let found = report(&worker, &[], &["shop.public.there", "shop.public.missing"]);
    check(
        &found,
        &[
            ("kafka.bootstrap", Warn, &dead),
            ("kafka.transaction_timeout", Fail, "producer.transaction.timeout.ms=20000"),
            ("kafka.unclean_election", Warn, "unclean.leader.election.enable=false"),
            ("kafka.config_topic", Fail, "2 partitions"),
            ("kafka.offset_topic", Fail, "cleanup.policy=compact"),
            ("kafka.status_topic", Fail, "status.storage.replication.factor=1"),
            ("kafka.min_insync", Fail, "shop.public.there (2 of 1)"),
            ("kafka.topics", Fail, "shop.public.missing"),
            ("kafka.message_size", Warn, "shop.public.there (500000)"),
            ("kafka.retention", Warn, "shop.public.there (60000 ms)"),
        ],
    );
    let rules = [("topic.creation.default.replication.factor", "3"), ("topic.creation.default.partitions", "1")];
    check(&report(&worker, &rules, &["shop.public.missing"]), &[("kafka.topics", Fail, "there are 1 brokers")]);

    // Somebody who may nothing.
    let login =
        "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"cdc\" password=\"canary-Zq81\";";
    let mut nobody = worker.clone();
    nobody.insert("bootstrap.servers".into(), kafka.bootstrap_of("LOGIN"));
    nobody.insert("security.protocol".into(), "SASL_PLAINTEXT".into());
    nobody.insert("sasl.mechanism".into(), "PLAIN".into());
    nobody.insert("sasl.jaas.config".into(), login.into());
    let found = report(&nobody, &[], &["shop.public.there"]);
    check(
        &found,
        &[
            ("kafka.bootstrap", Pass, ""),
            ("kafka.config_topic", Fail, "kafka-acls.sh"),
            ("kafka.unclean_election", Skip, "DescribeConfigs"),
            ("kafka.topics", Fail, "--topic shop.public.there"),
        ],
    );
    let allow = |args: &[&str]| {
        let bootstrap = kafka.bootstrap();
        let base = ["--bootstrap-server", &bootstrap, "--add", "--allow-principal", "User:cdc"];
        kafka.tool("org.apache.kafka.tools.AclCommand", &[&base, args].concat()).expect("allowed");
    };
    allow(&["--operation", "DESCRIBE", "--topic", "*"]);
    let found = report(&nobody, &[], &["shop.public.there"]);
    check(
        &found,
        &[
            ("kafka.topic_rights", Fail, "--operation Write --topic shop.public.there"),
            ("kafka.group", Fail, "--group odd"),
            ("kafka.transactional_id", Fail, "--transactional-id odd-"),
            ("kafka.create_right", Warn, "--operation Create --cluster"),
        ],
    );
    let text = format!("{:#}{}", found.to_json(), found.text(walspring_doctor::Paint::Plain));
    assert!(!text.contains("canary-Zq81"), "a secret is told: {text}");

    nobody.insert("sasl.jaas.config".into(), login.replace("canary-Zq81", "wrong"));
    let found = report(&nobody, &[], &[]);
    check(&found, &[("kafka.bootstrap", Fail, "sasl"), ("kafka.config_topic", Skip, "no broker answered")]);
}

#[test]
fn a_cluster_alone_can_be_looked_at() {
    let kafka = walspring_testkit::kafka();
    let worker = Properties::from([("bootstrap.servers".to_owned(), kafka.bootstrap())]);
    let examined = Examined { worker: &worker, connector: None, topics: &[] };
    let found = examine(&examined).unwrap_or_else(|e| panic!("{e}"));
    check(
        &found,
        &[("kafka.bootstrap", Pass, ""), ("kafka.config_topic", NotApplicable, ""), ("kafka.group", NotApplicable, "")],
    );
}
