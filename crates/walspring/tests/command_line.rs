//! What does not need a database.

mod support;

use support::walspring;

fn stdout(args: &[&str]) -> String {
    let out = walspring(args);
    assert_eq!(out.status.code(), Some(0), "{args:?}: {out:?}");
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn version_and_completions() {
    assert!(stdout(&["version"]).starts_with(&format!("walspring {}", env!("CARGO_PKG_VERSION"))));
    let version: serde_json::Value = serde_json::from_str(&stdout(&["version", "--json"])).unwrap();
    assert_eq!(version["kafka_connect"], "4.3.1");
    for shell in ["bash", "zsh", "fish"] {
        assert!(stdout(&["completions", shell]).contains("walspring"), "{shell}");
    }
}

#[test]
fn help_begins_with_examples() {
    for args in [&["--help"][..], &["worker", "--help"], &["demo", "--help"], &["tail", "-h"], &["doctor", "--help"]] {
        let help = stdout(args);
        let (examples, usage) = (help.find("Examples:").unwrap(), help.find("Usage:").unwrap());
        assert!(examples < usage, "{help}");
    }
}

#[test]
fn exit_codes() {
    let check = |args: &[&str], code: i32, says: &str| {
        let out = walspring(args);
        let text = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(code), "{args:?}: {text}");
        assert!(text.contains(says), "{args:?}: {text}");
    };
    check(&["dmeo"], 2, "demo");
    check(&["worker", "/nowhere.properties"], 2, "/nowhere.properties");
    check(&["demo", "--for", "soon"], 2, "20s");
    check(&["tail", "t", "--data-dir", "/nowhere"], 1, "/nowhere");
    check(&["tail", "t", "--worker", "http://127.0.0.1:1"], 3, "127.0.0.1:1");
    check(&["demo", "--database-url", "postgres://me@127.0.0.1:1/db"], 3, "127.0.0.1:1");
    check(&["demo", "--database-url", "nonsense"], 2, "postgres://");
    check(&["doctor"], 2, "nothing to look at");
    check(&["doctor", "/nowhere.json"], 2, "/nowhere.json");
    check(&["doctor", "--database-url", "nonsense"], 2, "postgres://");
    check(&["doctor", "--only", "severs", "--list"], 2, "server, role");
    check(&["doctor", "--database-url", "postgres://me@127.0.0.1:1/db"], 1, "");
}
