//! "Did you mean": the known word that a mistyped one was probably meant to be.

/// The one of `known` that differs from `word` in the fewest letters (inserted, left out,
/// replaced; case does not count), if it is near enough to be worth a hint.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may be wrong; of a very short word, one.
    let most = (word.chars().count() / 3).clamp(1, 3);
    let measured = known.into_iter().map(|name| (distance(word, name), name));
    measured.filter(|&(distance, _)| distance <= most).min_by_key(|&(d, _)| d).map(|(_, n)| n)
}

/// The Levenshtein distance, with a swap of neighbours as one step.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).map(|c| c.to_ascii_lowercase()).collect();
    let b: Vec<char> = b.chars().take(64).map(|c| c.to_ascii_lowercase()).collect();
    let mut before = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let replaced = above[j] + usize::from(x != y);
            let mut best = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_word_finds_its_original() {
        let known = ["status", "start", "stop", "restart", "reload"];
        for (typed, meant) in [
            ("statsu", Some("status")),
            ("strat", Some("start")),
            ("STOP", Some("stop")),
            ("relaod", Some("reload")),
            ("sto", Some("stop")),
            ("frobnicate", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
    }
}
