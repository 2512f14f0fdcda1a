//! The sink's configuration, typed. Everything that can be wrong without asking the database is told here.

use walspring_config::tables::postgres_sink::POSTGRES_SINK;
use walspring_config::{Config, ConfigError};
use walspring_connect::CONFIG_EXCEPTION;
use walspring_connect::TaskError;
use walspring_debezium::Unavailable;

use crate::routes::{self, Route};
use crate::url::{self, Endpoint};

#[derive(Debug, Clone)]
pub struct SinkConfig {
    pub endpoint: Endpoint,
    pub insert_mode: InsertMode,
    /// Deletes are applied: `delete.enabled`, and not append-only.
    pub deletes: bool,
    pub truncates: bool,
    pub key_mode: KeyMode,
    pub key_fields: Vec<String>,
    pub evolution: bool,
    pub quote: bool,
    pub table_format: String,
    pub routes: Vec<Route>,
    pub fields: FieldFilter,
    pub time_zone: String,
    /// Rows in one statement.
    pub batch_rows: usize,
    pub audit: bool,
    pub unknown_fields_fail: bool,
    /// Deletes are records of their own, and the tombstones behind them say nothing more.
    pub tombstones_ignored: bool,
    pub declared: Declared,
    pub unavailable: Unavailable,
    pub offsets_table: Option<String>,
    /// `None`: the name by default.
    pub origin: Option<String>,
    pub no_origin: bool,
    pub statement_timeout_ms: i64,
    /// `errors.tolerance=all`: what cannot be written is passed over.
    pub tolerant: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsertMode {
    Insert,
    Upsert,
    Update,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyMode {
    None,
    Kafka,
    RecordKey,
    RecordValue,
    RecordHeader,
}

/// What the source is declared to have written, where records cannot say it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Declared {
    pub time: Option<TimePrecision>,
    pub decimal: Option<Decimals>,
    pub binary: Option<Binary>,
}

/// `time.precision.mode` of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimePrecision {
    Adaptive,
    AdaptiveTimeMicroseconds,
    Connect,
    IsoString,
    Microseconds,
    Nanoseconds,
}

/// `decimal.handling.mode` of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decimals {
    String,
    Double,
    Precise,
}

/// `binary.handling.mode` of the source. `bytes` is base64 in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    Base64,
    Base64Url,
    Hex,
}

/// `field.include.list` or `field.exclude.list`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldFilter {
    include: Option<Vec<(Option<String>, String)>>,
    exclude: Vec<(Option<String>, String)>,
}

impl FieldFilter {
    fn new(include: &[String], exclude: &[String]) -> FieldFilter {
        let pairs = |list: &[String]| {
            let pair = |item: &String| match item.rsplit_once(':') {
                Some((topic, field)) => {
                    (Some(topic.trim()).filter(|t| !t.is_empty()).map(str::to_owned), field.trim().to_owned())
                }
                None => (None, item.trim().to_owned()),
            };
            list.iter().filter(|item| !item.trim().is_empty()).map(pair).collect::<Vec<_>>()
        };
        let include = pairs(include);
        FieldFilter { include: (!include.is_empty()).then_some(include), exclude: pairs(exclude) }
    }

    pub fn is_empty(&self) -> bool {
        self.include.is_none() && self.exclude.is_empty()
    }

    pub fn takes(&self, topic: &str, field: &str) -> bool {
        let has = |list: &[(Option<String>, String)]| {
            list.iter().any(|(t, f)| f == field && t.as_deref().is_none_or(|t| t == topic))
        };
        self.include.as_deref().is_none_or(has) && !has(&self.exclude)
    }
}

impl SinkConfig {
    /// All that is wrong, by option.
    pub fn parse(pairs: &[(String, String)]) -> Result<SinkConfig, Vec<ConfigError>> {
        let mut config: Config = pairs.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        for option in POSTGRES_SINK.iter() {
            for alias in option.aliases {
                if let (Some(value), false) = (config.get(alias).map(str::to_owned), config.contains(option.name)) {
                    config.insert(option.name, value);
                }
            }
        }
        let mut errors = Vec::new();
        let parsed = read(&config, &mut errors).map_err(|error| vec![error])?;
        contradictions(&parsed, &mut errors);
        if errors.is_empty() { Ok(parsed) } else { Err(errors) }
    }

