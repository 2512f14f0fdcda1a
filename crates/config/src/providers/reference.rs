//! Finding `${provider:[path:]key}` in a text. The original's expression is
//! `\$\{([^}]*?):(([^}]*?):)?([^}]*?)\}`: the provider ends at the first colon, the path at the second, the key may
//! have further ones, and nothing may have a closing brace.

/// One reference, by its place in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference<'t> {
    pub start: usize,
    pub end: usize,
    pub provider: &'t str,
    pub path: Option<&'t str>,
    pub key: &'t str,
}

pub fn references(text: &str) -> impl Iterator<Item = Reference<'_>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let start = from + text[from..].find("${")?;
            let end = start + text[start..].find('}')?;
            let inside = &text[start + 2..end];
            let Some((provider, rest)) = inside.split_once(':') else {
                // No colon before the brace: not a reference, though one may begin inside.
                from = start + 2;
                continue;
            };
            from = end + 1;
            let (path, key) = match rest.split_once(':') {
                Some((path, key)) => (Some(path), key),
                None => (None, rest),
            };
            return Some(Reference { start, end: end + 1, provider, path, key });
        }
    })
}
