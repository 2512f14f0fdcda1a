//! `sasl.jaas.config`: parsed, never loaded. Only the login modules named here are known; any other is refused,
//! because in Java the text could make the process load a class or fetch an object (CVE-2023-25194, CVE-2025-27818).

use std::collections::BTreeMap;
use std::fmt;

/// What the text says. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    Plain {
        username: String,
        password: String,
    },
    Scram {
        username: String,
        password: String,
    },
    OAuthBearer {
        options: BTreeMap<String, String>,
    },
    /// Kerberos, from a key table or the ticket cache.
    Kerberos {
        principal: Option<String>,
        keytab: Option<String>,
        service_name: Option<String>,
    },
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain { .. } => "Plain",
            Self::Scram { .. } => "Scram",
            Self::OAuthBearer { .. } => "OAuthBearer",
            Self::Kerberos { .. } => "Kerberos",
        })
    }
}

const KNOWN: &str = "known are PlainLoginModule, ScramLoginModule, OAuthBearerLoginModule and Krb5LoginModule";

/// Reads one login module. The error names what is wrong, and never a secret.
pub fn parse(text: &str) -> Result<Login, String> {
    let mut tokens = Tokens { rest: text };
    let class = tokens.word()?.ok_or("sasl.jaas.config is empty")?;
    let flag = tokens.word()?.ok_or("sasl.jaas.config: the control flag (required) is missing")?;
    if !["required", "requisite", "sufficient", "optional"].contains(&flag.to_ascii_lowercase().as_str()) {
        return Err("sasl.jaas.config: after the login module comes the control flag, usually required".into());
    }
    let mut options = BTreeMap::new();
    loop {
        if tokens.punctuation(';') {
            break;
        }
        let name = tokens.word()?.ok_or("sasl.jaas.config: it must end with a semicolon")?;
        if !tokens.punctuation('=') {
            return Err(format!("sasl.jaas.config: option {name} has no ="));
        }
        let value = tokens.word()?.ok_or_else(|| format!("sasl.jaas.config: option {name} has no value"))?;
        options.insert(name, value);
    }
    if tokens.word()?.is_some() {
        return Err("sasl.jaas.config: only one login module may be given".into());
    }
    login(&class, options)
}

fn login(class: &str, mut options: BTreeMap<String, String>) -> Result<Login, String> {
    let mut need = |name: &str| {
        options.remove(name).ok_or_else(|| format!("sasl.jaas.config: the login module needs the option {name}"))
    };
    match class {
        "org.apache.kafka.common.security.plain.PlainLoginModule" => {
            Ok(Login::Plain { username: need("username")?, password: need("password")? })
        }
        "org.apache.kafka.common.security.scram.ScramLoginModule" => {
            let login = Login::Scram { username: need("username")?, password: need("password")? };
            if options.get("tokenauth").is_some_and(|v| v.eq_ignore_ascii_case("true")) {
                return Err("sasl.jaas.config: delegation tokens (tokenauth=true) are not supported".into());
            }
            Ok(login)
        }
        "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule" => Ok(Login::OAuthBearer { options }),
        "com.sun.security.auth.module.Krb5LoginModule" => Ok(Login::Kerberos {
            principal: options.remove("principal"),
            keytab: options.remove("keyTab"),
            service_name: options.remove("serviceName"),
        }),
        "com.sun.security.auth.module.JndiLoginModule" | "com.sun.security.auth.module.LdapLoginModule" => {
            Err(format!(
                "sasl.jaas.config: {class} is refused: it makes the client fetch objects from a named server \
             (CVE-2023-25194, CVE-2025-27818); {KNOWN}"
            ))
        }
        "software.amazon.msk.auth.iam.IAMLoginModule" => Err(format!(
            "sasl.jaas.config: {class} is a Java library of Amazon; use SCRAM or mutual TLS with that cluster; {KNOWN}"
        )),
        other => Err(format!("sasl.jaas.config: the login module {} cannot be loaded here; {KNOWN}", printable(other))),
    }
}

/// A class name, or nothing that could be a misplaced secret.
fn printable(class: &str) -> String {
    let shape = |c: char| c.is_ascii_alphanumeric() || "._$".contains(c);
    if class.contains('.') && class.chars().all(shape) { class.to_owned() } else { "that is named".to_owned() }
}

/// Words and punctuation as `java.io.StreamTokenizer` sees them with JAAS's settings.
struct Tokens<'a> {
    rest: &'a str,
}

