//! Calendar time as text, in UTC: a subset of strftime that needs no locale and no zone file.
//!
//! It is not a clock: the caller reads one and hands the number in. Rendering never allocates, and
//! no format, however long, renders to more than [`ROOM`] bytes.

use core::fmt::{self, Write};

pub use crate::time::Wall;

/// The format when none is given: RFC 3339 with milliseconds.
pub const DEFAULT: &str = "%Y-%m-%dT%H:%M:%S.%fZ";

/// The most bytes a rendered time has; what is longer is cut. It bounds the part of a line that is
/// not the service's, so that one page always has room for a whole line. The default format needs
/// 24.
pub const ROOM: usize = 128;

const WORDS: &str = "YmdHMSfszFTjybae%";

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The first of January 1970 was a Thursday.
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// Whether every `%x` in `format` is known; else the `x` that is not (`%` if the format ends in a
/// lone one).
pub fn check(format: &str) -> Result<(), char> {
    let mut chars = format.chars();
    while let Some(char) = chars.next() {
        if char == '%' {
            let word = chars.next().ok_or('%')?;
            if !WORDS.contains(word) {
                return Err(word);
            }
        }
    }
    Ok(())
}

/// A checked format.
#[derive(Clone, Debug)]
pub struct Stamp {
    format: Box<str>,
}

impl Default for Stamp {
    fn default() -> Stamp {
        Stamp { format: DEFAULT.into() }
    }
}

impl Stamp {
    /// A stamp of this format, or the first word of it that is not known (see [`check`]).
    pub fn new(format: &str) -> Result<Stamp, char> {
        check(format).map(|()| Stamp { format: format.into() })
    }

    /// The time `at`, in this format.
    pub fn render(&self, at: Wall) -> Text {
        let mut text = Text { bytes: [0; ROOM], len: 0 };
        // The only error is that the room is used up, and then the text is cut: see `ROOM`.
        let _ = self.write(&Calendar::of(at), &mut text);
        text
    }

    fn write(&self, at: &Calendar, out: &mut Text) -> fmt::Result {
        let mut rest = &*self.format;
        while let Some((plain, tail)) = rest.split_once('%') {
            out.write_str(plain)?;
            let mut chars = tail.chars();
            match chars.next() {
                Some(word) => at.write(word, out)?,
                None => return Ok(()),
            }
            rest = chars.as_str();
        }
        out.write_str(rest)
    }
}

/// A rendered time.
#[derive(Clone, Copy)]
pub struct Text {
    bytes: [u8; ROOM],
    len: usize,
}

impl Text {
    /// Its bytes; UTF-8 unless a long format was cut within a character.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = ROOM - self.len;
        let part = &text.as_bytes()[..text.len().min(room)];
        self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
        self.len += part.len();
        if part.len() < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(self.as_bytes()).unwrap_or("?"))
    }
}

struct Calendar {
    days: u64,
    year: u64,
    month: u64,
    day: u64,
    of_year: u64,
    second: u64,
    epoch: u64,
    millis: u64,
}

impl Calendar {
    /// Counts in years that begin in March, so that the leap day is the last of its year, and in
    /// eras of 400 years, which are all of one length.
    fn of(at: Wall) -> Calendar {
        let epoch = at.0 / 1_000_000_000;
        let days = epoch / 86_400;
        let since_march_0000 = days + 719_468;
        let of_era = since_march_0000 % 146_097;
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_march_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * of_march_year + 2) / 153;
        let month = (march_month + 2) % 12 + 1;
        let year = since_march_0000 / 146_097 * 400 + year_of_era + u64::from(month <= 2);
        let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
        // 306 days lie between the first of March and the first of January.
        let of_year = match month {
            1 | 2 => of_march_year - 306,
            _ => of_march_year + 59 + u64::from(leap),
        };
        Calendar {
            days,
            year,
            month,
            day: of_march_year - (153 * march_month + 2) / 5 + 1,
            of_year: of_year + 1,
            second: epoch % 86_400,
            epoch,
            millis: at.0 / 1_000_000 % 1000,
        }
    }

    fn write(&self, word: char, out: &mut Text) -> fmt::Result {
        let (hour, minute, second) = (self.second / 3600, self.second / 60 % 60, self.second % 60);
        match word {
            'Y' => write!(out, "{:04}", self.year),
            'm' => write!(out, "{:02}", self.month),
            'd' => write!(out, "{:02}", self.day),
            'H' => write!(out, "{hour:02}"),
            'M' => write!(out, "{minute:02}"),
            'S' => write!(out, "{second:02}"),
            'f' => write!(out, "{:03}", self.millis),
            's' => write!(out, "{}", self.epoch),
            'z' => out.write_str("+0000"),
            'F' => write!(out, "{:04}-{:02}-{:02}", self.year, self.month, self.day),
            'T' => write!(out, "{hour:02}:{minute:02}:{second:02}"),
            'j' => write!(out, "{:03}", self.of_year),
            'y' => write!(out, "{:02}", self.year % 100),
            'b' => out.write_str(MONTHS[self.month as usize - 1]),
            'a' => out.write_str(DAYS[(self.days % 7) as usize]),
            'e' => write!(out, "{:2}", self.day),
            _ => out.write_char(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(format: &str, secs: u64) -> String {
        Stamp::new(format).unwrap().render(Wall(secs * 1_000_000_000)).to_string()
    }

    #[test]
    fn known_moments_have_their_known_dates() {
        // As `date -u -d @N '+%F %T %j %a'` prints them.
        let cases = [
            (0, "1970-01-01 00:00:00 001 Thu"),
            (68_169_600, "1972-02-29 00:00:00 060 Tue"),
            (951_782_399, "2000-02-28 23:59:59 059 Mon"),
            (951_868_800, "2000-03-01 00:00:00 061 Wed"),
            (978_307_199, "2000-12-31 23:59:59 366 Sun"),
            (1_795_224_645, "2026-11-21 01:30:45 325 Sat"),
            (4_107_542_400, "2100-03-01 00:00:00 060 Mon"),
        ];
        for (secs, text) in cases {
            assert_eq!(at("%F %T %j %a", secs), text);
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut last = at("%F", 0);
        for day in 1..80_000 {
            let date = at("%F", day * 86_400);
            assert!(last < date, "{last} then {date}");
            last = date;
        }
    }

    #[test]
    fn each_word_renders() {
        let stamp = Stamp::new("%Y %m %d %H %M %S %f %s %z %F %T %j %y %b %a %e %%x").unwrap();
        let text = stamp.render(Wall(946_944_245_067_000_000)).to_string();
        let known =
            "2000 01 04 00 04 05 067 946944245 +0000 2000-01-04 00:04:05 004 00 Jan Tue  4 %x";
        assert_eq!(text, known);
        let default = Stamp::default().render(Wall(1_795_224_645_067_999_999)).to_string();
        assert_eq!(default, "2026-11-21T01:30:45.067Z");
    }

    #[test]
    fn unknown_words_are_named() {
        assert_eq!(check("%H:%Q"), Err('Q'));
        assert_eq!(check("at %"), Err('%'));
        assert_eq!(check(DEFAULT), Ok(()));
    }

    #[test]
    fn a_long_format_is_cut() {
        let text = Stamp::new(&"é".repeat(400)).unwrap().render(Wall(0));
        assert_eq!(text.as_bytes().len(), ROOM);
    }
}
