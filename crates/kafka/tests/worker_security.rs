//! A worker whose Kafka wants encryption and login: every client of it (our own, and the kept one) gets in with the
//! options that a Java worker has.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use walspring_connect::{Backend, StoreError};
use walspring_kafka::backend::KafkaBackend;
use walspring_kafka::client_config::Properties;
use walspring_testkit::{Certificates, Kafka, KafkaOptions, Listener};

#[path = "support/worker.rs"]
mod worker_file;

use worker_file::properties as worker;

#[track_caller]
fn check_works(worker: &Properties) {
    let backend = KafkaBackend::connect(worker).unwrap_or_else(|error| panic!("{error}"));
    assert!(backend.transactional());
    let offsets = backend.offsets(None).expect("offsets");
    offsets.write(&[(b"key".to_vec(), Some(b"value".to_vec()))]).expect("written");
    assert_eq!(offsets.read_to_end().expect("read").len(), 1);
    backend.configs().write(&[(b"key".to_vec(), None)]).expect("written");
}

#[test]
fn workers_get_in_with_javas_options() {
    let certificates = Certificates::new("client");
    let kafka = Kafka::start(
        KafkaOptions::default()
            .listener(Listener::scram("SCRAM").over_tls(&certificates))
            .listener(Listener::plain("PLAIN", &[("user", "secret")]))
            .listener(Listener::oauthbearer("OAUTH"))
            .listener(Listener::tls("MUTUAL", &certificates, true))
            .scram_user("SCRAM-SHA-512", "user", "secret"),
    );
    let truststore = [("ssl.truststore.type", "PEM"), ("ssl.truststore.certificates", certificates.ca.as_str())];

    let scram =
        "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"user\" password=\"secret\";";
    let mut options =
        vec![("security.protocol", "SASL_SSL"), ("sasl.mechanism", "SCRAM-SHA-512"), ("sasl.jaas.config", scram)];
    options.extend(truststore);
    check_works(&worker(&kafka.bootstrap_of("SCRAM"), "scram", &options));

    let mut options = vec![
        ("security.protocol", "SSL"),
        ("ssl.keystore.type", "PEM"),
        ("ssl.keystore.key", certificates.client_key.as_str()),
        ("ssl.keystore.certificate.chain", certificates.client_certificate.as_str()),
    ];
    options.extend(truststore);
    check_works(&worker(&kafka.bootstrap_of("MUTUAL"), "mutual", &options));

    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("token");
    let now = std::time::UNIX_EPOCH.elapsed().expect("a clock");
    let claims = format!(
        "{{\"sub\":\"user\",\"iat\":{},\"exp\":{}}}",
        now.as_secs(),
        (now + Duration::from_secs(600)).as_secs()
    );
    let token = format!("{}.{}.", URL_SAFE_NO_PAD.encode("{\"alg\":\"none\"}"), URL_SAFE_NO_PAD.encode(claims));
    std::fs::write(&file, token).expect("written");
    let url = format!("file://{}", file.display());
    let oauth = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;";
    let options = [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "OAUTHBEARER"),
        ("sasl.jaas.config", oauth),
        ("sasl.oauthbearer.token.endpoint.url", url.as_str()),
    ];
    check_works(&worker(&kafka.bootstrap_of("OAUTH"), "oauth", &options));

    let plain = |password: &str| {
        format!(
            "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"user\" password=\"{password}\";"
        )
    };
    let options =
        |jaas| [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "PLAIN"), ("sasl.jaas.config", jaas)];
    let (right, wrong) = (plain("secret"), plain("wrong"));
    check_works(&worker(&kafka.bootstrap_of("PLAIN"), "plain", &options(&right)));
    match KafkaBackend::connect(&worker(&kafka.bootstrap_of("PLAIN"), "plain", &options(&wrong))).map(|_| ()) {
        Err(StoreError::Definite(text)) => assert!(!text.contains("wrong"), "{text}"),
        other => panic!("{other:?}"),
    }
}
