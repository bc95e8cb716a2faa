//! What is looked for in texts.

use super::analyzer::Analyzer;

/// A word that a text may have, or several that count as one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Word {
    Exact(String),
    /// Every word that begins so.
    Prefix(String),
    /// Every word that so many insertions, deletions and replacements of letters make of it.
    Near(String, usize),
}

impl Word {
    fn is(&self, word: &str) -> bool {
        match self {
            Word::Exact(wanted) => wanted == word,
            Word::Prefix(prefix) => word.starts_with(prefix.as_str()),
            Word::Near(wanted, edits) => {
                let (wanted, word): (Vec<char>, Vec<char>) =
                    (wanted.chars().collect(), word.chars().collect());
                within(&wanted, &word, *edits)
            }
        }
    }
}

/// Words that have to follow each other; any word may be where none is named.
pub type Phrase = Vec<Option<String>>;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextQuery {
    /// How the texts become words, and so did the query.
    pub analyzer: Analyzer,
    /// What scores, each once.
    pub words: Vec<Word>,
    /// All of the words have to be there, or any of them.
    pub all: bool,
    /// Words that have to follow each other; they are among the words too.
    pub phrases: Vec<Phrase>,
    /// Words that must not be there.
    pub without: Vec<Word>,
    /// Words that must not follow each other.
    pub without_phrases: Vec<Phrase>,
}

impl TextQuery {
    /// Any of the words.
    pub fn any(analyzer: Analyzer, text: &str) -> TextQuery {
        let mut query = TextQuery {
            analyzer,
            ..TextQuery::default()
        };
        for word in analyzer.words(text).into_iter().flatten() {
            query.add(Word::Exact(word));
        }
        query
    }

    /// All of the words, each within so many edits.
    pub fn near(analyzer: Analyzer, text: &str, edits: usize) -> TextQuery {
        let mut query = TextQuery {
            analyzer,
            all: true,
            ..TextQuery::default()
        };
        for word in analyzer.words(text).into_iter().flatten() {
            query.add(match edits {
                0 => Word::Exact(word),
                edits => Word::Near(word, edits),
            });
        }
        query
    }

    /// All of the words. `"…"` is a phrase, `word*` a prefix; what has a `-` before it must
    /// not be there.
    pub fn parse(analyzer: Analyzer, text: &str) -> TextQuery {
        let mut query = TextQuery {
            analyzer,
            all: true,
            ..TextQuery::default()
        };
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let negated = rest.starts_with('-');
            rest = &rest[usize::from(negated)..];
            if let Some(quoted) = rest.strip_prefix('"') {
                let (phrase, after) = quoted.split_once('"').unwrap_or((quoted, ""));
                query.add_phrase(analyzer.words(phrase), negated);
                rest = after.trim_start();
                continue;
            }
            let end = rest
                .find(|c: char| c.is_whitespace() || c == '"')
                .unwrap_or(rest.len());
            let (piece, after) = rest.split_at(end);
            query.add_piece(piece, negated);
            rest = after.trim_start();
        }
        query
    }

    /// What stands between blanks: several words if there is something else between them,
    /// and those follow each other.
    fn add_piece(&mut self, piece: &str, negated: bool) {
        let beginning = piece.strip_suffix('*');
        let words = self.analyzer.words(beginning.unwrap_or(piece));
        match (beginning, words.as_slice()) {
            (Some(_), [Some(word)]) => {
                let word = Word::Prefix(word.clone());
                match negated {
                    true => self.without.push(word),
                    false => self.add(word),
                }
            }
            _ => self.add_phrase(words, negated),
        }
    }

    fn add_phrase(&mut self, mut words: Phrase, negated: bool) {
        let first = words.iter().position(Option::is_some);
        words.drain(..first.unwrap_or(words.len()));
        while let Some(None) = words.last() {
            words.pop();
        }
        if let ([Some(word)], true) = (words.as_slice(), negated) {
            return self.without.push(Word::Exact(word.clone()));
        }
        if !negated {
            for word in words.iter().flatten() {
                self.add(Word::Exact(word.clone()));
            }
        }
        if words.len() > 1 {
            match negated {
                true => self.without_phrases.push(words),
                false => self.phrases.push(words),
            }
        }
    }

    fn add(&mut self, word: Word) {
        if !self.words.contains(&word) {
            self.words.push(word);
        }
    }

    /// Must a row's text be looked at, beside the index?
    pub fn has_phrases(&self) -> bool {
        !self.phrases.is_empty() || !self.without_phrases.is_empty()
    }

    /// Would a search find a row with this text?
    pub fn fits(&self, text: &str) -> bool {
        let words = self.analyzer.words(text);
        let has = |wanted: &&Word| words.iter().flatten().any(|word| wanted.is(word));
        let found = self.words.iter().filter(has).count();
        let enough = match self.all {
            true => found == self.words.len(),
            false => true,
        };
        found > 0
            && enough
            && self.without.iter().filter(has).count() == 0
            && self.phrases_are_in(&words)
    }

    /// Are all phrases in the text that have to be there, and none that must not?
    pub fn phrases_fit(&self, text: &str) -> bool {
        self.phrases_are_in(&self.analyzer.words(text))
    }

    fn phrases_are_in(&self, words: &[Option<String>]) -> bool {
        let has = |phrase: &Phrase| {
            words.windows(phrase.len()).any(|window| {
                let mut pairs = window.iter().zip(phrase);
                pairs.all(|(word, wanted)| wanted.is_none() || word == wanted)
            })
        };
        self.phrases.iter().all(has) && !self.without_phrases.iter().any(has)
    }
}

