//! Reading what is written with operators: `fat & (rat | !cat) <-> "dog":*A`.

use super::operand::quoted;
use super::query::{FARTHEST, LONGEST, MOST_WORDS, Operand, Tree, TsQuery, too_large};
use super::vector::Weight;
use crate::error::{Error, Result};

/// How deep parentheses may be in each other.
const DEEPEST: usize = 100;

/// Reads what is written with operators. `take` makes something of a word.
pub(super) struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    depth: usize,
    operands: usize,
    take: &'a dyn Fn(&str, &Operand) -> Result<Tree>,
}

impl<'a> Reader<'a> {
    pub(super) fn read(
        text: &'a str,
        take: &'a dyn Fn(&str, &Operand) -> Result<Tree>,
    ) -> Result<Option<TsQuery>> {
        let mut reader = Reader {
            text,
            rest: text.trim_start(),
            depth: 0,
            operands: 0,
            take,
        };
        if reader.rest.is_empty() {
            return Ok(None);
        }
        let tree = reader.either()?;
        match reader.rest.is_empty() {
            true => Ok(tree.without_gaps()),
            false => Err(reader.wrong()),
        }
    }

    fn either(&mut self) -> Result<Tree> {
        let mut parts = vec![self.both()?];
        while self.eat("|") {
            parts.push(self.both()?);
        }
        Ok(Tree::of(parts, Tree::Or))
    }

    fn both(&mut self) -> Result<Tree> {
        let mut parts = vec![self.phrase()?];
        while self.eat("&") {
            parts.push(self.phrase()?);
        }
        Ok(Tree::of(parts, Tree::And))
    }

    fn phrase(&mut self) -> Result<Tree> {
        let mut tree = self.single()?;
        let mut length = 1;
        while let Some(distance) = self.distance()? {
            length += 1;
            if length > LONGEST {
                return Err(too_large());
            }
            tree = Tree::Phrase(Box::new(tree), Box::new(self.single()?), distance);
        }
        Ok(tree)
    }

    /// `<->` or `<N>`.
    fn distance(&mut self) -> Result<Option<u16>> {
        if self.eat("<->") {
            return Ok(Some(1));
        }
        let Some((number, after)) = self
            .rest
            .strip_prefix('<')
            .and_then(|rest| rest.split_once('>'))
        else {
            return Ok(None);
        };
        let number: u32 = number.trim().parse().map_err(|_| self.wrong())?;
        let distance = u16::try_from(number)
            .ok()
            .filter(|distance| *distance <= FARTHEST);
        self.rest = after.trim_start();
        let too_far = || {
            let message = format!(
                "distance in phrase operator must be an integer value between zero and {FARTHEST} inclusive"
            );
            Error::value("22023", message)
        };
        distance.map(Some).ok_or_else(too_far)
    }

    fn single(&mut self) -> Result<Tree> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Error::value("54001", "tsquery is nested too deeply"));
        }
        let tree = if self.eat("!") {
            Tree::Not(Box::new(self.single()?))
        } else if self.eat("(") {
            let inner = self.either()?;
            if !self.eat(")") {
                return Err(self.wrong());
            }
            inner
        } else {
            self.operand()?
        };
        self.depth -= 1;
        Ok(tree)
    }

    fn operand(&mut self) -> Result<Tree> {
        let ends =
            |c: char| c.is_whitespace() || matches!(c, '!' | '&' | '|' | '(' | ')' | '<' | ':');
        let (word, after) = quoted(self.rest, ends).ok_or_else(|| self.wrong())?;
        if word.is_empty() {
            return Err(self.wrong());
        }
        self.operands += 1;
        if self.operands > MOST_WORDS {
            return Err(too_large());
        }
        let mut like = Operand::any();
        self.rest = after;
        if let Some(flags) = after.strip_prefix(':') {
            let end = flags.find(|c: char| !matches!(c.to_ascii_uppercase(), '*' | 'A'..='D'));
            let (flags, rest) = flags.split_at(end.unwrap_or(flags.len()));
            like.prefix = flags.contains('*');
            like.weights = flags.chars().filter_map(Weight::named).collect();
            self.rest = rest;
        }
        self.rest = self.rest.trim_start();
        (self.take)(&word, &like)
    }

    fn eat(&mut self, sign: &str) -> bool {
        let after = self.rest.strip_prefix(sign);
        if let Some(after) = after {
            self.rest = after.trim_start();
        }
        after.is_some()
    }

    fn wrong(&self) -> Error {
        Error::value(
            "42601",
            format!("syntax error in tsquery: \"{}\"", self.text),
        )
    }
}
