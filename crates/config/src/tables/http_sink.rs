//! The options of the HTTP sinks: those of Confluent's connector and of Aiven's, each under its names and types, and what
//! we add to both under `walspring.`; the sentences are ours.

use crate::option::Check::*;
use crate::option::{OptionDef, OptionTable, Width};

/// Of `io.confluent.connect.http.HttpSinkConnector`.
pub const HTTP_SINK: OptionTable = OptionTable::new(CONFLUENT);
/// Of `io.aiven.kafka.connect.http.HttpSinkConnector`.
pub const AIVEN_HTTP_SINK: OptionTable = OptionTable::new(AIVEN);

/// In the order in which the groups are answered.
pub const HTTP_SINK_GROUPS: &[&str] = &["Connection", "Batching", "Delivery", "TLS", "Walspring"];

const OAUTH: &str = "OAuth is not supported yet: give a token by a header, from a secret file that something renews";
const REGEX: &str = "bodies are not rewritten: use a transform";
const PROXY: &str = "the address behind a proxy could not be checked: call the service itself";
const REPORTER: &str = "answers are not written to topics: use errors.deadletterqueue.topic.name for what was refused";
const JKS: &str = "Java's key stores are not read: give PEM (keytool -exportcert -rfc)";

const URL_DOC: &str = "Where records are sent. ${topic} and ${key} stand for the record's, ${NAME} for a field of its key or else \
                       of its row, percent-encoded; only in the path and behind it.";
const HEADERS_DOC: &str =
    "Headers as NAME:VALUE, several with header.separator between; values may have the variables of the URL.";

