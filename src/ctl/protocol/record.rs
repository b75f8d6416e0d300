//! Records: one line of `key=value` fields (logfmt), written into a buffer of fixed size and read
//! back.
//!
//! A value that is empty, or holds blanks, quotes, `=`, backslashes, controls or bytes that are
//! not UTF-8, is quoted; in quotes `\"`, `\\`, `\n`, `\r`, `\t` and `\xNN` (one byte) are escapes.
//! So a record is always one line of printable UTF-8, whatever a service has written, and reading
//! gives back the same bytes.
//!
//! Invariant: a [`Buffer`] never grows and holds whole records only; one that does not fit leaves
//! no trace.

use core::fmt;

/// Bytes on their way out, first in first out. Claimed once.
#[derive(Debug)]
pub struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

/// What only the very last line of a connection may use: `error code=… message="too slow; …"` must
/// fit whatever else is still waiting to be sent.
const RESERVE: usize = 256;

impl Buffer {
    /// An empty buffer of `capacity` bytes.
    pub fn new(capacity: usize) -> Buffer {
        Buffer { bytes: vec![0; capacity].into_boxed_slice(), start: 0, end: 0 }
    }

    /// What waits to be sent.
    pub fn pending(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The first `count` bytes are sent.
    pub fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Adds bytes as they are, as far as there is room; how many.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let at = self.begin(0).at;
        let count = bytes.len().min(self.bytes.len() - at);
        self.bytes[at..at + count].copy_from_slice(&bytes[..count]);
        self.end = at + count;
        count
    }

    /// Begins a record.
    pub fn record(&mut self) -> Record<'_> {
        self.begin(RESERVE)
    }

    /// Begins the last line of the connection: it may use the reserve.
    pub fn last_record(&mut self) -> Record<'_> {
        self.begin(0)
    }

    fn begin(&mut self, reserve: usize) -> Record<'_> {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let (at, limit) = (self.end, self.bytes.len().saturating_sub(reserve));
        Record { begun: at, at, limit, full: false, buffer: self }
    }
}

/// A record being written. Nothing of it is in the buffer until [`Record::finish`].
#[derive(Debug)]
pub struct Record<'a> {
    buffer: &'a mut Buffer,
    begun: usize,
    at: usize,
    limit: usize,
    full: bool,
}

impl Record<'_> {
    /// A word without `=`: `ok`, `error`.
    pub fn word(mut self, word: &str) -> Self {
        self.separate();
        self.put(word.as_bytes());
        self
    }

    /// A field.
    pub fn field(mut self, key: &str, value: impl fmt::Display) -> Self {
        let quote = self.open(key);
        // Ours never fails; a Display that fails on its own leaves a shorter value.
        let _ = fmt::Write::write_fmt(&mut Escape(&mut self), format_args!("{value}"));
        self.close(quote);
        self
    }

    /// A field, if there is a value.
    pub fn maybe(self, key: &str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.field(key, value),
            None => self,
        }
    }

    /// A field whose value is bytes: a program's output.
    pub fn bytes(mut self, key: &str, value: &[u8]) -> Self {
        let quote = self.open(key);
        for chunk in value.utf8_chunks() {
            self.escape(chunk.valid());
            chunk.invalid().iter().for_each(|&byte| self.hex(byte));
        }
        self.close(quote);
        self
    }

    /// Ends the line. False: it did not fit, and the buffer is as before.
    pub fn finish(mut self) -> bool {
        self.put(b"\n");
        if !self.full {
            self.buffer.end = self.at;
        }
        !self.full
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        if self.full || end > self.limit {
            self.full = true;
            return;
        }
        self.buffer.bytes[self.at..end].copy_from_slice(bytes);
        self.at = end;
    }

    fn separate(&mut self) {
        if self.at > self.begun {
            self.put(b" ");
        }
    }

    /// Writes `key="` and returns where the quote is.
    fn open(&mut self, key: &str) -> usize {
        self.separate();
        self.put(key.as_bytes());
        self.put(b"=");
        let quote = self.at;
        self.put(b"\"");
        quote
    }

    /// Takes the quote back if nothing in the value needs it, else closes it. In this order,
    /// because the value comes from a formatter and is seen only once.
    fn close(&mut self, quote: usize) {
        if self.full {
            return;
        }
        let value = &self.buffer.bytes[quote + 1..self.at];
        let bare = |b: &u8| *b > b' ' && *b != b'=' && *b != b'\\' && *b != 0x7f;
        if !value.is_empty() && value.iter().all(bare) {
            self.buffer.bytes.copy_within(quote + 1..self.at, quote);
            self.at -= 1;
        } else {
            self.put(b"\"");
        }
    }

    fn escape(&mut self, text: &str) {
        let mut from = 0;
        for (at, c) in text.char_indices() {
            let short = match c {
                '"' => "\\\"",
                '\\' => "\\\\",
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                c if c.is_control() => "",
                _ => continue,
            };
            let next = at + c.len_utf8();
            self.put(&text.as_bytes()[from..at]);
            self.put(short.as_bytes());
            if short.is_empty() {
                text.as_bytes()[at..next].iter().for_each(|&byte| self.hex(byte));
            }
            from = next;
        }
        self.put(&text.as_bytes()[from..]);
    }

    fn hex(&mut self, byte: u8) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| DIGITS[usize::from(nibble & 15)];
        self.put(&[b'\\', b'x', digit(byte >> 4), digit(byte)]);
    }
}

struct Escape<'a, 'b>(&'a mut Record<'b>);

impl fmt::Write for Escape<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.escape(text);
        Ok(())
    }
}

/// The fields of one record, as a reader has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, Vec<u8>)>);

impl Fields {
    /// Reads a line without its newline; `None` if it is not a record.
    pub fn parse(line: &str) -> Option<Fields> {
        let mut fields = Vec::new();
        let mut rest = line.trim_start_matches(' ');
        while !rest.is_empty() {
            let (key, after) = rest.split_once('=')?;
            if key.is_empty() || key.contains([' ', '"', '\\']) {
                return None;
            }
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => unquote(quoted)?,
                None => {
                    let end = after.find(' ').unwrap_or(after.len());
                    (after.as_bytes()[..end].to_vec(), &after[end..])
                }
            };
            fields.push((key.to_owned(), value));
            if !after.is_empty() && !after.starts_with(' ') {
                return None;
            }
            rest = after.trim_start_matches(' ');
        }
        Some(Fields(fields))
    }

    /// The value of `key` as bytes.
    pub fn bytes(&self, key: &str) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| &value[..])
    }

    /// The value of `key` as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self, key: &str) -> Option<String> {
        self.bytes(key).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// The value of `key`, if it is a number.
    pub fn number(&self, key: &str) -> Option<u64> {
        core::str::from_utf8(self.bytes(key)?).ok()?.parse().ok()
    }

    /// All keys and values in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_slice()))
    }
}

fn unquote(text: &str) -> Option<(Vec<u8>, &str)> {
    let mut value = Vec::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push(b'\n'),
                'r' => value.push(b'\r'),
                't' => value.push(b'\t'),
                'x' => {
                    let (high, low) =
                        (chars.next()?.1.to_digit(16)?, chars.next()?.1.to_digit(16)?);
                    value.push((high * 16 + low) as u8);
                }
                c @ ('"' | '\\') => value.push(c as u8),
                _ => return None,
            },
            c => value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    None
}
