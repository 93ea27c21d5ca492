//! Content codings (RFC 9110 8.4.1): data in, coded bytes out, flushed when the recipient must see what there is.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Write};
use std::rc::Rc;

use brotli::CompressorWriter;
use flate2::Compression;
use flate2::write::GzEncoder;
use weir_model::{Compressor, ContentEncoding};

/// Greatest distance that brotli and zstd look back, as a power of two: bounds their memory, and what a recipient needs.
const WINDOW_BITS: u32 = 18;
/// What brotli gathers before it is handed on.
const BROTLI_BUFFER_BYTES: usize = 4 * 1024;

/// One body on its way into a coding.
pub(crate) struct Encoder {
    writer: Writer,
    /// Something was written since the last flush.
    is_dirty: bool,
    _share: Share,
}

enum Writer {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(zstd::Encoder<'static, Vec<u8>>),
}

/// How much memory all encoders of a worker may take. A response that would exceed it goes out as it is.
#[derive(Debug)]
pub(crate) struct EncoderMemory {
    used: Rc<Cell<usize>>,
    bytes_max: usize,
}

/// One encoder's part of that.
struct Share {
    used: Rc<Cell<usize>>,
    bytes: usize,
}

impl EncoderMemory {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            used: Rc::default(),
            bytes_max,
        }
    }

    fn share(&self, bytes: usize) -> Option<Share> {
        let used = self.used.get() + bytes;
        (used <= self.bytes_max).then(|| {
            self.used.set(used);
            Share {
                used: Rc::clone(&self.used),
                bytes,
            }
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.used.set(self.used.get() - self.bytes);
    }
}

impl Encoder {
    /// A fresh one; `None` when there is no memory for another.
    pub(crate) fn new(compressor: &Compressor, memory: &EncoderMemory) -> Option<Self> {
        let level = level(compressor);
        let share = memory.share(memory_bytes(compressor.encoding, level))?;
        let out = Vec::new();
        let writer = match compressor.encoding {
            ContentEncoding::Gzip => Writer::Gzip(GzEncoder::new(out, Compression::new(level))),
            ContentEncoding::Brotli => Writer::Brotli(Box::new(CompressorWriter::new(
                out,
                BROTLI_BUFFER_BYTES,
                level,
                WINDOW_BITS,
            ))),
            ContentEncoding::Zstd => {
                let mut encoder = zstd::Encoder::new(out, level as i32).ok()?;
                encoder.window_log(WINDOW_BITS).ok()?;
                Writer::Zstd(encoder)
            }
        };
        Some(Self {
            writer,
            is_dirty: false,
            _share: share,
        })
    }

    /// Takes data in.
    pub(super) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.is_dirty = true;
        match &mut self.writer {
            Writer::Gzip(encoder) => encoder.write_all(data),
            Writer::Brotli(encoder) => encoder.write_all(data),
            Writer::Zstd(encoder) => encoder.write_all(data),
        }
    }

    /// Whether something was taken in that may not have come out.
    pub(super) fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// Makes everything come out that was taken in.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.is_dirty = false;
        match &mut self.writer {
            Writer::Gzip(encoder) => encoder.flush(),
            Writer::Brotli(encoder) => encoder.flush(),
            Writer::Zstd(encoder) => encoder.flush(),
        }
    }

    /// Moves what has come out so far to `take`.
    pub(super) fn drain<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> T {
        let out = match &mut self.writer {
            Writer::Gzip(encoder) => encoder.get_mut(),
            Writer::Brotli(encoder) => encoder.get_mut(),
            Writer::Zstd(encoder) => encoder.get_mut(),
        };
        let taken = take(out);
        out.clear();
        taken
    }

    /// The rest, which ends the coding.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self.writer {
            Writer::Gzip(encoder) => encoder.finish(),
            Writer::Brotli(encoder) => Ok(encoder.into_inner()),
            Writer::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self.writer {
            Writer::Gzip(_) => "Encoder(gzip)",
            Writer::Brotli(_) => "Encoder(br)",
            Writer::Zstd(_) => "Encoder(zstd)",
        })
    }
}

