//! What connectors may change about their clients: `connector.client.config.override.policy`.

use crate::config::ConfigError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OverridePolicy {
    All,
    None,
    Principal,
    Allowlist(Vec<String>),
}

impl OverridePolicy {
    /// By name, or by the name of Kafka's class.
    pub fn parse(policy: &str, allowlist: Vec<String>) -> Result<OverridePolicy, ConfigError> {
        let name = policy.trim();
        let simple = name.strip_prefix("org.apache.kafka.connect.connector.policy.").unwrap_or(name);
        match simple.strip_suffix("ConnectorClientConfigOverridePolicy").unwrap_or(simple) {
            "All" => Ok(OverridePolicy::All),
            "None" => Ok(OverridePolicy::None),
            "Principal" => Ok(OverridePolicy::Principal),
            "Allowlist" => Ok(OverridePolicy::Allowlist(allowlist)),
            _ => Err(ConfigError::invalid(
                "connector.client.config.override.policy",
                policy,
                "All, None, Principal or Allowlist is expected",
            )),
        }
    }

    pub fn allows(&self, option: &str) -> bool {
        match self {
            OverridePolicy::All => true,
            OverridePolicy::None => false,
            OverridePolicy::Principal => ["sasl.jaas.config", "sasl.mechanism", "security.protocol"].contains(&option),
            OverridePolicy::Allowlist(allowed) => allowed.iter().any(|allowed| allowed == option),
        }
    }

    /// The error for an option that is not allowed; its name is without `producer.override.`.
    pub fn refusal(&self, option: &str) -> Option<String> {
        let name = match self {
            OverridePolicy::All => "All",
            OverridePolicy::None => "None",
            OverridePolicy::Principal => "Principal",
            OverridePolicy::Allowlist(_) => "Allowlist",
        };
        (!self.allows(option)).then(|| {
            format!("The '{name}' policy does not allow '{option}' to be overridden in the connector configuration.")
        })
    }
}
