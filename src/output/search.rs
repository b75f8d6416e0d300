//! Looks for a text in what a service writes: `ready log TEXT`.
//!
//! Byte by byte, with no byte looked at twice and none kept (Knuth, Morris and Pratt), so a line may come in as many
//! reads as it likes. The text is within one line because it has no line's end in it.

/// One stream's search.
#[derive(Debug)]
pub(super) struct Search {
    text: Box<[u8]>,
    /// For each beginning of the text of so many bytes, how long the longest shorter one is that it ends with.
    shorter: Box<[usize]>,
    /// How much of the text the latest bytes are.
    matched: usize,
    /// How many bytes are not to be looked at: a former process wrote them.
    skip: usize,
    on: bool,
}

impl Search {
    /// It begins with [`Search::start`].
    pub(super) fn new(text: &str) -> Search {
        let text: Box<[u8]> = text.as_bytes().into();
        let mut shorter = vec![0; text.len() + 1];
        let mut matched = 0;
        for (at, byte) in text.iter().enumerate().skip(1) {
            matched = longer(&text, &shorter, matched, *byte);
            if let Some(place) = shorter.get_mut(at + 1) {
                *place = matched;
            }
        }
        Search { text, shorter: shorter.into(), matched: 0, skip: 0, on: false }
    }

    /// Looks from now on, but not at the next `skip` bytes.
    pub(super) fn start(&mut self, skip: usize) {
        (self.matched, self.skip, self.on) = (0, skip, true);
    }

    /// Looks no more.
    pub(super) fn stop(&mut self) {
        self.on = false;
    }

    /// Whether it is looking, and finds the text's end in these bytes.
    pub(super) fn find(&mut self, bytes: &[u8]) -> bool {
        if !self.on {
            return false;
        }
        let (old, new) = bytes.split_at(self.skip.min(bytes.len()));
        self.skip -= old.len();
        for byte in new {
            self.matched = longer(&self.text, &self.shorter, self.matched, *byte);
            if self.matched == self.text.len() {
                return true;
            }
        }
        false
    }
}

/// How much of the text is matched with one more byte.
fn longer(text: &[u8], shorter: &[usize], mut matched: usize, byte: u8) -> usize {
    loop {
        if text.get(matched) == Some(&byte) {
            return matched + 1;
        }
        if matched == 0 {
            return 0;
        }
        matched = shorter.get(matched).copied().unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(text: &str, pieces: &[&str]) -> bool {
        let mut search = Search::new(text);
        search.start(0);
        pieces.iter().any(|piece| search.find(piece.as_bytes()))
    }

    #[test]
    fn a_text_is_found_in_whatever_pieces_it_comes() {
        for (text, written) in [
            ("ready", "not yet\nnow ready to serve\n"),
            ("aab", "aaaaab"),
            ("abcabd", "abcabcabd"),
            ("aabaaab", "aabaabaaab"),
            ("x", "x"),
            ("größe", "die größe"),
        ] {
            assert!(finds(text, &[written]), "{text}");
            let bytes = written.as_bytes();
            for cut in 0..=bytes.len() {
                let mut search = Search::new(text);
                search.start(0);
                let (before, after) = bytes.split_at(cut);
                assert!(search.find(before) || search.find(after), "{text} cut at {cut}");
            }
        }
    }

    #[test]
    fn it_agrees_with_the_plain_search_on_all_short_texts_of_two_letters() {
        let words = |length: u32| {
            (0..1_u32 << length).map(move |bits| {
                (0..length).map(|at| if bits >> at & 1 == 1 { 'a' } else { 'b' }).collect()
            })
        };
        for text in (1..=4).flat_map(words) {
            let text: String = text;
            for written in (0..=8).flat_map(words) {
                let written: String = written;
                assert_eq!(finds(&text, &[&written]), written.contains(&text), "{text} {written}");
            }
        }
    }

    #[test]
    fn two_lines_are_not_one() {
        assert!(!finds("is ready", &["is \nready\n"]));
        assert!(!finds("is ready", &["is read", "\n", "y\n"]));
    }

    #[test]
    fn what_a_former_process_wrote_does_not_count() {
        let mut search = Search::new("ready");
        assert!(!search.find(b"ready"), "not yet looking");
        search.start(8);
        assert!(!search.find(b"ready "));
        assert!(!search.find(b"redy"), "two more bytes were not its own");
        assert!(search.find(b" ready"));
        search.stop();
        assert!(!search.find(b"ready"));
        search.start(0);
        assert!(!search.find(b"rea"));
        search.start(0);
        assert!(!search.find(b"dy"), "each start begins anew");
    }
}
