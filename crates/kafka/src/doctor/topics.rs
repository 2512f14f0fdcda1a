//! The worker's topics and those of events: that they are there, or can be made, and keep what is written.

use std::time::Duration;

use walspring_doctor::Finding;

use super::cluster::{of, of_setting};
use super::facts::{ClusterFacts, Facts, TopicFacts, UNKNOWN_TOPIC};
use super::{KafkaCheck, check, some};
use crate::admin::internal_topics::StoreTopic;

pub const CHECKS: &[KafkaCheck] = &[
    check("kafka.config_topic", "the topic of configurations has one partition, and is compacted", |f| {
        store(f, StoreTopic::Configs)
    }),
    check("kafka.offset_topic", "the topic of offsets is compacted", |f| store(f, StoreTopic::Offsets)),
    check("kafka.status_topic", "the topic of states is compacted", |f| store(f, StoreTopic::Statuses)),
    check("kafka.leaders", "every partition has a leader", leaders),
    check("kafka.min_insync", "one broker may be missing without writing being stopped", min_insync),
    check("kafka.replication", "every topic has copies", replication),
    check("kafka.topics", "topics of events are there, or will be made", topics),
    check("kafka.message_size", "the largest record that is made is taken", message_size),
    check("kafka.retention", "records stay longer than a day", retention),
];

fn store(facts: &Facts, store: StoreTopic) -> Finding {
    let Some((_, name)) = facts.stores.iter().find(|(other, _)| *other == store) else {
        return Finding::not_applicable("no worker is given, or it does not name it");
    };
    of(facts, |cluster| match cluster.topics.get(name) {
        Some(topic) if topic.exists() => existing_store(store, name, topic),
        Some(topic) if topic.error != UNKNOWN_TOPIC => refused(name, topic.error),
        _ => match store.new_topic(name, &facts.worker) {
            Ok(new) => {
                to_be_made(cluster, name, new.replication_factor, &format!("{}replication.factor", store.prefix()))
            }
            Err(e) => Finding::fail(e.to_string()),
        },
    })
}

fn existing_store(store: StoreTopic, name: &str, topic: &TopicFacts) -> Finding {
    if store == StoreTopic::Configs && topic.partitions != 1 {
        return Finding::fail(format!(
            "{name} has {} partitions: configurations would have no order",
            topic.partitions
        ))
        .seen(topic.partitions)
        .wanted(1)
        .setting("config.storage.topic=… (another name, so that it is made anew)");
    }
    match &topic.config {
        Err(_) => Finding::skip(format!("the settings of {name} may not be read")).command(describe_right(name)),
        Ok(config) => match config.get("cleanup.policy").map(String::as_str) {
            Some("compact") | None => Finding::pass(format!("{name} is there, and compacted")),
            Some(policy) => Finding::fail(format!("{name} forgets: cleanup.policy is {policy}"))
                .seen(policy)
                .wanted("compact")
                .command(format!("kafka-configs.sh --bootstrap-server … --alter --entity-type topics --entity-name {name} --add-config cleanup.policy=compact")),
        },
    }
}

fn describe_right(name: &str) -> String {
    format!(
        "kafka-acls.sh --bootstrap-server … --add --allow-principal User:… --operation DescribeConfigs --topic {name}"
    )
}

fn refused(name: &str, error: i16) -> Finding {
    match error {
        29 => Finding::fail(format!("{name} may not be used"))
            .command(format!("kafka-acls.sh --bootstrap-server … --add --allow-principal User:… --operation Read --operation Write --operation Describe --topic {name}")),
        17 => Finding::fail(format!("{name} is no name for a topic")),
        other => Finding::fail(format!("{name} cannot be looked at (Kafka's error {other})")),
    }
}

fn to_be_made(cluster: &ClusterFacts, name: &str, factor: i32, option: &str) -> Finding {
    let count = cluster.brokers.len() as i32;
    if factor > count {
        return Finding::fail(format!("{name} cannot be made with {factor} copies: there are {count} brokers"))
            .seen(count)
            .wanted(format!("{factor} brokers"))
            .setting(format!("{option}={count}"));
    }
    Finding::pass(format!("{name} will be made"))
}

/// Every topic that is there, of ours.
fn existing(cluster: &ClusterFacts) -> impl Iterator<Item = (&String, &TopicFacts)> {
    cluster.topics.iter().filter(|(name, topic)| topic.exists() && !name.starts_with("__"))
}

fn leaders(facts: &Facts) -> Finding {
    of(facts, |cluster| {
        let without: Vec<String> = cluster
            .topics
            .iter()
            .filter(|(_, topic)| topic.leaderless > 0)
            .map(|(name, topic)| format!("{name} ({} partitions)", topic.leaderless))
            .collect();
        if without.is_empty() {
            return Finding::pass("every partition has a leader");
        }
        Finding::fail(format!("no leader: {}", some(&without)))
            .advice("start the brokers that have them; see kafka-topics.sh --describe --unavailable-partitions")
    })
}

