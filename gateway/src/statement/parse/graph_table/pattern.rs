//! The grammar of patterns.

use omnigraph_engine::pattern::{Direction, LabelExpression, Mode, Selector};
use sqlparser::ast;
use sqlparser::tokenizer::Token;

use super::super::run_parser;
use super::reader::{Piece, Reader};
use super::{Element, GraphTable, Part, PathPattern, Patterns, Quantifier, RowsPer};
use crate::error::{PgError, PgResult};
use crate::sqlstate;

impl Reader<'_> {
    pub(super) fn graph_table(&mut self) -> PgResult<GraphTable> {
        let mut graph = self.name()?;
        let mut schema = None;
        while self.take(&Piece::Token(Token::Period)) {
            schema = Some(graph.text);
            graph = self.name()?;
        }
        let mut time = None;
        if self.take_words(&["FOR", "SYSTEM_TIME", "AS", "OF"]) {
            time = Some(self.expression(&["MATCH"], &[])?);
        }
        self.expect_word("MATCH")?;
        let patterns = self.patterns()?;
        let mut rows = RowsPer::Match;
        if self.take_words(&["ONE", "ROW", "PER"]) {
            rows = self.rows()?;
        }
        let columns = match self.take_words(&["COLUMNS"]) {
            true => Some(self.columns()?),
            false => None,
        };
        Ok(GraphTable {
            schema,
            graph,
            time,
            patterns,
            rows,
            columns,
        })
    }

    pub(super) fn patterns(&mut self) -> PgResult<Patterns> {
        let mut different_edges = false;
        if self.take_words(&["REPEATABLE"]) {
            if !self.take_words(&["ELEMENTS"]) {
                self.expect_word("ELEMENT")?;
            }
        } else if self.take_words(&["DIFFERENT"]) {
            if !self.take_words(&["EDGES"]) {
                self.expect_word("EDGE")?;
            }
            different_edges = true;
        }
        let mut paths = vec![self.path_pattern()?];
        while self.take(&Piece::Token(Token::Comma)) {
            paths.push(self.path_pattern()?);
        }
        let filter = match self.take_words(&["WHERE"]) {
            true => Some(self.expression(&["COLUMNS", "ONE"], &[])?),
            false => None,
        };
        Ok(Patterns {
            different_edges,
            paths,
            filter,
        })
    }

    fn rows(&mut self) -> PgResult<RowsPer> {
        if self.take_words(&["MATCH"]) {
            return Ok(RowsPer::Match);
        }
        let is_step = self.take_words(&["STEP"]);
        if !is_step {
            self.expect_word("VERTEX")?;
        }
        self.expect(&Piece::Token(Token::LParen))?;
        let first = self.name()?;
        let mut rows = RowsPer::Vertex(first.clone());
        if is_step {
            self.expect(&Piece::Token(Token::Comma))?;
            let edge = self.name()?;
            self.expect(&Piece::Token(Token::Comma))?;
            rows = RowsPer::Step(first, edge, self.name()?);
        }
        self.expect(&Piece::Token(Token::RParen))?;
        Ok(rows)
    }

    fn columns(&mut self) -> PgResult<Vec<ast::SelectItem>> {
        self.expect(&Piece::Token(Token::LParen))?;
        let mut columns = Vec::new();
        loop {
            let tokens = self.expression_tokens(&[], &[Token::Comma])?;
            columns.push(run_parser(tokens, self.positions, |parser| {
                parser.parse_select_item()
            })?);
            if !self.take(&Piece::Token(Token::Comma)) {
                break;
            }
        }
        self.expect(&Piece::Token(Token::RParen))?;
        Ok(columns)
    }

    fn path_pattern(&mut self) -> PgResult<PathPattern> {
        let at = self.position();
        let mut variable = None;
        if matches!(self.peek(), Some(Piece::Token(Token::Word(_))))
            && self.peek_at(1) == Some(&Piece::Sign('='))
        {
            variable = Some(self.name()?);
            self.at += 1;
        }
        let (selector, mode) = self.prefix()?;
        let parts = self.parts()?;
        Ok(PathPattern {
            variable,
            selector,
            mode,
            parts,
            at,
        })
    }

    /// The selector and the mode.
    fn prefix(&mut self) -> PgResult<(Selector, Mode)> {
        let mut counted = None;
        let mut selector = if self.take_words(&["ALL", "SHORTEST"]) {
            Selector::ShortestGroups(1)
        } else if self.take_words(&["ANY", "SHORTEST"]) {
            Selector::Shortest(1)
        } else if self.take_words(&["ANY", "CHEAPEST"]) {
            Selector::Cheapest
        } else if self.take_words(&["ANY"]) {
            Selector::Shortest(self.count()?.unwrap_or(1))
        } else if self.take_words(&["SHORTEST"]) {
            counted = Some(self.count()?);
            Selector::Shortest(counted.flatten().unwrap_or(1))
        } else {
            self.take_words(&["ALL"]);
            Selector::All
        };
        let mut mode = self.mode();
        if !self.take_words(&["PATHS"]) {
            self.take_words(&["PATH"]);
        }
        let grouped =
            counted.is_some() && (self.take_words(&["GROUPS"]) || self.take_words(&["GROUP"]));
        if let (true, Selector::Shortest(count)) = (grouped, selector) {
            selector = Selector::ShortestGroups(count);
        } else if counted == Some(None) {
            return Err(self.unexpected());
        }
        mode = mode.or_else(|| self.mode());
        Ok((selector, mode.unwrap_or(Mode::Walk)))
    }

    fn mode(&mut self) -> Option<Mode> {
        let modes = [
            ("WALK", Mode::Walk),
            ("TRAIL", Mode::Trail),
            ("SIMPLE", Mode::Simple),
            ("ACYCLIC", Mode::Acyclic),
        ];
        let (_, mode) = modes
            .into_iter()
            .find(|(word, _)| self.take_words(&[word]))?;
        Some(mode)
    }

    /// A number of paths, which is at least one.
    fn count(&mut self) -> PgResult<Option<u64>> {
        let Some(Piece::Token(Token::Number(digits, _))) = self.peek() else {
            return Ok(None);
        };
        match digits.parse() {
            Ok(count) if count > 0 => {
                self.at += 1;
                Ok(Some(count))
            }
            _ => Err(self.unexpected()),
        }
    }

    fn parts(&mut self) -> PgResult<Vec<Part>> {
        let mut parts = vec![self.part()?.ok_or_else(|| self.unexpected())?];
        while let Some(part) = self.part()? {
            parts.push(part);
        }
        Ok(parts)
    }

    fn part(&mut self) -> PgResult<Option<Part>> {
        match self.peek() {
            Some(Piece::Sign('<' | '-')) => self.edge().map(Some),
            Some(Piece::Token(Token::LParen)) => match self.begins_group() {
                true => self.group().map(Some),
                false => self.vertex().map(Some),
            },
            _ => Ok(None),
        }
    }

    /// What stands after a parenthesis: a path, or what describes a vertex?
    fn begins_group(&self) -> bool {
        match (self.peek_at(1), self.peek_at(2)) {
            (Some(Piece::Token(Token::LParen) | Piece::Sign('<' | '-')), _) => true,
            (Some(Piece::Token(Token::Word(_))), Some(Piece::Sign('='))) => true,
            _ => false,
        }
    }

    fn group(&mut self) -> PgResult<Part> {
        let at = self.position();
        self.expect(&Piece::Token(Token::LParen))?;
        if self.peek_at(1) == Some(&Piece::Sign('=')) {
            let error = PgError::new(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "variables of parenthesized paths are not supported",
            )
            .hint("Name the whole path, or the elements in the parentheses.");
            return Err(match self.position() {
                Some(at) => error.at(at),
                None => error,
            });
        }
        let parts = self.parts()?;
        let filter = match self.take_words(&["WHERE"]) {
            true => Some(self.expression(&[], &[])?),
            false => None,
        };
        self.expect(&Piece::Token(Token::RParen))?;
        Ok(Part::Group {
            parts,
            filter,
            quantifier: self.quantifier()?,
            at,
        })
    }

    fn vertex(&mut self) -> PgResult<Part> {
        let at = self.position();
        self.expect(&Piece::Token(Token::LParen))?;
        let element = self.element(at, false)?;
        self.expect(&Piece::Token(Token::RParen))?;
        Ok(Part::Vertex(element))
    }

    fn edge(&mut self) -> PgResult<Part> {
        let at = self.position();
        let left = self.take(&Piece::Sign('<'));
        self.expect(&Piece::Sign('-'))?;
        let element = if self.take(&Piece::Token(Token::LBracket)) {
            let element = self.element(at, true)?;
            self.expect(&Piece::Token(Token::RBracket))?;
            self.expect(&Piece::Sign('-'))?;
            element
        } else {
            Element {
                variable: None,
                label: None,
                filter: None,
                properties: Vec::new(),
                cost: None,
                at,
            }
        };
        let right = self.take(&Piece::Sign('>'));
        let direction = match (left, right) {
            (false, true) => Direction::Out,
            (true, false) => Direction::In,
            _ => Direction::Both,
        };
        Ok(Part::Edge {
            element,
            direction,
            quantifier: self.quantifier()?,
        })
    }

    fn element(&mut self, at: Option<u32>, is_edge: bool) -> PgResult<Element> {
        let mut element = Element {
            variable: None,
            label: None,
            filter: None,
            properties: Vec::new(),
            cost: None,
            at,
        };
        let reserved = ["IS", "WHERE", "COST"]
            .iter()
            .any(|word| self.is_next_word(0, word));
        if matches!(self.peek(), Some(Piece::Token(Token::Word(_)))) && !reserved {
            element.variable = Some(self.name()?);
        }
        if self.take_words(&["IS"]) || self.take(&Piece::Token(Token::Colon)) {
            element.label = Some(self.label()?);
        }
        if self.take(&Piece::Token(Token::LBrace)) {
            loop {
                let name = self.name()?;
                self.expect(&Piece::Token(Token::Colon))?;
                element
                    .properties
                    .push((name, self.expression(&[], &[Token::Comma])?));
                if !self.take(&Piece::Token(Token::Comma)) {
                    break;
                }
            }
            self.expect(&Piece::Token(Token::RBrace))?;
        }
        if self.take_words(&["WHERE"]) {
            let stops: &[&str] = if is_edge { &["COST"] } else { &[] };
            element.filter = Some(self.expression(stops, &[])?);
        }
        if is_edge && self.take_words(&["COST"]) {
            element.cost = Some(self.expression(&[], &[])?);
        }
        Ok(element)
    }

    fn label(&mut self) -> PgResult<LabelExpression> {
        let mut label = self.label_term()?;
        while self.take(&Piece::Sign('|')) {
            label = LabelExpression::Or(Box::new(label), Box::new(self.label_term()?));
        }
        Ok(label)
    }

    fn label_term(&mut self) -> PgResult<LabelExpression> {
        let mut label = self.label_factor()?;
        while self.take(&Piece::Sign('&')) {
            label = LabelExpression::And(Box::new(label), Box::new(self.label_factor()?));
        }
        Ok(label)
    }

    fn label_factor(&mut self) -> PgResult<LabelExpression> {
        if self.take(&Piece::Sign('!')) {
            return Ok(LabelExpression::Not(Box::new(self.label_factor()?)));
        }
        if self.take(&Piece::Sign('%')) {
            return Ok(LabelExpression::Any);
        }
        if self.take(&Piece::Token(Token::LParen)) {
            let label = self.label()?;
            self.expect(&Piece::Token(Token::RParen))?;
            return Ok(label);
        }
        Ok(LabelExpression::Name(self.name()?.text))
    }

    fn quantifier(&mut self) -> PgResult<Option<Quantifier>> {
        let of = |min, max| Ok(Some(Quantifier { min, max }));
        if self.take(&Piece::Sign('*')) {
            return of(0, None);
        }
        if self.take(&Piece::Sign('+')) {
            return of(1, None);
        }
        if self.take(&Piece::Sign('?')) {
            return of(0, Some(1));
        }
        if !self.take(&Piece::Token(Token::LBrace)) {
            return Ok(None);
        }
        let min = self.bound()?;
        let quantifier = match self.take(&Piece::Token(Token::Comma)) {
            true => Quantifier {
                min: min.unwrap_or(0),
                max: self.bound()?,
            },
            false => {
                let exactly = min.ok_or_else(|| self.unexpected())?;
                Quantifier {
                    min: exactly,
                    max: Some(exactly),
                }
            }
        };
        self.expect(&Piece::Token(Token::RBrace))?;
        Ok(Some(quantifier))
    }

    fn bound(&mut self) -> PgResult<Option<u32>> {
        let Some(Piece::Token(Token::Number(digits, _))) = self.peek() else {
            return Ok(None);
        };
        let bound = digits.parse().map_err(|_| self.unexpected())?;
        self.at += 1;
        Ok(Some(bound))
    }
}
