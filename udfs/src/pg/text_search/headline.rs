//! `ts_headline`: the part of a text that shows best why it was found, with the words that
//! were looked for marked.

use std::ops::Range;

use omnigraph_engine::search::Analyzer;

use super::query::TsQuery;
use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    start: String,
    stop: String,
    delimiter: String,
    most_words: usize,
    least_words: usize,
    short_word: usize,
    fragments: usize,
    whole: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            start: "<b>".to_owned(),
            stop: "</b>".to_owned(),
            delimiter: " ... ".to_owned(),
            most_words: 35,
            least_words: 15,
            short_word: 3,
            fragments: 0,
            whole: false,
        }
    }
}

impl Options {
    /// `MaxWords=20, StartSel="<i>"`, whatever the case of the names.
    pub fn parse(text: &str) -> Result<Options> {
        let mut options = Options::default();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (name, after) = rest.split_once('=').ok_or_else(|| {
                Error::value(
                    "22023",
                    format!("invalid parameter list format: \"{text}\""),
                )
            })?;
            let (value, after) = value(after.trim_start());
            options.set(name.trim(), &value)?;
            rest = after.trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
        options.check()
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let number = || {
            value.parse::<u16>().map(usize::from).map_err(|_| {
                Error::value(
                    "22P02",
                    format!("invalid input syntax for type integer: \"{value}\""),
                )
            })
        };
        match name.to_ascii_lowercase().as_str() {
            "startsel" => self.start = value.to_owned(),
            "stopsel" => self.stop = value.to_owned(),
            "fragmentdelimiter" => self.delimiter = value.to_owned(),
            "maxwords" => self.most_words = number()?,
            "minwords" => self.least_words = number()?,
            "shortword" => self.short_word = number()?,
            "maxfragments" => self.fragments = number()?,
            "highlightall" => {
                let yes = ["1", "on", "true", "t", "y", "yes"];
                self.whole = yes.iter().any(|word| value.eq_ignore_ascii_case(word));
            }
            _ => {
                let message = format!("unrecognized headline parameter: \"{name}\"");
                return Err(Error::value("22023", message));
            }
        }
        Ok(())
    }

    fn check(self) -> Result<Options> {
        let wrong = |message: &str| Err(Error::value("22023", message));
        if self.least_words >= self.most_words {
            return wrong("MinWords should be less than MaxWords");
        }
        if self.least_words == 0 {
            return wrong("MinWords should be positive");
        }
        Ok(self)
    }
}

/// A value, which may be quoted, and what follows.
fn value(text: &str) -> (String, &str) {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        let end = text.find(',').unwrap_or(text.len());
        let (value, after) = text.split_at(end);
        return (value.trim_end().to_owned(), after);
    };
    let mut value = String::new();
    let mut rest = &text[1..];
    while let Some((part, after)) = rest.split_once(quote) {
        value.push_str(part);
        match after.strip_prefix(quote) {
            Some(after) => {
                value.push(quote);
                rest = after;
            }
            None => return (value, after),
        }
    }
    value.push_str(rest);
    (value, "")
}

/// A word of the text.
struct Item {
    at: Range<usize>,
    /// Which of the query's words it is.
    wanted: Option<usize>,
}

pub fn headline(
    analyzer: Analyzer,
    text: &str,
    query: Option<&TsQuery>,
    options: &Options,
) -> String {
    let operands = query.map(wanted).unwrap_or_default();
    let mut items = Vec::new();
    analyzer.for_each_run(text, |at, run| {
        let word = analyzer.word(run);
        let wanted = word.and_then(|word| {
            operands.iter().position(|(wanted, prefix)| match prefix {
                true => word.starts_with(wanted.as_str()),
                false => word == wanted.as_str(),
            })
        });
        items.push(Item { at, wanted });
    });
    if options.whole || items.is_empty() {
        return marked(text, &items, 0..text.len(), options);
    }
    let mut stretches = match options.fragments {
        0 => Vec::from_iter(best(&items, operands.len(), options, &[])),
        most => {
            let mut taken: Vec<Range<usize>> = Vec::new();
            while taken.len() < most
                && let Some(next) = best(&items, operands.len(), options, &taken)
            {
                taken.push(next);
            }
            taken
        }
    };
    if stretches.is_empty() {
        stretches.push(0..options.least_words.min(items.len()));
    }
    stretches.sort_by_key(|stretch| stretch.start);
    let parts: Vec<String> = stretches
        .into_iter()
        .map(|stretch| {
            let start = match stretch.start {
                0 => 0,
                first => items[first].at.start,
            };
            let end = items
                .get(stretch.end)
                .map_or(text.len(), |_| items[stretch.end - 1].at.end);
            marked(text, &items[stretch], start..end, options)
        })
        .collect();
    parts.join(&options.delimiter)
}

