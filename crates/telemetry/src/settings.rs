//! What the standard environment variables say (`OTEL_…`). There are no others: telemetry is configured for a process,
//! not for a connector.
//!
//! A variable that cannot be followed draws a warning and its default holds: changes are worth more than their traces.

use std::path::PathBuf;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_sdk::trace::Sampler;
use ureq::http::{HeaderName, HeaderValue, Uri};

use crate::names;

/// What to export, and where to. An empty one exports nothing.
#[derive(Default)]
pub struct Settings {
    pub traces: Option<TraceSettings>,
    pub metrics: Option<MetricSettings>,
    /// `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SERVICE_NAME`.
    pub resource: Vec<KeyValue>,
    /// Trace context is read from records and written to them (`OTEL_PROPAGATORS` may say otherwise).
    pub propagate: bool,
    /// What could not be followed, for the log.
    pub warnings: Vec<String>,
}

pub struct TraceSettings {
    pub endpoint: Endpoint,
    pub sampler: Sampler,
    /// `OTEL_BSP_SCHEDULE_DELAY`: a span waits this long for others at most.
    pub schedule_delay: Duration,
    /// `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`
    pub batch_spans_max: u32,
    /// `OTEL_BSP_MAX_QUEUE_SIZE`; the bound in bytes holds as well.
    pub queue_spans_max: u32,
}

pub struct MetricSettings {
    pub endpoint: Endpoint,
    /// `OTEL_METRIC_EXPORT_INTERVAL`
    pub interval: Duration,
}

/// Where one signal goes. The headers may be secret.
#[derive(Clone)]
pub struct Endpoint {
    pub url: Uri,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Of one request.
    pub timeout: Duration,
    pub gzip: bool,
    pub authorities: Option<PathBuf>,
    pub client_certificate: Option<(PathBuf, PathBuf)>,
}

impl Endpoint {
    /// Without what may be secret.
    pub fn shown(&self) -> String {
        let scheme = self.url.scheme_str().unwrap_or("http");
        let port = self.url.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{scheme}://{}{port}{}", self.url.host().unwrap_or_default(), self.url.path())
    }
}

const TIMEOUT_DEFAULT_MS: u64 = 10_000;
const METRIC_INTERVAL_DEFAULT_MS: u64 = 60_000;
const SCHEDULE_DELAY_DEFAULT_MS: u64 = 5_000;
const BATCH_SPANS_DEFAULT: u64 = 512;
/// The standard's 2,048 is less than one batch of records.
const QUEUE_SPANS_DEFAULT: u64 = 16_384;

impl Settings {
    pub fn from_env() -> Settings {
        Settings::read(|name| std::env::var(name).ok())
    }

    /// `lookup`: a variable's value.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Settings {
        let mut env = Env { lookup: &lookup, warnings: Vec::new() };
        if env.text("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Settings::default();
        }
        let traces = env.endpoint("TRACES").map(|endpoint| TraceSettings {
            endpoint,
            sampler: env.sampler(),
            schedule_delay: env.millis("OTEL_BSP_SCHEDULE_DELAY", SCHEDULE_DELAY_DEFAULT_MS),
            batch_spans_max: env.count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH_SPANS_DEFAULT),
            queue_spans_max: env.count("OTEL_BSP_MAX_QUEUE_SIZE", QUEUE_SPANS_DEFAULT),
        });
        let metrics = env.endpoint("METRICS").map(|endpoint| {
            let wish = env.text("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE");
            if let Some(wish) = wish.filter(|wish| !wish.eq_ignore_ascii_case("cumulative")) {
                env.warn(format!(
                    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE={wish} has no effect: sums are cumulative"
                ));
            }
            let interval = env.millis("OTEL_METRIC_EXPORT_INTERVAL", METRIC_INTERVAL_DEFAULT_MS);
            MetricSettings { endpoint, interval: interval.max(Duration::from_millis(1)) }
        });
        if traces.is_none() && metrics.is_none() {
            return Settings { warnings: env.warnings, ..Settings::default() };
        }
        let propagators = env.text("OTEL_PROPAGATORS").unwrap_or_else(|| "tracecontext".to_owned());
        let propagate = propagators.split(',').any(|name| name.trim() == "tracecontext");
        Settings { traces, metrics, resource: env.resource(), propagate, warnings: env.warnings }
    }
}

