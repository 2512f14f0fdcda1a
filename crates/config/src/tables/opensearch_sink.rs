//! The options of the OpenSearch and Elasticsearch sinks: those of Aiven's connector and of Confluent's, each under its own
//! names. What both have is written once; where their defaults differ, each table has an entry of its own.

use crate::option::Check::*;
use crate::option::{OptionDef, OptionTable, Width};

/// Of `io.aiven.kafka.connect.opensearch.OpensearchSinkConnector`.
pub const OPENSEARCH_SINK: OptionTable = OptionTable::new(&[
    URL,
    USERNAME,
    PASSWORD,
    BATCH_SIZE,
    BULK_SIZE,
    IN_FLIGHT,
    BUFFERED,
    LINGER,
    FLUSH_TIMEOUT.default("10000"),
    RETRIES,
    BACKOFF,
    COMPRESSION,
    CONNECT_TIMEOUT,
    READ_TIMEOUT,
    KEY_IGNORE,
    OptionDef::string("key.ignore.id.strategy")
        .default("topic.partition.offset")
        .checks(&[OneOf(&["none", "record.key", "topic.partition.offset"])])
        .low()
        .width(Width::Short)
        .at(DATA, 2)
        .label("Document id without the key")
        .doc("With key.ignore: what the document's id is. none lets the cluster make one, so a repetition writes a second document."),
    SCHEMA_IGNORE,
    COMPACT_MAPS,
    TOPIC_KEY_IGNORE,
    TOPIC_SCHEMA_IGNORE,
    DROP_INVALID,
    ON_NULL,
    OptionDef::string("behavior.on.malformed.documents")
        .default("fail")
        .checks(&[OneOf(&["ignore", "warn", "fail", "report"])])
        .low()
        .width(Width::Short)
        .at(DATA, 10)
        .label("Malformed documents")
        .doc(MALFORMED),
    OptionDef::string("behavior.on.version.conflict")
        .default("ignore")
        .checks(&[OneOf(&["ignore", "warn", "fail", "report"])])
        .low()
        .width(Width::Short)
        .at(DATA, 11)
        .label("Version conflicts")
        .doc("What happens when the cluster has a newer version of the document, as after a replay: ignore and warn keep it, fail and report make an error of the record."),
    OptionDef::string("index.write.method").default("insert").checks(WRITE_METHODS).low().width(Width::Short).at(DATA, 12).label("Write method").doc(WRITE_METHOD),
    OptionDef::string("routing.type")
        .default("none")
        .checks(&[OneOf(&["none", "key", "value"])])
        .low()
        .width(Width::Short)
        .at(DATA, 13)
        .label("Routing")
        .doc("key sends a document to the shard that its id names as routing value.")
        .later_values(&["value"], "a delete has no value to take the routing from, so it would miss the document"),
    OptionDef::string("routing.type.record.value.path").low().at(DATA, 14).label("Routing path").doc("With routing.type=value: where the value stands.").later("routing by value is not supported"),
    VERSION_HEADER.unlisted(),
    OptionDef::string("existing.resource.type")
        .default("none")
        .checks(&[OneOf(&["index", "data_stream", "index_alias", "data_stream_alias", "none"])])
        .low()
        .width(Width::Short)
        .at("Topic to Existing Resource Mappings", 1)
        .label("Existing resource type")
        .doc("What topic.to.existing.resource.mapping names; nothing is created then.")
        .later_values(&["data_stream", "data_stream_alias"], NO_STREAMS),
    OptionDef::list("topic.to.existing.resource.mapping")
        .low()
        .width(Width::Long)
        .at("Topic to Existing Resource Mappings", 2)
        .label("Topics to resources")
        .doc("TOPIC:RESOURCE, …: the index or alias that each topic is written to. It has to exist."),
    OptionDef::boolean("data.stream.enabled").default("false").checks(&[Boolean]).at(STREAMS, 1).label("Data streams").doc("Write to data streams.").later(NO_STREAMS),
    OptionDef::string("data.stream.prefix").at(STREAMS, 2).label("Data stream prefix").doc("What data streams' names begin with.").later(NO_STREAMS),
    OptionDef::string("data.stream.timestamp.field").default("@timestamp").at(STREAMS, 3).label("Data stream timestamp").doc("The field that is the document's time.").later(NO_STREAMS),
    OptionDef::string("data.streams.existing.index.template.name").at(STREAMS, 4).label("Data stream template").doc("The index template of the data streams.").later(NO_STREAMS),
    TRUST_ALL,
    OptionDef::string("connection.ssl.truststore.location").high().at(TLS, 1).label("Trust store").doc(TRUSTSTORE),
    OptionDef::password("connection.ssl.truststore.password").high().at(TLS, 2).label("Trust store password").doc("Of a JKS or PKCS12 store.").no_effect(PEM_HAS_NO_PASSWORD),
    OptionDef::string("connection.ssl.truststore.type").default("JKS").at(TLS, 3).label("Trust store type").doc(STORE_TYPE),
    OptionDef::password("connection.ssl.truststore.certificates").high().at(TLS, 4).label("Trusted certificates").doc(TRUSTED),
    OptionDef::string("connection.ssl.keystore.location").high().at(TLS, 5).label("Key store").doc(KEYSTORE),
    OptionDef::password("connection.ssl.keystore.password").high().at(TLS, 6).label("Key store password").doc("Of a JKS or PKCS12 store.").no_effect(PEM_HAS_NO_PASSWORD),
    OptionDef::string("connection.ssl.keystore.type").default("JKS").at(TLS, 7).label("Key store type").doc(STORE_TYPE),
    OptionDef::password("connection.ssl.keystore.key").high().at(TLS, 8).label("Private key").doc(KEY),
    OptionDef::password("connection.ssl.keystore.certificate.chain").high().at(TLS, 9).label("Certificate chain").doc(CHAIN),
    OptionDef::password("connection.ssl.key.password").high().at(TLS, 10).label("Key password").doc("Of an encrypted private key.").later(ENCRYPTED_KEY),
    OptionDef::list("connection.ssl.enabled.protocols").default("TLSv1.2,TLSv1.3").at(TLS, 11).label("TLS versions").doc("TLS versions that may be used.").no_effect(TLS_VERSIONS),
    OptionDef::string("connection.ssl.protocol").default("TLSv1.3").at(TLS, 12).label("TLS version").doc("The TLS version.").no_effect(TLS_VERSIONS),
    OptionDef::list("connection.ssl.cipher.suites").low().at(TLS, 13).label("Cipher suites").doc("Cipher suites that may be used.").no_effect(TLS_VERSIONS),
    OptionDef::string("connection.ssl.endpoint.identification.algorithm").default("https").checks(&[OneOf(&["https"])]).low().at(TLS, 14).label("Host name check").doc(HOST_NAME_CHECK),
    OptionDef::string("connection.ssl.OPTION").unlisted().pattern("connection.ssl.", "").doc("Other options of Java's TLS.").no_effect(JAVA_TLS),
    OptionDef::string("aws.access_key_id").at(AWS, 1).label("AWS access key").doc("AWS access key.").later(NO_SIGNATURES),
    OptionDef::password("aws.secret_access_key").at(AWS, 2).label("AWS secret key").doc("AWS secret key.").later(NO_SIGNATURES),
    OptionDef::string("aws.region").at(AWS, 3).label("AWS region").doc("AWS region; turns signed requests on.").later(NO_SIGNATURES),
    OptionDef::string("aws.service.signing.name").at(AWS, 4).label("AWS service").doc("Name of the service in the signature.").later(NO_SIGNATURES),
    OptionDef::string("aws.sts.OPTION").unlisted().pattern("aws.sts.", "").doc("A role to take at AWS.").later(NO_SIGNATURES),
    INDEX_NAME_FORMAT,
    INDEX_TEMPLATES,
    TEMPORAL,
    UNAVAILABLE,
    PLACEHOLDER,
]);

