//! `postgres://user:password@host:port,host:port/dbname?sslmode=…`, libpq's URI.

use super::config::{ChannelBinding, ConnectConfig, Pem, Secret};
use super::error::PgError;
use std::time::Duration;

impl ConnectConfig {
    /// From a connection URI. Parameters known: `host`, `port`, `user`, `password`, `dbname`, `sslmode`,
    /// `sslrootcert`, `sslcert`, `sslkey`, `sslpassword`, `channel_binding`, `target_session_attrs`, `application_name`,
    /// `connect_timeout`, `options`, `replication`; others are sent to the server as settings.
    pub fn from_url(url: &str) -> Result<Self, PgError> {
        parse(url).map_err(|reason| PgError::Protocol(format!("the connection URI cannot be used: {reason}")))
    }
}

fn parse(url: &str) -> Result<ConnectConfig, String> {
    let rest = url.strip_prefix("postgresql://").or_else(|| url.strip_prefix("postgres://"));
    let rest = rest.ok_or("it begins with neither postgres:// nor postgresql://")?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, dbname) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = match user.split_once(':') {
        Some((user, password)) => (decode(user)?, Some(decode(password)?)),
        None => (decode(user)?, None),
    };
    let mut config = ConnectConfig::new("localhost", 5432, user, decode(dbname)?);
    config.password = password.map(Secret::new);
    if !hosts.is_empty() {
        config.hosts = hosts.split(',').map(host).collect::<Result<_, _>>()?;
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or("a parameter has no value")?;
        set(&mut config, &decode(name)?, decode(value)?)?;
    }
    if config.dbname.is_empty() {
        config.dbname.clone_from(&config.user);
    }
    Ok(config)
}

fn host(text: &str) -> Result<(String, u16), String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(text) => {
            let (host, rest) = text.split_once(']').ok_or("an IPv6 address has no closing bracket")?;
            (host, rest.strip_prefix(':'))
        }
        None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Ok(5432), |port| port.parse().map_err(|_| format!("{port:?} is not a port")))?;
    Ok((decode(host)?, port))
}

fn set(config: &mut ConnectConfig, name: &str, value: String) -> Result<(), String> {
    match name {
        "host" => config.hosts.iter_mut().for_each(|(host, _)| host.clone_from(&value)),
        "port" => {
            let port = value.parse().map_err(|_| format!("{value:?} is not a port"))?;
            config.hosts.iter_mut().for_each(|(_, old)| *old = port);
        }
        "user" => config.user = value,
        "password" => config.password = Some(Secret::new(value)),
        "dbname" => config.dbname = value,
        "sslmode" => config.ssl.mode = value.parse()?,
        "sslrootcert" => config.ssl.root_cert = Some(Pem::Path(value.into())),
        "sslcert" => config.ssl.client_cert = Some(Pem::Path(value.into())),
        "sslkey" => config.ssl.client_key = Some(Pem::Path(value.into())),
        "sslpassword" => config.ssl.key_password = Some(Secret::new(value)),
        "channel_binding" => {
            config.ssl.channel_binding = match &value[..] {
                "disable" => ChannelBinding::Disable,
                "prefer" => ChannelBinding::Prefer,
                "require" => ChannelBinding::Require,
                _ => return Err(format!("unknown channel_binding {value:?}")),
            }
        }
        "target_session_attrs" => config.target_session = value.parse()?,
        "application_name" => config.application_name = value,
        "connect_timeout" => {
            let seconds = value.parse().map_err(|_| format!("{value:?} is not a number of seconds"))?;
            config.connect_timeout = (seconds > 0).then(|| Duration::from_secs(seconds));
        }
        "replication" => config.replication = value == "database",
        _ => config.options.push((name.to_owned(), value)),
    }
    Ok(())
}

fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, tail) = rest.split_first_chunk::<2>().ok_or("a percent sign lacks its two digits")?;
        let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or("a percent sign lacks its two digits")?);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_are_read() {
        let url = "postgres://me:p%40ss@a.example:1,[::1]:2/my%20db?sslmode=verify-full&connect_timeout=3&TimeZone=UTC";
        let config = ConnectConfig::from_url(url).expect("a good URI");
        assert_eq!(config.hosts, [("a.example".to_owned(), 1), ("::1".to_owned(), 2)]);
        assert_eq!((&config.user[..], &config.dbname[..]), ("me", "my db"));
        assert_eq!(config.password.as_ref().map(|password| password.expose()), Some(&b"p@ss"[..]));
        assert_eq!(config.ssl.mode, super::super::SslMode::VerifyFull);
        assert_eq!(config.connect_timeout, Some(Duration::from_secs(3)));
        assert_eq!(config.options, [("TimeZone".to_owned(), "UTC".to_owned())]);
        assert!(!format!("{config:?}").contains("p@ss"));
    }

    #[test]
    fn socket_directories_are_hosts() {
        let config = ConnectConfig::from_url("postgresql://me@%2Fvar%2Frun:6/db").expect("a good URI");
        assert_eq!(config.hosts, [("/var/run".to_owned(), 6)]);
    }

    #[test]
    fn errors_say_what_is_wrong() {
        for url in ["http://x", "postgres://h:x/d", "postgres://h/d?sslmode=maybe", "postgres://%4", "postgres://h?x"] {
            let error = ConnectConfig::from_url(url).expect_err(url);
            assert!(error.to_string().starts_with("the connection URI cannot be used: "), "{error}");
        }
    }
}
