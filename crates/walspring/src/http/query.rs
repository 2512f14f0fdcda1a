//! Parameters of a query: `name=value&…`.

use std::str::FromStr;

use walspring_runtime::Refusal;

use super::Refused;

pub struct Query<'q>(&'q str);

impl<'q> Query<'q> {
    pub fn new(query: Option<&'q str>) -> Query<'q> {
        Query(query.unwrap_or_default())
    }

    /// The last of this name. None of ours needs percent encoding.
    pub fn text(&self, name: &str) -> Option<&'q str> {
        let pairs = self.0.split('&').rev().filter_map(|pair| pair.split_once('='));
        pairs.filter(|(n, v)| *n == name && !v.is_empty()).map(|(_, v)| v).next()
    }

    pub fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Refused> {
        self.text(name).map(|text| text.parse().map_err(|_| wrong(name, text, "a number is expected"))).transpose()
    }
}

pub fn wrong(name: &str, given: &str, why: &str) -> Refused {
    Refused(Refusal::bad_request(format!("{name}={given}: {why}")))
}