struct Env<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    warnings: Vec<String>,
}

impl Env<'_> {
    /// An empty value counts as none, as the standard has it.
    fn text(&self, name: &str) -> Option<String> {
        let value = (self.lookup)(name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    fn warn(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    fn number(&mut self, name: &str) -> Option<u64> {
        let value = self.text(name)?;
        let number = value.parse().ok();
        if number.is_none() {
            self.warn(format!("{name}={value} is not a whole number; its default holds"));
        }
        number
    }

    fn millis(&mut self, name: &str, default: u64) -> Duration {
        Duration::from_millis(self.number(name).unwrap_or(default))
    }

    fn count(&mut self, name: &str, default: u64) -> u32 {
        u32::try_from(self.number(name).unwrap_or(default)).unwrap_or(u32::MAX).max(1)
    }

    /// The variable of one signal, or else that of all of them, with the name of the one that is set.
    fn of(&self, signal: &str, what: &str) -> Option<(String, String)> {
        [format!("OTEL_EXPORTER_OTLP_{signal}_{what}"), format!("OTEL_EXPORTER_OTLP_{what}")]
            .into_iter()
            .find_map(|name| self.text(&name).map(|value| (name, value)))
    }

    /// `signal`: `TRACES` or `METRICS`. `None`: it is not exported.
    fn endpoint(&mut self, signal: &str) -> Option<Endpoint> {
        let exporter = format!("OTEL_{signal}_EXPORTER");
        let wanted = self.text(&exporter);
        let given = self.of(signal, "ENDPOINT");
        if let Some(wanted) = &wanted {
            let otlp = wanted.split(',').any(|name| name.trim() == "otlp");
            let known = wanted.split(',').all(|name| matches!(name.trim(), "otlp" | "none" | "prometheus"));
            if !known {
                self.warn(format!("{exporter}={wanted}: only otlp and none are known"));
            }
            if !otlp {
                return None;
            }
            if given.is_none() {
                self.warn(format!("{exporter}={wanted} needs OTEL_EXPORTER_OTLP_ENDPOINT"));
            }
        }
        let (name, given) = given?;
        let path = match signal {
            _ if name == format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT") => "",
            "TRACES" => "/v1/traces",
            _ => "/v1/metrics",
        };
        let url = if path.is_empty() { given.clone() } else { format!("{}{path}", given.trim_end_matches('/')) };
        let url = url.parse::<Uri>().ok().filter(|url| {
            matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some_and(|host| !host.is_empty())
        });
        let Some(url) = url else {
            // Not the value: a password may stand in it.
            self.warn(format!("{name} is not a URL such as http://localhost:4318: nothing is exported there"));
            return None;
        };
        if let Some((name, protocol)) = self.of(signal, "PROTOCOL").filter(|(_, value)| value != "http/protobuf") {
            self.warn(format!(
                "{name}={protocol} is not spoken: http/protobuf is (a Collector listens for it on port 4318)"
            ));
        }
        Some(Endpoint {
            url,
            headers: self.headers(signal),
            timeout: self.timeout(signal),
            gzip: self.gzip(signal),
            authorities: self.of(signal, "CERTIFICATE").map(|(_, path)| path.into()),
            client_certificate: self.client_certificate(signal),
        })
    }

    /// `name=value,name=value`, percent-encoded.
    fn headers(&mut self, signal: &str) -> Vec<(HeaderName, HeaderValue)> {
        let Some((variable, text)) = self.of(signal, "HEADERS") else { return Vec::new() };
        let mut headers = Vec::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let parsed = pair.split_once('=').and_then(|(name, value)| {
                let value = HeaderValue::from_bytes(&percent_decoded(value.trim())).ok()?;
                Some((name.trim().parse().ok()?, value))
            });
            match parsed {
                Some(header) => headers.push(header),
                // Nor this value.
                None => self.warn(format!("{variable} is not a list of name=value; what cannot be read is left out")),
            }
        }
        headers
    }

    fn timeout(&mut self, signal: &str) -> Duration {
        let name = self.of(signal, "TIMEOUT").map(|(name, _)| name);
        let millis = name.and_then(|name| self.number(&name)).unwrap_or(TIMEOUT_DEFAULT_MS);
        Duration::from_millis(millis.max(1))
    }

    fn gzip(&mut self, signal: &str) -> bool {
        match self.of(signal, "COMPRESSION") {
            None => false,
            Some((_, value)) if value == "gzip" => true,
            Some((_, value)) if value == "none" => false,
            Some((name, value)) => {
                self.warn(format!("{name}={value}: only gzip and none are known; nothing is compressed"));
                false
            }
        }
    }

    fn client_certificate(&mut self, signal: &str) -> Option<(PathBuf, PathBuf)> {
        let certificate = self.of(signal, "CLIENT_CERTIFICATE");
        let key = self.of(signal, "CLIENT_KEY");
        match (certificate, key) {
            (Some((_, certificate)), Some((_, key))) => Some((certificate.into(), key.into())),
            (None, None) => None,
            (Some((name, _)), None) | (None, Some((name, _))) => {
                self.warn(format!("{name} has no effect alone: a client certificate needs its key, and a key it"));
                None
            }
        }
    }

    fn sampler(&mut self) -> Sampler {
        let name = self.text("OTEL_TRACES_SAMPLER").unwrap_or_else(|| "parentbased_always_on".to_owned());
        let (plain, parent_based) = match name.strip_prefix("parentbased_") {
            Some(plain) => (plain, true),
            None => (name.as_str(), false),
        };
        let sampler = match plain {
            "always_on" => Sampler::AlwaysOn,
            "always_off" => Sampler::AlwaysOff,
            "traceidratio" => Sampler::TraceIdRatioBased(self.ratio()),
            _ => {
                self.warn(format!(
                    "OTEL_TRACES_SAMPLER={name} is not known; parentbased_always_on holds. Known are always_on, \
                     always_off and traceidratio, each also behind parentbased_"
                ));
                return Sampler::ParentBased(Box::new(Sampler::AlwaysOn));
            }
        };
        if parent_based { Sampler::ParentBased(Box::new(sampler)) } else { sampler }
    }

    fn ratio(&mut self) -> f64 {
        let Some(value) = self.text("OTEL_TRACES_SAMPLER_ARG") else { return 1.0 };
        let ratio = value.parse::<f64>().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        if ratio.is_none() {
            self.warn(format!("OTEL_TRACES_SAMPLER_ARG={value} is not a number from 0 to 1; 1 holds"));
        }
        ratio.unwrap_or(1.0)
    }

    fn resource(&mut self) -> Vec<KeyValue> {
        let mut attributes: Vec<KeyValue> = vec![
            KeyValue::new(names::resource::SERVICE_NAME, names::SERVICE_NAME_DEFAULT),
            KeyValue::new(names::resource::SDK_LANGUAGE, "rust"),
            KeyValue::new(names::resource::SDK_NAME, "opentelemetry"),
            KeyValue::new(names::resource::SDK_VERSION, SDK_VERSION),
        ];
        let given = self.text("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        for pair in given.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.trim().is_empty()) else {
                self.warn(format!("OTEL_RESOURCE_ATTRIBUTES: {pair:?} is not name=value; it is left out"));
                continue;
            };
            let value = String::from_utf8_lossy(&percent_decoded(value.trim())).into_owned();
            attributes.push(KeyValue::new(name.trim().to_owned(), value));
        }
        if let Some(name) = self.text("OTEL_SERVICE_NAME") {
            attributes.push(KeyValue::new(names::resource::SERVICE_NAME, name));
        }
        // Of two with one name the later holds.
        let mut last = Vec::with_capacity(attributes.len());
        while let Some(attribute) = attributes.pop() {
            if !last.iter().any(|known: &KeyValue| known.key == attribute.key) {
                last.push(attribute);
            }
        }
        last.reverse();
        last
    }
}

