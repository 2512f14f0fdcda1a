use super::*;

fn properties(pairs: &[(&str, &str)]) -> Properties {
    let mut properties = Properties::from([("bootstrap.servers".to_owned(), "a:9092, b:9092".to_owned())]);
    properties.extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    properties
}

fn producer(worker: &[(&str, &str)], connector: &[(&str, &str)]) -> Result<ClientOptions, ClientConfigError> {
    ClientOptions::for_connector(Owner::Producer, &properties(worker), connector.iter().copied())
}

#[track_caller]
fn check_refused(worker: &[(&str, &str)], part: &str) {
    let error = producer(worker, &[]).expect_err("refused");
    assert!(error.0.contains(part), "{error}");
    assert!(!error.0.contains("hush"), "{error}");
}

const PLAIN: &str =
    "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\"hush\";";
const SCRAM: &str =
    "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"u\" password=\"hush\";";
const OAUTH: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required clientId=\"me\" clientSecret=\"hush\" scope=\"s\";";

#[test]
fn the_more_special_option_wins() {
    let options = producer(
        &[("linger.ms", "1"), ("producer.linger.ms", "2"), ("request.timeout.ms", "40000"), ("producer.acks", "all")],
        &[("producer.override.linger.ms", "3"), ("consumer.override.fetch.max.bytes", "1"), ("name", "x")],
    )
    .expect("options");
    let kept = options.kept("role").expect("a configuration");
    assert_eq!(kept.get("linger.ms"), Some("3"));
    assert_eq!(kept.get("socket.timeout.ms"), Some("40000"));
    assert_eq!(kept.get("client.id"), Some("role"));
    assert_eq!(options.warnings, Vec::<String>::new());
    let worker_alone = producer(&[("linger.ms", "1")], &[]).expect("options");
    assert_eq!(worker_alone.kept("role").expect("a configuration").get("linger.ms"), None, "it is the worker's own");
}

#[test]
fn both_clients_are_told_the_same() {
    let options = producer(
        &[],
        &[
            ("producer.override.compression.type", "zstd"),
            ("producer.override.compression.zstd.level", "5"),
            ("producer.override.max.request.size", "8388608"),
            ("producer.override.buffer.memory", "33554432"),
            ("producer.override.delivery.timeout.ms", "120000"),
            ("producer.override.transaction.timeout.ms", "30000"),
            ("producer.override.max.in.flight.requests.per.connection", "9"),
        ],
    )
    .expect("options");
    let kept = options.kept("role").expect("a configuration");
    for (name, value) in [
        ("compression.type", "zstd"),
        ("compression.level", "5"),
        ("message.max.bytes", "8388608"),
        ("queue.buffering.max.kbytes", "32768"),
        ("message.timeout.ms", "120000"),
        ("transaction.timeout.ms", "30000"),
        ("max.in.flight.requests.per.connection", "5"),
        ("bootstrap.servers", "a:9092,b:9092"),
    ] {
        assert_eq!(kept.get(name), Some(value), "{name}");
    }
    // The kept client knows every name and value.
    kept.create_native_config().expect("valid");
    let transaction = crate::producer::TransactionConfig::new("id", "offsets");
    let own = options.producer("role", Delivery::Transactional(transaction)).expect("a configuration");
    assert_eq!((own.compression, own.compression_level), (Codec::Zstd, Some(5)));
    assert_eq!((own.max_request_size, own.buffer_bytes, own.in_flight_max), (8_388_608, 33_554_432, 5));
    assert_eq!(own.delivery_timeout, Some(Duration::from_secs(120)));
    let Delivery::Transactional(transaction) = own.delivery else { panic!("transactional") };
    assert_eq!(transaction.timeout, Duration::from_secs(30));
}

#[test]
fn every_option_of_the_table_is_valid_for_the_kept_client() {
    for owner in [Owner::Producer, Owner::Consumer, Owner::Admin] {
        let mut config = ClientConfig::new();
        for key in keys::CLIENT_KEYS.iter().filter(|key| key.owner == Owner::Common || key.owner == owner) {
            let Meaning::Kept(names, convert) = key.meaning else { continue };
            let value = match key.name {
                "client.dns.lookup" => "use_all_dns_ips",
                "client.rack" => "r1",
                "metadata.recovery.strategy" => "rebootstrap",
                "enable.metrics.push" | "check.crcs" => "true",
                "compression.type" => "lz4",
                "isolation.level" => "read_committed",
                "auto.offset.reset" => "none",
                _ => "60000",
            };
            for name in names {
                config.set(*name, converted(key.name, value, convert).expect("a value"));
            }
        }
        config.create_native_config().unwrap_or_else(|error| panic!("{owner:?}: {error}"));
    }
}

