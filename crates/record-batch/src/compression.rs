//! Compresses a batch's records, and takes them apart again under a cap.
//!
//! The header stays as it is but for its length and the codec's bits: a compressed batch is sealed afterwards.

use std::io::{Read, Write};

use crate::layout;

/// A codec, with its number in a batch's attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Codec {
    #[default]
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

impl Codec {
    /// By its name in `compression.type`.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "none" => Self::None,
            "gzip" => Self::Gzip,
            "snappy" => Self::Snappy,
            "lz4" => Self::Lz4,
            "zstd" => Self::Zstd,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    pub(crate) fn from_attributes(attributes: i16) -> Option<Self> {
        Some(match attributes & layout::ATTRIBUTE_CODEC {
            0 => Self::None,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            _ => return None,
        })
    }
}

/// What Java's snappy-java writes before its blocks: magic, version 1, lowest compatible version 1.
const XERIAL_HEADER: [u8; 16] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
const XERIAL_MAGIC_BYTES: usize = 8;
/// As snappy-java's default.
const XERIAL_BLOCK_BYTES: usize = 32 * 1024;

/// The batch with its records compressed, by the codec's usual level. An uncompressed batch comes in; the seal is lost.
///
/// # Panics
/// When `batch` is shorter than a batch's header.
pub fn compress(batch: &[u8], codec: Codec) -> Vec<u8> {
    compress_with_level(batch, codec, None)
}

/// As [`compress`], at a level of gzip (1 to 9) or zstd; the others have none.
pub fn compress_with_level(batch: &[u8], codec: Codec, level: Option<i32>) -> Vec<u8> {
    let (header, records) = batch.split_at(layout::HEADER_BYTES);
    let mut out = Vec::with_capacity(layout::HEADER_BYTES + records.len() / 2);
    out.extend_from_slice(header);
    // Writing into a Vec cannot fail, nor can a codec on bytes it has no opinion of.
    const INFALLIBLE: &str = "compression into memory";
    match codec {
        Codec::None => out.extend_from_slice(records),
        Codec::Gzip => {
            let level =
                level.map_or(flate2::Compression::default(), |l| flate2::Compression::new(l.clamp(0, 9) as u32));
            let mut encoder = flate2::write::GzEncoder::new(&mut out, level);
            encoder.write_all(records).expect(INFALLIBLE);
            encoder.finish().expect(INFALLIBLE);
        }
        Codec::Snappy => {
            out.extend_from_slice(&XERIAL_HEADER);
            let mut encoder = snap::raw::Encoder::new();
            let mut block = vec![0; snap::raw::max_compress_len(XERIAL_BLOCK_BYTES)];
            for chunk in records.chunks(XERIAL_BLOCK_BYTES) {
                let len = encoder.compress(chunk, &mut block).expect(INFALLIBLE);
                out.extend_from_slice(&(len as u32).to_be_bytes());
                out.extend_from_slice(&block[..len]);
            }
        }
        Codec::Lz4 => {
            // Java's reader refuses blocks that depend on one another.
            let info = lz4_flex::frame::FrameInfo::new()
                .block_mode(lz4_flex::frame::BlockMode::Independent)
                .block_size(lz4_flex::frame::BlockSize::Max64KB);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, &mut out);
            encoder.write_all(records).expect(INFALLIBLE);
            encoder.finish().expect(INFALLIBLE);
        }
        Codec::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(&mut out, level.unwrap_or(0)).expect(INFALLIBLE);
            encoder.write_all(records).expect(INFALLIBLE);
            encoder.finish().expect(INFALLIBLE);
        }
    }
    let length = (out.len() - layout::LENGTH.end) as i32;
    out[layout::LENGTH].copy_from_slice(&length.to_be_bytes());
    let mut attributes = i16::from_be_bytes([out[layout::ATTRIBUTES.start], out[layout::ATTRIBUTES.start + 1]]);
    attributes = (attributes & !layout::ATTRIBUTE_CODEC) | codec as i16;
    out[layout::ATTRIBUTES].copy_from_slice(&attributes.to_be_bytes());
    out
}

/// Why records could not be decompressed.
pub(crate) enum Decompression {
    TooLarge,
    Corrupt,
}

/// Appends the decompressed records to `out`; stops at `bytes_max`.
pub(crate) fn decompress(
    records: &[u8],
    codec: Codec,
    bytes_max: usize,
    out: &mut Vec<u8>,
) -> Result<(), Decompression> {
    match codec {
        Codec::None => out.extend_from_slice(records),
        Codec::Gzip => read_capped(flate2::read::MultiGzDecoder::new(records), bytes_max, out)?,
        Codec::Snappy => decompress_snappy(records, bytes_max, out)?,
        Codec::Lz4 => read_capped(lz4_flex::frame::FrameDecoder::new(records), bytes_max, out)?,
        Codec::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(records).map_err(|_| Decompression::Corrupt)?;
            // 8 MiB: what the format asks of every decoder; a hostile frame may ask for much more.
            decoder.window_log_max(23).map_err(|_| Decompression::Corrupt)?;
            read_capped(decoder, bytes_max, out)?;
        }
    }
    if out.len() > bytes_max { Err(Decompression::TooLarge) } else { Ok(()) }
}

fn read_capped(reader: impl Read, bytes_max: usize, out: &mut Vec<u8>) -> Result<(), Decompression> {
    let limit = (bytes_max as u64).saturating_add(1);
    reader.take(limit).read_to_end(out).map(drop).map_err(|_| Decompression::Corrupt)
}

fn decompress_snappy(records: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<(), Decompression> {
    let Some(mut rest) = records.strip_prefix(&XERIAL_HEADER[..XERIAL_MAGIC_BYTES]) else {
        return decompress_snappy_block(records, bytes_max, out); // librdkafka and others: one bare block
    };
    rest = rest.get(XERIAL_HEADER.len() - XERIAL_MAGIC_BYTES..).ok_or(Decompression::Corrupt)?;
    while !rest.is_empty() {
        let (len, after) = rest.split_first_chunk::<4>().ok_or(Decompression::Corrupt)?;
        let (block, after) = after.split_at_checked(u32::from_be_bytes(*len) as usize).ok_or(Decompression::Corrupt)?;
        decompress_snappy_block(block, bytes_max, out)?;
        rest = after;
    }
    Ok(())
}

fn decompress_snappy_block(block: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<(), Decompression> {
    let len = snap::raw::decompress_len(block).map_err(|_| Decompression::Corrupt)?;
    let from = out.len();
    if len > bytes_max.saturating_sub(from) {
        return Err(Decompression::TooLarge);
    }
    out.resize(from + len, 0);
    snap::raw::Decoder::new().decompress(block, &mut out[from..]).map(drop).map_err(|_| Decompression::Corrupt)
}
