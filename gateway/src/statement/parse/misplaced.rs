//! Mistakes that `sqlparser` overlooks, or finds elsewhere than PostgreSQL does: it takes reserved
//! words for names, reads `'a' 'b'` as a column with an alias, and goes back to the start of what
//! it could not finish. They show in neighbouring tokens, and in what stays open.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

/// A token that cannot stand where it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misplaced {
    /// Its number; that of all tokens for the end of the statement.
    pub(super) at: usize,
    /// What is missing before it.
    pub(super) missing: Missing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Missing {
    /// Something that has a value, or a name.
    Operand,
    Word(Keyword),
    /// `END` and parentheses that close what is open.
    Close(Vec<Token>),
    /// Nothing would help: the token is one too many.
    Nothing,
    /// As `Nothing`; the number before it runs into a word.
    Space,
}

impl Misplaced {
    /// The statement as it may have been meant: with what is missing.
    pub(super) fn mended(&self, tokens: &[TokenWithSpan]) -> Option<Vec<TokenWithSpan>> {
        let missing = match &self.missing {
            Missing::Operand => vec![Token::make_word("x", None)],
            Missing::Word(word) => vec![Token::make_keyword(&format!("{word:?}"))],
            Missing::Close(tokens) => tokens.clone(),
            Missing::Nothing | Missing::Space => return None,
        };
        let span = tokens.get(self.at).or(tokens.last())?.span;
        let (before, after) = tokens.split_at(self.at.min(tokens.len()));
        let mut mended = before.to_vec();
        mended.extend(
            missing
                .into_iter()
                .map(|token| TokenWithSpan::new(token, span)),
        );
        mended.extend_from_slice(after);
        Some(mended)
    }
}

/// The first mistake of this kind in a query or a statement that writes.
pub(super) fn find(tokens: &[TokenWithSpan]) -> Option<Misplaced> {
    let mut open: Vec<Token> = Vec::new();
    for at in 0..=tokens.len() {
        if let Some(missing) = between(tokens, at).or_else(|| nest(tokens, at, &mut open)) {
            return Some(Misplaced { at, missing });
        }
    }
    None
}

/// Keeps `open` at what closes the parentheses and CASEs around a place.
fn nest(tokens: &[TokenWithSpan], at: usize, open: &mut Vec<Token>) -> Option<Missing> {
    let Some(token) = tokens.get(at).map(|token| &token.token) else {
        let close = open.iter().rev().cloned().collect::<Vec<_>>();
        return (!close.is_empty()).then_some(Missing::Close(close));
    };
    let is_label = at > 0 && matches!(keyword(&tokens[at - 1].token), Keyword::AS)
        || at > 0 && tokens[at - 1].token == Token::Period;
    match token {
        Token::LParen => open.push(Token::RParen),
        Token::RParen => match open.pop() {
            Some(Token::RParen) => {}
            Some(end) => return Some(Missing::Close(vec![end])),
            None => return Some(Missing::Nothing),
        },
        token if keyword(token) == Keyword::CASE && !is_label => {
            open.push(Token::make_keyword("END"));
        }
        token if keyword(token) == Keyword::END && !is_label => {
            if matches!(open.last(), Some(Token::Word(_))) {
                open.pop();
            }
        }
        _ => {}
    }
    None
}

/// What is missing between a token and the one before it.
fn between(tokens: &[TokenWithSpan], at: usize) -> Option<Missing> {
    let place = at.checked_sub(1)?;
    let (before, after) = (&tokens[place], tokens.get(at));
    let earlier = |back: usize| {
        let place = place.checked_sub(back)?;
        tokens.get(place).map(|token| &token.token)
    };
    let is_name =
        matches!(earlier(1), Some(Token::Period)) || earlier(1).map(keyword) == Some(Keyword::AS);
    let next = after.map_or(Keyword::NoKeyword, |after| keyword(&after.token));
    if let Some(after) = after {
        match (&before.token, &after.token) {
            // Strings on several lines are one.
            (Token::SingleQuotedString(_), Token::SingleQuotedString(_))
                if before.span.end.line == after.span.start.line =>
            {
                return Some(Missing::Nothing);
            }
            (Token::Number(..), Token::SingleQuotedString(_)) => return Some(Missing::Nothing),
            (
                Token::Number(..),
                Token::Word(Word {
                    quote_style: None, ..
                }),
            ) if before.span.end == after.span.start && after.span != Span::empty() => {
                return Some(Missing::Space);
            }
            _ => {}
        }
    }
    let word = keyword(&before.token);
    let follows = match word {
        Keyword::GROUP
            if !matches!(
                earlier(1).map(keyword),
                Some(Keyword::WITHIN | Keyword::EXCLUDE)
            ) =>
        {
            Some(Keyword::BY)
        }
        Keyword::ORDER => Some(Keyword::BY),
        Keyword::PARTITION
            if earlier(1) == Some(&Token::LParen)
                && earlier(2).map(keyword) == Some(Keyword::OVER) =>
        {
            Some(Keyword::BY)
        }
        Keyword::INSERT | Keyword::MERGE if place == 0 => Some(Keyword::INTO),
        Keyword::DELETE if place == 0 => Some(Keyword::FROM),
        _ => None,
    };
    if let Some(wanted) = follows.filter(|_| !is_name) {
        return (next != wanted).then_some(Missing::Word(wanted));
    }
    if is_written_table(tokens, place) && !follows_table(after.map(|after| &after.token)) {
        return Some(Missing::Operand);
    }
    // Reserved words may name arguments here.
    let names_argument = matches!(
        tokens.get(at + 1).map(|token| &token.token),
        Some(Token::RArrow | Token::Assignment)
    );
    let closes = match after.map(|after| &after.token) {
        None | Some(Token::Comma | Token::RParen | Token::RBracket) => true,
        Some(_) => !names_argument && starts_no_operand(next),
    };
    let wants = match &before.token {
        Token::Comma => true,
        Token::LParen => {
            let trims = matches!(
                earlier(1).map(keyword),
                Some(Keyword::TRIM | Keyword::SUBSTRING)
            );
            return (!names_argument && next == Keyword::FROM && !trims
                || matches!(
                    next,
                    Keyword::AND | Keyword::OR | Keyword::THEN | Keyword::ELSE
                ))
            .then_some(Missing::Operand);
        }
        Token::Word(_) if is_name => false,
        Token::Word(_) => match word {
            Keyword::NOT => next != Keyword::IN,
            Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT => next != Keyword::SELECT,
            Keyword::BY => matches!(
                earlier(1).map(keyword),
                Some(Keyword::GROUP | Keyword::ORDER | Keyword::PARTITION)
            ),
            Keyword::AS => after.is_none() || next == Keyword::NoKeyword,
            Keyword::OVER => earlier(1) == Some(&Token::RParen),
            Keyword::SET => keyword(&tokens[0].token) == Keyword::UPDATE,
            word => wants_operand(word),
        },
        // `OPERATOR(pg_catalog.+)`, `ORDER BY x USING <`.
        token => {
            is_operator(token)
                && !matches!(earlier(1), Some(Token::Period | Token::LParen))
                && earlier(1).map(keyword) != Some(Keyword::USING)
        }
    };
    (wants && closes).then_some(Missing::Operand)
}

