//! The typed configuration of both classes: what a task asks instead of looking into texts.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use walspring_config::tables::opensearch_sink::{ELASTICSEARCH_SINK, OPENSEARCH_SINK};
use walspring_config::{Config, ConfigError, OptionTable, Secret};
use walspring_debezium::Unavailable;

use crate::client::NodeUrl;
use crate::index_name::IndexNameFormat;

/// Whose connector's names and defaults hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// Aiven's.
    OpenSearch,
    /// Confluent's.
    Elasticsearch,
}

impl Flavour {
    pub fn table(self) -> OptionTable {
        match self {
            Flavour::OpenSearch => OPENSEARCH_SINK,
            Flavour::Elasticsearch => ELASTICSEARCH_SINK,
        }
    }

    fn ssl_prefix(self) -> &'static str {
        match self {
            Flavour::OpenSearch => "connection.ssl.",
            Flavour::Elasticsearch => "elastic.https.ssl.",
        }
    }
}

/// What a tombstone or a delete event does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDelete {
    Delete,
    Ignore,
    Fail,
}

/// What becomes of a record that the cluster has an answer against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRefusal {
    Ignore,
    Warn,
    Fail,
}

/// Where a document's id comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdStrategy {
    RecordKey,
    /// `TOPIC+PARTITION+OFFSET`
    Position,
    /// The cluster makes one.
    Cluster,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMethod {
    /// The whole document.
    Insert,
    /// The fields that the record has.
    Upsert,
}

/// What becomes of a column that the event does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnavailable {
    Keep,
    Omit,
    Fail,
}

#[derive(Debug, Clone)]
pub struct TlsOptions {
    pub trust_all: bool,
    pub truststore_location: Option<String>,
    pub truststore_certificates: Option<Secret>,
    pub keystore_location: Option<String>,
    pub keystore_key: Option<Secret>,
    pub keystore_chain: Option<Secret>,
}

#[derive(Debug, Clone)]
pub struct SinkConfig {
    pub urls: Vec<NodeUrl>,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub tls: TlsOptions,
    pub gzip: bool,
    pub connect_timeout: Option<Duration>,
    pub read_timeout: Option<Duration>,
    pub idle_max: Duration,
    pub batch_records: usize,
    pub bulk_bytes: usize,
    pub retries: u32,
    pub backoff: Duration,
    /// How long rows are tried again inside of one put.
    pub retry_for: Duration,
    key_ignore: bool,
    key_ignore_topics: HashSet<String>,
    id_without_key: IdStrategy,
    schema_ignore: bool,
    schema_ignore_topics: HashSet<String>,
    pub compact_maps: bool,
    pub drop_invalid: bool,
    pub on_delete: OnDelete,
    pub on_malformed: OnRefusal,
    pub on_conflict: OnRefusal,
    pub version_header: Option<String>,
    pub write_method: WriteMethod,
    pub route_by_key: bool,
    /// By topic; nothing is created where there are any.
    pub resources: Option<HashMap<String, String>>,
    pub index_name: IndexNameFormat,
    pub index_templates: bool,
    pub temporal_as_dates: bool,
    pub on_unavailable: OnUnavailable,
    pub placeholder: Unavailable,
}

/// What 5 MiB is for, where `bulk.size.bytes` is -1: every request is bounded.
const BULK_BYTES_DEFAULT: usize = 5 * 1024 * 1024;
/// A cluster takes no larger request (`http.max_content_length`), unless it is told to.
const BULK_BYTES_MAX: i64 = 100 * 1024 * 1024;

