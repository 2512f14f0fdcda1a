//! `walspring.sink.routes`: which topic goes to which table, with which columns.
//!
//! ```text
//! ecom.public.orders -> fact_orders(id*, user_id, total, state:status); ecom.public.* -> "other one"."${source.table}"
//! ```

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// A topic, or a pattern in which `*` stands for any characters.
    pub topic: String,
    /// The parts of a name, schema first; may hold `${topic}` and `${source.NAME}`.
    pub table: Vec<String>,
    /// `None`: every field goes to the column of its name.
    pub columns: Option<Vec<RouteColumn>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteColumn {
    pub field: String,
    pub column: String,
    pub key: bool,
}

impl Route {
    pub fn takes(&self, topic: &str) -> bool {
        matches(&self.topic, topic)
    }

    /// Whether the route itself says what the key is.
    pub fn has_key(&self) -> bool {
        self.columns.iter().flatten().any(|column| column.key)
    }
}

fn matches(pattern: &str, topic: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == topic };
    let Some(rest) = topic.strip_prefix(head) else { return false };
    // The shortest match of what follows leaves the most for the rest of the pattern.
    (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| matches(tail, &rest[at..]))
}

/// Errors say which route, and what was expected.
pub fn parse(text: &str) -> Result<Vec<Route>, String> {
    let mut routes: Vec<Route> = Vec::new();
    let mut scanner = Scanner { rest: text };
    loop {
        scanner.space();
        if scanner.take(';') {
            continue;
        }
        if scanner.rest.is_empty() {
            return Ok(routes);
        }
        let route = route(&mut scanner)?;
        if routes.iter().any(|other| other.topic == route.topic) {
            return Err(format!("there are two routes for the topic {}", route.topic));
        }
        routes.push(route);
    }
}

fn route(scanner: &mut Scanner<'_>) -> Result<Route, String> {
    let Some((topic, after)) = scanner.rest.split_once("->") else {
        return Err(format!("\"{}\" has no -> between topic and table", scanner.rest.trim()));
    };
    let topic = topic.trim().to_owned();
    if topic.is_empty() || topic.contains([';', '(', ')', ',']) {
        return Err(format!("\"{topic}\" is no topic"));
    }
    scanner.rest = after;
    let wrong = |what: &str| format!("the route of {topic}: {what}");
    let mut table = Vec::new();
    loop {
        table.push(scanner.name(&['.', '(', ';']).ok_or_else(|| wrong("a table is expected"))?);
        if !scanner.take('.') {
            break;
        }
    }
    if table.len() > 2 {
        return Err(wrong("a table has at most a schema before it"));
    }
    let mut columns = None;
    if scanner.take('(') {
        let mut list: Vec<RouteColumn> = Vec::new();
        loop {
            let name = |scanner: &mut Scanner<'_>| {
                scanner.name(&[',', ')', ':', '*']).ok_or_else(|| wrong("a column is expected"))
            };
            let field = name(scanner)?;
            let column = if scanner.take(':') { name(scanner)? } else { field.clone() };
            let key = scanner.take('*');
            if list.iter().any(|other| other.column == column) {
                return Err(wrong(&format!("the column {column} is there twice")));
            }
            list.push(RouteColumn { field, column, key });
            if scanner.take(')') {
                break;
            }
            if !scanner.take(',') {
                return Err(wrong("a comma or a closing parenthesis is expected"));
            }
        }
        columns = Some(list);
    }
    scanner.space();
    if !scanner.rest.is_empty() && !scanner.take(';') {
        return Err(wrong("a semicolon is expected before the next route"));
    }
    Ok(Route { topic, table, columns })
}

struct Scanner<'a> {
    rest: &'a str,
}

impl Scanner<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, wanted: char) -> bool {
        self.space();
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// A name up to one of the ends, or one in double quotes, in which two stand for one.
    fn name(&mut self, ends: &[char]) -> Option<String> {
        self.space();
        if self.take('"') {
            let mut name = String::new();
            loop {
                let (part, rest) = self.rest.split_once('"')?;
                name.push_str(part);
                match rest.strip_prefix('"') {
                    Some(after) => {
                        name.push('"');
                        self.rest = after;
                    }
                    None => {
                        self.rest = rest;
                        return Some(name);
                    }
                }
            }
        }
        let mut end = self.rest.len();
        let mut braces = 0usize;
        for (at, c) in self.rest.char_indices() {
            match c {
                '{' => braces += 1,
                '}' => braces = braces.saturating_sub(1),
                // The dot of `${source.table}` ends nothing.
                _ if braces == 0 && ends.contains(&c) => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(name.trim().to_owned()).filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_names_table_key_and_columns() {
        let routes = parse(
            "ecom.public.orders -> fact_orders(id*, user_id, state : status) ;\n x.* -> \"a.b\".\"c \"\"d\"; \
             y -> s.${source.table}(\"a,b\":c*);",
        )
        .unwrap();
        assert_eq!(routes.len(), 3);
        assert_eq!(routes[0].table, ["fact_orders"]);
        let columns = routes[0].columns.as_ref().unwrap();
        assert!(columns[0].key && !columns[1].key && routes[0].has_key());
        assert_eq!((&*columns[2].field, &*columns[2].column), ("state", "status"));
        assert_eq!((&routes[1].table[..], &routes[1].columns), (&["a.b".to_owned(), "c \"d".to_owned()][..], &None));
        assert_eq!(routes[2].table, ["s", "${source.table}"]);
        assert_eq!(routes[2].columns.as_ref().unwrap()[0].field, "a,b");
        assert!(routes[1].takes("x.y.z") && !routes[1].takes("xy") && routes[0].takes("ecom.public.orders"));
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        assert!(matches("a*c*", "abbc") && matches("*", "") && matches("a*b", "aéb"));
        assert!(!matches("a*c", "ab") && !matches("a", "ab"));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, why) in [
            ("orders", "->"),
            ("a -> ", "table"),
            ("a -> t(", "column"),
            ("a -> t(x y", "comma"),
            ("a -> t(x, x)", "twice"),
            ("a -> t; a -> u", "two routes"),
            ("a -> t(x) b -> u", "semicolon"),
            ("a -> x.y.z", "schema"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(parse(" ; ").unwrap().is_empty());
    }
}
