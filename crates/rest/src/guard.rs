//! What every request passes first: pages of other sites are kept out, and answers are marked with our version.
//!
//! Without authentication, a browser on the same machine is the way in for a page from elsewhere. It sends an `Origin`;
//! and a page that made a name of its own point to this machine (DNS rebinding) sends that name as `Host`.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use walspring_runtime::Refusal;

use crate::answer::{refused, refused_by_http};
use crate::routes::Rest;

/// Who may ask.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// `access.control.allow.origin`: origins of pages that may use this API; `*` is any.
    pub origins: Vec<String>,
    /// `access.control.allow.methods`
    pub methods: Vec<String>,
    /// Only names of this machine (and addresses) are taken as `Host`: right where every listener is on loopback.
    pub only_local_hosts: bool,
}

pub(crate) async fn check(State(rest): State<Rest>, request: Request, next: Next) -> Response {
    let access = &rest.access;
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = match refuse(access, &request) {
        Some(response) => response,
        None if is_preflight(&request) && origin.as_ref().is_some_and(|o| access.allows(o)) => {
            let mut response = StatusCode::OK.into_response();
            let methods = if access.methods.is_empty() { "GET,POST,HEAD".into() } else { access.methods.join(",") };
            let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
            let headers = response.headers_mut();
            if let Ok(methods) = HeaderValue::from_str(&methods) {
                headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
            }
            if let Some(asked) = asked {
                headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
            }
            response
        }
        None => match next.run(request).await {
            large if large.status() == StatusCode::PAYLOAD_TOO_LARGE => refused_by_http(StatusCode::PAYLOAD_TOO_LARGE),
            response => response,
        },
    };
    let headers = response.headers_mut();
    if let Some(origin) = origin.filter(|o| access.allows(o)) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    headers.insert(HeaderName::from_static("walspring-version"), HeaderValue::from_static(rest.version));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

impl Access {
    fn allows(&self, origin: &HeaderValue) -> bool {
        self.origins.iter().any(|o| o == "*" || o.as_bytes() == origin.as_bytes())
    }
}

fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn refuse(access: &Access, request: &Request) -> Option<Response> {
    let path = request.uri().path();
    if path.as_bytes().windows(3).any(|w| w.eq_ignore_ascii_case(b"%2f")) {
        return Some(ambiguous_separator());
    }
    let headers = request.headers();
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
    if access.only_local_hosts && host.is_some_and(|host| !is_local(host)) {
        return Some(refused(&Refusal::new(403, "This address is not served under that name (header Host)")));
    }
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if changes
        && let Some(origin) = headers.get(header::ORIGIN)
        && !access.allows(origin)
        && !is_same_origin(origin, host)
    {
        return Some(refused(&Refusal::new(
            403,
            "Pages of other origins may not change anything here; access.control.allow.origin names those that may",
        )));
    }
    (changes && !is_json(headers)).then(|| refused_by_http(StatusCode::UNSUPPORTED_MEDIA_TYPE))
}

/// A body is JSON, or of no given type, or there is none.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(media_type) = headers.get(header::CONTENT_TYPE) else { return true };
    let has_body = headers.get(header::CONTENT_LENGTH).is_none_or(|len| len.as_bytes() != b"0")
        && (headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING));
    let media_type = media_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let media_type = media_type.to_ascii_lowercase();
    !has_body || media_type == "application/json" || media_type.ends_with("+json") || media_type == "*/*"
}

fn is_same_origin(origin: &HeaderValue, host: Option<&str>) -> bool {
    let origin = origin.to_str().ok().and_then(|o| o.split_once("://")).map(|(_, authority)| authority);
    origin.is_some() && origin == host
}

fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => return rest.split(']').next().is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok()),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.ends_with(".localhost") || name.parse::<std::net::IpAddr>().is_ok()
}

/// An encoded slash is refused before it is routed, with the page that the original's server shows.
fn ambiguous_separator() -> Response {
    const PAGE: &str = "<html>\n<head>\n<meta http-equiv=\"Content-Type\" content=\"text/html;charset=ISO-8859-1\"/>\n\
        <title>Error 400 Ambiguous URI path separator</title>\n</head>\n<body>\n\
        <h2>HTTP ERROR 400 Ambiguous URI path separator</h2>\n<table>\n<tr><th>URI:</th><td>/badURI</td></tr>\n\
        <tr><th>STATUS:</th><td>400</td></tr>\n<tr><th>MESSAGE:</th><td>Ambiguous URI path separator</td></tr>\n\
        </table>\n<hr/><a href=\"https://jetty.org/\">Powered by Jetty:// 12.0.34</a><hr/>\n\n</body>\n</html>\n";
    let html = HeaderValue::from_static("text/html;charset=iso-8859-1");
    (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, html)], Body::from(PAGE)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_this_machine() {
        for host in ["localhost", "localhost:8083", "127.0.0.1:8083", "[::1]:8083", "10.0.0.1", "a.localhost:1"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:8083", "[evil]", ""] {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn origins() {
        let origin = |o: &'static str, host| is_same_origin(&HeaderValue::from_static(o), Some(host));
        assert!(origin("http://localhost:8083", "localhost:8083"));
        assert!(!origin("http://localhost:3000", "localhost:8083") && !origin("null", "null"));
    }
}