/// Is this the last word of the table's name after INSERT INTO?
fn is_written_table(tokens: &[TokenWithSpan], place: usize) -> bool {
    let is_dot = |at: usize| matches!(tokens.get(at), Some(token) if token.token == Token::Period);
    let starts = matches!(tokens, [insert, into, ..]
        if keyword(&insert.token) == Keyword::INSERT && keyword(&into.token) == Keyword::INTO);
    starts
        && place >= 2
        && place % 2 == 0
        && (3..=place).step_by(2).all(|at| at > place || is_dot(at))
        && !is_dot(place + 1)
}

fn follows_table(token: Option<&Token>) -> bool {
    token.is_some_and(|token| {
        *token == Token::LParen
            || matches!(
                keyword(token),
                Keyword::AS
                    | Keyword::DEFAULT
                    | Keyword::VALUES
                    | Keyword::SELECT
                    | Keyword::WITH
                    | Keyword::TABLE
            )
            || matches!(token, Token::Word(word) if word.value.eq_ignore_ascii_case("OVERRIDING"))
    })
}

fn keyword(token: &Token) -> Keyword {
    match token {
        Token::Word(word) if word.quote_style.is_none() => word.keyword,
        _ => Keyword::NoKeyword,
    }
}

/// Reserved words that nothing but a value or a name can follow.
fn wants_operand(word: Keyword) -> bool {
    matches!(
        word,
        Keyword::WHERE
            | Keyword::AND
            | Keyword::OR
            | Keyword::ON
            | Keyword::HAVING
            | Keyword::WHEN
            | Keyword::THEN
            | Keyword::ELSE
            | Keyword::LIKE
            | Keyword::ILIKE
            | Keyword::FROM
            | Keyword::JOIN
            | Keyword::INTO
            | Keyword::USING
            | Keyword::LIMIT
            | Keyword::OFFSET
            | Keyword::RETURNING
    )
}

/// Reserved words that neither name anything nor begin a value.
fn starts_no_operand(word: Keyword) -> bool {
    matches!(
        word,
        Keyword::SELECT
            | Keyword::FROM
            | Keyword::WHERE
            | Keyword::GROUP
            | Keyword::HAVING
            | Keyword::ORDER
            | Keyword::LIMIT
            | Keyword::OFFSET
            | Keyword::UNION
            | Keyword::INTERSECT
            | Keyword::EXCEPT
            | Keyword::FETCH
            | Keyword::FOR
            | Keyword::WINDOW
            | Keyword::ON
            | Keyword::USING
            | Keyword::AND
            | Keyword::OR
            | Keyword::IN
            | Keyword::THEN
            | Keyword::WHEN
            | Keyword::ELSE
            | Keyword::END
            | Keyword::AS
            | Keyword::ASC
            | Keyword::DESC
            | Keyword::INTO
            | Keyword::RETURNING
    )
}

/// Between two values, or before one. `*` may stand for all columns.
fn is_operator(token: &Token) -> bool {
    !matches!(
        token,
        Token::EOF
            | Token::Word(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::NationalStringLiteral(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::Whitespace(_)
            | Token::Placeholder(_)
            | Token::Period
            | Token::Comma
            | Token::Colon
            | Token::SemiColon
            | Token::LParen
            | Token::RParen
            | Token::LBracket
            | Token::RBracket
            | Token::LBrace
            | Token::RBrace
            | Token::Mul
    )
}
