//! `connection.url`: the JDBC driver's form, and libpq's. Says which database, how to reach it, and nothing else; names
//! that we do not know are told, not refused, because the driver has many.

use std::path::PathBuf;
use std::time::Duration;

use walspring_config::Secret;

/// Where the rows go. `Debug` shows no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub hosts: Vec<(String, u16)>,
    pub database: Option<String>,
    pub user: Option<String>,
    pub password: Option<Secret>,
    pub ssl: Ssl,
    pub current_schema: Option<String>,
    pub application_name: Option<String>,
    pub connect_timeout: Option<Duration>,
    /// `-c NAME=VALUE` settings, as libpq's `options`.
    pub options: Option<String>,
    /// Names of the URL that mean nothing here.
    pub ignored: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ssl {
    pub mode: SslMode,
    pub root_cert: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// `sslpassword`, of an encrypted key.
    pub key_password: Option<Secret>,
}

/// As libpq's `sslmode`; `allow` is taken as `prefer`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SslMode {
    Disable,
    #[default]
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

const DEFAULT_PORT: u16 = 5432;
/// What the JDBC driver waits for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Errors are sentences that follow the option's name, without secrets.
pub fn parse(url: &str) -> Result<Endpoint, String> {
    let url = url.trim();
    let rest = match dialect(url)? {
        Some(rest) => rest,
        None => return Err("it is neither jdbc:postgresql://… nor postgres://…".to_owned()),
    };
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    // `jdbc:postgresql:DATABASE` is on this host.
    let address = match address.strip_prefix("//") {
        Some(address) => address.to_owned(),
        None => format!("localhost/{}", address.trim_start_matches('/')),
    };
    let (authority, database) = match address.split_once('/') {
        Some((authority, database)) => (authority, Some(database).filter(|name| !name.is_empty())),
        None => (&*address, None),
    };
    let (login, hosts) = match authority.rsplit_once('@') {
        Some((login, hosts)) => (Some(login), hosts),
        None => (None, authority),
    };
    let mut endpoint = Endpoint {
        hosts: hosts.split(',').map(host).collect::<Result<_, _>>()?,
        database: database.map(decode).transpose()?,
        user: None,
        password: None,
        ssl: Ssl::default(),
        current_schema: None,
        application_name: None,
        connect_timeout: Some(CONNECT_TIMEOUT),
        options: None,
        ignored: Vec::new(),
    };
    if let Some(login) = login {
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (login, None),
        };
        endpoint.user = Some(decode(user)?).filter(|user| !user.is_empty());
        endpoint.password = password.map(|password| decode(password).map(Secret::from)).transpose()?;
    }
    parameters(&mut endpoint, query)?;
    Ok(endpoint)
}

/// What follows the scheme; `None`: it has none that is known.
fn dialect(url: &str) -> Result<Option<&str>, String> {
    for scheme in ["jdbc:postgresql:", "postgresql:", "postgres:"] {
        if let Some(rest) = url.strip_prefix(scheme) {
            return Ok(Some(rest));
        }
    }
    let Some(rest) = url.strip_prefix("jdbc:") else { return Ok(None) };
    let name = rest.split(':').next().unwrap_or_default();
    let known = [
        ("mysql", "MySQL"),
        ("mariadb", "MariaDB"),
        ("oracle", "Oracle"),
        ("sqlserver", "SQL Server"),
        ("db2", "Db2"),
        ("singlestore", "SingleStore"),
        ("sqlite", "SQLite"),
        ("h2", "H2"),
    ];
    let shown = known.iter().find(|(scheme, _)| *scheme == name).map_or(name, |(_, shown)| shown);
    Err(format!("{shown} is not supported: this sink writes to PostgreSQL only (jdbc:postgresql://…)"))
}

fn host(text: &str) -> Result<(String, u16), String> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (name, rest) = rest.split_once(']').ok_or("an address in brackets is not closed")?;
            (name, rest.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        },
    };
    let port = match port.filter(|port| !port.is_empty()) {
        None => DEFAULT_PORT,
        Some(port) => port.parse().map_err(|_| format!("{port} is no port"))?,
    };
    let name = if name.is_empty() { "localhost".to_owned() } else { decode(name)? };
    Ok((name, port))
}

