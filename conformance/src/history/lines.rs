//! The lines of a file, one at a time, in bounded memory.

use std::io::{BufRead, Read};

use super::error::{HistoryError, Reason};

/// The longest line that is read, in bytes without its end.
pub const MAX_LINE: usize = 1 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads lines, counting them.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    from: R,
    buffer: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(from: R) -> Self {
        Self { from, buffer: Vec::new(), number: 0 }
    }

    /// The next line that is not blank, and its number from 1, or `None` at the end of the file.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, &str)>, HistoryError> {
        loop {
            self.buffer.clear();
            self.number += 1;
            let limit = MAX_LINE as u64 + 1;
            let read = self.from.by_ref().take(limit).read_until(b'\n', &mut self.buffer);
            if read.map_err(|error| self.error(error.into()))? == 0 {
                return Ok(None);
            }
            self.strip_end()?;
            if !self.buffer.trim_ascii().is_empty() {
                break;
            }
        }
        match std::str::from_utf8(&self.buffer) {
            Ok(line) => Ok(Some((self.number, line))),
            Err(_) => Err(HistoryError { line: self.number, reason: Reason::NotUtf8 }),
        }
    }

    /// An error on the line that was read last.
    fn error(&self, reason: Reason) -> HistoryError {
        HistoryError { line: self.number, reason }
    }

    fn strip_end(&mut self) -> Result<(), HistoryError> {
        if self.number == 1 && self.buffer.starts_with(BYTE_ORDER_MARK) {
            return Err(self.error(Reason::ByteOrderMark));
        }
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
        } else if self.buffer.len() > MAX_LINE {
            return Err(self.error(Reason::LineTooLong));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_are_skipped_but_counted() {
        let mut lines = Lines::new(&b"\n \t\r\na\r\n\nb"[..]);
        assert_eq!(lines.next().unwrap(), Some((3, "a\r")));
        assert_eq!(lines.next().unwrap(), Some((5, "b")));
        assert_eq!(lines.next().unwrap(), None);
    }

    fn length(file: &str) -> usize {
        Lines::new(file.as_bytes()).next().unwrap().unwrap().1.len()
    }

    #[test]
    fn a_line_of_exactly_one_mebibyte_is_read() {
        let mut file = "x".repeat(MAX_LINE);
        assert_eq!(length(&file), MAX_LINE);
        file.push('\n');
        assert_eq!(length(&file), MAX_LINE);
        let long = "x".repeat(MAX_LINE + 1);
        let error = Lines::new(long.as_bytes()).next().unwrap_err();
        assert!(matches!(error, HistoryError { line: 1, reason: Reason::LineTooLong }));
    }

    #[test]
    fn an_endless_line_is_refused_in_bounded_memory() {
        let mut lines = Lines::new(std::io::BufReader::new(std::io::repeat(b' ')));
        assert!(matches!(lines.next().unwrap_err().reason, Reason::LineTooLong));
        assert!(lines.buffer.capacity() <= 4 * MAX_LINE);
    }

    #[test]
    fn bytes_that_are_not_plain_utf8_are_refused() {
        let mark = Lines::new(&b"\xEF\xBB\xBF{}"[..]).next().unwrap_err();
        assert!(matches!(mark.reason, Reason::ByteOrderMark));
        let mut lines = Lines::new(&b"{}\n\xFF\n"[..]);
        lines.next().unwrap();
        assert!(matches!(lines.next().unwrap_err(), HistoryError { line: 2, reason: Reason::NotUtf8 }));
    }
}
