//! The patterns of date templates, and what stands between them.

/// The patterns of a date template, longest first where one begins another.
const PATTERNS: &[&str] = &[
    "HH24", "HH12", "HH", "MI", "SSSSS", "SSSS", "SS", "MS", "US", "FF1", "FF2", "FF3", "FF4",
    "FF5", "FF6", "AM", "PM", "A.M.", "P.M.", "am", "pm", "a.m.", "p.m.", "Y,YYY", "YYYY", "YYY",
    "YY", "Y", "IYYY", "IYY", "IY", "I", "MONTH", "Month", "month", "MON", "Mon", "mon", "MM",
    "DAY", "Day", "day", "DY", "Dy", "dy", "DDD", "DD", "D", "IDDD", "ID", "IW", "WW", "W", "CC",
    "J", "Q", "RM", "rm", "TZH", "TZM", "TZ", "tz", "OF", "BC", "AD", "B.C.", "A.D.",
];

/// The pattern that the rest of a template begins with.
pub(super) fn pattern_at(rest: &str) -> Option<&'static str> {
    PATTERNS
        .iter()
        .filter(|pattern| {
            let plain = pattern.chars().any(|c| c.is_ascii_lowercase())
                || matches!(
                    **pattern,
                    "MONTH" | "MON" | "DAY" | "DY" | "AM" | "PM" | "TZ" | "RM"
                );
            if plain {
                rest.starts_with(**pattern)
            } else {
                rest.get(..pattern.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(pattern))
            }
        })
        .max_by_key(|pattern| pattern.len())
        .copied()
}

/// Replaces a template's patterns; FM, TH and quoted text are handled here.
pub(super) fn templated(template: &str, replace: impl Fn(&str, bool) -> String) -> String {
    let mut out = String::new();
    let mut rest = template;
    let mut fill = false;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("FM").or_else(|| rest.strip_prefix("fm")) {
            fill = true;
            rest = after;
            continue;
        }
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').unwrap_or(quoted.len());
            out.push_str(&quoted[..end]);
            rest = quoted.get(end + 1..).unwrap_or_default();
            continue;
        }
        if let Some(pattern) = pattern_at(rest) {
            let text = replace(pattern, fill);
            rest = &rest[pattern.len()..];
            let suffix = rest
                .get(..2)
                .filter(|suffix| suffix.eq_ignore_ascii_case("th"));
            out.push_str(&text);
            if let Some(suffix) = suffix {
                let ordinal = ordinal(&text);
                out.push_str(&if suffix == "TH" {
                    ordinal.to_uppercase()
                } else {
                    ordinal.to_owned()
                });
                rest = &rest[2..];
            }
            fill = false;
            continue;
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

fn ordinal(number: &str) -> &'static str {
    let digits = number.trim().as_bytes();
    let teen = digits.len() >= 2 && digits[digits.len() - 2] == b'1';
    match digits.last() {
        Some(b'1') if !teen => "st",
        Some(b'2') if !teen => "nd",
        Some(b'3') if !teen => "rd",
        _ => "th",
    }
}
