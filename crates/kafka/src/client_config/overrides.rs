//! What a connector may change about its own clients: `producer.override.*` and `admin.override.*` (KIP-458), held to
//! the worker's policy. Whatever the policy, an option that names code, a file or an address is refused: a connector's
//! configuration comes from whoever may use REST, the worker's file from whoever runs the worker.

use super::Properties;
use super::jaas;
use super::keys::{self, Owner};

/// `connector.client.config.override.policy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OverridePolicy {
    /// All but the guarded ones.
    All,
    None,
    /// Only who logs in.
    Principal,
    /// Only `connector.client.config.override.allowlist`.
    Allowlist(Vec<String>),
}

const PRINCIPAL: [&str; 3] = ["sasl.jaas.config", "sasl.mechanism", "security.protocol"];

impl OverridePolicy {
    pub fn from_worker(worker: &Properties) -> Result<Self, String> {
        let name = worker.get("connector.client.config.override.policy").map_or("All", |name| name.trim());
        let short = name.strip_prefix("org.apache.kafka.connect.connector.policy.").unwrap_or(name);
        match short.strip_suffix("ConnectorClientConfigOverridePolicy").unwrap_or(short) {
            "All" => Ok(Self::All),
            "None" => Ok(Self::None),
            "Principal" => Ok(Self::Principal),
            "Allowlist" => {
                let list = worker.get("connector.client.config.override.allowlist").map_or("", String::as_str);
                Ok(Self::Allowlist(list.split(',').map(|k| k.trim().to_owned()).filter(|k| !k.is_empty()).collect()))
            }
            _ => Err(format!(
                "connector.client.config.override.policy: {name} is not known; All, None, Principal and Allowlist are"
            )),
        }
    }

    /// Every reason to refuse an option of the connector, with the option's full name.
    pub fn check<'a>(&self, connector: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
        connector
            .into_iter()
            .filter_map(|(name, value)| {
                let (client, key) = split(name)?;
                self.refusal(client, key, value).map(|reason| (name.to_owned(), reason))
            })
            .collect()
    }

    fn refusal(&self, client: Owner, key: &str, value: &str) -> Option<String> {
        let allowed = match self {
            Self::All => true,
            Self::None => false,
            Self::Principal => PRINCIPAL.contains(&key),
            Self::Allowlist(list) => list.iter().any(|allowed| allowed == key),
        };
        if !allowed {
            return Some("The worker's policy connector.client.config.override.policy does not allow it.".into());
        }
        if keys::find(key, client).is_some_and(|known| known.guarded) {
            return Some("It names code, a file or an address: only the worker's own file may set it.".into());
        }
        if key == "sasl.jaas.config" {
            return match jaas::parse(value) {
                Ok(jaas::Login::Kerberos { .. }) => {
                    Some("Kerberos names a key table: set it in the worker's file.".into())
                }
                Ok(_) => None,
                Err(reason) => Some(reason),
            };
        }
        None
    }
}

/// The client and its option, when the connector's option is an override.
pub fn split(name: &str) -> Option<(Owner, &str)> {
    for (prefix, client) in [
        ("producer.override.", Owner::Producer),
        ("consumer.override.", Owner::Consumer),
        ("admin.override.", Owner::Admin),
    ] {
        if let Some(key) = name.strip_prefix(prefix) {
            return Some((client, key));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(pairs: &[(&str, &str)]) -> OverridePolicy {
        let worker = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        OverridePolicy::from_worker(&worker).expect("a policy")
    }

    #[track_caller]
    fn check(policy: &OverridePolicy, name: &str, value: &str, allowed: bool) {
        let refusals = policy.check([(name, value)]);
        assert_eq!(refusals.is_empty(), allowed, "{policy:?} {name}: {refusals:?}");
    }

    #[test]
    fn the_policy_decides_and_guarded_options_are_always_refused() {
        let all = policy(&[]);
        check(&all, "producer.override.linger.ms", "0", true);
        check(&all, "producer.override.ssl.truststore.location", "/etc/passwd", false);
        check(&all, "producer.override.interceptor.classes", "x.Y", false);
        check(&all, "admin.override.bootstrap.servers", "elsewhere:9092", false);
        check(&all, "producer.override.sasl.oauthbearer.token.endpoint.url", "file:/etc/passwd", false);
        let plain = "org.apache.kafka.common.security.plain.PlainLoginModule required username=a password=b;";
        check(&all, "producer.override.sasl.jaas.config", plain, true);
        let jndi = "com.sun.security.auth.module.JndiLoginModule required user.provider.url=\"ldap://x\";";
        check(&all, "producer.override.sasl.jaas.config", jndi, false);
        check(&all, "database.hostname", "x", true);

        let java = "org.apache.kafka.connect.connector.policy.PrincipalConnectorClientConfigOverridePolicy";
        let principal = policy(&[("connector.client.config.override.policy", java)]);
        check(&principal, "producer.override.sasl.jaas.config", plain, true);
        check(&principal, "producer.override.linger.ms", "0", false);

        let none = policy(&[("connector.client.config.override.policy", "None")]);
        check(&none, "producer.override.linger.ms", "0", false);

        let listed = policy(&[
            ("connector.client.config.override.policy", "Allowlist"),
            ("connector.client.config.override.allowlist", "linger.ms, ssl.keystore.location"),
        ]);
        check(&listed, "producer.override.linger.ms", "0", true);
        check(&listed, "producer.override.batch.size", "1", false);
        check(&listed, "producer.override.ssl.keystore.location", "/x", false);
    }
}