const CONFLUENT: &[OptionDef] = &[
    OptionDef::string("http.api.url")
        .required()
        .high()
        .width(Width::Long)
        .at("Connection", 1)
        .label("URL")
        .doc(URL_DOC),
    OptionDef::string("request.method")
        .default("POST")
        .checks(&[OneOf(&["POST", "PUT", "PATCH", "DELETE"])])
        .high()
        .at("Connection", 2)
        .label("Method")
        .doc("Method of the requests."),
    OptionDef::string("headers").default("").high().width(Width::Long).at("Connection", 3).label("Headers").doc(HEADERS_DOC),
    OptionDef::string("header.separator")
        .default("|")
        .checks(&[NonEmpty])
        .at("Connection", 4)
        .label("Header separator")
        .doc("What stands between two headers."),
    OptionDef::string("auth.type")
        .default("NONE")
        .checks(&[OneOf(&["NONE", "BASIC", "BEARER", "OAUTH2"])])
        .high()
        .at("Connection", 5)
        .label("Authentication")
        .doc("NONE, BASIC (connection.user and connection.password) or BEARER (bearer.token).")
        .later_values(&["OAUTH2"], OAUTH),
    OptionDef::string("connection.user").default("").at("Connection", 6).label("User").doc("User for BASIC."),
    OptionDef::password("connection.password").default("").at("Connection", 7).label("Password").doc("Password for BASIC."),
    OptionDef::password("bearer.token").default("").at("Connection", 8).label("Token").doc("Token for BEARER."),
    OptionDef::string("oauth2.").pattern("oauth2.", "").unlisted().doc("Options of OAuth.").later(OAUTH),
    OptionDef::int("http.connect.timeout.ms")
        .default("30000")
        .checks(&[PositiveInt])
        .at("Connection", 9)
        .label("Connect timeout")
        .doc("Longest time for resolving and connecting, in milliseconds."),
    OptionDef::int("http.request.timeout.ms")
        .default("30000")
        .checks(&[PositiveInt])
        .at("Connection", 10)
        .label("Request timeout")
        .doc("Longest time for a request until its answer is there, in milliseconds."),
    OptionDef::string("http.proxy.").pattern("http.proxy.", "").unlisted().doc("A proxy.").later(PROXY),
    OptionDef::string("request.body.format")
        .default("string")
        .checks(&[OneOf(&["string", "json"])])
        .at("Batching", 1)
        .label("Body format")
        .doc("json: every value as JSON; string: texts and bytes as they are, what has fields as JSON."),
    OptionDef::int("batch.max.size")
        .default("1")
        .checks(&[PositiveInt])
        .high()
        .at("Batching", 2)
        .label("Batch size")
        .doc("Most records of one request. They are of one partition, follow each other, and have the same URL and headers."),
    OptionDef::boolean("batch.json.as.array")
        .default("false")
        .checks(&[Boolean])
        .at("Batching", 3)
        .label("Array")
        .doc("Whether a body is a JSON array of the records, even of one. Needs request.body.format=json."),
    OptionDef::string("batch.prefix").default("").at("Batching", 4).label("Prefix").doc("What a batch begins with."),
    OptionDef::string("batch.suffix").default("").at("Batching", 5).label("Suffix").doc("What a batch ends with."),
    OptionDef::string("batch.separator").default(",").at("Batching", 6).label("Separator").doc("What stands between two records."),
    OptionDef::string("batch.key.pattern")
        .default("someKey")
        .low()
        .at("Batching", 7)
        .label("Batch key")
        .doc("What records of one batch have in common.")
        .no_effect("records of one batch are of one partition and have the same URL and headers"),
    DECIMAL_FORMAT,
    OptionDef::string("regex.patterns").default("").at("Batching", 9).doc("Patterns to replace in bodies.").later(REGEX),
    OptionDef::string("regex.replacements").default("").at("Batching", 10).doc("Their replacements.").later(REGEX),
    OptionDef::string("regex.separator").default("~").at("Batching", 11).doc("What separates them.").no_effect(REGEX),
    NULL_VALUES.default("ignore"),
    OptionDef::string("behavior.on.error")
        .default("fail")
        .checks(&[OneOf(&["fail", "ignore", "log"])])
        .at("Delivery", 2)
        .label("Refused records")
        .doc("What becomes of a record that the service refuses for good: fail does what errors.tolerance says, log and \
              ignore go on without it."),
    OptionDef::string("report.errors.as").default("error_string").low().at("Delivery", 3).doc("Form of reports.").no_effect(REPORTER),
    OptionDef::string("reporter.").pattern("reporter.", "").unlisted().doc("Topics for answers.").later(REPORTER),
    OptionDef::string("confluent.")
        .pattern("confluent.", "")
        .unlisted()
        .doc("Licence of the original.")
        .no_effect("there is no licence to keep"),
    RETRY_CODES,
    MAX_RETRIES,
    RETRY_BACKOFF,
    OptionDef::string("retry.backoff.policy")
        .default("exponential_with_jitter")
        .low()
        .at("Delivery", 7)
        .label("Back-off policy")
        .doc("How waits grow.")
        .no_effect("the worker's back-off grows with jitter; retry.backoff.ms is the least"),
    OptionDef::string("https.ssl.truststore.location")
        .default("")
        .width(Width::Long)
        .at("TLS", 1)
        .label("Authorities")
        .doc("PEM file with the authorities to trust; the system's if nothing is given."),
    OptionDef::string("https.ssl.truststore.type")
        .default("PEM")
        .at("TLS", 2)
        .label("Type of the authorities")
        .doc("PEM.")
        .later_values(&["JKS", "PKCS12"], JKS),
    OptionDef::string("https.ssl.truststore.certificates")
        .default("")
        .width(Width::Long)
        .at("TLS", 3)
        .label("Authorities, themselves")
        .doc("PEM of the authorities, in the configuration."),
    OptionDef::password("https.ssl.truststore.password").default("").at("TLS", 4).doc("Password.").no_effect("PEM has none"),
    OptionDef::string("https.ssl.keystore.location")
        .default("")
        .width(Width::Long)
        .at("TLS", 5)
        .label("Client certificate and key")
        .doc("PEM file with the client's certificate chain and its key."),
    OptionDef::string("https.ssl.keystore.type")
        .default("PEM")
        .at("TLS", 6)
        .label("Type of the client's certificate")
        .doc("PEM.")
        .later_values(&["JKS", "PKCS12"], JKS),
    OptionDef::password("https.ssl.keystore.key").default("").at("TLS", 7).label("Client key, itself").doc("PEM of the key."),
    OptionDef::string("https.ssl.keystore.certificate.chain")
        .default("")
        .width(Width::Long)
        .at("TLS", 8)
        .label("Client certificate, itself")
        .doc("PEM of the chain."),
    OptionDef::password("https.ssl.keystore.password").default("").at("TLS", 9).doc("Password.").no_effect("PEM has none"),
    OptionDef::password("https.ssl.key.password")
        .default("")
        .at("TLS", 10)
        .doc("Password of the key.")
        .later("encrypted keys are not read: decrypt the file (openssl pkcs8) and protect it by its mode"),
    HMAC_SECRET,
    HMAC_HEADER,
    HMAC_STYLE,
    IDEMPOTENCY,
    ALLOW,
    RETRY_AFTER,
];

