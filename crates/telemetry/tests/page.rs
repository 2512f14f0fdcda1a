//! The page for users names what leaves the process.

use std::path::Path;

#[test]
fn every_name_and_variable_is_on_the_page() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(here.join(path)).unwrap();
    let page = read("../../docs/observability.md");
    let quoted = |source: String| -> Vec<String> { source.split('"').skip(1).step_by(2).map(str::to_owned).collect() };
    let names = quoted(read("src/names.rs"));
    let names = names.iter().filter(|name| {
        ["messaging.", "db.", "error.", "walspring.", "exception.", "https:"]
            .iter()
            .any(|start| name.starts_with(start))
    });
    assert!(names.clone().count() > 15);
    let (settings, _tests) =
        read("src/settings.rs").split_once("#[cfg(test)]").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let variables =
        quoted(settings).into_iter().filter(|name| name.starts_with("OTEL_") && !name.contains(['{', ' ', '=']));
    for name in names.cloned().chain(variables) {
        let shown = page.contains(&format!("`{name}`")) || name == "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
        assert!(shown, "{name} is not on the page");
    }
}
