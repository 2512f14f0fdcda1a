//! The cluster as such: that it is reached, as it says it can be, and what it can do.

use walspring_doctor::Finding;

use super::facts::{ClusterFacts, Facts};
use super::{KafkaCheck, check, some};

pub const CHECKS: &[KafkaCheck] = &[
    check(BOOTSTRAP, "the bootstrap servers answer", bootstrap),
    check("kafka.advertised", "every broker answers where it says that it is", advertised),
    check(TRANSPORT, "the connection is encrypted, or does not leave the machine", transport),
    check(OPTIONS, "every client option has an effect", options),
    check("kafka.brokers", "there are brokers enough for copies", brokers),
    check("kafka.transactions", "the cluster has transactions, in their second version", transactions),
    check("kafka.transaction_timeout", "transactions may last as long as ours", transaction_timeout),
    check("kafka.transaction_state", "the state of transactions has copies", transaction_state),
    check("kafka.unclean_election", "no replica that lacks records becomes a leader", unclean_election),
];

const BOOTSTRAP: &str = "kafka.bootstrap";
const TRANSPORT: &str = "kafka.transport";
const OPTIONS: &str = "kafka.options";
/// Those that say something when nobody has answered.
pub const WITHOUT_ANSWER: [&str; 3] = [BOOTSTRAP, TRANSPORT, OPTIONS];

/// With what the cluster says.
pub fn of(facts: &Facts, judge: impl FnOnce(&ClusterFacts) -> Finding) -> Finding {
    facts.cluster.as_ref().map_or_else(|| Finding::skip("no broker answered"), judge)
}

/// A setting of the brokers; without the right to read them, who grants it.
pub fn of_setting(cluster: &ClusterFacts, name: &str, judge: impl FnOnce(&str) -> Finding) -> Finding {
    match &cluster.config {
        Ok(config) => match config.get(name) {
            Some(value) => judge(value),
            None => Finding::not_applicable(format!("the brokers have no {name}")),
        },
        Err(_) => Finding::skip("the brokers' settings may not be read")
            .command("kafka-acls --add --allow-principal User:… --operation DescribeConfigs --cluster"),
    }
}

fn bootstrap(facts: &Facts) -> Finding {
    let failed: Vec<String> =
        facts.bootstrap.iter().filter_map(|(at, answer)| answer.as_ref().err().map(|e| format!("{at}: {e}"))).collect();
    if failed.is_empty() {
        return Finding::pass(format!("{} answered", facts.bootstrap.len()));
    }
    let message = format!("no answer from {}", some(&failed));
    let finding = if facts.cluster.is_some() { Finding::warn(message) } else { Finding::fail(message) };
    finding
        .setting("bootstrap.servers=… (brokers that are there)")
        .advice("a login or TLS that is refused: security.protocol, sasl.*, ssl.*")
}

fn advertised(facts: &Facts) -> Finding {
    of(facts, |cluster| {
        let failed: Vec<String> = cluster
            .brokers
            .iter()
            .filter_map(|(id, at, answer)| Some(format!("broker {id} at {at}: {}", answer.as_ref().err()?)))
            .collect();
        if failed.is_empty() {
            return Finding::pass(format!("{} answered where they say", cluster.brokers.len()));
        }
        Finding::fail(format!("no answer from {}", some(&failed)))
            .setting("advertised.listeners=… (of the broker: a name and port that are reached from here)")
    })
}

fn transport(facts: &Facts) -> Finding {
    let local = facts.options.bootstrap_servers.iter().all(|server| {
        let host = server.rsplit_once(':').map_or(server.as_str(), |(host, _)| host);
        let host = host.rsplit_once("://").map_or(host, |(_, host)| host).trim_matches(['[', ']']);
        host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    });
    match (&facts.options.encryption, &facts.options.login) {
        (Some(_), _) if facts.options.get("ssl.endpoint.identification.algorithm") == Some("") => {
            Finding::warn("brokers' certificates are not held against their names")
                .setting("ssl.endpoint.identification.algorithm=https")
        }
        (Some(_), _) => Finding::pass("the connection is encrypted"),
        (None, _) if local => Finding::pass("not encrypted, and on this machine only"),
        (None, Some(login)) if login.mechanism() == "PLAIN" => {
            Finding::fail("the password goes over the network in the clear").setting("security.protocol=SASL_SSL")
        }
        (None, Some(_)) => Finding::warn("records go over the network in the clear, and the login can be attacked")
            .setting("security.protocol=SASL_SSL"),
        (None, None) => Finding::warn("records go over the network in the clear, and anybody may connect")
            .setting("security.protocol=SSL"),
    }
}