#[test]
fn odd_options_are_warned_of() {
    let options = producer(
        &[("producer.interceptor.classes", "x.Y"), ("producer.acks", "1"), ("producer.lingr.ms", "1")],
        &[("producer.override.colour", "blue")],
    )
    .expect("options");
    let warnings = options.warnings.join("\n");
    for part in [
        "interceptor.classes has no effect",
        "acks has no effect",
        "did you mean producer.linger.ms?",
        "colour is not known",
    ] {
        assert!(warnings.contains(part), "{part}: {warnings}");
    }
}

#[test]
fn logins_reach_both_clients() {
    let scram = [("security.protocol", "SASL_SSL"), ("sasl.mechanism", "SCRAM-SHA-512"), ("sasl.jaas.config", SCRAM)];
    let options = producer(&scram, &[]).expect("options");
    assert!(!format!("{options:?}").contains("hush"));
    let kept = options.kept("role").expect("a configuration");
    assert_eq!(kept.get("security.protocol"), Some("sasl_ssl"));
    assert_eq!((kept.get("sasl.username"), kept.get("sasl.password")), (Some("u"), Some("hush")));
    assert!(matches!(options.security().expect("both").sasl, Some(SaslConfig::ScramSha512 { .. })));

    let oauth = [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "OAUTHBEARER"),
        ("sasl.jaas.config", OAUTH),
        ("sasl.oauthbearer.token.endpoint.url", "https://id.example/token"),
        (
            "sasl.login.callback.handler.class",
            "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler",
        ),
    ];
    let options = producer(&oauth, &[]).expect("options");
    assert!(matches!(options.security().expect("both").sasl, Some(SaslConfig::OAuthBearer { .. })));
}

