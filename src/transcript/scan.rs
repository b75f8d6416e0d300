//! Looking through bytes eight at a time: for the end of a line, and for what JSON must escape. Pure,
//! and never out of bounds: whole words first, then what is left byte by byte.

const ONES: u64 = 0x0101_0101_0101_0101;

/// Marks the first zero byte of eight by its top bit (and maybe others after it): to subtract one
/// from a zero borrows into that bit. core's memchr is private, and this is as fast on lines of
/// common length.
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & (ONES << 7)
}

/// Where the first newline is.
pub(super) fn newline(bytes: &[u8]) -> Option<usize> {
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let found = zeros(u64::from_le_bytes(*word) ^ (ONES * b'\n' as u64));
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let at = tail.iter().position(|byte| *byte == b'\n')?;
    Some(words.len() * 8 + at)
}

/// How many bytes at the front stand for themselves in a JSON string, and are ASCII.
fn plain(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<8>();
    let special = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        let low = word.wrapping_sub(ONES * 0x20) & !word & (ONES << 7);
        let marks = zeros(word ^ (ONES * b'"' as u64)) | zeros(word ^ (ONES * b'\\' as u64));
        low | marks | zeros(word ^ (ONES * 0x7f)) | (word & (ONES << 7)) != 0
    };
    let skip = words.iter().position(special).unwrap_or(words.len()) * 8;
    let odd = |byte: &u8| !matches!(byte, 0x20..0x7f) || matches!(byte, b'"' | b'\\');
    let rest = &bytes[skip..];
    skip + rest.iter().position(odd).unwrap_or(rest.len())
}

/// Writes `text` as the inside of a JSON string; what is not UTF-8 becomes U+FFFD.
pub fn escape(text: &[u8], out: &mut Vec<u8>) {
    let (head, text) = text.split_at(plain(text));
    out.extend_from_slice(head);
    for chunk in text.utf8_chunks() {
        let mut rest = chunk.valid().as_bytes();
        while let Some((byte, tail)) = rest.split_first() {
            escape_byte(*byte, out);
            let run = plain(tail);
            out.extend_from_slice(&tail[..run]);
            rest = &tail[run..];
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

fn escape_byte(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' => b"\\\"",
        b'\\' => b"\\\\",
        b'\n' => b"\\n",
        b'\r' => b"\\r",
        b'\t' => b"\\t",
        0..=0x1f | 0x7f => {
            let digit = |nibble: u8| b"0123456789abcdef"[nibble as usize];
            let text = [b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)];
            return out.extend_from_slice(&text);
        }
        _ => return out.push(byte),
    };
    out.extend_from_slice(short);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newlines_are_found_wherever_they_are() {
        for at in 0..40 {
            let mut bytes = [0x0b_u8; 40];
            assert_eq!(newline(&bytes[..at]), None);
            bytes[at] = b'\n';
            assert_eq!(newline(&bytes), Some(at));
        }
    }
}
