//! What is written is read back, by us and by another implementation; and no bytes make the reader panic.

use proptest::prelude::*;
use walspring_record_batch::*;

type OwnedRecord = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
const BYTES_MAX: usize = 64 << 20;

fn build(records: &[OwnedRecord]) -> Vec<u8> {
    let mut builder = RecordBatchBuilder::new(0);
    for (timestamp_ms, key, value, headers) in records {
        let (mut first, mut second) = (EncodedHeaders::new(), EncodedHeaders::new());
        for (index, (name, value)) in headers.iter().enumerate() {
            if index % 2 == 0 && second.is_empty() { &mut first } else { &mut second }.push(name, value.as_deref());
        }
        let before = builder.len();
        builder.append_joined(*timestamp_ms, key.as_deref(), value.as_deref(), &[&first, &second]);
        let header_bytes = first.bytes().len() + second.bytes().len();
        assert!(
            builder.len() - before
                <= RecordBatchBuilder::record_size_max(key.as_deref(), value.as_deref(), header_bytes)
        );
    }
    let (bytes, count) = builder.finish();
    assert_eq!(count as usize, records.len());
    bytes
}

fn read(bytes: &[u8]) -> Result<Vec<OwnedRecord>, BatchError> {
    let mut scratch = Vec::new();
    let mut out = Vec::new();
    for batch in batches(bytes) {
        let batch = batch?;
        batch.verify()?;
        for record in batch.records(&mut scratch, BYTES_MAX)? {
            let record = record?;
            let headers = record
                .headers()
                .map(|h| h.map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec))))
                .collect::<Result<_, _>>()?;
            out.push((record.timestamp_ms, record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec), headers));
        }
    }
    Ok(out)
}

fn record() -> impl Strategy<Value = OwnedRecord> {
    let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300));
    (0..4_000_000_000_000i64, bytes(), bytes(), proptest::collection::vec(("[a-z.é]{0,8}", bytes()), 0..4))
}

proptest! {
    #[test]
    fn records_come_back_through_every_codec(records in proptest::collection::vec(record(), 1..20), epoch: i16) {
        let plain = build(&records);
        for codec in CODECS {
            let mut sealed = compress(&plain, codec);
            seal(&mut sealed, 77, epoch, 5, true);
            let batch = RecordBatchReader::parse(&sealed).unwrap();
            prop_assert_eq!(batch.codec(), codec);
            prop_assert_eq!((batch.producer_id(), batch.producer_epoch(), batch.base_sequence()), (77, epoch, 5));
            prop_assert!(batch.is_transactional());
            prop_assert_eq!(batch.last_offset(), records.len() as i64 - 1);
            prop_assert_eq!(read(&sealed).unwrap(), records.clone());
            if codec != Codec::None {
                let cap = batch.records(&mut Vec::new(), 3).map(|_| ());
                prop_assert_eq!(cap, Err(BatchError::TooLarge));
            }
            set_base_offset(&mut sealed, 1 << 40, 9);
            prop_assert_eq!(RecordBatchReader::parse(&sealed).unwrap().base_offset(), 1 << 40);
            prop_assert!(RecordBatchReader::parse(&sealed).unwrap().verify().is_ok());
        }
    }

    #[test]
    fn halves_make_the_whole(records in proptest::collection::vec(record(), 1..20), codec in 0..5usize) {
        let mut whole = compress(&build(&records), CODECS[codec]);
        seal(&mut whole, 1, 1, 1, true);
        match split_in_half(&whole, CODECS[codec]) {
            None => prop_assert_eq!(records.len(), 1),
            Some(halves) => {
                let mut found = Vec::new();
                for (mut bytes, count) in halves {
                    seal(&mut bytes, 1, 1, 1, true);
                    let part = read(&bytes).unwrap();
                    prop_assert!(count > 0 && part.len() == count as usize);
                    found.extend(part);
                }
                prop_assert_eq!(found, records);
            }
        }
    }

    #[test]
    fn another_implementation_reads_them(records in proptest::collection::vec(record(), 1..20)) {
        let plain = build(&records);
        for codec in CODECS {
            let mut sealed = compress(&plain, codec);
            seal(&mut sealed, 77, 3, 5, true);
            let mut bytes = bytes::Bytes::from(sealed);
            let set = kafka_protocol::records::RecordBatchDecoder::decode(&mut bytes).unwrap();
            prop_assert_eq!(set.records.len(), records.len());
            for (index, (theirs, ours)) in set.records.iter().zip(&records).enumerate() {
                prop_assert_eq!(theirs.offset, index as i64);
                prop_assert_eq!((theirs.producer_id, theirs.producer_epoch, theirs.sequence), (77, 3, 5 + index as i32));
                prop_assert!(theirs.transactional && !theirs.control);
                prop_assert_eq!(theirs.timestamp, ours.0);
                prop_assert_eq!(theirs.key.as_deref(), ours.1.as_deref());
                prop_assert_eq!(theirs.value.as_deref(), ours.2.as_deref());
                // Their headers are a map: of equal names the last stands.
                for (name, value) in &theirs.headers {
                    let last = ours.3.iter().rev().find(|(n, _)| **n == **name).unwrap();
                    prop_assert_eq!(value.as_deref(), last.1.as_deref());
                }
            }
        }
    }

    #[test]
    fn damaged_bytes_give_an_error_not_a_panic(
        records in proptest::collection::vec(record(), 1..6), codec in 0..5usize,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut: prop::sample::Index,
    ) {
        let mut bytes = compress(&build(&records), CODECS[codec]);
        seal(&mut bytes, 1, 1, 1, false);
        prop_assert!(read(&bytes[..cut.index(bytes.len() - 1) + 1]).is_err());
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let mut scratch = Vec::new();
        for batch in batches(&bytes).flatten() {
            for record in batch.records(&mut scratch, 1 << 20).into_iter().flatten().flatten() {
                for header in record.headers() { let _ = header; }
            }
        }
    }

    #[test]
    fn arbitrary_bytes_give_an_error_not_a_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Some(magic) = bytes.get_mut(layout::MAGIC) { *magic = 2; }
        if bytes.len() > 61 {
            let len = (bytes.len() - 12) as i32;
            bytes[8..12].copy_from_slice(&len.to_be_bytes());
        }
        let _ = read(&bytes);
        let mut scratch = Vec::new();
        for batch in batches(&bytes).flatten() {
            for record in batch.records(&mut scratch, 1 << 20).into_iter().flatten().flatten() {
                for header in record.headers() { let _ = header; }
            }
        }
    }
}