impl SinkConfig {
    /// The option tables have been checked; what they cannot know is checked here.
    pub fn read(flavour: Flavour, config: &Config) -> Result<SinkConfig, ConfigError> {
        let read = config.reader(flavour.table());
        let per_flavour = |opensearch, elasticsearch| match flavour {
            Flavour::OpenSearch => opensearch,
            Flavour::Elasticsearch => elasticsearch,
        };
        let urls = urls(&read.list("connection.url"))?;
        let tls = tls_options(flavour, config, &urls)?;
        let refusal = |choice: &str| match choice.to_ascii_lowercase().as_str() {
            "ignore" => OnRefusal::Ignore,
            "warn" => OnRefusal::Warn,
            _ => OnRefusal::Fail,
        };
        let write_method = match read.choice(per_flavour("index.write.method", "write.method"))? {
            "upsert" => WriteMethod::Upsert,
            _ => WriteMethod::Insert,
        };
        let id_without_key = match flavour {
            Flavour::OpenSearch => match read.choice("key.ignore.id.strategy")? {
                "none" => IdStrategy::Cluster,
                "record.key" => IdStrategy::RecordKey,
                _ => IdStrategy::Position,
            },
            Flavour::Elasticsearch => IdStrategy::Position,
        };
        let cluster_ids = flavour == Flavour::Elasticsearch
            && write_method == WriteMethod::Insert
            && read.boolean("use.autogenerated.ids")?;
        let idle_max = match flavour {
            Flavour::OpenSearch => Duration::from_secs(60),
            Flavour::Elasticsearch => match read.long("max.connection.idle.time.ms")? {
                forever @ ..0 => Duration::from_secs(forever.unsigned_abs().max(86_400)),
                milliseconds => Duration::from_millis(milliseconds.unsigned_abs()),
            },
        };
        Ok(SinkConfig {
            urls,
            username: read.optional_nonempty("connection.username"),
            password: read.secret("connection.password").filter(|_| config.contains("connection.password")),
            tls,
            gzip: read.boolean("connection.compression")?,
            connect_timeout: read.milliseconds_unless_zero("connection.timeout.ms")?,
            read_timeout: read.milliseconds_unless_zero("read.timeout.ms")?,
            idle_max,
            batch_records: read.count("batch.size")?.max(1) as usize,
            bulk_bytes: match read.long("bulk.size.bytes")? {
                ..=0 => BULK_BYTES_DEFAULT,
                bytes => bytes.min(BULK_BYTES_MAX) as usize,
            },
            retries: u32::try_from(read.count("max.retries")?).unwrap_or(u32::MAX),
            backoff: read.milliseconds("retry.backoff.ms")?,
            retry_for: read.milliseconds("flush.timeout.ms")?,
            key_ignore: read.boolean("key.ignore")? || cluster_ids,
            key_ignore_topics: read.list("topic.key.ignore").into_iter().collect(),
            id_without_key: if cluster_ids { IdStrategy::Cluster } else { id_without_key },
            schema_ignore: read.boolean("schema.ignore")?,
            schema_ignore_topics: read.list("topic.schema.ignore").into_iter().collect(),
            compact_maps: read.boolean("compact.map.entries")?,
            drop_invalid: read.boolean("drop.invalid.message")?,
            on_delete: match read.choice("behavior.on.null.values")? {
                "ignore" => OnDelete::Ignore,
                "fail" => OnDelete::Fail,
                _ => OnDelete::Delete,
            },
            on_malformed: refusal(read.choice("behavior.on.malformed.documents")?),
            on_conflict: match flavour {
                Flavour::OpenSearch => refusal(read.choice("behavior.on.version.conflict")?),
                Flavour::Elasticsearch => OnRefusal::Ignore,
            },
            version_header: read.optional_nonempty("external.version.header"),
            write_method,
            route_by_key: flavour == Flavour::OpenSearch && read.choice("routing.type")? == "key",
            resources: resources(flavour, config)?,
            index_name: IndexNameFormat::parse(&read.string("walspring.index.name.format")?)
                .map_err(|why| ConfigError::new("walspring.index.name.format", why))?,
            index_templates: read.boolean("walspring.index.templates")?,
            temporal_as_dates: read.choice("walspring.temporal.values")? == "date",
            on_unavailable: match read.choice("walspring.unavailable.values")? {
                "omit" => OnUnavailable::Omit,
                "fail" => OnUnavailable::Fail,
                _ => OnUnavailable::Keep,
            },
            placeholder: {
                let name = "unavailable.value.placeholder";
                let text = read.string(name)?;
                Unavailable::parse(&text)
                    .ok_or_else(|| ConfigError::new(name, format!("The value of {name} is not of the form hex:00ff")))?
            },
        })
    }

