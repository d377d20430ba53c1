//! Reads lines in batches on a thread of its own, so that a slow pipe or a terminal holds up nothing else.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use tokio::sync::mpsc;

use crate::failure::Failure;

/// The longest line. No broker takes a message near it.
const MAX_LINE: usize = 64 << 20;
const MAX_BATCH_LINES: usize = 500;
const MAX_BATCH_BYTES: u64 = 1 << 20;
/// Batches read ahead.
const AHEAD: usize = 2;

/// Where lines come from.
pub(super) struct Source {
    reader: Box<dyn Read + Send>,
    size: Option<u64>,
}

/// A line of the input.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    /// Counted from 1.
    pub(super) number: u64,
    /// The line without its end; none if it is too long.
    pub(super) content: Option<Vec<u8>>,
}

/// Lines that were there at once.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Batch {
    pub(super) lines: Vec<Line>,
    /// How much of the input they took.
    pub(super) bytes: u64,
}

/// Batches in order; an error ends them.
pub(super) type Batches = mpsc::Receiver<io::Result<Batch>>;

impl Source {
    /// Opens a file, or stdin for `-`.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Source { reader: Box::new(io::stdin()), size: None });
        }
        let fail = |error: io::Error| Failure::file(path, &error);
        let file = File::open(path).map_err(fail)?;
        let metadata = file.metadata().map_err(fail)?;
        if metadata.is_dir() {
            return Err(Failure::new(format!("{}: is a directory", path.display())));
        }
        Ok(Source { reader: Box::new(file), size: metadata.is_file().then_some(metadata.len()) })
    }

    /// How much there is to read, if that is known.
    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    /// Starts reading. The thread ends with the input or the receiver; one that waits for a terminal ends with the
    /// process.
    pub(super) fn start(self) -> Batches {
        let (sender, receiver) = mpsc::channel(AHEAD);
        std::thread::spawn(move || {
            let mut lines = Lines { reader: BufReader::with_capacity(256 << 10, self.reader), number: 0 };
            while let Some(batch) = lines.batch().transpose() {
                let failed = batch.is_err();
                if sender.blocking_send(batch).is_err() || failed {
                    break;
                }
            }
        });
        receiver
    }
}

struct Lines<R> {
    reader: BufReader<R>,
    number: u64,
}

impl<R: Read> Lines<R> {
    /// Waits for one line, and takes those that are there with it.
    fn batch(&mut self) -> io::Result<Option<Batch>> {
        let mut batch = Batch::default();
        while let Some((line, bytes)) = self.line()? {
            batch.lines.push(line);
            batch.bytes += bytes;
            let full = batch.lines.len() >= MAX_BATCH_LINES || batch.bytes >= MAX_BATCH_BYTES;
            if full || !self.reader.buffer().contains(&b'\n') {
                break;
            }
        }
        Ok((!batch.lines.is_empty()).then_some(batch))
    }

    fn line(&mut self) -> io::Result<Option<(Line, u64)>> {
        let mut content = Vec::new();
        let limit = MAX_LINE as u64 + 1;
        let mut bytes = self.reader.by_ref().take(limit).read_until(b'\n', &mut content)? as u64;
        if bytes == 0 {
            return Ok(None);
        }
        self.number += 1;
        let mut content = Some(content);
        if bytes == limit && content.as_ref().is_some_and(|c| c.last() != Some(&b'\n')) {
            content = None;
            bytes += self.reader.skip_until(b'\n')? as u64;
        }
        Ok(Some((Line { number: self.number, content: content.map(without_end) }, bytes)))
    }
}

fn without_end(mut line: Vec<u8>) -> Vec<u8> {
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8]) -> Vec<Batch> {
        let mut lines = Lines { reader: BufReader::new(input), number: 0 };
        std::iter::from_fn(|| lines.batch().unwrap()).collect()
    }

    fn contents(batches: &[Batch]) -> Vec<&[u8]> {
        batches.iter().flat_map(|b| &b.lines).map(|l| l.content.as_deref().unwrap()).collect()
    }

    #[test]
    fn lines_lose_their_ends_and_nothing_else() {
        let batches = read(b"a\r\n\nb \xff\nlast");
        assert_eq!(contents(&batches), [&b"a"[..], b"", b"b \xff", b"last"]);
        assert_eq!(batches.iter().map(|b| b.bytes).sum::<u64>(), 12);
        assert_eq!(batches[0].lines[1].number, 2);
        assert!(read(b"").is_empty());
    }

    #[test]
    fn batches_are_bounded() {
        let batches = read("x\n".repeat(1_200).as_bytes());
        assert!(batches.iter().all(|b| b.lines.len() <= MAX_BATCH_LINES));
        assert_eq!(contents(&batches).len(), 1_200);
    }

    #[test]
    fn a_line_beyond_the_limit_is_named_and_passed_over() {
        let mut input = vec![b'x'; MAX_LINE + 1];
        input.extend(b"yz\nnext\n");
        let batches = read(&input);
        let lines: Vec<_> = batches.into_iter().flat_map(|b| b.lines).collect();
        assert_eq!(lines[0], Line { number: 1, content: None });
        assert_eq!(lines[1], Line { number: 2, content: Some(b"next".to_vec()) });
    }
}
