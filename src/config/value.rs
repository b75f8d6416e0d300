//! Single values: durations, sizes, numbers, names and choices. Each reads one word, the whole of it.

use super::diagnostic::Report;
use super::lines::Spot;
use crate::nearest;
use crate::signal::Signal;
use crate::time::Duration;

/// What is wrong with a value. In a box: it is rare, and every value's reader hands it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong(Box<Details>);

/// What there is to say of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Details {
    /// The byte of the text it is about, if it is about a part of it.
    pub(super) at: Option<usize>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    /// What ZConfig says of it, if that is not the message.
    pub(super) zconfig: Option<String>,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>) -> Wrong {
        Wrong(Box::new(Details { message: message.into(), ..Details::default() }))
    }

    /// Adds what ZConfig says of it.
    pub(super) fn zconfig(mut self, message: impl Into<String>) -> Wrong {
        self.0.zconfig = Some(message.into());
        self
    }

    /// Adds the byte that it is about.
    pub(super) fn at(mut self, at: usize) -> Wrong {
        self.0.at = Some(at);
        self
    }

    /// Adds a hint, if it has none yet.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Wrong {
        self.0.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Adds what was probably meant by `word`, if one of `known` is near to it.
    pub(super) fn near<'a>(self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Wrong {
        match nearest::nearest(word, known) {
            Some(near) => self.hint(format!("did you mean `{near}`?")),
            None => self,
        }
    }

    /// Reports it at `spot`.
    pub(super) fn report(self, spot: &Spot, report: &mut Report) {
        report.error(spot, self.0.message);
        if let Some(hint) = self.0.hint {
            report.hint(hint);
        }
    }
}

impl std::ops::Deref for Wrong {
    type Target = Details;

    fn deref(&self) -> &Details {
        &self.0
    }
}

/// Longer is a slip: a thousand years.
const FOREVER: u64 = 1000 * 365 * 86_400 * 1000;

/// `500ms`, `10s`, `1.5s`, `5m`, `1h`, `2d`, and sums of these: `1m30s`.
pub(super) fn time(word: &str) -> Result<Duration, Wrong> {
    if word == "0" {
        return Ok(Duration::ZERO);
    }
    let wrong = || {
        let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        Wrong::new(format!("`{word}` is not a time")).hint(match digits {
            true => format!("a time needs its unit: `{word}s`, `{word}ms`, `{word}m`"),
            false => "a time is a number and a unit: 500ms, 10s, 5m, 1h, 2d, 1m30s".into(),
        })
    };
    let mut millis: u64 = 0;
    let mut rest = word;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let factor = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let part = scaled(number, factor).ok_or_else(wrong)?;
        millis = millis.checked_add(part).filter(|sum| *sum <= FOREVER).ok_or_else(wrong)?;
        rest = after;
    }
    if word.is_empty() { Err(wrong()) } else { Ok(Duration::from_millis(millis)) }
}

/// A time as a configuration file has it, for the options of a command line; else what is wrong with it.
pub fn duration(word: &str) -> Result<Duration, String> {
    time(word).map_err(|wrong| match &wrong.hint {
        Some(hint) => format!("{}: {hint}", wrong.message),
        None => wrong.message.clone(),
    })
}

/// `number`, which may have up to three decimals, times `factor`.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || part.is_empty() || part.len() > 3 {
        return None;
    }
    let thousandths = part.parse::<u64>().ok()? * 10u64.pow(3 - part.len() as u32);
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    whole.checked_add(thousandths.checked_mul(factor)? / 1000)
}

/// A duration in the units that [`time`] reads, exactly.
pub(super) fn print_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (unit, factor) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if millis >= factor && millis.is_multiple_of(factor) {
            return format!("{}{unit}", millis / factor);
        }
    }
    if millis == 0 { "0s".into() } else { format!("{millis}ms") }
}

