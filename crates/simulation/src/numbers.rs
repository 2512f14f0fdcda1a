//! What the runtime needs of plugins: a converter that writes a row's number, and an assembler that puts numbers together.

use std::sync::Arc;

use walspring_connect::writer::{
    BatchAssembler, EncodedBatch, HeaderBytes, HeadersId, RecordBytes, TopicId, TopicInfo,
};
use walspring_connect::{ConvertError, Converter, HeaderConverter, Presence, Props, RowEncoder, Side};
use walspring_record::{Change, ChangeBatch, RecordPlan, Schema, SchemaRef, Step, Typed, Value, Warnings};
use walspring_runtime::{ConfigInfos, ConfigKeyInfo, Options, Plugin, Plugins, ValidationContext};

pub const CLASS: &str = "simulated.Number";

pub fn plugins() -> Plugins {
    Plugins {
        sources: Vec::new(),
        sinks: Vec::new(),
        converters: vec![Plugin { class: CLASS, version: None, make: Box::new(|_, _| Ok(Arc::new(Number))) }],
        header_converters: vec![Plugin { class: CLASS, version: None, make: Box::new(|_| Ok(Arc::new(Number))) }],
        transforms: Vec::new(),
        predicates: Vec::new(),
        assembler: Box::new(|| Box::new(Numbers::default())),
        options: Box::new(AsGiven),
        source_observer: None,
        sink_observer: None,
    }
}

struct AsGiven;

impl Options for AsGiven {
    fn resolve(&self, config: &Props) -> Result<Vec<(String, Option<String>)>, String> {
        Ok(config.iter().map(|(name, value)| (name.clone(), value.as_str().map(str::to_owned))).collect())
    }
    fn validate(&self, class: &str, _: &[(String, Option<String>)], _: ValidationContext) -> ConfigInfos {
        ConfigInfos { name: class.into(), groups: Vec::new(), entries: Vec::new(), warnings: Vec::new() }
    }
    fn definitions(&self, _: &str) -> Option<Vec<ConfigKeyInfo>> {
        None
    }
}

/// The text of a row's first column.
struct Number;

impl Converter for Number {
    fn encode(&self, _: &str, _: Option<&SchemaRef>, _: &Value, _: &mut Vec<u8>) -> Result<Presence, ConvertError> {
        Err(ConvertError::data("only rows have numbers"))
    }
    fn decode(&self, _: &str, _: Option<&[u8]>) -> Result<Typed, ConvertError> {
        Err(ConvertError::data("nothing is read here"))
    }
    fn row_encoder(&self, _: &Arc<RecordPlan>, _: Side) -> Option<Box<dyn RowEncoder>> {
        Some(Box::new(Number))
    }
}

impl RowEncoder for Number {
    fn encode(
        &mut self,
        batch: &ChangeBatch,
        change: &Change,
        _: &Step,
        out: &mut Vec<u8>,
        _: &mut Warnings,
    ) -> Result<Presence, ConvertError> {
        out.extend(batch.cells[change.new as usize].get(&batch.bytes).unwrap_or_default());
        Ok(Presence::Bytes)
    }
}

impl HeaderConverter for Number {
    fn encode_header(&self, _: &str, _: &str, _: Option<&Schema>, _: &Value) -> Result<Option<Vec<u8>>, ConvertError> {
        Ok(None)
    }
    fn decode_header(&self, _: &str, _: &str, _: Option<&[u8]>) -> Result<Typed, ConvertError> {
        Err(ConvertError::data("nothing is read here"))
    }
}

/// Rows by their numbers, eight bytes each.
#[derive(Default)]
struct Numbers(Vec<u8>);

impl BatchAssembler for Numbers {
    fn topic(&mut self, _: &Arc<str>, _: &TopicInfo) -> TopicId {
        TopicId(0)
    }
    fn headers(&mut self, _: &[HeaderBytes]) -> HeadersId {
        HeadersId(0)
    }
    fn append(&mut self, record: &RecordBytes<'_>) {
        let text = record.value.and_then(|value| std::str::from_utf8(value).ok());
        let number: u64 = text.and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
        self.0.extend(number.to_be_bytes());
    }
    fn size_alone(&self, _: &RecordBytes<'_>) -> usize {
        8
    }
    fn take(&mut self) -> Vec<EncodedBatch> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let bytes = std::mem::take(&mut self.0);
        vec![EncodedBatch { topic: "t".into(), partition: 0, records: bytes.len() as u32 / 8, bytes }]
    }
}
