//! `/connectors`: all of them, and new ones.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde_json::{Map, Value};
use walspring_runtime::info::ConnectorInfo;

use crate::answer::{Answer, json_with, ok, waiting};
use crate::body::create_connector;
use crate::routes::Rest;

pub(crate) async fn list(State(rest): State<Rest>, RawQuery(query): RawQuery) -> Answer {
    let names = rest.supervisor.connectors()?;
    let expand: Vec<String> = parameters(query.as_deref()).filter(|(k, _)| k == "expand").map(|(_, v)| v).collect();
    if expand.is_empty() {
        return ok(&names);
    }
    let mut all = Map::new();
    for name in names {
        let mut one = Map::new();
        for what in &expand {
            let value = match what.as_str() {
                "status" => rest.supervisor.status(&name).map(|s| serde_json::to_value(s).unwrap_or_default()),
                "info" => rest.supervisor.connector(&name).map(|i| serde_json::to_value(i).unwrap_or_default()),
                _ => continue,
            };
            match value {
                Ok(value) => drop(one.insert(what.clone(), value)),
                // A connector without a status yet is left out.
                Err(_) => {
                    one.clear();
                    break;
                }
            }
        }
        if !one.is_empty() {
            all.insert(name, Value::Object(one));
        }
    }
    ok(&all)
}

pub(crate) async fn create(State(rest): State<Rest>, headers: HeaderMap, body: Bytes) -> Answer {
    let request = create_connector(&body)?;
    let info = waiting(move || {
        let name = request.name.unwrap_or_default();
        rest.supervisor.create(&name, request.config.unwrap_or_default(), request.initial_state)
    })
    .await?;
    Ok(created(&headers, &info))
}

/// 201, and where the connector is.
pub(crate) fn created(headers: &HeaderMap, info: &ConnectorInfo) -> Response {
    let mut response = json_with(StatusCode::CREATED, info);
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
    let base = if host.is_empty() { String::new() } else { format!("http://{host}") };
    if let Ok(location) = format!("{base}/connectors/{}", encode(&info.name)).parse() {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn encode(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The parameters of a query, decoded; a name may come several times.
pub(crate) fn parameters(query: Option<&str>) -> impl Iterator<Item = (String, String)> {
    query.unwrap_or_default().split('&').filter(|p| !p.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    })
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = || u8::from_str_radix(std::str::from_utf8(bytes.get(at + 1..at + 3)?).ok()?, 16).ok();
        match (bytes[at], hex()) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
                continue;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether a parameter is `true`.
pub(crate) fn is_true(query: Option<&str>, name: &str) -> bool {
    parameters(query).any(|(k, v)| k == name && v.eq_ignore_ascii_case("true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let got: Vec<_> = parameters(Some("expand=status&expand=a%20b+c&x&&y=%zz%")).collect();
        let want = [("expand", "status"), ("expand", "a b c"), ("x", ""), ("y", "%zz%")];
        assert_eq!(got, want.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(encode("a b/é"), "a%20b%2F%C3%A9");
    }
}
