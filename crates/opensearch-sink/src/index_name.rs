//! The index that a topic's records go to.

/// A name with `${topic}` in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexNameFormat(String);

const TOPIC: &str = "${topic}";
/// The cluster's limit.
const BYTES_MAX: usize = 255;

impl IndexNameFormat {
    pub fn parse(format: &str) -> Result<IndexNameFormat, String> {
        let rest = format.replace(TOPIC, "");
        if let Some(at) = rest.find("${") {
            let unknown: String = rest[at..].chars().take_while(|c| *c != '}').collect();
            return Err(format!("Unknown variable {unknown}}}: only {TOPIC} is known"));
        }
        Ok(IndexNameFormat(format.to_owned()))
    }

    /// Lower case, without what index names may not have. An error where nothing is left, or too much.
    pub fn index_of(&self, topic: &str) -> Result<String, String> {
        let name = self.0.replace(TOPIC, topic).to_lowercase();
        let name: String = name.chars().map(|c| if is_forbidden(c) { '_' } else { c }).collect();
        let name = name.trim_start_matches(['-', '_', '+']);
        match name {
            "" => Err(format!("topic {topic} gives no index name; set walspring.index.name.format")),
            // As the original spells these two.
            "." => Ok("dot".to_owned()),
            ".." => Ok("dotdot".to_owned()),
            name if name.len() > BYTES_MAX => Err(format!(
                "the index name for topic {topic} is longer than {BYTES_MAX} bytes; set walspring.index.name.format"
            )),
            name => Ok(name.to_owned()),
        }
    }
}

fn is_forbidden(c: char) -> bool {
    matches!(c, '\\' | '/' | '*' | '?' | '"' | '<' | '>' | '|' | ',' | '#' | ':') || c.is_whitespace() || c.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_become_index_names() {
        let plain = IndexNameFormat::parse("${topic}").unwrap();
        for (topic, index) in [
            ("shop.public.Orders", "shop.public.orders"),
            ("_-+a", "a"),
            ("a b/c:d\"e", "a_b_c_d_e"),
            ("ÄÖ", "äö"),
            (".", "dot"),
            ("..", "dotdot"),
        ] {
            assert_eq!(plain.index_of(topic).unwrap(), index);
        }
        assert!(plain.index_of("___").is_err());
        assert!(plain.index_of(&"x".repeat(256)).is_err());
        assert_eq!(IndexNameFormat::parse("cdc-${topic}-v1").unwrap().index_of("T").unwrap(), "cdc-t-v1");
        assert!(IndexNameFormat::parse("${topic}${table}").unwrap_err().contains("${table}"));
    }
}
