//! A topic that is deleted while it is written: the connector's rules make it again, and the task goes on by itself.

use std::time::Duration;

use walspring_faults::rig::{Delivery, PATIENCE, Setup};
use walspring_faults::stream::{Log, Topic};
use walspring_kafka::admin::Admin;
use walspring_kafka::client_config::keys::Owner;
use walspring_kafka::client_config::{ClientOptions, Properties};
use walspring_testkit::{kafka, postgres, wait_for};

use crate::{assert_good, light, program};

const RULES: [(&str, &str); 3] = [
    ("topic.creation.default.partitions", "1"),
    ("topic.creation.default.replication.factor", "1"),
    ("topic.creation.default.retention.ms", "86400000"),
];

#[test]
fn a_topic_that_is_deleted_while_it_is_written_is_made_again_by_the_rules() {
    let (cluster, server) = (kafka(), postgres(17));
    let bootstrap = cluster.bootstrap();
    let worker: Properties = [("bootstrap.servers".to_owned(), bootstrap.clone())].into();
    let options = ClientOptions::internal(Owner::Admin, &worker).expect("options");
    let admin = Admin::open(&options, "test").expect("an admin client");
    for delivery in [Delivery::ExactlyOnce, Delivery::AtLeastOnce] {
        let mut setup = Setup::new(program(), &server);
        setup.bootstrap = Some(bootstrap.clone());
        setup.delivery = delivery;
        setup.connector = &RULES;
        // A minute, else: brokers that are restarted may not know a topic for a while.
        setup.environment = &[("WALSPRING_LIMIT", "unknown_topic_s:1")];
        let mut rig = setup.rig();
        let mut worker = rig.start();
        rig.wait_streaming();
        let load = rig.load(light(31));
        wait_for("the load", PATIENCE, || (load.committed() > 20).then_some(()));
        load.stop();
        assert_good(&mut rig, 0);

        let name = rig.topics[0].name().to_owned();
        let delete = ["--bootstrap-server", &bootstrap, "--delete", "--topic", &name];
        cluster.tool("org.apache.kafka.tools.TopicCommand", &delete).expect("a topic deleted");
        let known = || admin.partitions(&name, Duration::from_secs(10)).expect("an answer");
        wait_for("the topic to be gone", PATIENCE, || known().is_none().then_some(()));
        // What was read of it stands before what comes into the next of its name.
        let mut again = Topic::new(program().to_owned(), Log::Kafka { bootstrap: bootstrap.clone() }, name.clone());
        again.records = std::mem::take(&mut rig.topics[0].records);
        rig.topics[0] = again;
        let logged = rig.program.log_bytes();
        let load = rig.load(light(32));
        wait_for("the topic to be made again", PATIENCE, known);
        let more = load.committed() + 20;
        wait_for("the load", PATIENCE, || (load.committed() > more).then_some(()));
        load.stop();
        assert_good(&mut rig, 1);
        let log = rig.program.log_since(logged);
        assert!(log.contains(&name) && log.contains("was the topic deleted?"), "{log}");
        let config = admin.topic_config(&name, PATIENCE).expect("settings");
        assert_eq!(config["retention.ms"], "86400000");
        assert!(worker.ended().is_none(), "{log}");
    }
}