/// Of `io.confluent.connect.elasticsearch.ElasticsearchSinkConnector`.
pub const ELASTICSEARCH_SINK: OptionTable = OptionTable::new(&[
    URL,
    USERNAME,
    PASSWORD,
    OptionDef::string("external.resource.usage")
        .default("DISABLED")
        .checks(&[OneOf(&["INDEX", "DATASTREAM", "ALIAS_INDEX", "ALIAS_DATASTREAM", "DISABLED"])])
        .high()
        .width(Width::Short)
        .at(CONNECTOR, 4)
        .label("External resource usage")
        .doc("What topic.to.external.resource.mapping names; nothing is created then.")
        .later_values(&["DATASTREAM", "ALIAS_DATASTREAM"], NO_STREAMS),
    OptionDef::list("topic.to.external.resource.mapping")
        .default("")
        .high()
        .width(Width::Long)
        .at(CONNECTOR, 5)
        .label("Topics to resources")
        .doc("TOPIC:RESOURCE, …: the index or alias that each topic is written to. It has to exist."),
    OptionDef::int("max.external.resource.mappings")
        .default("15")
        .checks(&[AtLeast(1)])
        .width(Width::Short)
        .at(CONNECTOR, 6)
        .label("Most resource mappings")
        .doc("How many such pairs there may be.")
        .no_effect("there may be any number"),
    BATCH_SIZE,
    BULK_SIZE,
    IN_FLIGHT,
    BUFFERED,
    LINGER,
    FLUSH_TIMEOUT.default("180000"),
    OptionDef::boolean("flush.synchronously").default("false").checks(&[Boolean]).low().width(Width::Short).at(CONNECTOR, 13).label("Flush synchronously").doc("Wait for each flush.").no_effect(DURABLE),
    RETRIES,
    BACKOFF,
    COMPRESSION,
    OptionDef::int("max.connection.idle.time.ms")
        .default("60000")
        .checks(&[Int])
        .low()
        .width(Width::Short)
        .at(CONNECTOR, 17)
        .label("Idle connections")
        .doc("How long a connection that nothing uses is kept, in milliseconds."),
    CONNECT_TIMEOUT,
    READ_TIMEOUT,
    OptionDef::boolean("use.autogenerated.ids")
        .default("false")
        .checks(&[Boolean])
        .width(Width::Short)
        .at(CONNECTOR, 20)
        .label("Ids from the cluster")
        .doc("With write.method=insert: the cluster makes the documents' ids, so a repetition writes a second document."),
    KEY_IGNORE,
    SCHEMA_IGNORE,
    COMPACT_MAPS,
    TOPIC_KEY_IGNORE,
    TOPIC_SCHEMA_IGNORE,
    DROP_INVALID,
    ON_NULL,
    OptionDef::string("behavior.on.malformed.documents")
        .default("FAIL")
        .checks(&[OneOf(&["IGNORE", "WARN", "FAIL"])])
        .low()
        .width(Width::Short)
        .at(DATA, 10)
        .label("Malformed documents")
        .doc(MALFORMED),
    VERSION_HEADER,
    OptionDef::string("write.method").default("INSERT").checks(WRITE_METHODS).low().width(Width::Short).at(DATA, 12).label("Write method").doc(WRITE_METHOD),
    OptionDef::string("data.stream.type").default("NONE").checks(&[OneOf(&["LOGS", "METRICS", "NONE"])]).low().at(STREAMS, 1).label("Data stream type").doc("LOGS or METRICS writes to data streams.").later_values(&["LOGS", "METRICS"], NO_STREAMS),
    OptionDef::string("data.stream.dataset").default("").low().at(STREAMS, 2).label("Data stream dataset").doc("Part of the data stream's name.").later(NO_STREAMS),
    OptionDef::string("data.stream.namespace").default("${topic}").low().at(STREAMS, 3).label("Data stream namespace").doc("Part of the data stream's name.").later(NO_STREAMS),
    OptionDef::list("data.stream.timestamp.field").default("").low().at(STREAMS, 4).label("Data stream timestamp").doc("The field that is the document's time.").later(NO_STREAMS),
    OptionDef::string("proxy.host").default("").low().at("Proxy", 1).label("Proxy host").doc("A proxy to go through.").later(NO_PROXY),
    OptionDef::int("proxy.port").default("8080").low().at("Proxy", 2).label("Proxy port").doc("The proxy's port.").no_effect(NO_PROXY),
    OptionDef::string("proxy.username").default("").low().at("Proxy", 3).label("Proxy user").doc("User at the proxy.").later(NO_PROXY),
    OptionDef::password("proxy.password").low().at("Proxy", 4).label("Proxy password").doc("Password at the proxy.").later(NO_PROXY),
    OptionDef::string("elastic.security.protocol")
        .default("PLAINTEXT")
        .checks(&[OneOf(&["PLAINTEXT", "SSL"])])
        .width(Width::Short)
        .at(TLS, 1)
        .label("Security protocol")
        .doc("SSL demands https in every URL. PLAINTEXT leaves the elastic.https options aside; https is then checked against the system's authorities."),
    TRUST_ALL.unlisted(),
    OptionDef::string("elastic.https.ssl.truststore.location").high().at(TLS, 2).label("Trust store").doc(TRUSTSTORE),
    OptionDef::password("elastic.https.ssl.truststore.password").high().at(TLS, 3).label("Trust store password").doc("Of a JKS or PKCS12 store.").no_effect(PEM_HAS_NO_PASSWORD),
    OptionDef::string("elastic.https.ssl.truststore.type").default("JKS").at(TLS, 4).label("Trust store type").doc(STORE_TYPE),
    OptionDef::password("elastic.https.ssl.truststore.certificates").high().at(TLS, 5).label("Trusted certificates").doc(TRUSTED),
    OptionDef::string("elastic.https.ssl.keystore.location").high().at(TLS, 6).label("Key store").doc(KEYSTORE),
    OptionDef::password("elastic.https.ssl.keystore.password").high().at(TLS, 7).label("Key store password").doc("Of a JKS or PKCS12 store.").no_effect(PEM_HAS_NO_PASSWORD),
    OptionDef::string("elastic.https.ssl.keystore.type").default("JKS").at(TLS, 8).label("Key store type").doc(STORE_TYPE),
    OptionDef::password("elastic.https.ssl.keystore.key").high().at(TLS, 9).label("Private key").doc(KEY),
    OptionDef::password("elastic.https.ssl.keystore.certificate.chain").high().at(TLS, 10).label("Certificate chain").doc(CHAIN),
    OptionDef::password("elastic.https.ssl.key.password").high().at(TLS, 11).label("Key password").doc("Of an encrypted private key.").later(ENCRYPTED_KEY),
    OptionDef::list("elastic.https.ssl.enabled.protocols").default("TLSv1.2,TLSv1.3").at(TLS, 12).label("TLS versions").doc("TLS versions that may be used.").no_effect(TLS_VERSIONS),
    OptionDef::string("elastic.https.ssl.protocol").default("TLSv1.3").at(TLS, 13).label("TLS version").doc("The TLS version.").no_effect(TLS_VERSIONS),
    OptionDef::list("elastic.https.ssl.cipher.suites").low().at(TLS, 14).label("Cipher suites").doc("Cipher suites that may be used.").no_effect(TLS_VERSIONS),
    OptionDef::string("elastic.https.ssl.endpoint.identification.algorithm").default("https").checks(&[OneOf(&["https"])]).low().at(TLS, 15).label("Host name check").doc(HOST_NAME_CHECK),
    OptionDef::string("elastic.https.OPTION").unlisted().pattern("elastic.https.", "").doc("Other options of Java's TLS.").no_effect(JAVA_TLS),
    OptionDef::string("kerberos.user.principal").low().at("Kerberos", 1).label("Kerberos principal").doc("Kerberos principal.").later(NO_KERBEROS),
    OptionDef::string("kerberos.keytab.path").low().at("Kerberos", 2).label("Kerberos keytab").doc("Kerberos keytab.").later(NO_KERBEROS),
    OptionDef::string("type.name").unlisted().doc("Mapping type of clusters before 7.").no_effect("mapping types are gone since Elasticsearch 7"),
    INDEX_NAME_FORMAT,
    INDEX_TEMPLATES,
    TEMPORAL,
    UNAVAILABLE,
    PLACEHOLDER,
]);

