//! `database.hostname`: one server, as in the original, or several of which one is to be read at a time.

/// Where a server is reached.
pub type Host = (String, u16);

/// `name`, or `name:port,[::1]:port,…`, in the order in which they are tried; `port` is of those that name none.
/// `None`: not such a list.
pub fn hosts(text: &str, port: u16) -> Option<Vec<Host>> {
    text.split(',').map(|part| host(part.trim(), port)).collect()
}

fn host(text: &str, port: u16) -> Option<Host> {
    let (name, given) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (address, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => {
            let (name, given) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
            let fits = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            if name.is_empty() || !name.chars().all(fits) {
                return None;
            }
            (name, given)
        }
    };
    let port = match given {
        None => port,
        Some(given) if given.bytes().all(|c| c.is_ascii_digit()) => given.parse().ok().filter(|port| *port > 0)?,
        Some(_) => return None,
    };
    Some((name.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> Option<String> {
        let hosts = hosts(text, 5432)?;
        Some(hosts.iter().map(|(host, port)| format!("{host} {port}")).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn one_or_several() {
        for (text, expected) in [
            ("db", "db 5432"),
            ("db:5433", "db 5433"),
            ("a.example:1, b_2", "a.example 1, b_2 5432"),
            ("[::1],[fe80::1]:7", "::1 5432, fe80::1 7"),
        ] {
            assert_eq!(show(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_list() {
        for text in
            ["", "a,", ",a", "a b", "a:0", "a:65536", "a:+1", "a:", "a:1:2", "::1", "[::1", "[a]", "[::1]5", "a/b", "ü"]
        {
            assert_eq!(show(text), None, "{text}");
        }
    }
}
