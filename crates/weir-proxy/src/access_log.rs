//! Records of exchanges, written away from the request path.
//!
//! A worker appends lines to a buffer of its own and hands full ones to a thread that writes. The way there is
//! bounded: when the writer does not keep up, records are dropped and counted, and no exchange waits.

use std::cell::RefCell;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::AccessLog;

/// A worker's buffer is handed over when it holds this much.
const BATCH_BYTES: usize = 32 * 1024;
/// Buffers on their way to the writer.
const BATCHES: usize = 64;

/// The way to the writing thread.
#[derive(Debug)]
pub(crate) struct AccessLogger {
    batches: SyncSender<Message>,
    /// Empty buffers on their way back.
    spare: Mutex<Vec<Vec<u8>>>,
    dropped: AtomicU64,
}

#[derive(Debug)]
enum Message {
    Batch(Vec<u8>),
    Reopen,
    Finish,
}

impl AccessLogger {
    /// Opens the log and starts its thread; `None` when it is off. `failed` hears of write errors.
    pub(crate) fn start(
        target: &AccessLog,
        failed: impl Fn(io::Error) + Send + 'static,
    ) -> io::Result<Option<(Arc<Self>, JoinHandle<()>)>> {
        if *target == AccessLog::Off {
            return Ok(None);
        }
        let sink = open(target)?;
        let (batches, inbox) = sync_channel(BATCHES);
        let logger = Arc::new(Self {
            batches,
            spare: Mutex::default(),
            dropped: AtomicU64::new(0),
        });
        let (target, own) = (target.clone(), Arc::clone(&logger));
        let thread = std::thread::Builder::new()
            .name("weir-log".into())
            .spawn(move || own.write_all(&inbox, sink, &target, failed))?;
        Ok(Some((logger, thread)))
    }

    /// Opens the file anew: it has been moved away.
    pub(crate) fn reopen(&self) {
        // A full way means that the writer is stuck; it will not be less stuck with a new file.
        let _ = self.batches.try_send(Message::Reopen);
    }

    /// Writes what is under way and ends the thread.
    pub(crate) fn finish(&self) {
        let _ = self.batches.send(Message::Finish);
    }

    /// Records dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn write_all(
        &self,
        inbox: &Receiver<Message>,
        mut sink: Box<dyn Write + Send>,
        target: &AccessLog,
        failed: impl Fn(io::Error),
    ) {
        while let Ok(message) = inbox.recv() {
            match message {
                Message::Batch(mut batch) => {
                    if let Err(error) = sink.write_all(&batch).and_then(|()| sink.flush()) {
                        self.count_dropped(&batch);
                        failed(error);
                    }
                    batch.clear();
                    self.spare
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(batch);
                }
                Message::Reopen => match open(target) {
                    Ok(opened) => sink = opened,
                    Err(error) => failed(error),
                },
                Message::Finish => return,
            }
        }
    }

    fn count_dropped(&self, batch: &[u8]) {
        let records = memchr::memchr_iter(b'\n', batch).count() as u64;
        self.dropped.fetch_add(records, Ordering::Relaxed);
    }
}

/// One worker's records that are not handed over yet.
#[derive(Debug)]
pub(crate) struct LogBuffer {
    logger: Arc<AccessLogger>,
    lines: RefCell<Vec<u8>>,
}

impl LogBuffer {
    pub(crate) fn new(logger: &Arc<AccessLogger>) -> Self {
        Self {
            logger: Arc::clone(logger),
            lines: RefCell::default(),
        }
    }

    /// Appends one record; `write` writes it as one line.
    pub(crate) fn append(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut lines = self.lines.borrow_mut();
        write(&mut lines);
        let is_full = lines.len() >= BATCH_BYTES;
        drop(lines);
        if is_full {
            self.flush();
        }
    }

    /// Hands everything over.
    pub(crate) fn flush(&self) {
        if self.lines.borrow().is_empty() {
            return;
        }
        let spare = self
            .logger
            .spare
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let batch = self.lines.replace(spare.unwrap_or_default());
        if let Err(error) = self.logger.batches.try_send(Message::Batch(batch)) {
            use std::sync::mpsc::TrySendError;
            let (TrySendError::Full(message) | TrySendError::Disconnected(message)) = error;
            if let Message::Batch(batch) = message {
                self.logger.count_dropped(&batch);
            }
        }
    }
}

/// Appends `,"name":"value"`. Bytes that JSON text may not hold as they are become escapes; those from 0x80 are read as
/// Latin-1, so that every value gives valid JSON and no value ends the line.
pub(crate) fn write_json(line: &mut Vec<u8>, name: &str, value: &[u8]) {
    line.extend_from_slice(b",\"");
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"\":\"");
    write_json_bytes(line, value);
    line.push(b'"');
}

/// Appends a value as the inside of a JSON string, as [`write_json`] does.
pub(crate) fn write_json_bytes(line: &mut Vec<u8>, value: &[u8]) {
    for byte in value {
        match byte {
            b'"' | b'\\' => line.extend_from_slice(&[b'\\', *byte]),
            b' '..=b'~' => line.push(*byte),
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                let (high, low) = (DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]);
                line.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
    }
}

fn open(target: &AccessLog) -> io::Result<Box<dyn Write + Send>> {
    match target {
        AccessLog::Off => Ok(Box::new(io::sink())),
        AccessLog::Stdout => Ok(Box::new(io::stdout())),
        AccessLog::File(path) => Ok(Box::new(append_to(path)?)),
    }
}

fn append_to(path: &Path) -> io::Result<std::fs::File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d6_no_value_ends_a_line_or_a_string() {
        let mut line = Vec::new();
        write_json(&mut line, "k", b"a\"b\\c\n\xff~");
        assert_eq!(String::from_utf8_lossy(&line), r#","k":"a\"b\\c\u000a\u00ff~""#);
    }

    #[test]
    fn records_reach_the_file_and_a_moved_file_is_opened_anew() {
        let directory = std::env::temp_dir().join(format!("weir-log-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("directory");
        let path = directory.join("access.log");
        let target = AccessLog::File(path.clone());
        let (logger, thread) = AccessLogger::start(&target, |error| panic!("{error}"))
            .expect("open")
            .expect("on");
        let buffer = LogBuffer::new(&logger);
        buffer.append(|lines| lines.extend_from_slice(b"one\n"));
        buffer.flush();
        while std::fs::read(&path).expect("file").is_empty() {
            std::thread::yield_now();
        }
        std::fs::rename(&path, directory.join("old.log")).expect("rename");
        logger.reopen();
        buffer.append(|lines| lines.extend_from_slice(&vec![b'x'; BATCH_BYTES]));
        logger.finish();
        thread.join().expect("writer ends");
        assert_eq!(std::fs::read(directory.join("old.log")).expect("old"), b"one\n");
        assert_eq!(std::fs::read(&path).expect("new").len(), BATCH_BYTES);
        buffer.append(|lines| lines.extend_from_slice(b"lost\nlost\n"));
        buffer.flush();
        assert_eq!(logger.dropped(), 2);
        std::fs::remove_dir_all(&directory).expect("clean up");
    }
}