fn min_insync(facts: &Facts) -> Finding {
    of(facts, |cluster| {
        let (mut impossible, mut tight) = (Vec::new(), Vec::new());
        for (name, topic) in existing(cluster) {
            let Some(min) = topic.number("min.insync.replicas") else { continue };
            let text = format!("{name} ({min} of {})", topic.replicas);
            if min > topic.replicas as i64 || min > topic.in_sync as i64 {
                impossible.push(text);
            } else if min == topic.replicas as i64 && topic.replicas > 1 {
                tight.push(text);
            }
        }
        let alter = |finding: Finding| {
            finding.command("kafka-configs.sh --bootstrap-server … --alter --entity-type topics --entity-name … --add-config min.insync.replicas=…")
        };
        if !impossible.is_empty() {
            return alter(Finding::fail(format!(
                "nothing is taken: fewer replicas in sync than min.insync.replicas: {}",
                some(&impossible)
            )));
        }
        if !tight.is_empty() {
            return alter(Finding::warn(format!("one broker that is away stops writing: {}", some(&tight))));
        }
        Finding::pass("min.insync.replicas leaves room")
    })
}

fn replication(facts: &Facts) -> Finding {
    of(facts, |cluster| {
        let alone: Vec<&String> =
            existing(cluster).filter(|(_, topic)| topic.replicas < 2).map(|(name, _)| name).collect();
        if alone.is_empty() {
            return Finding::pass("every topic that is there has copies");
        }
        Finding::warn(format!("one copy only: {}", some(&alone)))
            .command("kafka-reassign-partitions.sh, with more replicas; or *.replication.factor before they are made")
    })
}

fn topics(facts: &Facts) -> Finding {
    if facts.data_topics.is_empty() {
        return Finding::not_applicable("no captured tables are known");
    }
    of(facts, |cluster| {
        let state = |name: &&String| {
            cluster.topics.get(*name).map_or(UNKNOWN_TOPIC, |topic| if topic.exists() { 0 } else { topic.error })
        };
        if let Some(name) = facts.data_topics.iter().find(|name| ![0, UNKNOWN_TOPIC].contains(&state(name))) {
            return refused(name, state(&name));
        }
        let missing: Vec<&String> = facts.data_topics.iter().filter(|name| state(name) == UNKNOWN_TOPIC).collect();
        if missing.is_empty() {
            return Finding::pass(format!("all {} are there", facts.data_topics.len()));
        }
        match &facts.rules {
            Err(why) => Finding::fail(why.clone()),
            Ok(Some(rules)) => {
                let made = missing.iter().map(|name| (*name, rules.new_topic(name)));
                let wrong = made.filter_map(|(name, new)| match new {
                    Err(why) => Some(Finding::fail(format!("{name} cannot be made: {why}"))),
                    Ok(new) => Some(to_be_made(
                        cluster,
                        name,
                        new.replication_factor,
                        "topic.creation.default.replication.factor",
                    ))
                    .filter(|f| f.outcome != walspring_doctor::Outcome::Pass),
                });
                wrong
                    .into_iter()
                    .next()
                    .unwrap_or_else(|| Finding::pass(format!("{} will be made by topic.creation.*", missing.len())))
            }
            Ok(None) => of_setting(cluster, "auto.create.topics.enable", |value| match value {
                "false" => Finding::fail(format!("missing, and nobody makes them: {}", some(&missing)))
                    .seen("auto.create.topics.enable=false")
                    .setting("topic.creation.default.replication.factor=-1")
                    .setting("topic.creation.default.partitions=-1")
                    .advice("or make them:")
                    .command(format!("kafka-topics.sh --bootstrap-server … --create --topic {}", missing[0])),
                _ => Finding::pass(format!("{} will be made by the brokers", missing.len())),
            }),
        }
    })
}

fn message_size(facts: &Facts) -> Finding {
    let ours = facts.producer.max_request_size as i64;
    of(facts, |cluster| {
        let small: Vec<String> = existing(cluster)
            .filter(|(name, _)| facts.data_topics.contains(name))
            .filter_map(|(name, topic)| {
                topic.number("max.message.bytes").filter(|max| *max < ours).map(|max| format!("{name} ({max})"))
            })
            .collect();
        let mend = |finding: Finding| {
            finding
                .wanted(format!("{ours} (max.request.size)"))
                .setting(format!("message.max.bytes={ours} (of the brokers, or max.message.bytes of the topics)"))
        };
        if !small.is_empty() {
            return mend(Finding::warn(format!(
                "a record that the producer lets through may be refused by {}",
                some(&small)
            )));
        }
        if existing(cluster).any(|(name, _)| facts.data_topics.contains(name)) {
            return Finding::pass(format!("topics take records of {ours} bytes"));
        }
        of_setting(cluster, "message.max.bytes", |max| match max.parse::<i64>() {
            Ok(max) if max < ours => mend(
                Finding::warn(format!("the brokers take {max} bytes, and the producer lets {ours} through")).seen(max),
            ),
            _ => Finding::pass(format!("the brokers take {max} bytes, the producer lets {ours} through")).seen(max),
        })
    })
}

fn retention(facts: &Facts) -> Finding {
    const LEAST: i64 = Duration::from_secs(86_400).as_millis() as i64;
    of(facts, |cluster| {
        let short: Vec<String> = existing(cluster)
            .filter(|(name, topic)| {
                facts.data_topics.contains(name)
                    && topic
                        .config
                        .as_ref()
                        .is_ok_and(|c| c.get("cleanup.policy").is_some_and(|p| p.contains("delete")))
            })
            .filter_map(|(name, topic)| {
                topic.number("retention.ms").filter(|ms| (0..LEAST).contains(ms)).map(|ms| format!("{name} ({ms} ms)"))
            })
            .collect();
        if short.is_empty() {
            return Finding::pass("no topic of events forgets within a day");
        }
        Finding::warn(format!("a consumer that is away for a day misses events: {}", some(&short)))
            .command("kafka-configs.sh --bootstrap-server … --alter --entity-type topics --entity-name … --add-config retention.ms=604800000")
    })
}