const AIVEN: &[OptionDef] = &[
    OptionDef::string("http.url").required().high().width(Width::Long).at("Connection", 1).label("URL").doc(URL_DOC),
    OptionDef::string("http.authorization.type")
        .required()
        .checks(&[OneOf(&["none", "static", "oauth2"])])
        .high()
        .at("Connection", 2)
        .label("Authorization")
        .doc("none, or static (http.headers.authorization).")
        .later_values(&["oauth2"], OAUTH),
    OptionDef::password("http.headers.authorization")
        .width(Width::Long)
        .at("Connection", 3)
        .label("Authorization header")
        .doc("The header Authorization as it is sent, such as Bearer TOKEN."),
    OptionDef::string("http.headers.content.type")
        .low()
        .at("Connection", 4)
        .label("Content type")
        .doc("The header Content-Type; by default what the body is."),
    OptionDef::list("http.headers.additional")
        .default("")
        .low()
        .width(Width::Long)
        .at("Connection", 5)
        .label("Further headers")
        .doc("Headers as NAME:VALUE with commas between; values may have the variables of the URL."),
    OptionDef::string("oauth2.").pattern("oauth2.", "").unlisted().doc("Options of OAuth.").later(OAUTH),
    OptionDef::int("http.timeout")
        .default("30")
        .checks(&[PositiveInt])
        .low()
        .at("Connection", 6)
        .label("Timeout")
        .doc("Longest time for a request until its answer is there, in seconds."),
    OptionDef::boolean("batching.enabled")
        .default("false")
        .checks(&[Boolean])
        .high()
        .at("Batching", 1)
        .label("Batches")
        .doc("Whether several records are sent in one request."),
    OptionDef::int("batch.max.size").default("500").checks(&[PositiveInt]).at("Batching", 2).label("Batch size").doc(
        "Most records of one request. They are of one partition, follow each other, and have the same URL and headers.",
    ),
    OptionDef::string("batch.prefix")
        .default("")
        .high()
        .at("Batching", 3)
        .label("Prefix")
        .doc("What a batch begins with; \\n, \\r, \\t and \\\\ are escapes."),
    OptionDef::string("batch.suffix")
        .effective_default("\\n")
        .high()
        .at("Batching", 4)
        .label("Suffix")
        .doc("What a batch ends with; a line feed unless it is given."),
    OptionDef::string("batch.separator")
        .effective_default("\\n")
        .high()
        .at("Batching", 5)
        .label("Separator")
        .doc("What stands between two records; a line feed unless it is given."),
    DECIMAL_FORMAT,
    NULL_VALUES.default("fail"),
    OptionDef::long("kafka.retry.backoff.ms")
        .checks(&[NonNegativeLong])
        .at("Delivery", 2)
        .label("Back-off of Connect")
        .doc("Wait before Connect gives a batch again, in milliseconds.")
        .no_effect("the worker's back-off holds; retry.backoff.ms is the least"),
    RETRY_CODES,
    MAX_RETRIES,
    RETRY_BACKOFF,
    OptionDef::boolean("http.ssl.trust.all.certs")
        .default("false")
        .checks(&[Boolean])
        .low()
        .at("TLS", 1)
        .label("Trust everybody")
        .doc("Take any certificate.")
        .later_values(
            &["true"],
            "a connection that anybody can read is not made: name the authority in http.ssl.truststore.location",
        ),
    OptionDef::string("http.ssl.truststore.location").low().width(Width::Long).at("TLS", 2).label("Authorities").doc(
        "PEM file with the authorities to trust (the original's JKS is not read); the system's if it is left out.",
    ),
    OptionDef::password("http.ssl.truststore.password").low().at("TLS", 3).doc("Password.").no_effect("PEM has none"),
    HMAC_SECRET,
    HMAC_HEADER,
    HMAC_STYLE,
    IDEMPOTENCY,
    ALLOW,
    RETRY_AFTER,
];

