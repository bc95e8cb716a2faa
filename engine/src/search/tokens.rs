//! The words of a text: runs of letters and digits, in lower case.

/// Calls `each` with every word, in order.
pub fn for_each(text: &str, mut each: impl FnMut(&str)) {
    let mut lower = String::new();
    for run in text.split(|c: char| !c.is_alphanumeric()) {
        if run.is_empty() {
            continue;
        }
        if run
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        {
            each(run);
            continue;
        }
        lower.clear();
        lower.extend(run.chars().flat_map(char::to_lowercase));
        each(&lower);
    }
}

pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for_each(text, |word| words.push(word.to_owned()));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_letters_and_digits() {
        for (text, expected) in [
            ("", vec![]),
            (" ,;", vec![]),
            (
                "The GNU C-compiler, v2.0",
                vec!["the", "gnu", "c", "compiler", "v2", "0"],
            ),
            ("Ünï fäy ÉTÉ", vec!["ünï", "fäy", "été"]),
            ("日本 x_y", vec!["日本", "x", "y"]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }
}
