//! Logins and TLS against a real broker.

mod support;

use std::sync::{Arc, OnceLock};

use support::{Heard, Place};
use walspring_connect::writer::{RecordWriter, WriteError};
use walspring_kafka::producer::{KafkaProducer, Security};
use walspring_kafka::sasl::{SaslConfig, StaticToken};
use walspring_kafka::tls::TlsConfig;
use walspring_testkit::{Certificates, Kafka, KafkaOptions, Listener};

struct Secured {
    kafka: Kafka,
    certificates: Certificates,
}

fn secured() -> &'static Secured {
    static SECURED: OnceLock<Secured> = OnceLock::new();
    SECURED.get_or_init(|| {
        let certificates = Certificates::new("ann");
        let kafka = Kafka::start(
            KafkaOptions::default()
                .listener(Listener::plain("PLAIN", &[("ann", "secret"), ("admin", "admin")]))
                .listener(Listener::scram("SCRAM"))
                .listener(Listener::scram("SCRAMTLS").over_tls(&certificates))
                .listener(Listener::oauthbearer("OAUTH"))
                .listener(Listener::tls("TLS", &certificates, false))
                .listener(Listener::tls("MTLS", &certificates, true))
                .scram_user("SCRAM-SHA-256", "bob", "päss word")
                .scram_user("SCRAM-SHA-512", "eve", "secret"),
        );
        Secured { kafka, certificates }
    })
}

/// Connects by a listener and writes something; or says why it could not.
fn write_by(listener: &str, security: Security) -> Result<(), WriteError> {
    let kafka = &secured().kafka;
    let place = Place::new(&kafka.bootstrap(), "secure", 1);
    let mut config = place.transactional();
    config.bootstrap_servers = vec![kafka.bootstrap_of(listener)];
    config.security = security;
    config.connect_timeout = std::time::Duration::from_secs(5);
    let heard = Arc::new(Heard::default());
    let mut producer = KafkaProducer::connect(config, heard.clone(), None)?;
    producer.submit(place.ticket(1, 0, 10))?;
    heard.wait_durable(1);
    assert_eq!(place.committed(1), [(0..10).collect::<Vec<_>>()]);
    Ok(())
}

fn sasl(config: SaslConfig) -> Security {
    Security { tls: None, sasl: Some(config) }
}

fn tls(certificates: &Certificates) -> TlsConfig {
    TlsConfig {
        ca_pem: Some(certificates.ca.clone().into_bytes()),
        certificate_pem: None,
        key_pem: None,
        verify_hostname: true,
    }
}

#[track_caller]
fn refused(result: Result<(), WriteError>) -> String {
    match result {
        Err(WriteError::Definite(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn plain() {
    let login = |password: &str| sasl(SaslConfig::Plain { username: "ann".into(), password: password.into() });
    write_by("PLAIN", login("secret")).unwrap();
    let message = refused(write_by("PLAIN", login("canary-password")));
    assert!(message.contains("PLAIN") && !message.contains("canary"), "{message}");
}

#[test]
fn scram() {
    let (username, password) = ("bob".to_owned(), "päss word".to_owned());
    write_by("SCRAM", sasl(SaslConfig::ScramSha256 { username: username.clone(), password })).unwrap();
    refused(write_by("SCRAM", sasl(SaslConfig::ScramSha256 { username, password: "wrong".into() })));
    let (username, password) = ("eve".to_owned(), "secret".to_owned());
    let login = SaslConfig::ScramSha512 { username, password };
    write_by("SCRAM", sasl(login.clone())).unwrap();
    let tls = Some(tls(&secured().certificates));
    write_by("SCRAMTLS", Security { tls, sasl: Some(login) }).unwrap();
    let message = refused(write_by("SCRAM", sasl(SaslConfig::Plain { username: "x".into(), password: "y".into() })));
    assert!(message.contains("SCRAM-SHA-512"), "says what is offered: {message}");
}

#[test]
fn oauthbearer() {
    use base64::Engine;
    let encode = |text: String| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let claims = format!(r#"{{"sub":"ann","iat":{now},"exp":{}}}"#, now + 3600);
    let token = format!("{}.{}.", encode(r#"{"alg":"none"}"#.into()), encode(claims));
    let login = |token: String| sasl(SaslConfig::OAuthBearer { tokens: Arc::new(StaticToken(token)) });
    write_by("OAUTH", login(token)).unwrap();
    refused(write_by("OAUTH", login("nonsense".into())));
}

#[test]
fn tls_checks_the_broker() {
    let ours = tls(&secured().certificates);
    let with = |tls| Security { tls: Some(tls), sasl: None };
    write_by("TLS", with(ours.clone())).unwrap();
    write_by("TLS", with(TlsConfig { verify_hostname: false, ..ours.clone() })).unwrap();
    let stranger = tls(&Certificates::new("ann"));
    refused(write_by("TLS", with(stranger.clone())));
    refused(write_by("TLS", with(TlsConfig { verify_hostname: false, ..stranger })));
}

#[test]
fn tls_shows_the_broker_who_we_are() {
    let certificates = &secured().certificates;
    let anonymous = tls(certificates);
    let known = TlsConfig {
        certificate_pem: Some(certificates.client_certificate.clone().into_bytes()),
        key_pem: Some(certificates.client_key.clone().into_bytes()),
        ..anonymous.clone()
    };
    write_by("MTLS", Security { tls: Some(known), sasl: None }).unwrap();
    write_by("MTLS", Security { tls: Some(anonymous), sasl: None }).unwrap_err();
}

#[test]
fn secrets_are_not_shown() {
    let config = SaslConfig::Plain { username: "ann".into(), password: "canary".into() };
    let security = Security {
        tls: Some(TlsConfig { key_pem: Some(b"canary".to_vec()), ..TlsConfig::default() }),
        sasl: Some(config),
    };
    let shown = format!("{security:?}");
    assert!(!shown.contains("canary") && !shown.contains("99, 97, 110"), "{shown}");
}