    /// For a task, whose configuration has been checked before.
    pub fn parse_for_task(pairs: &[(String, String)]) -> Result<SinkConfig, TaskError> {
        SinkConfig::parse(pairs).map_err(|errors| {
            let messages: Vec<String> = errors.into_iter().map(|error| error.message).collect();
            TaskError::definite(CONFIG_EXCEPTION, messages.join("; "))
        })
    }

    /// The route of a topic, if it has one.
    pub fn route(&self, topic: &str) -> Option<&Route> {
        // A topic's own name goes before patterns.
        let exact = self.routes.iter().find(|route| route.topic == topic);
        exact.or_else(|| self.routes.iter().find(|route| route.takes(topic)))
    }
}

fn read(config: &Config, errors: &mut Vec<ConfigError>) -> Result<SinkConfig, ConfigError> {
    let reader = config.reader(POSTGRES_SINK);
    let url = reader.string("connection.url")?;
    let invalid = |name: &str, why: String| ConfigError::new(name, format!("The '{name}' value is invalid: {why}"));
    let mut endpoint = url::parse(&url).map_err(|why| invalid("connection.url", why))?;
    if let Some(user) = reader.optional_nonempty("connection.username") {
        endpoint.user = Some(user);
    }
    if let Some(password) = reader.secret("connection.password") {
        endpoint.password = Some(password);
    }
    let routes = reader.optional("walspring.sink.routes").unwrap_or_default();
    let routes = routes::parse(&routes).unwrap_or_else(|why| {
        errors.push(invalid("walspring.sink.routes", why));
        Vec::new()
    });
    let choice = |name: &str| match reader.optional_nonempty(name) {
        None => Ok(None),
        Some(_) => reader.choice(name).map(Some),
    };
    let name = "walspring.sink.unavailable.value.placeholder";
    let unavailable = Unavailable::parse(&reader.string(name)?)
        .ok_or_else(|| invalid(name, "pairs of hexadecimal digits are expected after hex:".to_owned()))?;
    let append_only = reader.choice("walspring.sink.deletes")? == "skip";
    let origin = reader.optional_nonempty("walspring.sink.origin");
    Ok(SinkConfig {
        endpoint,
        insert_mode: match reader.choice("insert.mode")? {
            "upsert" => InsertMode::Upsert,
            "update" => InsertMode::Update,
            _ => InsertMode::Insert,
        },
        deletes: reader.boolean("delete.enabled")? && !append_only,
        truncates: reader.boolean("truncate.enabled")? && !append_only,
        key_mode: match reader.choice("primary.key.mode")? {
            "kafka" => KeyMode::Kafka,
            "record_key" => KeyMode::RecordKey,
            "record_value" => KeyMode::RecordValue,
            "record_header" => KeyMode::RecordHeader,
            _ => KeyMode::None,
        },
        key_fields: nonempty(reader.list("primary.key.fields")),
        evolution: reader.choice("schema.evolution")? == "basic",
        quote: reader.boolean("quote.identifiers")?,
        table_format: reader.string("collection.name.format")?,
        routes,
        fields: FieldFilter::new(&reader.list("field.include.list"), &reader.list("field.exclude.list")),
        time_zone: reader.string("use.time.zone")?,
        batch_rows: reader.count("batch.size")?.max(1) as usize,
        audit: reader.choice("walspring.sink.mode")? == "audit",
        unknown_fields_fail: reader.choice("walspring.sink.unknown.fields")? == "fail",
        tombstones_ignored: reader.choice("walspring.sink.tombstones")? == "ignore",
        declared: Declared {
            time: choice("walspring.sink.time.precision.mode")?.map(|mode| match mode {
                "adaptive" => TimePrecision::Adaptive,
                "adaptive_time_microseconds" => TimePrecision::AdaptiveTimeMicroseconds,
                "connect" => TimePrecision::Connect,
                "isostring" => TimePrecision::IsoString,
                "microseconds" => TimePrecision::Microseconds,
                _ => TimePrecision::Nanoseconds,
            }),
            decimal: choice("walspring.sink.decimal.handling.mode")?.map(|mode| match mode {
                "string" => Decimals::String,
                "double" => Decimals::Double,
                _ => Decimals::Precise,
            }),
            binary: choice("walspring.sink.binary.handling.mode")?.map(|mode| match mode {
                "hex" => Binary::Hex,
                "base64-url-safe" => Binary::Base64Url,
                _ => Binary::Base64,
            }),
        },
        unavailable,
        offsets_table: reader.optional_nonempty("walspring.sink.offsets.table"),
        no_origin: origin.as_deref() == Some("none"),
        origin,
        statement_timeout_ms: reader.long("walspring.sink.statement.timeout.ms")?.max(0),
        // The framework's option: it says whether offsets may pass what was not written.
        tolerant: config.get("errors.tolerance").is_some_and(|tolerance| tolerance.trim() == "all"),
    })
}

