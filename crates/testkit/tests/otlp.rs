//! The receiver of OTLP refuses what a Collector refuses, and says why.

use std::io::{Read, Write};
use std::net::TcpStream;

use walspring_testkit::otlp::OtlpReceiver;

fn status(receiver: &OtlpReceiver, head: &str, body: &[u8]) -> String {
    let endpoint = receiver.endpoint();
    let mut stream = TcpStream::connect(endpoint.strip_prefix("http://").unwrap()).unwrap();
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n", body.len()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[9..]).into_owned()
}

#[test]
fn what_is_no_export_is_refused() {
    let receiver = OtlpReceiver::start();
    let protobuf = "\r\nContent-Type: application/x-protobuf";
    let post = |path: &str, more: &str| format!("POST {path} HTTP/1.1{protobuf}{more}");
    assert_eq!(status(&receiver, &post("/v1/traces", ""), b""), "200");
    assert_eq!(status(&receiver, &post("/v1/metrics", ""), b""), "200");
    assert_eq!(receiver.complaints(), Vec::<String>::new());
    assert_eq!(status(&receiver, &post("/v1/traces", ""), b"\xff"), "400");
    assert_eq!(status(&receiver, &post("/v1/traces", "\r\nContent-Encoding: gzip"), b"x"), "400");
    assert_eq!(status(&receiver, &post("/v1/traces", "\r\nContent-Encoding: br"), b""), "415");
    assert_eq!(status(&receiver, &post("/", ""), b""), "404");
    assert_eq!(status(&receiver, &format!("GET /v1/traces HTTP/1.1{protobuf}"), b""), "405");
    assert_eq!(status(&receiver, "POST /v1/traces HTTP/1.1\r\nContent-Type: application/json", b"{}"), "415");
    assert_eq!(receiver.complaints().len(), 6);
    receiver.refuse(Some(503));
    assert_eq!(status(&receiver, &post("/v1/traces", ""), b""), "503");
    assert_eq!(receiver.requests().len(), 9);
}
