//! The known name that was probably meant.

/// Longer ones are not names, and the distance costs the product of both lengths.
const LONGEST: usize = 64;

/// The candidate that is nearest to `word`, case aside, if it is near enough to be a slip of the fingers.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    among(word, &mut known.into_iter())
}

/// Compiled once, and not for each kind of list: nobody is in a hurry who has made a mistake.
#[inline(never)]
fn among<'a>(word: &str, known: &mut dyn Iterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().chars().collect();
    if word.len() > LONGEST {
        return None;
    }
    let allowed = (word.len() / 3).clamp(1, 4);
    let near = known.filter_map(|name| {
        let letters: Vec<char> = name.to_lowercase().chars().collect();
        let close = letters.len() <= LONGEST && letters.len().abs_diff(word.len()) <= allowed;
        let distance = if close { distance(&word, &letters) } else { usize::MAX };
        // A name of one or two letters is near to everything.
        (distance <= allowed && distance < letters.len().max(2)).then_some((distance, name))
    });
    near.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// How many letters must be changed, left out, added or swapped with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, y) in b.iter().enumerate() {
            let change = last[j] + usize::from(x != y);
            row[j + 1] = change.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                row[j + 1] = row[j + 1].min(before[j - 1] + 1);
            }
        }
        before = core::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(a.len())
}

/// `a, b and c`.
pub fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    enumerate(&names.collect::<Vec<&str>>())
}

fn enumerate(names: &[&str]) -> String {
    match names.split_last() {
        Some((last, [])) => format!("`{last}`"),
        Some((last, rest)) => format!("`{}` and `{last}`", rest.join("`, `")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_fingers_are_understood() {
        let known = ["program", "preset", "prefix", "user", "umask", "restart", "ring"];
        let cases = [
            ("progam", Some("program")),
            ("porgram", Some("program")),
            ("Usr", Some("user")),
            ("restrat", Some("restart")),
            ("command", None),
            ("x", None),
        ];
        for (word, meant) in cases {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }

    #[test]
    fn lists_read_as_sentences_do() {
        assert_eq!(list(["a"].into_iter()), "`a`");
        assert_eq!(list(["a", "b", "c"].into_iter()), "`a`, `b` and `c`");
    }
}