#[test]
fn what_cannot_work_is_refused() {
    let sasl = |mechanism, jaas| {
        [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", mechanism), ("sasl.jaas.config", jaas)]
    };
    check_refused(&[("security.protocol", "HTTPS")], "security.protocol");
    check_refused(&sasl("PLAIN", SCRAM), "not that of sasl.mechanism=PLAIN");
    check_refused(&sasl("OAUTHBEARER", OAUTH), "sasl.oauthbearer.token.endpoint.url is missing");
    check_refused(&sasl("AWS_MSK_IAM", PLAIN), "not supported");
    check_refused(&[("security.protocol", "SASL_SSL"), ("sasl.mechanism", "PLAIN")], "sasl.jaas.config is missing");
    let jndi = "com.sun.security.auth.module.JndiLoginModule required user.provider.url=\"ldap://hush\";";
    check_refused(&sasl("PLAIN", jndi), "JndiLoginModule is refused");
    let error = ClientOptions::for_connector(
        Owner::Producer,
        &properties(&[]),
        [("producer.override.ssl.keystore.location", "/etc/passwd")],
    );
    assert!(error.expect_err("refused").0.contains("only the worker's own file may set it"));
}

mod stores {
    use std::process::Command;

    use super::*;

    const PASSWORD: &str = "hush-hush";

    /// A key, its certificate, and stores of them, as the usual tools write them.
    fn make(dir: &std::path::Path) {
        let run = |program: &str, args: &str| {
            let done = Command::new(program).args(args.split(' ')).current_dir(dir).output();
            let done = done.unwrap_or_else(|error| panic!("{program} is needed: {error}"));
            assert!(done.status.success(), "{program} {args}: {}", String::from_utf8_lossy(&done.stderr));
        };
        run("openssl", "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 30 -subj /CN=localhost");
        run("openssl", &format!("pkcs8 -topk8 -in key.pem -out key.enc.pem -v2 aes-256-cbc -passout pass:{PASSWORD}"));
        run(
            "openssl",
            &format!("pkcs12 -export -inkey key.pem -in cert.pem -out openssl.p12 -passout pass:{PASSWORD}"),
        );
        run("openssl", &format!("pkcs12 -export -nokeys -in cert.pem -out trust-openssl.p12 -passout pass:{PASSWORD}"));
    }

    fn keytool(dir: &std::path::Path, args: &str) -> bool {
        Command::new("keytool").args(args.split(' ')).current_dir(dir).output().is_ok_and(|done| done.status.success())
    }

    #[track_caller]
    fn encryption(options: &[(&str, &str)]) -> Result<Encryption, ClientConfigError> {
        let mut worker = vec![("security.protocol", "SSL")];
        worker.extend_from_slice(options);
        let options = producer(&worker, &[])?;
        // Both clients take what was read.
        if let Some(tls) = options.security()?.tls {
            crate::tls::client_config(&tls).map_err(ClientConfigError)?;
        }
        options.kept("x")?.create_native_config().expect("the kept client takes it");
        Ok(options.encryption.expect("encrypted"))
    }

    #[test]
    fn pem_and_pkcs12_are_read_and_jks_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        make(dir.path());
        let path = |name: &str| dir.path().join(name).display().to_string();
        let text = |name: &str| std::fs::read_to_string(path(name)).expect("a file");
        let one_line = |name: &str| text(name).replace('\n', " ");
        std::fs::write(path("both.pem"), text("key.enc.pem") + &text("cert.pem")).expect("written");

        let (key, chain) = (one_line("key.enc.pem"), one_line("cert.pem"));
        let inline = encryption(&[
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.certificates", &chain),
            ("ssl.keystore.type", "PEM"),
            ("ssl.keystore.key", &key),
            ("ssl.keystore.certificate.chain", &chain),
            ("ssl.key.password", PASSWORD),
        ])
        .expect("PEM in the options");
        let (both, cert) = (path("both.pem"), path("cert.pem"));
        let files = encryption(&[
            ("ssl.truststore.location", &cert),
            ("ssl.keystore.location", &both),
            ("ssl.keystore.type", "PEM"),
            ("ssl.key.password", PASSWORD),
        ])
        .expect("PEM files");
        let (trust, own) = (path("trust-openssl.p12"), path("openssl.p12"));
        let pkcs12 = encryption(&[
            ("ssl.truststore.location", &trust),
            ("ssl.truststore.password", PASSWORD),
            ("ssl.truststore.type", "PKCS12"),
            ("ssl.keystore.location", &own),
            ("ssl.keystore.password", PASSWORD),
            ("ssl.endpoint.identification.algorithm", ""),
        ])
        .expect("PKCS12 of openssl");
        for read in [&inline, &files, &pkcs12] {
            assert_eq!(read.authorities_pem, inline.authorities_pem);
            assert!(read.identity == inline.identity, "the same key and certificate");
        }
        assert!(files.verify_hostname && !pkcs12.verify_hostname);

        let wrong = encryption(&[("ssl.keystore.location", &own), ("ssl.keystore.password", "wrong")]);
        assert!(wrong.expect_err("refused").0.contains("ssl.keystore.password"));
        let locked = encryption(&[("ssl.keystore.location", &both), ("ssl.truststore.location", &cert)]);
        assert!(locked.expect_err("refused").0.contains("ssl.key.password is needed"));

        let import = format!("-importcert -noprompt -alias ca -file cert.pem -storepass {PASSWORD} -keystore");
        if keytool(dir.path(), &format!("{import} trust-java.p12 -storetype PKCS12")) {
            let java = path("trust-java.p12");
            let read = encryption(&[("ssl.truststore.location", &java), ("ssl.truststore.password", PASSWORD)]);
            assert_eq!(read.expect("PKCS12 of Java").authorities_pem, inline.authorities_pem);
        }
        std::fs::write(path("old.jks"), b"\xfe\xed\xfe\xed\0\0\0\x02").expect("written");
        let jks = path("old.jks");
        let refused = encryption(&[("ssl.truststore.location", &jks), ("ssl.truststore.password", PASSWORD)]);
        let refused = refused.expect_err("refused").0;
        assert!(refused.contains("keytool -importkeystore") && refused.contains("old.jks.p12"), "{refused}");
    }
}