const DECIMAL_FORMAT: OptionDef = OptionDef::string("decimal.format")
    .default("BASE64")
    .checks(&[OneOfAnyCase(&["BASE64", "NUMERIC"])])
    .low()
    .at("Batching", 8)
    .label("Decimals")
    .doc("How JSON has Connect's decimals: BASE64 of the unscaled value, or NUMERIC.");

const NULL_VALUES: OptionDef = OptionDef::string("behavior.on.null.values")
    .checks(&[OneOf(&["ignore", "delete", "log", "fail"])])
    .low()
    .at("Delivery", 1)
    .label("Tombstones")
    .doc("What becomes of a record without value: delete sends a DELETE without body to the URL, fail is an error of the \
          record, log and ignore go on without it.");

const RETRY_CODES: OptionDef = OptionDef::string("retry.on.status.codes")
    .default("408,425,429,500-")
    .at("Delivery", 4)
    .label("Statuses to retry")
    .doc("Statuses after which a request is sent again: codes and ranges, such as 429,500-. Unlike the original's default \
          other statuses of 400 and more are refusals of the record.");

const MAX_RETRIES: OptionDef = OptionDef::int("max.retries")
    .checks(&[NonNegativeInt])
    .at("Delivery", 5)
    .label("Retries")
    .doc("How often a request is sent again before the task fails. Left out: without end.");

const RETRY_BACKOFF: OptionDef = OptionDef::int("retry.backoff.ms")
    .checks(&[NonNegativeInt])
    .at("Delivery", 6)
    .label("Back-off")
    .doc("Least wait before a request is sent again, in milliseconds. Left out: the worker's back-off alone.");

const HMAC_SECRET: OptionDef = OptionDef::password("walspring.sink.hmac.secret")
    .at("Walspring", 1)
    .label("Signature's secret")
    .doc("Signs each body with HMAC-SHA-256 under this secret.");

const HMAC_HEADER: OptionDef = OptionDef::string("walspring.sink.hmac.header")
    .at("Walspring", 2)
    .label("Signature's header")
    .doc("Name of the signature's header; by default Walspring-Signature, and X-Hub-Signature-256 for the style body.");

const HMAC_STYLE: OptionDef = OptionDef::string("walspring.sink.hmac.style")
    .default("timestamped")
    .checks(&[OneOf(&["timestamped", "body"])])
    .at("Walspring", 3)
    .label("Signature's style")
    .doc("timestamped: t=SECONDS,v1=HEX over SECONDS.BODY, so that an old request can be told; body: sha256=HEX over the \
          body alone, as GitHub signs.");

const IDEMPOTENCY: OptionDef = OptionDef::string("walspring.sink.idempotency.header")
    .default("Idempotency-Key")
    .at("Walspring", 4)
    .label("Idempotency header")
    .doc("Header with TOPIC-PARTITION-OFFSET of the record (and -OFFSET of the last one of a batch), the same when it is \
          sent again. Empty: none.");

const ALLOW: OptionDef = OptionDef::list("walspring.http.allow")
    .default("")
    .at("Walspring", 5)
    .label("Who may be called")
    .doc("Hosts (hooks.example.com, *.example.com), networks (10.1.0.0/16) and addresses that this connector may call, below \
          what the worker's walspring.http.allow.addresses lets everybody call. Empty: all of that.");

const RETRY_AFTER: OptionDef = OptionDef::long("walspring.sink.retry.after.max.ms")
    .default("300000")
    .checks(&[NonNegativeLong])
    .low()
    .at("Walspring", 6)
    .label("Longest Retry-After")
    .doc("Longest wait that the service can ask for by Retry-After, in milliseconds.");