    pub fn id_strategy(&self, topic: &str) -> IdStrategy {
        if self.key_ignore || self.key_ignore_topics.contains(topic) {
            self.id_without_key
        } else {
            IdStrategy::RecordKey
        }
    }

    pub fn ignores_schema(&self, topic: &str) -> bool {
        self.schema_ignore || self.schema_ignore_topics.contains(topic)
    }
}

fn urls(list: &[String]) -> Result<Vec<NodeUrl>, ConfigError> {
    let name = "connection.url";
    let parsed = list.iter().filter(|url| !url.is_empty()).map(|url| {
        NodeUrl::parse(url).map_err(|why| ConfigError::new(name, format!("Invalid value in connection.url: {why}")))
    });
    let urls: Vec<NodeUrl> = parsed.collect::<Result<_, _>>()?;
    if urls.is_empty() { Err(ConfigError::missing(name)) } else { Ok(urls) }
}

fn tls_options(flavour: Flavour, config: &Config, urls: &[NodeUrl]) -> Result<TlsOptions, ConfigError> {
    let read = config.reader(flavour.table());
    let trust_all = read.boolean("connection.trust.all.certificates")?;
    let prefix = flavour.ssl_prefix();
    if flavour == Flavour::Elasticsearch {
        let name = "elastic.security.protocol";
        if read.choice(name)? == "PLAINTEXT" {
            // As in the original: the options are there, and nothing of them holds.
            return Ok(TlsOptions {
                trust_all,
                truststore_location: None,
                truststore_certificates: None,
                keystore_location: None,
                keystore_key: None,
                keystore_chain: None,
            });
        }
        if urls.iter().any(|url| !url.is_https()) {
            return Err(ConfigError::new(
                name,
                "With elastic.security.protocol=SSL every connection.url begins with https://",
            ));
        }
    }
    let option = |name: &str| format!("{prefix}{name}");
    let file = |store: &str| -> Result<Option<String>, ConfigError> {
        let location = read.optional_nonempty(&option(&format!("{store}.location")));
        let name = option(&format!("{store}.type"));
        let kind = read.string(&name)?;
        if location.is_some() && !kind.trim().eq_ignore_ascii_case("PEM") {
            return Err(ConfigError::new(
                &name,
                format!(
                    "Only PEM files are read, not {kind}: convert it (keytool -exportcert -rfc, or openssl pkcs12) and set {name}=PEM"
                ),
            ));
        }
        Ok(location)
    };
    Ok(TlsOptions {
        trust_all,
        truststore_location: file("truststore")?,
        truststore_certificates: read.secret(&option("truststore.certificates")),
        keystore_location: file("keystore")?,
        keystore_key: read.secret(&option("keystore.key")),
        keystore_chain: read.secret(&option("keystore.certificate.chain")),
    })
}