fn nonempty(list: Vec<String>) -> Vec<String> {
    list.into_iter().filter(|item| !item.is_empty()).collect()
}

fn contradictions(config: &SinkConfig, errors: &mut Vec<ConfigError>) {
    let mut wrong =
        |name: &str, why: &str| errors.push(ConfigError::new(name, format!("The '{name}' value is invalid: {why}")));
    if config.endpoint.user.as_deref().is_none_or(str::is_empty) {
        wrong("connection.username", "a value is required");
    }
    if config.audit {
        return;
    }
    let keyed_by_routes = !config.routes.is_empty() && config.routes.iter().all(Route::has_key);
    let keyless = config.key_mode == KeyMode::None && !keyed_by_routes;
    if keyless && config.insert_mode != InsertMode::Insert {
        wrong(
            "primary.key.mode",
            "upsert and update need key columns: set it to record_key, or mark them in walspring.sink.routes",
        );
    }
    if config.deletes && !keyed_by_routes && !matches!(config.key_mode, KeyMode::RecordKey | KeyMode::RecordValue) {
        wrong(
            "delete.enabled",
            "deletes need key columns: set primary.key.mode to record_key, or mark them in walspring.sink.routes",
        );
    }
    if config.table_format.trim().is_empty() {
        wrong("collection.name.format", "a name is expected");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(more: &[(&str, &str)]) -> Result<SinkConfig, Vec<ConfigError>> {
        let mut pairs = vec![("connection.url".to_owned(), "jdbc:postgresql://h/db?user=u".to_owned())];
        pairs.extend(more.iter().map(|(k, v)| (k.to_string(), v.to_string())));
        SinkConfig::parse(&pairs)
    }

    #[test]
    fn defaults_are_the_original_s() {
        let config = parse(&[]).unwrap();
        assert_eq!((config.insert_mode, config.key_mode), (InsertMode::Insert, KeyMode::None));
        assert!(!config.deletes && !config.truncates && !config.evolution && !config.quote);
        assert_eq!((&*config.table_format, config.batch_rows), ("${topic}", 500));
        assert_eq!(parse(&[("table.name.format", "x")]).unwrap().table_format, "x");
    }

    #[test]
    fn contradictions_are_told_by_option() {
        let names =
            |more: &[(&str, &str)]| parse(more).unwrap_err().into_iter().map(|error| error.name).collect::<Vec<_>>();
        assert_eq!(names(&[("insert.mode", "upsert")]), ["primary.key.mode"]);
        assert_eq!(names(&[("delete.enabled", "true")]), ["delete.enabled"]);
        assert_eq!(names(&[("walspring.sink.routes", "x")]), ["walspring.sink.routes"]);
        assert_eq!(names(&[("connection.url", "jdbc:oracle:thin:@h")]), ["connection.url"]);
        let routed = [("insert.mode", "upsert"), ("walspring.sink.routes", "a -> t(id*)"), ("delete.enabled", "true")];
        assert!(parse(&routed).is_ok());
    }

    #[test]
    fn fields_are_filtered_with_and_without_topic() {
        let config = parse(&[("field.exclude.list", "secret, a.b:note")]).unwrap();
        assert!(
            !config.fields.takes("x", "secret")
                && !config.fields.takes("a.b", "note")
                && config.fields.takes("x", "note")
        );
        let config = parse(&[("field.include.list", "id,a:name")]).unwrap();
        assert!(
            config.fields.takes("b", "id") && config.fields.takes("a", "name") && !config.fields.takes("b", "name")
        );
    }
}