const CONNECTOR: &str = "Connector";
const DATA: &str = "Data Conversion";
const STREAMS: &str = "Data Stream";
const TLS: &str = "Security";
const AWS: &str = "AWS";

const URL: OptionDef = OptionDef::list("connection.url")
    .required()
    .checks(&[NonEmpty])
    .high()
    .width(Width::Long)
    .at(CONNECTOR, 1)
    .label("URLs")
    .doc("The cluster's nodes, such as http://os1:9200,http://os2:9200. Where one does not answer, the next is asked.");
const USERNAME: OptionDef = OptionDef::string("connection.username")
    .width(Width::Short)
    .at(CONNECTOR, 2)
    .label("User")
    .doc("User for basic authentication; used when there is a password as well.");
const PASSWORD: OptionDef = OptionDef::password("connection.password")
    .width(Width::Short)
    .at(CONNECTOR, 3)
    .label("Password")
    .doc("Its password.");
const BATCH_SIZE: OptionDef = OptionDef::int("batch.size")
    .default("2000")
    .checks(&[PositiveInt])
    .width(Width::Short)
    .at(CONNECTOR, 7)
    .label("Batch size")
    .doc("Most records that one bulk request holds.");
const BULK_SIZE: OptionDef = OptionDef::long("bulk.size.bytes")
    .default("5242880")
    .checks(&[AtLeast(-1)])
    .low()
    .width(Width::Short)
    .at(CONNECTOR, 8)
    .label("Bulk size")
    .doc("Most bytes that one bulk request holds; a larger document goes alone. -1: what holds without it, 5 MiB.");