/// The least number of insertions, deletions and replacements that make one word of another,
/// if it is within `most`.
pub fn within(a: &[char], b: &[char], most: usize) -> bool {
    if a.len().abs_diff(b.len()) > most {
        return false;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        let mut least = row[0];
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
            least = least.min(row[j + 1]);
        }
        if least > most {
            return false;
        }
    }
    row[b.len()] <= most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(text: &str) -> TextQuery {
        TextQuery::any(Analyzer::Simple, text)
    }

    fn parse(text: &str) -> TextQuery {
        TextQuery::parse(Analyzer::Simple, text)
    }

    fn near_words(text: &str, edits: usize) -> TextQuery {
        TextQuery::near(Analyzer::Simple, text, edits)
    }

    fn phrase(text: &str) -> Phrase {
        Analyzer::Simple.words(text)
    }

    fn exact(words: &[&str]) -> Vec<Word> {
        words
            .iter()
            .map(|word| Word::Exact((*word).to_owned()))
            .collect()
    }

    #[test]
    fn words_of_a_query_count_once() {
        let query = any("Free, free software");
        assert_eq!(query.words, exact(&["free", "software"]));
        assert!(!query.all);
    }

    #[test]
    fn phrases_prefixes_and_exclusions_are_read() {
        let query = parse("tool \"web server\" -proxy data* -\"mail server\" x86-64 -");
        let mut words = exact(&["tool", "web", "server"]);
        words.push(Word::Prefix("data".to_owned()));
        words.extend(exact(&["x86", "64"]));
        assert_eq!(query.words, words);
        assert_eq!(query.phrases, [phrase("web server"), phrase("x86 64")]);
        assert_eq!(query.without, exact(&["proxy"]));
        assert_eq!(query.without_phrases, [phrase("mail server")]);
        assert!(query.all);
        assert!(query.phrases_fit("a Web-Server on x86_64"));
        assert!(!query.phrases_fit("a server of the web, x86 64"));
        assert!(!query.phrases_fit("web server and mail server, x86 64"));
    }

    #[test]
    fn a_text_fits_as_rows_are_found() {
        let text = "A small Web-Server";
        assert!(any("mail server").fits(text));
        assert!(!any("mail").fits(text));
        assert!(parse("serv* \"web server\" -mail").fits(text));
        assert!(!parse("mail server").fits(text));
        assert!(!parse("server -small").fits(text));
        assert!(!parse("-mail").fits(text));
        assert!(near_words("smal sevr", 2).fits(text));
        assert!(!near_words("smal sevr", 1).fits(text));
    }

    #[test]
    fn stems_are_compared_and_words_left_out_keep_their_place() {
        let english = |text| TextQuery::parse(Analyzer::English, text);
        let text = "Engines for the building of bridges";
        assert!(english("engine builds").fits(text));
        assert!(!english("\"building of a bridge\"").fits(text));
        assert!(english("\"buildings of bridge\"").fits(text));
        assert!(english("\"the building to bridges\"").fits(text));
        assert!(!english("\"building bridges\"").fits(text));
        assert!(english("bridging* -tunnels").fits(text));
        assert!(!english("-engine bridge").fits(text));
        assert!(english("the of").words.is_empty());
        let keyword = TextQuery::parse(Analyzer::Keyword, "\"New York\"");
        assert!(keyword.fits("new york") && !keyword.fits("New York City"));
    }

    #[test]
    fn an_open_quote_ends_with_the_text() {
        assert_eq!(parse("\"a b").phrases, [phrase("a b")]);
        assert!(parse(" \"\" * - ").words.is_empty());
    }

    #[test]
    fn edits_are_counted() {
        let near = |a: &str, b: &str, most| {
            let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            within(&a, &b, most)
        };
        assert!(near("compilrs", "compilers", 1));
        assert!(!near("kitten", "sitting", 2));
        assert!(near("kitten", "sitting", 3));
        assert!(near("", "ab", 2));
        assert!(!near("", "abc", 2));
        assert!(near("naïve", "naive", 1));
    }
}
