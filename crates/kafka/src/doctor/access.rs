//! What we may do, as far as a cluster tells without being tried.

use walspring_doctor::Finding;

use super::cluster::of;
use super::facts::{CREATE, DESCRIBE, Facts, OFFSETS_TOPIC, READ, TRANSACTIONS_TOPIC, UNKNOWN_TOPIC, WRITE};
use super::{KafkaCheck, check, some};

pub const CHECKS: &[KafkaCheck] = &[
    check("kafka.group", "the worker may use its group", group),
    check("kafka.transactional_id", "the transactional id may be used", transactional_id),
    check("kafka.topic_rights", "topics may be read and written, as each needs", topic_rights),
    check("kafka.create_right", "topics that are missing may be made", create_right),
];

const GRANT: &str = "kafka-acls.sh --bootstrap-server … --add --allow-principal User:…";

fn group(facts: &Facts) -> Finding {
    let Some(group) = &facts.group else { return Finding::not_applicable("no worker is given") };
    of(facts, |cluster| match cluster.group_error {
        None => Finding::not_applicable(format!(
            "{OFFSETS_TOPIC} is not there yet: nothing was asked, so that it is not made"
        )),
        Some(0) => Finding::pass(format!("{group} has its coordinator")),
        Some(30) => Finding::fail(format!("the group {group} may not be used"))
            .command(format!("{GRANT} --operation Read --operation Describe --group {group}")),
        Some(error) => Finding::warn(format!("the group {group} has no coordinator now (Kafka's error {error})")),
    })
}

fn transactional_id(facts: &Facts) -> Finding {
    let Some(transaction) = &facts.transaction else { return Finding::not_applicable("no transactions are used") };
    let (id, group) = (&transaction.transactional_id, facts.group.as_deref().unwrap_or_default());
    of(facts, |cluster| {
        match cluster.transaction_error {
        None => Finding::not_applicable(format!("{TRANSACTIONS_TOPIC} is not there yet: nothing was asked, so that it is not made")),
        Some(0) => Finding::pass(format!("{id} has its coordinator")),
        Some(53) => Finding::fail(format!("the transactional id {id} may not be used"))
            .command(format!("{GRANT} --operation Write --operation Describe --transactional-id connect-cluster-{group}"))
            .command(format!("{GRANT} --operation Write --operation Describe --transactional-id {group}- --resource-pattern-type prefixed")),
        Some(error) => Finding::warn(format!("{id} has no coordinator now (Kafka's error {error})")),
    }
    })
}

fn topic_rights(facts: &Facts) -> Finding {
    of(facts, |cluster| {
        let mut lacking = Vec::new();
        let mut told = false;
        let stores = facts.stores.iter().map(|(_, name)| (name, READ | WRITE | DESCRIBE));
        let data = facts.data_topics.iter().map(|name| (name, WRITE | DESCRIBE));
        for (name, needed) in stores.chain(data) {
            let Some(topic) = cluster.topics.get(name).filter(|topic| topic.exists()) else { continue };
            let Some(rights) = topic.rights else { continue };
            told = true;
            let missing: Vec<&str> = [(READ, "Read"), (WRITE, "Write"), (DESCRIBE, "Describe")]
                .into_iter()
                .filter(|(bit, _)| needed & bit != 0 && rights & bit == 0)
                .map(|(_, name)| name)
                .collect();
            if !missing.is_empty() {
                lacking.push((name, missing));
            }
        }
        if lacking.is_empty() {
            return match told {
                true => Finding::pass("the topics that are there may be used"),
                false => Finding::not_applicable("no topic of ours is there yet"),
            };
        }
        let names: Vec<String> =
            lacking.iter().map(|(name, missing)| format!("{name} ({})", missing.join(", "))).collect();
        let commands = lacking.iter().map(|(name, missing)| {
            let operations: Vec<String> = missing.iter().map(|right| format!("--operation {right}")).collect();
            format!("{GRANT} {} --topic {name}", operations.join(" "))
        });
        commands.fold(Finding::fail(format!("rights are missing: {}", some(&names))), Finding::command)
    })
}

fn create_right(facts: &Facts) -> Finding {
    of(facts, |cluster| {
        let names = facts.stores.iter().map(|(_, name)| name).chain(&facts.data_topics);
        let missing: Vec<&String> =
            names.filter(|name| cluster.topics.get(*name).is_none_or(|topic| topic.error == UNKNOWN_TOPIC)).collect();
        match (missing.is_empty(), cluster.rights) {
            (true, _) => Finding::not_applicable("no topic has to be made"),
            (_, None) => Finding::skip("the cluster does not say what we may do with it"),
            (_, Some(rights)) if rights & CREATE != 0 => Finding::pass("we may make topics"),
            // A right to make topics of a prefix does not show here.
            (_, Some(_)) => Finding::warn(format!("we may perhaps not make {}", some(&missing)))
                .command(format!("{GRANT} --operation Create --cluster"))
                .advice("unless there is a right to make topics of these names already"),
        }
    })
}