const IN_FLIGHT: OptionDef = OptionDef::int("max.in.flight.requests")
    .default("5")
    .checks(&[PositiveInt])
    .width(Width::Short)
    .at(CONNECTOR, 9)
    .label("Requests in flight")
    .doc("How many requests may run at the same time.")
    .no_effect("a task has one request running; tasks.max gives more");
const BUFFERED: OptionDef = OptionDef::int("max.buffered.records")
    .default("20000")
    .checks(&[PositiveInt])
    .low()
    .width(Width::Short)
    .at(CONNECTOR, 10)
    .label("Buffered records")
    .doc("How many records may wait.")
    .no_effect(DURABLE);
const LINGER: OptionDef = OptionDef::long("linger.ms")
    .default("1")
    .checks(&[NonNegativeLong])
    .low()
    .width(Width::Short)
    .at(CONNECTOR, 11)
    .label("Linger")
    .doc("How long records wait for others.")
    .no_effect(DURABLE);
const FLUSH_TIMEOUT: OptionDef = OptionDef::long("flush.timeout.ms")
    .checks(&[PositiveLong])
    .low()
    .width(Width::Short)
    .at(CONNECTOR, 12)
    .label("Flush timeout")
    .doc("How long failed rows of a batch are tried again before the whole batch is, in milliseconds.");