/// The level asked for, or one at which a response costs little more time than its way through the network.
fn level(compressor: &Compressor) -> u32 {
    let default = match compressor.encoding {
        ContentEncoding::Gzip => 6,
        ContentEncoding::Brotli | ContentEncoding::Zstd => 3,
    };
    compressor.level.map_or(default, u32::from).clamp(1, 9)
}

/// What an encoder takes at most, as measured with 8 MB of text and rounded up.
fn memory_bytes(encoding: ContentEncoding, level: u32) -> usize {
    const KIB: usize = 1024;
    const MIB: usize = 1024 * KIB;
    match (encoding, level) {
        (ContentEncoding::Gzip, _) => 512 * KIB,
        (ContentEncoding::Brotli, 1..=3) => 2 * MIB,
        (ContentEncoding::Brotli, 4..=6) => 7 * MIB,
        (ContentEncoding::Brotli, 7) => 13 * MIB,
        (ContentEncoding::Brotli, _) => 40 * MIB,
        (ContentEncoding::Zstd, _) => 4 * MIB,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const ALL: [ContentEncoding; 3] = [
        ContentEncoding::Gzip,
        ContentEncoding::Brotli,
        ContentEncoding::Zstd,
    ];

    fn compressor(encoding: ContentEncoding, level: Option<u8>) -> Compressor {
        Compressor {
            encoding,
            level,
            min_bytes: 0,
            content_types: Vec::new(),
        }
    }

    /// What a recipient can read of `coded`, which may be cut.
    fn decoded(encoding: ContentEncoding, coded: &[u8]) -> Vec<u8> {
        let mut reader: Box<dyn Read> = match encoding {
            ContentEncoding::Gzip => Box::new(flate2::read::GzDecoder::new(coded)),
            ContentEncoding::Brotli => Box::new(brotli::Decompressor::new(coded, 4096)),
            ContentEncoding::Zstd => Box::new(zstd::Decoder::new(coded).expect("memory")),
        };
        let (mut text, mut block) = (Vec::new(), [0; 512]);
        while let Ok(length @ 1..) = reader.read(&mut block) {
            text.extend_from_slice(&block[..length]);
        }
        text
    }

    #[test]
    fn kt23_every_coding_and_level_gives_back_what_went_in() {
        let parts = [&b"hello "[..], &[b'a'; 40_000], b"", b"world"];
        for encoding in ALL {
            for level in std::iter::once(None).chain((1..=9).map(Some)) {
                let memory = EncoderMemory::new(usize::MAX);
                let mut encoder = Encoder::new(&compressor(encoding, level), &memory).expect("memory");
                let (mut coded, mut so_far) = (Vec::new(), Vec::new());
                for part in parts {
                    encoder.write(part).expect("into memory");
                    so_far.extend_from_slice(part);
                    encoder.flush().expect("into memory");
                    encoder.drain(|bytes: &[u8]| coded.extend_from_slice(bytes));
                    assert_eq!(
                        decoded(encoding, &coded),
                        so_far,
                        "{encoding:?} {level:?}: flushed"
                    );
                }
                coded.extend(encoder.finish().expect("into memory"));
                assert_eq!(
                    decoded(encoding, &coded),
                    so_far,
                    "{encoding:?} {level:?}: finished"
                );
                assert!(
                    coded.len() < 1_000,
                    "{encoding:?} {level:?}: {} bytes",
                    coded.len()
                );
                assert_eq!(memory.used.get(), 0);
            }
        }
    }

    #[test]
    fn kt23_encoders_take_no_more_memory_than_there_is() {
        let gzip = compressor(ContentEncoding::Gzip, None);
        let memory = EncoderMemory::new(memory_bytes(ContentEncoding::Gzip, 6) * 2);
        let first = Encoder::new(&gzip, &memory).expect("memory");
        let second = Encoder::new(&gzip, &memory).expect("memory");
        assert!(Encoder::new(&gzip, &memory).is_none());
        drop(first);
        assert!(Encoder::new(&gzip, &memory).is_some());
        drop(second);
    }
}
