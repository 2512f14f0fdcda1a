//! The committed page of options is what the tables say.

use walspring_xtask::options_page;

#[test]
fn the_page_of_options_is_fresh() {
    let committed = std::fs::read_to_string(options_page::path()).unwrap_or_default();
    let rendered = options_page::render();
    let stale = committed.lines().zip(rendered.lines()).find(|(a, b)| a != b);
    assert!(
        committed == rendered,
        "docs/options.md is stale: run `cargo run -p walspring-xtask -- options`. First difference: {stale:?}"
    );
}