impl Tokens<'_> {
    fn skip_blanks(&mut self) -> Result<(), String> {
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.starts_with("//") || self.rest.starts_with('#') {
                self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                self.rest = comment.split_once("*/").ok_or("sasl.jaas.config: a comment does not end")?.1;
            } else {
                return Ok(());
            }
        }
    }

    fn punctuation(&mut self, expected: char) -> bool {
        if self.skip_blanks().is_err() {
            return false;
        }
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> Result<Option<String>, String> {
        self.skip_blanks()?;
        match self.rest.chars().next() {
            None => Ok(None),
            Some(quote @ ('"' | '\'')) => self.quoted(quote).map(Some),
            Some(_) => {
                let end = self.rest.find(|c: char| c.is_whitespace() || ";=\"'".contains(c)).unwrap_or(self.rest.len());
                if end == 0 {
                    return Err("sasl.jaas.config: a name or value is missing".into());
                }
                let (word, rest) = self.rest.split_at(end);
                self.rest = rest;
                Ok(Some(word.to_owned()))
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let mut out = String::new();
        let mut chars = self.rest.char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                _ if c == quote => {
                    self.rest = &self.rest[at + c.len_utf8()..];
                    return Ok(out);
                }
                '\n' | '\r' => break,
                '\\' => match chars.next() {
                    Some((_, 'n')) => out.push('\n'),
                    Some((_, 't')) => out.push('\t'),
                    Some((_, 'r')) => out.push('\r'),
                    Some((_, 'b')) => out.push('\u{8}'),
                    Some((_, 'f')) => out.push('\u{c}'),
                    Some((_, 'a')) => out.push('\u{7}'),
                    Some((_, 'v')) => out.push('\u{b}'),
                    Some((_, digit @ '0'..='7')) => {
                        let mut code = digit as u32 - 48;
                        let places = if digit <= '3' { 2 } else { 1 };
                        for _ in 0..places {
                            match chars.peek() {
                                Some((_, d @ '0'..='7')) => {
                                    code = code * 8 + (*d as u32 - 48);
                                    chars.next();
                                }
                                _ => break,
                            }
                        }
                        out.push(char::from_u32(code).unwrap_or('\u{fffd}'));
                    }
                    Some((_, other)) => out.push(other),
                    None => break,
                },
                other => out.push(other),
            }
        }
        Err("sasl.jaas.config: a quoted value does not end".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";

    #[track_caller]
    fn check_refused(text: &str, part: &str) {
        let error = parse(text).expect_err("refused");
        assert!(error.contains(part), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }

    #[test]
    fn reads_what_java_reads() {
        let plain =
            |username: &str, password: &str| Login::Plain { username: username.into(), password: password.into() };
        for (text, login) in [
            (format!("{PLAIN} required username=\"a\" password=\"b\";"), plain("a", "b")),
            (format!("  {PLAIN}\n  required\n username='a' password=\"b;=\\\"\\\\c\" ;\n"), plain("a", "b;=\"\\c")),
            (format!("{PLAIN} REQUIRED username=alice password=s3cret-with_$;"), plain("alice", "s3cret-with_$")),
            (format!("/* x */ {PLAIN} required // y\n username=\"a\" password=\"\\101\\t\";"), plain("a", "A\t")),
        ] {
            assert_eq!(parse(&text).as_ref(), Ok(&login), "{text}");
        }
    }

    #[test]
    fn refuses_what_could_run_code() {
        check_refused(
            "com.sun.security.auth.module.JndiLoginModule required user.provider.url=\"ldap://hush\";",
            "JndiLoginModule is refused",
        );
        check_refused("com.example.MyLogin required password=\"hush\";", "com.example.MyLogin cannot be loaded");
    }

    #[test]
    fn names_the_mistake_and_no_secret() {
        check_refused("", "empty");
        check_refused(&format!("{PLAIN} required username=\"a\" password=\"hush\""), "semicolon");
        check_refused(&format!("{PLAIN} required username=\"a\" password=\"hush"), "does not end");
        check_refused(&format!("{PLAIN} required password=\"hush\";"), "needs the option username");
        check_refused(&format!("{PLAIN} username=\"a\" password=\"hush\";"), "control flag");
        check_refused(&format!("{PLAIN} required username=\"a\" password=\"hush\"; {PLAIN} required;"), "only one");
        check_refused("hush required;", "that is named cannot be loaded");
    }
}