/// Bytes: `4096`, `10K`, `10M`, `1G`, `1T` (units of 1024; a `B` or `iB` behind is allowed).
pub(super) fn size(word: &str) -> Result<u64, Wrong> {
    let wrong = || {
        let hint = "a size is a number of bytes, or one with K, M or G: 10K, 10M, 1G";
        Wrong::new(format!("`{word}` is not a size")).hint(hint)
    };
    let end = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    let (number, unit) = word.split_at(end);
    let shift = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// A size as [`size`] reads it, exactly.
pub(super) fn print_size(bytes: u64) -> String {
    for (unit, shift) in [("G", 30), ("M", 20), ("K", 10)] {
        if bytes > 0 && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// A whole number from `low` to `high`.
pub(super) fn number<T>(word: &str, low: T, high: T) -> Result<T, Wrong>
where
    T: core::str::FromStr + PartialOrd + core::fmt::Display,
{
    let number = word.parse().ok().filter(|number| low <= *number && *number <= high);
    number.ok_or_else(|| Wrong::new(format!("`{word}` is not a number from {low} to {high}")))
}

/// An octal mode or mask: `022`, `0o22`.
pub(super) fn octal(word: &str) -> Result<u32, Wrong> {
    let digits = word.strip_prefix("0o").or(word.strip_prefix("0O")).unwrap_or(word);
    let digits_only = digits.bytes().all(|byte| byte.is_ascii_digit());
    let value = u32::from_str_radix(digits, 8).ok().filter(|value| digits_only && *value <= 0o7777);
    value.ok_or_else(|| {
        Wrong::new(format!("`{word}` is not an octal number up to 7777")).hint("as in 022 or 0640")
    })
}

/// `yes`, `no`, and zdaemon's `true on false off`.
pub(super) fn boolean(word: &str) -> Result<bool, Wrong> {
    match word.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" => Ok(true),
        "no" | "false" | "off" => Ok(false),
        _ => Err(Wrong::new(format!("`{word}` is neither `yes` nor `no`"))),
    }
}

/// One of a few words.
pub(super) fn choice<T: Copy>(word: &str, choices: &[(&str, T)]) -> Result<T, Wrong> {
    let found = choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
    found
        .map(|(_, value)| *value)
        .ok_or_else(|| no_choice(word, &choices.iter().map(|(name, _)| *name).collect::<Vec<_>>()))
}

#[inline(never)]
fn no_choice(word: &str, names: &[&str]) -> Wrong {
    let message = format!("`{word}` is none of {}", nearest::list(names.iter().copied()));
    Wrong::new(message).near(word, names.iter().copied())
}

/// The word that [`choice`] reads as `value`: the first of those that mean it.
pub(super) fn name_of<T: PartialEq>(value: &T, choices: &[(&'static str, T)]) -> &'static str {
    choices.iter().find(|(_, known)| known == value).map_or("", |(name, _)| name)
}

/// Any word but the empty one. A zero byte is no part of a file (`lines` sees to that).
pub(super) fn text(word: &str) -> Result<String, Wrong> {
    match word {
        "" => Err(Wrong::new("the value is empty")),
        _ => Ok(word.to_string()),
    }
}

/// A signal, by name or number.
pub(super) fn signal(word: &str) -> Result<Signal, Wrong> {
    Signal::parse(word).ok_or_else(|| {
        let bare = word.to_ascii_uppercase();
        let bare = bare.strip_prefix("SIG").unwrap_or(&bare);
        Wrong::new(format!("there is no signal `{word}`"))
            .near(bare, Signal::names())
            .hint("as in TERM, SIGTERM, 15 or RTMIN+3")
    })
}

/// A signal's name as config files have it, without `SIG`.
pub(super) fn print_signal(signal: Signal) -> String {
    let name = signal.to_string();
    // SIG32 and SIG33 have no name: their numbers are read again.
    name.strip_prefix("SIG").unwrap_or(&name).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units() {
        let cases = [
            ("500ms", 500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("2d", 172_800_000),
            ("1m30s", 90_000),
            ("1.5s", 1500),
            ("0.25s", 250),
            ("0", 0),
        ];
        for (text, millis) in cases {
            assert_eq!(time(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "10", "10x", "1..5s", "-1s", "1.s", ".5s", "99999999999d", "10S", "é"]
        {
            assert!(time(text).is_err(), "{text}");
        }
        assert!(time("30").unwrap_err().hint.as_deref().unwrap().contains("`30s`"));
    }

    #[test]
    fn printed_times_and_sizes_are_read_again() {
        for millis in [0, 1, 999, 1000, 1500, 60_000, 61_000, 3_600_000, 86_400_000, 90_061_001] {
            let long = Duration::from_millis(millis);
            assert_eq!(time(&print_duration(long)), Ok(long));
        }
        for bytes in [0, 1, 1023, 1024, 1025, 10 << 20, 1 << 30, u64::MAX] {
            assert_eq!(size(&print_size(bytes)), Ok(bytes));
        }
    }

    #[test]
    fn numbers_sizes_modes_and_words_have_bounds() {
        assert_eq!(size("10K"), Ok(10_240));
        assert_eq!(size("1gib"), Ok(1 << 30));
        assert!(size("99999999999G").is_err() && size("").is_err() && size("K").is_err());
        assert_eq!(octal("0o22"), Ok(0o22));
        assert!(octal("8").is_err() && octal("+7").is_err() && octal("77777").is_err());
        assert_eq!(number("-5", -20i8, 19), Ok(-5));
        assert!(number("20", -20i8, 19).is_err() && number("999", -20i8, 19).is_err());
        assert_eq!(boolean("On"), Ok(true));
        let near = choice("oneshoot", &[("simple", 1), ("oneshot", 2)]).unwrap_err();
        assert_eq!(near.hint.as_deref().unwrap(), "did you mean `oneshot`?");
        assert_eq!(signal("TREM").unwrap_err().hint.as_deref().unwrap(), "did you mean `TERM`?");
    }
}
