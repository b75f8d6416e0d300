//! The latest bytes of an output, for `ctl logs` and for error messages.

/// A ring of bytes with a running position, so that a reader knows what it missed.
#[derive(Clone, Debug)]
pub struct Ring {
    /// Grows to `capacity` and is then overwritten in turn: what a quiet service does not fill stays
    /// untouched, and costs no memory.
    bytes: Vec<u8>,
    capacity: usize,
    end: u64,
}

impl Ring {
    /// A ring that keeps the latest `capacity` bytes. Its memory is claimed once and touched only as it fills.
    pub fn new(capacity: usize) -> Ring {
        Ring { bytes: Vec::with_capacity(capacity), capacity, end: 0 }
    }

    /// How many bytes it keeps.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Adds bytes; the oldest fall out.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = self.capacity - self.bytes.len();
        let (fill, over) = bytes.split_at(room.min(bytes.len()));
        self.bytes.extend_from_slice(fill);
        self.end += bytes.len() as u64;
        let kept = &over[over.len().saturating_sub(self.capacity)..];
        if kept.is_empty() {
            return;
        }
        let start = ((self.end - kept.len() as u64) % self.capacity as u64) as usize;
        let first = kept.len().min(self.capacity - start);
        self.bytes[start..start + first].copy_from_slice(&kept[..first]);
        self.bytes[..kept.len() - first].copy_from_slice(&kept[first..]);
    }

    /// How many bytes were ever added: the position after the latest.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The bytes from `position` on, oldest first, as two slices, and the position of the first of them
    /// (later than asked for if some have fallen out).
    pub fn since(&self, position: u64) -> (u64, &[u8], &[u8]) {
        let capacity = self.capacity as u64;
        let from = position.clamp(self.end.saturating_sub(capacity), self.end);
        let length = (self.end - from) as usize;
        if length == 0 {
            return (from, &[], &[]);
        }
        let start = (from % capacity) as usize;
        let first = length.min(self.bytes.len() - start);
        (from, &self.bytes[start..start + first], &self.bytes[..length - first])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(ring: &Ring, position: u64) -> (u64, Vec<u8>) {
        let (from, head, tail) = ring.since(position);
        (from, [head, tail].concat())
    }

    #[test]
    fn the_latest_bytes_stay_whatever_the_chunks() {
        let text: Vec<u8> = (0..200).collect();
        for capacity in [1, 3, 7, 64] {
            for chunk in [1, 2, 5, 64, 200] {
                let mut ring = Ring::new(capacity);
                text.chunks(chunk).for_each(|part| ring.push(part));
                assert_eq!(ring.end(), 200);
                assert_eq!(all(&ring, 0), (200 - capacity as u64, text[200 - capacity..].to_vec()));
            }
        }
    }

    #[test]
    fn a_reader_goes_on_where_it_was() {
        let mut ring = Ring::new(8);
        ring.push(b"abcdef");
        assert_eq!(all(&ring, 4), (4, b"ef".to_vec()));
        ring.push(b"ghij");
        assert_eq!(all(&ring, 6), (6, b"ghij".to_vec()));
        assert_eq!(all(&ring, 10), (10, vec![]));
        assert_eq!(all(&ring, 99), (10, vec![]));
    }

    #[test]
    fn a_ring_of_nothing_keeps_nothing_and_counts() {
        let mut ring = Ring::new(0);
        ring.push(b"abc");
        assert_eq!(all(&ring, 0), (3, vec![]));
    }
}