fn options(facts: &Facts) -> Finding {
    let warnings = &facts.options.warnings;
    match warnings.first() {
        None => Finding::pass("every client option is known"),
        Some(_) => {
            warnings.iter().fold(Finding::warn(format!("{} without effect", warnings.len())), |finding, warning| {
                finding.advice(warning)
            })
        }
    }
}

fn brokers(facts: &Facts) -> Finding {
    of(facts, |cluster| match cluster.brokers.len() {
        count @ 3.. => Finding::pass(format!("{count} brokers")).seen(count),
        count => Finding::warn(format!(
            "{count} of at least 3 brokers: one that is lost takes records with it, or stops writing"
        ))
        .seen(count)
        .wanted("3 or more"),
    })
}

fn transactions(facts: &Facts) -> Finding {
    of(facts, |cluster| {
        if facts.transaction.is_none() && facts.group.is_some() {
            return Finding::warn("exactly.once.source.support is disabled: after a crash records come again")
                .setting("exactly.once.source.support=enabled");
        }
        match (cluster.transactions, cluster.transaction_version) {
            (false, _) => Finding::fail("the cluster has no transactions").wanted("Kafka 2.5 or later"),
            (true, version @ 2..) => Finding::pass(format!("transaction.version is {version}")).seen(version),
            (true, version) => {
                Finding::warn("the first version of transactions: one that is late may reach into the next (KIP-890)")
                    .seen(version)
                    .wanted("transaction.version 2, of Kafka 4.0 and later")
                    .command("kafka-features.sh --bootstrap-server … upgrade --feature transaction.version=2")
            }
        }
    })
}

fn transaction_timeout(facts: &Facts) -> Finding {
    let Some(transaction) = &facts.transaction else { return Finding::not_applicable("no transactions are used") };
    let ours = transaction.timeout.as_millis();
    of(facts, |cluster| {
        of_setting(cluster, "transaction.max.timeout.ms", |max| match max.parse::<u128>() {
            Ok(max) if ours > max => {
                Finding::fail(format!("transaction.timeout.ms is {ours}, and the brokers allow {max}"))
                    .seen(max)
                    .wanted(format!("at least {ours}"))
                    .setting(format!("producer.transaction.timeout.ms={max}"))
                    .setting(format!("transaction.max.timeout.ms={ours} (of the brokers)"))
            }
            _ => Finding::pass(format!("the brokers allow {max} ms, ours is {ours} ms")).seen(max),
        })
    })
}

fn transaction_state(facts: &Facts) -> Finding {
    if facts.transaction.is_none() {
        return Finding::not_applicable("no transactions are used");
    }
    of(facts, |cluster| {
        let count = cluster.brokers.len() as i64;
        of_setting(cluster, "transaction.state.log.replication.factor", |factor| {
            match factor.parse::<i64>() {
            Ok(factor) if factor > count => Finding::fail(format!("transaction.state.log.replication.factor is {factor}, and there are {count} brokers: no transaction begins"))
                .seen(factor)
                .wanted(format!("at most {count}"))
                .setting(format!("transaction.state.log.replication.factor={count} (of the brokers)"))
                .setting(format!("transaction.state.log.min.isr={} (of the brokers)", (count - 1).max(1))),
            Ok(1) if count > 1 => Finding::warn("a broker that is lost takes the state of transactions with it")
                .seen(1)
                .wanted("3")
                .setting("transaction.state.log.replication.factor=3 (of the brokers)"),
            _ => Finding::pass(format!("{factor} copies of the state of transactions")).seen(factor),
        }
        })
    })
}

fn unclean_election(facts: &Facts) -> Finding {
    of(facts, |cluster| {
        of_setting(cluster, "unclean.leader.election.enable", |value| match value {
            "true" => Finding::warn("unclean.leader.election.enable is on: acknowledged records may be lost")
                .seen(value)
                .wanted("false")
                .setting("unclean.leader.election.enable=false (of the brokers)"),
            _ => Finding::pass("unclean.leader.election.enable is off").seen(value),
        })
    })
}
