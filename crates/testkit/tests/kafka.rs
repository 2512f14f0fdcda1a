//! The Kafka of the testkit. The records go in and out through `kcat`, where the machine has it.

use std::io::Write;
use std::process::{Command, Stdio};

use walspring_testkit::{Certificates, Kafka, KafkaOptions, Listener, kafka};

/// Runs kcat, or says that there is none.
fn kcat(args: &[&str], input: &str) -> Option<Result<String, String>> {
    let mut command = Command::new("kcat");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        eprintln!("kcat is not installed: nothing was produced or consumed");
        return None;
    };
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let out = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Some(if out.status.success() { Ok(text(out.stdout)) } else { Err(text(out.stderr)) })
}

/// One record in, the same one out.
#[track_caller]
fn check(bootstrap: &str, topic: &str, client: &[&str]) {
    let client: Vec<&str> = client.iter().flat_map(|x| ["-X", x]).collect();
    let produce = [&["-P", "-b", bootstrap, "-t", topic][..], &client].concat();
    let Some(sent) = kcat(&produce, "hello\n") else { return };
    sent.unwrap();
    let consume = [&["-C", "-q", "-e", "-b", bootstrap, "-t", topic][..], &client].concat();
    assert_eq!(kcat(&consume, "").unwrap().unwrap(), "hello\n");
}

#[test]
fn the_shared_broker_takes_and_gives_records() {
    check(&kafka().bootstrap(), &format!("testkit-{}", std::process::id()), &[]);
}

#[test]
fn records_survive_a_kill_on_the_same_port() {
    let kafka = Kafka::start(KafkaOptions::default().property("num.partitions", "2"));
    let bootstrap = kafka.bootstrap();
    check(&bootstrap, "kept", &[]);
    kafka.kill();
    assert!(!kafka.broker(0).is_running());
    kafka.restart();
    if let Some(out) = kcat(&["-C", "-q", "-e", "-b", &bootstrap, "-t", "kept"], "") {
        assert_eq!(out.unwrap(), "hello\n");
    }
}

#[test]
fn three_brokers_of_which_any_one_may_die() {
    let kafka = Kafka::start(KafkaOptions { heap: "256m".into(), ..KafkaOptions::default().brokers(3) });
    assert_eq!(kafka.bootstrap().split(',').count(), 3);
    check(&kafka.bootstrap(), "before", &[]);
    kafka.broker(0).kill();
    check(&kafka.bootstrap(), "after", &[]);
    kafka.broker(0).start();
}

#[test]
fn listeners_with_tls_and_sasl() {
    let certificates = Certificates::new("alice");
    let options = KafkaOptions::default()
        .listener(Listener::plain("PLAIN", &[("alice", "secret")]))
        .listener(Listener::scram("SCRAM").over_tls(&certificates))
        .listener(Listener::tls("TLS", &certificates, true))
        .listener(Listener::oauthbearer("OAUTH"))
        .scram_user("SCRAM-SHA-256", "alice", "secret")
        .scram_user("SCRAM-SHA-512", "alice", "secret");
    let kafka = Kafka::start(options);
    let user = ["sasl.username=alice", "sasl.password=secret"];
    let plain = [&user[..], &["security.protocol=SASL_PLAINTEXT", "sasl.mechanisms=PLAIN"]].concat();
    check(&kafka.bootstrap_of("PLAIN"), "plain", &plain);

    let dir = std::env::temp_dir().join(format!("walspring-testkit-tls-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = |name: &str, pem: &str| {
        let path = dir.join(name);
        std::fs::write(&path, pem).unwrap();
        path.display().to_string()
    };
    let ca = format!("ssl.ca.location={}", file("ca", &certificates.ca));
    let certificate = format!("ssl.certificate.location={}", file("certificate", &certificates.client_certificate));
    let key = format!("ssl.key.location={}", file("key", &certificates.client_key));
    // Not by kcat: librdkafka before 2.1 or so fails SCRAM against Kafka 4.
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let list = |password: &str| {
            let config = format!(
                "security.protocol=SASL_SSL\nsasl.mechanism={mechanism}\nssl.truststore.type=PEM\n\
                 ssl.truststore.certificates={}\nsasl.jaas.config=\
                 org.apache.kafka.common.security.scram.ScramLoginModule required username=\"alice\" password=\"{password}\";",
                certificates.ca.replace('\n', "\\n")
            );
            let config = file("client.properties", &config);
            let bootstrap = kafka.bootstrap_of("SCRAM");
            let args = ["--bootstrap-server", &bootstrap, "--command-config", &config, "--list"];
            kafka.tool("org.apache.kafka.tools.TopicCommand", &args)
        };
        list("secret").unwrap();
        let refused = list("wrong").unwrap_err();
        assert!(refused.contains("SaslAuthenticationException"), "{refused}");
    }
    check(&kafka.bootstrap_of("TLS"), "tls", &["security.protocol=SSL", &ca, &certificate, &key]);
    let token = ["sasl.mechanisms=OAUTHBEARER", "enable.sasl.oauthbearer.unsecure.jwt=true"];
    let bearer =
        [&token[..], &["security.protocol=SASL_PLAINTEXT", "sasl.oauthbearer.config=principal=alice"]].concat();
    check(&kafka.bootstrap_of("OAUTH"), "oauth", &bearer);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn an_old_broker() {
    let kafka = Kafka::start(KafkaOptions::default().version("3.5.2"));
    check(&kafka.bootstrap(), "old", &[]);
}