const RETRIES: OptionDef = OptionDef::int("max.retries")
    .default("5")
    .checks(&[NonNegativeInt])
    .low()
    .width(Width::Short)
    .at(CONNECTOR, 14)
    .label("Retries")
    .doc("How often failed rows of a batch are tried again at once. Then the worker puts the whole batch again, with back-off, as long as it takes.");
const BACKOFF: OptionDef = OptionDef::long("retry.backoff.ms")
    .default("100")
    .checks(&[NonNegativeLong])
    .low()
    .width(Width::Short)
    .at(CONNECTOR, 15)
    .label("Back-off")
    .doc("The wait before the first of these, in milliseconds; twice as long each time, up to 10 s.");
const COMPRESSION: OptionDef = OptionDef::boolean("connection.compression")
    .default("false")
    .checks(&[Boolean])
    .low()
    .width(Width::Short)
    .at(CONNECTOR, 16)
    .label("Compression")
    .doc("Send requests in gzip.");
const CONNECT_TIMEOUT: OptionDef = OptionDef::int("connection.timeout.ms")
    .default("1000")
    .checks(&[NonNegativeInt])
    .low()
    .width(Width::Short)
    .at(CONNECTOR, 18)
    .label("Connection timeout")
    .doc("How long connecting may take, in milliseconds; 0: no limit.");
