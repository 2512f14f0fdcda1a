//! `org.apache.kafka.connect.transforms.InsertHeader`: one more header on every record.

use walspring_config::tables::transforms::INSERT_HEADER;
use walspring_connect::{ConvertError, Transform};
use walspring_record::{Header, Record, literal};

use crate::settings::Settings;

pub(crate) struct InsertHeader {
    header: Header,
}

impl InsertHeader {
    pub fn new(config: &[(String, String)]) -> Result<InsertHeader, ConvertError> {
        let settings = Settings::new(INSERT_HEADER, config);
        let value = literal::parse(settings.required("value.literal")?);
        Ok(InsertHeader { header: Header { name: settings.required("header")?.into(), value } })
    }
}

impl Transform for InsertHeader {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConvertError> {
        record.headers.push(self.header.clone());
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use walspring_record::Value;

    use super::*;
    use crate::testing::{config, record};

    #[test]
    fn the_literal_is_what_it_looks_like() {
        for (literal, value) in
            [("1.5", Value::Float32(1.5)), ("abc", Value::string("abc")), ("true", Value::Boolean(true))]
        {
            let mut insert = InsertHeader::new(&config(&[("header", "x"), ("value.literal", literal)])).unwrap();
            let record = insert.apply(record("t")).unwrap().unwrap();
            assert_eq!((&*record.headers[0].name, &record.headers[0].value.value), ("x", &value));
        }
    }
}
