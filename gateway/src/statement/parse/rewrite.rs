//! PostgreSQL's spellings that `sqlparser` does not know, as token rewrites. Tokens that stay
//! keep their places, so positions in errors are right.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

/// `TABLE t` → `SELECT * FROM t`; `FROM ONLY t` → `FROM t`; `FOR NO KEY UPDATE` → `FOR UPDATE`;
/// `FOR KEY SHARE` → `FOR SHARE`; `FOR UPDATE OF a, b` → `FOR UPDATE OF a FOR UPDATE OF b`;
/// MERGE's `THEN DO NOTHING` → an update of [`NOTHING`]; `SELECT` of no columns from nothing →
/// `SELECT FROM` [`NOTHING`]; strings on several lines → one; `==`, `<=>` and
/// `<+>` → operators like any other.
pub(super) fn to_parser_dialect(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len() + 3);
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        if let (Token::SingleQuotedString(more), Some(last)) = (&token.token, out.last_mut())
            && let Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) =
                &mut last.token
            && last.span.end.line < token.span.start.line
        {
            text.push_str(more);
            last.span.end = token.span.end;
            continue;
        }
        if token.token == Token::DoubleEq {
            let operator = Token::CustomBinaryOperator("==".to_owned());
            out.push(TokenWithSpan::new(operator, token.span));
            continue;
        }
        if is_word(&token.token, "SELECT")
            && tokens.peek().is_none_or(|next| ends_select(&next.token))
        {
            let span = token.span;
            out.push(token);
            for piece in [word("FROM", Keyword::FROM), nothing()] {
                out.push(TokenWithSpan::new(piece, span));
            }
            continue;
        }
        let starts_query = match out.last().map(|last| &last.token) {
            None | Some(Token::LParen) => true,
            Some(last) => ["UNION", "INTERSECT", "EXCEPT", "ALL"]
                .iter()
                .any(|word| is_word(last, word)),
        };
        let next_is_name = matches!(tokens.peek().map(|next| &next.token), Some(Token::Word(_)));
        if starts_query && is_word(&token.token, "TABLE") && next_is_name {
            let span = token.span;
            for piece in [
                word("SELECT", Keyword::SELECT),
                Token::Mul,
                word("FROM", Keyword::FROM),
            ] {
                out.push(TokenWithSpan::new(piece, span));
            }
            continue;
        }
        if is_word(&token.token, "ONLY")
            && next_is_name
            && out.last().is_some_and(|last| {
                ["FROM", "JOIN", "UPDATE", "USING"]
                    .iter()
                    .any(|word| is_word(&last.token, word))
            })
            && !tokens.peek().is_some_and(|next| is_clause(&next.token))
        {
            continue;
        }
        if out.last().is_some_and(|last| is_word(&last.token, "FOR"))
            && is_word(&token.token, "NO")
            && tokens.next_if(|next| is_word(&next.token, "KEY")).is_some()
        {
            continue;
        }
        if out.last().is_some_and(|last| is_word(&last.token, "FOR"))
            && is_word(&token.token, "KEY")
            && tokens
                .peek()
                .is_some_and(|next| is_word(&next.token, "SHARE"))
        {
            continue;
        }
        if token.token == Token::Spaceship {
            out.push(TokenWithSpan::new(operator("<=>"), token.span));
            continue;
        }
        if token.token == Token::Gt
            && let [.., first, second] = out.as_slice()
            && (&first.token, &second.token) == (&Token::Lt, &Token::Plus)
            && (first.span.end, second.span.end) == (second.span.start, token.span.start)
        {
            let span = first.span.union(&token.span);
            out.truncate(out.len() - 2);
            out.push(TokenWithSpan::new(operator("<+>"), span));
            continue;
        }
        if token.token == Token::Comma
            && let Some(clause) = locking_clause(&out)
        {
            out.extend(clause.map(|piece| TokenWithSpan::new(piece, token.span)));
            continue;
        }
        if out.last().is_some_and(|last| is_word(&last.token, "THEN"))
            && is_word(&token.token, "DO")
            && tokens
                .next_if(|next| is_word(&next.token, "NOTHING"))
                .is_some()
        {
            for piece in [
                word("UPDATE", Keyword::UPDATE),
                word("SET", Keyword::SET),
                nothing(),
                Token::Eq,
                word("NULL", Keyword::NULL),
            ] {
                out.push(TokenWithSpan::new(piece, token.span));
            }
            continue;
        }
        out.push(token);
    }
    out
}

/// `f(…)` → `SELECT * FROM f(…)`.
pub(super) fn everything_from(call: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let span = call.first().map_or(Span::empty(), |first| first.span);
    let select = [
        word("SELECT", Keyword::SELECT),
        Token::Mul,
        word("FROM", Keyword::FROM),
    ];
    let select = select.map(|piece| TokenWithSpan::new(piece, span));
    select.into_iter().chain(call).collect()
}

/// `FOR UPDATE OF` or `FOR SHARE OF`, if that and one name is what ends here.
fn locking_clause(tokens: &[TokenWithSpan]) -> Option<[Token; 3]> {
    let name = tokens
        .iter()
        .rev()
        .take_while(|token| matches!(token.token, Token::Word(_) | Token::Period))
        .position(|token| is_word(&token.token, "OF"))?;
    let [.., first, strength, of] = &tokens[..tokens.len() - name] else {
        return None;
    };
    let locks = is_word(&first.token, "FOR")
        && ["UPDATE", "SHARE"]
            .iter()
            .any(|word| is_word(&strength.token, word));
    locks.then(|| [&first.token, &strength.token, &of.token].map(Clone::clone))
}

/// The name of a column that no table has, and of a table that is none: one character that is
/// nobody's.
pub const NOTHING: &str = "\u{f8ff}";

fn nothing() -> Token {
    Token::Word(Word {
        value: NOTHING.to_owned(),
        quote_style: Some('"'),
        keyword: Keyword::NoKeyword,
    })
}

/// What stands behind the columns and the FROM of a SELECT.
fn ends_select(token: &Token) -> bool {
    *token == Token::RParen
        || [
            "WHERE",
            "GROUP",
            "HAVING",
            "WINDOW",
            "UNION",
            "INTERSECT",
            "EXCEPT",
            "ORDER",
            "LIMIT",
            "OFFSET",
            "FETCH",
            "FOR",
        ]
        .iter()
        .any(|word| is_word(token, word))
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

/// A word after `FROM only` that shows `only` to be the table's own name.
fn is_clause(token: &Token) -> bool {
    [
        "WHERE", "AS", "JOIN", "GROUP", "ORDER", "LIMIT", "SET", "LEFT", "INNER", "CROSS",
        "NATURAL", "UNION",
    ]
    .iter()
    .any(|word| is_word(token, word))
}

/// An operator that is none of the grammar's, with the precedence of those.
fn operator(name: &str) -> Token {
    Token::CustomBinaryOperator(name.to_owned())
}

fn word(value: &str, keyword: Keyword) -> Token {
    Token::Word(Word {
        value: value.to_owned(),
        quote_style: None,
        keyword,
    })
}