/// The minor version that `Cargo.toml` asks for.
const SDK_VERSION: &str = "0.33";

/// What is no escape stays as it is.
fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let escaped = (first == b'%').then(|| behind.first_chunk::<2>()).flatten().and_then(|digits| {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok()
        });
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &behind[2..] } else { behind };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Settings {
        Settings::read(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn nothing_is_exported_without_an_endpoint() {
        for variables in [
            &[][..],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), ("OTEL_SDK_DISABLED", "true")],
            &[("OTEL_TRACES_SAMPLER", "always_on"), ("OTEL_SERVICE_NAME", "x")],
        ] {
            let settings = read(variables);
            assert!(settings.traces.is_none() && settings.metrics.is_none());
            assert_eq!(settings.warnings, Vec::<String>::new());
        }
    }

    #[test]
    fn an_endpoint_of_all_signals_gets_paths_and_one_of_a_signal_is_taken_as_it_is() {
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://user:secret@m/in"),
        ]);
        assert_eq!(settings.traces.unwrap().endpoint.shown(), "http://c:4318/v1/traces");
        assert_eq!(settings.metrics.unwrap().endpoint.shown(), "https://m/in");
        assert!(settings.propagate);
    }

    #[test]
    fn a_signal_can_be_switched_off() {
        let settings = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), ("OTEL_TRACES_EXPORTER", "none")]);
        assert!(settings.traces.is_none() && settings.metrics.is_some());
    }

    #[test]
    fn headers_and_resource_attributes_are_percent_decoded() {
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20abc, x-a = 1"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=a%2Cb,service.name=from-list,100%=x"),
            ("OTEL_SERVICE_NAME", "the name"),
        ]);
        let headers = settings.traces.unwrap().endpoint.headers;
        let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        assert_eq!(headers, [("authorization", "Basic abc"), ("x-a", "1")]);
        let of = |name: &str| {
            let found: Vec<_> = settings.resource.iter().filter(|a| a.key.as_str() == name).collect();
            assert_eq!(found.len(), 1, "{name}");
            found[0].value.to_string()
        };
        assert_eq!(of("service.name"), "the name");
        assert_eq!(of("deployment.environment.name"), "a,b");
        assert_eq!(of("100%"), "x");
        assert_eq!(settings.warnings, Vec::<String>::new());
    }

    #[test]
    fn samplers_have_the_names_of_the_standard() {
        let sampler = |name: &str, arg: &str| {
            let settings = read(&[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"),
                ("OTEL_TRACES_SAMPLER", name),
                ("OTEL_TRACES_SAMPLER_ARG", arg),
            ]);
            (format!("{:?}", settings.traces.unwrap().sampler), settings.warnings.len())
        };
        assert_eq!(sampler("", ""), ("ParentBased(AlwaysOn)".to_owned(), 0));
        assert_eq!(sampler("always_off", ""), ("AlwaysOff".to_owned(), 0));
        assert_eq!(sampler("parentbased_traceidratio", "0.25"), ("ParentBased(TraceIdRatioBased(0.25))".to_owned(), 0));
        assert_eq!(sampler("traceidratio", "2"), ("TraceIdRatioBased(1.0)".to_owned(), 1));
        assert_eq!(sampler("xray", ""), ("ParentBased(AlwaysOn)".to_owned(), 1));
    }

    #[test]
    fn what_cannot_be_followed_is_said_without_secrets() {
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "u:secret@c"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ]);
        assert!(settings.traces.is_none());
        let endpoint = settings.metrics.unwrap().endpoint;
        assert_eq!((endpoint.timeout, endpoint.gzip), (Duration::from_secs(10), false));
        assert_eq!(settings.warnings.len(), 5, "{:?}", settings.warnings);
        assert!(settings.warnings.iter().any(|warning| warning.contains("http/protobuf is")));
        assert!(!settings.warnings.iter().any(|warning| warning.contains("secret")));
    }
}