/// The words that a text may have to fit, and whether each is only a beginning.
fn wanted(query: &TsQuery) -> Vec<(String, bool)> {
    match query {
        TsQuery::Operand(operand) => vec![(operand.word.clone(), operand.prefix)],
        TsQuery::Not(_) => Vec::new(),
        TsQuery::And(left, right) | TsQuery::Or(left, right) | TsQuery::Phrase(left, right, _) => {
            let mut all = wanted(left);
            all.extend(wanted(right));
            all
        }
    }
}

/// The stretch of words with most of the different words that are wanted, and of those the one
/// with most of them at all, outside of what is taken.
fn best(
    items: &[Item],
    operands: usize,
    options: &Options,
    taken: &[Range<usize>],
) -> Option<Range<usize>> {
    let is_free = |at: usize| taken.iter().all(|range| !range.contains(&at));
    let mut found: Option<((usize, usize), Range<usize>)> = None;
    for (start, item) in items.iter().enumerate() {
        if item.wanted.is_none() || !is_free(start) {
            continue;
        }
        let mut seen = vec![false; operands];
        let (mut count, mut end) = (0, start);
        for (at, item) in items
            .iter()
            .enumerate()
            .skip(start)
            .take(options.most_words)
        {
            if !is_free(at) {
                break;
            }
            if let Some(wanted) = item.wanted {
                seen[wanted] = true;
                count += 1;
                end = at;
            }
        }
        let different = seen.into_iter().filter(|seen| *seen).count();
        let better = found
            .as_ref()
            .is_none_or(|(score, _)| *score < (different, count));
        if better {
            found = Some(((different, count), start..end + 1));
        }
    }
    let (_, mut stretch) = found?;
    while stretch.len() < options.least_words && stretch.end < items.len() && is_free(stretch.end) {
        stretch.end += 1;
    }
    while stretch.len() < options.least_words && stretch.start > 0 && is_free(stretch.start - 1) {
        stretch.start -= 1;
    }
    // A short word is no good end.
    while stretch.len() < options.most_words
        && stretch.end < items.len()
        && is_free(stretch.end)
        && items[stretch.end - 1].at.len() <= options.short_word
        && items[stretch.end - 1].wanted.is_none()
    {
        stretch.end += 1;
    }
    Some(stretch)
}

fn marked(text: &str, items: &[Item], within: Range<usize>, options: &Options) -> String {
    let mut out = String::new();
    let mut from = within.start;
    for item in items.iter().filter(|item| item.wanted.is_some()) {
        out.push_str(&text[from..item.at.start]);
        out.push_str(&options.start);
        out.push_str(&text[item.at.clone()]);
        out.push_str(&options.stop);
        from = item.at.end;
    }
    out.push_str(&text[from..within.end]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, query: &str, options: &str, expected: &str) {
        let query = TsQuery::of_web(Analyzer::English, query).ok().flatten();
        let options = Options::parse(options).unwrap_or_default();
        let found = headline(Analyzer::English, text, query.as_ref(), &options);
        assert_eq!(found, expected);
    }

    #[test]
    fn words_are_marked_in_the_best_part() {
        check(
            "Small engines, for building bridges.",
            "engine bridge",
            "",
            "Small <b>engines</b>, for building <b>bridges</b>.",
        );
        check("Nothing here.", "engine", "", "Nothing here.");
        let text = "one two three four five six engines eight nine ten bridge twelve engine";
        check(
            text,
            "engine bridge",
            "MaxWords=5, MinWords=3, StartSel=[, StopSel=]",
            "[engines] eight nine ten [bridge]",
        );
        check(
            text,
            "engine -two",
            "MaxWords=3, MinWords=2, MaxFragments=2, FragmentDelimiter=\" | \"",
            "<b>engines</b> eight | twelve <b>engine</b>",
        );
        check(
            text,
            "two",
            "HighlightAll=true, StartSel='*', StopSel='*'",
            &text.replace("two", "*two*"),
        );
    }

    #[test]
    fn options_that_make_no_sense_are_refused() {
        for options in [
            "MinWords=5,MaxWords=5",
            "MinWords=0",
            "Colour=red",
            "MaxWords=x",
            "x",
        ] {
            assert!(Options::parse(options).is_err(), "{options}");
        }
    }
}