const READ_TIMEOUT: OptionDef = OptionDef::int("read.timeout.ms")
    .default("3000")
    .checks(&[NonNegativeInt])
    .low()
    .width(Width::Short)
    .at(CONNECTOR, 19)
    .label("Read timeout")
    .doc("How long an answer may take, in milliseconds; 0: no limit. Requests about indices get 30 s at least.");
const KEY_IGNORE: OptionDef = OptionDef::boolean("key.ignore")
    .default("false")
    .checks(&[Boolean])
    .high()
    .width(Width::Short)
    .at(DATA, 1)
    .label("Ignore keys")
    .doc("Make a document's id of topic, partition and offset instead of the record's key: one document an event, and nothing is deleted.");
const SCHEMA_IGNORE: OptionDef = OptionDef::boolean("schema.ignore")
    .default("false")
    .checks(&[Boolean])
    .low()
    .width(Width::Short)
    .at(DATA, 3)
    .label("Ignore schemas")
    .doc("Leave the mapping to the cluster instead of making it from the records' schemas. Records without schemas always do.");
const COMPACT_MAPS: OptionDef = OptionDef::boolean("compact.map.entries")
    .default("true")
    .checks(&[Boolean])
    .low()
    .width(Width::Short)
    .at(DATA, 4)
    .label("Compact maps")
    .doc("Write maps with text keys as objects, not as lists of key and value.");
const TOPIC_KEY_IGNORE: OptionDef = OptionDef::list("topic.key.ignore")
    .default("")
    .low()
    .width(Width::Long)
    .at(DATA, 5)
    .label("Topics without keys")
    .doc("Topics for which key.ignore is true.");
const TOPIC_SCHEMA_IGNORE: OptionDef = OptionDef::list("topic.schema.ignore")
    .default("")
    .low()
    .width(Width::Long)
    .at(DATA, 6)
    .label("Topics without schemas")
    .doc("Topics for which schema.ignore is true.");
const DROP_INVALID: OptionDef = OptionDef::boolean("drop.invalid.message")
    .default("false")
    .checks(&[Boolean])
    .low()
    .width(Width::Short)
    .at(DATA, 7)
    .label("Drop invalid messages")
    .doc("Leave records out that cannot become a document (no key, no fields), with a warning, instead of making an error of them.");
const ON_NULL: OptionDef = OptionDef::string("behavior.on.null.values")
    .default("delete")
    .checks(&[OneOf(&["ignore", "delete", "fail"])])
    .low()
    .width(Width::Short)
    .at(DATA, 9)
    .label("Deletes and tombstones")
    .doc("What a tombstone and a delete event do: delete the document, nothing (ignore), or be an error (fail).");