fn resources(flavour: Flavour, config: &Config) -> Result<Option<HashMap<String, String>>, ConfigError> {
    let (usage, list, off) = match flavour {
        Flavour::OpenSearch => ("existing.resource.type", "topic.to.existing.resource.mapping", "none"),
        Flavour::Elasticsearch => ("external.resource.usage", "topic.to.external.resource.mapping", "DISABLED"),
    };
    let read = config.reader(flavour.table());
    let pairs = read.list(list);
    if read.choice(usage)? == off {
        if !pairs.is_empty() {
            return Err(ConfigError::new(
                usage,
                format!("With {list}, {usage} has to say what it names: index or an alias"),
            ));
        }
        return Ok(None);
    }
    if pairs.is_empty() {
        return Err(ConfigError::new(list, format!("With {usage}, {list} has to name a resource for each topic")));
    }
    let mut resources = HashMap::new();
    for pair in &pairs {
        let Some((topic, resource)) = pair.rsplit_once(':').filter(|(t, r)| !t.is_empty() && !r.is_empty()) else {
            return Err(ConfigError::new(
                list,
                format!("Invalid value {pair} for configuration {list}: Expected TOPIC:RESOURCE"),
            ));
        };
        if resources.insert(topic.trim().to_owned(), resource.trim().to_owned()).is_some() {
            return Err(ConfigError::new(list, format!("Topic {topic} is named twice in {list}")));
        }
    }
    Ok(Some(resources))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(flavour: Flavour, options: &[(&str, &str)]) -> Result<SinkConfig, String> {
        let config = [("connection.url", "http://127.0.0.1:9200")].iter().chain(options).copied().collect();
        SinkConfig::read(flavour, &config).map_err(|e| e.message)
    }

    #[test]
    fn each_class_has_its_own_names() {
        let aiven = read(Flavour::OpenSearch, &[("index.write.method", "UPSERT"), ("flush.timeout.ms", "7")]).unwrap();
        assert_eq!((aiven.write_method, aiven.retry_for), (WriteMethod::Upsert, Duration::from_millis(7)));
        let confluent = read(Flavour::Elasticsearch, &[("write.method", "upsert")]).unwrap();
        assert_eq!((confluent.write_method, confluent.retry_for), (WriteMethod::Upsert, Duration::from_secs(180)));
        assert_eq!(confluent.bulk_bytes, 5 << 20);
        assert_eq!(read(Flavour::OpenSearch, &[("bulk.size.bytes", "-1")]).unwrap().bulk_bytes, 5 << 20);
    }

    #[test]
    fn ids_are_the_key_unless_it_is_ignored() {
        let config = read(Flavour::OpenSearch, &[("topic.key.ignore", "a, b")]).unwrap();
        assert_eq!(config.id_strategy("a"), IdStrategy::Position);
        assert_eq!(config.id_strategy("c"), IdStrategy::RecordKey);
        let config = read(Flavour::OpenSearch, &[("key.ignore", "true"), ("key.ignore.id.strategy", "none")]).unwrap();
        assert_eq!(config.id_strategy("c"), IdStrategy::Cluster);
        let config = read(Flavour::Elasticsearch, &[("use.autogenerated.ids", "true")]).unwrap();
        assert_eq!(config.id_strategy("c"), IdStrategy::Cluster);
    }

    #[test]
    fn what_cannot_be_done_is_said_with_the_option() {
        for (flavour, options, message) in [
            (
                Flavour::OpenSearch,
                &[("connection.ssl.truststore.location", "/x.jks")][..],
                "Only PEM files are read, not JKS",
            ),
            (
                Flavour::Elasticsearch,
                &[("elastic.security.protocol", "SSL")],
                "With elastic.security.protocol=SSL every connection.url begins with https://",
            ),
            (Flavour::OpenSearch, &[("topic.to.existing.resource.mapping", "a:b")], "With topic.to.existing"),
            (Flavour::OpenSearch, &[("existing.resource.type", "index")], "With existing.resource.type"),
            (
                Flavour::Elasticsearch,
                &[("external.resource.usage", "INDEX"), ("topic.to.external.resource.mapping", "a")],
                "Invalid value a for configuration topic.to.external.resource.mapping",
            ),
            (Flavour::OpenSearch, &[("connection.url", "ftp://x")], "Invalid value in connection.url"),
            (Flavour::OpenSearch, &[("connection.url", "http://u:p@x")], "Invalid value in connection.url"),
        ] {
            let error = read(flavour, options).unwrap_err();
            assert!(error.starts_with(message), "{error}");
            assert!(!error.contains("u:p"), "{error}");
        }
    }
}