fn parameters(endpoint: &mut Endpoint, query: &str) -> Result<(), String> {
    let mut ssl = false;
    let mut mode = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decode(value)?;
        match name {
            "user" => endpoint.user = Some(value),
            "password" => endpoint.password = Some(value.into()),
            "ssl" => ssl = value.is_empty() || value.eq_ignore_ascii_case("true"),
            "sslmode" => mode = Some(ssl_mode(&value)?),
            "sslrootcert" => endpoint.ssl.root_cert = Some(value.into()),
            "sslcert" => endpoint.ssl.cert = Some(value.into()),
            "sslkey" => endpoint.ssl.key = Some(value.into()),
            "sslpassword" => endpoint.ssl.key_password = Some(value.into()),
            "currentSchema" => endpoint.current_schema = Some(value).filter(|value| !value.is_empty()),
            "ApplicationName" | "application_name" => endpoint.application_name = Some(value),
            "connectTimeout" | "connect_timeout" => {
                let seconds: u64 = value.parse().map_err(|_| format!("{name}={value} is no number of seconds"))?;
                endpoint.connect_timeout = Some(Duration::from_secs(seconds)).filter(|timeout| !timeout.is_zero());
            }
            "options" => endpoint.options = Some(value),
            "targetServerType" | "target_session_attrs" => target(&value)?,
            other => endpoint.ignored.push(other.to_owned()),
        }
    }
    // The driver verifies everything where only `ssl=true` is given.
    endpoint.ssl.mode = mode.unwrap_or(if ssl { SslMode::VerifyFull } else { SslMode::Prefer });
    Ok(())
}

fn ssl_mode(name: &str) -> Result<SslMode, String> {
    Ok(match name {
        "disable" => SslMode::Disable,
        "allow" | "prefer" => SslMode::Prefer,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        _ => return Err(format!("sslmode={name} is none of disable, allow, prefer, require, verify-ca, verify-full")),
    })
}

/// A server that takes writes is looked for whatever it says; what asks for another is a mistake.
fn target(name: &str) -> Result<(), String> {
    match name {
        "any" | "primary" | "master" | "preferPrimary" | "read-write" | "prefer-primary" => Ok(()),
        _ => Err(format!("targetServerType={name} asks for a server that takes no writes; use primary")),
    }
}

/// Takes `%XX` for what it stands for.
fn decode(text: &str) -> Result<String, String> {
    let wrong = || "a % is not followed by two hexadecimal digits of UTF-8".to_owned();
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()).ok_or_else(wrong)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_the_driver_and_of_libpq() {
        let url = "jdbc:postgresql://a:5433,[::1]:6000,c/db%20x?user=u&password=p%26q&sslmode=require&currentSchema=s&\
                   ApplicationName=app&connectTimeout=3&targetServerType=primary&loggerLevel=OFF";
        let endpoint = parse(url).unwrap();
        assert_eq!(endpoint.hosts, [("a".into(), 5433), ("::1".into(), 6000), ("c".into(), 5432)]);
        assert_eq!(endpoint.database.as_deref(), Some("db x"));
        assert_eq!(endpoint.password.as_ref().map(Secret::expose), Some("p&q"));
        assert_eq!((endpoint.user.as_deref(), endpoint.current_schema.as_deref()), (Some("u"), Some("s")));
        assert_eq!((endpoint.ssl.mode, endpoint.connect_timeout), (SslMode::Require, Some(Duration::from_secs(3))));
        assert_eq!(endpoint.ignored, ["loggerLevel"]);

        let endpoint = parse("postgres://u:p%40@h/db?application_name=x").unwrap();
        assert_eq!((endpoint.hosts, endpoint.user), (vec![("h".into(), 5432)], Some("u".into())));
        assert_eq!(endpoint.password.as_ref().map(Secret::expose), Some("p@"));
        assert_eq!(parse("jdbc:postgresql:db").unwrap().database.as_deref(), Some("db"));
        assert_eq!(parse("jdbc:postgresql://h/db?ssl=true").unwrap().ssl.mode, SslMode::VerifyFull);
    }

    #[test]
    fn what_is_no_postgres_is_refused_by_name() {
        assert!(parse("jdbc:mysql://h/db?password=secret").unwrap_err().starts_with("MySQL is not supported"));
        assert!(parse("jdbc:sqlserver://h;databaseName=x").unwrap_err().starts_with("SQL Server"));
        assert!(parse("h:5432").is_err());
        for wrong in ["jdbc:postgresql://h:x/db", "jdbc:postgresql://h/db?sslmode=maybe", "postgres://h/%zz"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse("jdbc:postgresql://h/db?targetServerType=secondary").unwrap_err().contains("primary"));
    }
}