const VERSION_HEADER: OptionDef = OptionDef::string("external.version.header")
    .default("")
    .low()
    .width(Width::Short)
    .at(DATA, 11)
    .label("Version header")
    .doc("Header with the document's version, a whole number, in place of the Kafka offset.");
const TRUST_ALL: OptionDef = OptionDef::boolean("connection.trust.all.certificates")
    .default("false")
    .checks(&[Boolean])
    .low()
    .width(Width::Short)
    .at(TLS, 15)
    .label("Trust all certificates")
    .doc("Do not check the server's certificate: for tests only, whoever is between can read and change everything.");

/// Ours, for both.
const INDEX_NAME_FORMAT: OptionDef = OptionDef::string("walspring.index.name.format")
    .unlisted()
    .default("${topic}")
    .checks(&[NonEmpty])
    .doc("The index's name: ${topic} is the topic. It is put into lower case, and what index names may not have becomes an underscore.");
const INDEX_TEMPLATES: OptionDef = OptionDef::boolean("walspring.index.templates")
    .unlisted()
    .default("true")
    .checks(&[Boolean])
    .doc("Make an index template from each schema, so that an index that is deleted comes back with its mapping. Without: only the index.");
const TEMPORAL: OptionDef = OptionDef::string("walspring.temporal.values")
    .unlisted()
    .default("date")
    .checks(&[OneOf(&["date", "plain"])])
    .doc("Dates and timestamps of records with schemas: date writes them as ISO texts that the mapping calls date; plain as the number that stands in the record, as the original does.");
const UNAVAILABLE: OptionDef = OptionDef::string("walspring.unavailable.values")
    .unlisted()
    .default("keep")
    .checks(&[OneOf(&["keep", "omit", "fail"])])
    .doc("A column that the event does not have because it is unchanged (TOAST): keep takes it from the document that is there, omit leaves it out of the new document, fail makes an error of the record.");
const PLACEHOLDER: OptionDef = OptionDef::string("unavailable.value.placeholder")
    .unlisted()
    .default("__debezium_unavailable_value")
    .checks(&[Placeholder])
    .doc("What the source writes for such a column; as its option of this name.");

const WRITE_METHODS: &[crate::option::Check] = &[OneOf(&["insert", "upsert"])];
const WRITE_METHOD: &str = "insert replaces the whole document, and only by a newer one. upsert changes the fields that the record has and keeps the others; it cannot check versions, so a replay shows older states until it has caught up.";
const MALFORMED: &str = "A document that the cluster refuses, such as one that does not fit the mapping: ignore and warn leave it out, anything else makes an error of its record (errors.tolerance and the dead letter queue then say what follows).";
const TRUSTSTORE: &str = "File with the authorities to trust, in PEM; without it the system's.";
const TRUSTED: &str = "The authorities to trust, as PEM text.";
const KEYSTORE: &str = "File with our certificate and its private key, in PEM.";
const STORE_TYPE: &str = "Type of that file. Only PEM is read.";
const KEY: &str = "Our private key, as PEM text.";
const CHAIN: &str = "Our certificate and those above it, as PEM text.";
const HOST_NAME_CHECK: &str = "The certificate has to be for the URL's host. This check cannot be switched off alone.";

const DURABLE: &str = "a batch is durable when the task is done with it; nothing is buffered behind it";
const TLS_VERSIONS: &str = "TLS 1.2 and 1.3 with their sound cipher suites are offered";
const JAVA_TLS: &str = "it belongs to Java's TLS";
const PEM_HAS_NO_PASSWORD: &str = "only PEM files are read, which have no password";
const ENCRYPTED_KEY: &str = "encrypted private keys are not read; decrypt it with openssl pkey";
const NO_STREAMS: &str = "data streams are not supported; write to an index or an alias";
const NO_SIGNATURES: &str = "requests are not signed for AWS; use basic authentication or a signing proxy";
const NO_PROXY: &str = "proxies are not supported";
const NO_KERBEROS: &str = "Kerberos is not supported; use basic authentication";
