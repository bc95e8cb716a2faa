//! The credentials file: `{"actor": "token", …}`, or two tokens in a list while they are
//! rotated. The text is turned into verifiers and wiped.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use rand::RngCore;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::auth::scram::{Keys, SALT_LENGTH, Verifier, hmac};

/// What one file may hold: each token costs some thousand hashes at the start.
const MAX_ACTORS: usize = 100_000;
const MAX_TOKENS: usize = 2;

/// The verifiers of all actors.
pub struct Credentials {
    verifiers: HashMap<String, Verifier>,
    /// What unknown actors' salts are made of: the same every time they ask.
    mock_secret: [u8; 32],
}

/// A token that is wiped when it is dropped.
struct Token(Zeroizing<String>);

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Token(Zeroizing::new(text)))
    }
}

/// A string, or a list of them.
struct Tokens(Vec<Token>);

impl<'de> Deserialize<'de> for Tokens {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Tokens;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a token or a list of tokens")
            }

            fn visit_str<E>(self, text: &str) -> Result<Tokens, E> {
                Ok(Tokens(vec![Token(Zeroizing::new(text.to_owned()))]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tokens, A::Error> {
                let mut tokens = Vec::new();
                while let Some(token) = items.next_element()? {
                    tokens.push(token);
                }
                Ok(Tokens(tokens))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl Credentials {
    pub fn read(path: &Path) -> Result<Credentials, String> {
        let text = std::fs::read(path)
            .map(Zeroizing::new)
            .map_err(|error| format!("credentials file {}: {error}", path.display()))?;
        Credentials::parse(&text)
            .map_err(|error| format!("credentials file {}: {error}", path.display()))
    }

    /// Errors never repeat a token.
    pub fn parse(json: &[u8]) -> Result<Credentials, String> {
        let entries: HashMap<String, Tokens> = serde_json::from_slice(json).map_err(|error| {
            format!(
                "not an object of the form {{\"actor\": \"token\"}} (line {}, column {})",
                error.line(),
                error.column()
            )
        })?;
        if entries.is_empty() {
            return Err("it names no actor".to_owned());
        }
        if entries.len() > MAX_ACTORS {
            return Err(format!("it names more than {MAX_ACTORS} actors"));
        }
        let mut verifiers = HashMap::with_capacity(entries.len());
        for (actor, tokens) in entries {
            let verifier = verifier(&actor, &tokens.0)?;
            verifiers.insert(actor, verifier);
        }
        let mut mock_secret = [0; 32];
        rand::rng().fill_bytes(&mut mock_secret);
        Ok(Credentials {
            verifiers,
            mock_secret,
        })
    }

    pub fn actors(&self) -> usize {
        self.verifiers.len()
    }

    /// All actors, in the order of their names.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.verifiers.keys().cloned().collect();
        names.sort();
        names
    }

    /// The actor's verifier, or one that nothing can satisfy.
    pub(super) fn verifier(&self, actor: &str) -> Verifier {
        let digest = hmac(&self.mock_secret, actor.as_bytes());
        let mut mock = Verifier {
            salt: [0; SALT_LENGTH],
            keys: vec![Keys {
                stored: hmac(&self.mock_secret, &digest),
                server: digest,
            }],
        };
        mock.salt.copy_from_slice(&digest[..SALT_LENGTH]);
        self.verifiers.get(actor).cloned().unwrap_or(mock)
    }
}

fn verifier(actor: &str, tokens: &[Token]) -> Result<Verifier, String> {
    if actor.is_empty() || actor.len() > 63 || actor.contains('\0') {
        return Err(format!(
            "\"{}\" is not an actor's name: it has 1 to 63 bytes",
            actor.escape_debug()
        ));
    }
    if tokens.is_empty() || tokens.len() > MAX_TOKENS {
        return Err(format!(
            "actor \"{actor}\" must have one token, or two while they are rotated"
        ));
    }
    let mut salt = [0; SALT_LENGTH];
    rand::rng().fill_bytes(&mut salt);
    let mut keys = Vec::with_capacity(tokens.len());
    for Token(token) in tokens {
        // Clients normalize other characters in ways of their own.
        if token.is_empty() || !token.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return Err(format!(
                "the token of actor \"{actor}\" must be one or more printable ASCII characters"
            ));
        }
        keys.push(Keys::derive(token, &salt));
    }
    Ok(Verifier { salt, keys })
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("actors", &self.verifiers.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_or_two_make_a_verifier() {
        let credentials = Credentials::parse(br#"{"ada": "secret", "bot": ["old", "new"]}"#)
            .expect("credentials");
        assert_eq!(credentials.actors(), 2);
        assert_eq!(credentials.verifier("ada").keys.len(), 1);
        assert_eq!(credentials.verifier("bot").keys.len(), 2);
    }

    #[test]
    fn unknown_actors_have_a_steady_salt_of_their_own() {
        let credentials = Credentials::parse(br#"{"ada": "secret"}"#).expect("credentials");
        let salt = credentials.verifier("eve").salt;
        assert_eq!(salt, credentials.verifier("eve").salt);
        assert_ne!(salt, credentials.verifier("mallory").salt);
        assert_eq!(credentials.verifier("eve").keys.len(), 1);
    }

    #[test]
    fn mistakes_are_named_without_the_token() {
        for (json, expected) in [
            ("", "line 1"),
            ("{}", "no actor"),
            (r#"{"ada": 12345}"#, "line 1"),
            (r#"{"": "hunter2"}"#, "1 to 63 bytes"),
            (r#"{"ada": ""}"#, "printable ASCII"),
            (r#"{"ada": "hunter2é"}"#, "printable ASCII"),
            (r#"{"ada": []}"#, "one token"),
            (r#"{"ada": ["hunter2", "b", "c"]}"#, "one token"),
            (r#"["hunter2"]"#, "line 1"),
        ] {
            let error = Credentials::parse(json.as_bytes()).expect_err(json);
            assert!(error.contains(expected), "{json}: {error}");
            assert!(
                !error.contains("hunter2") && !error.contains("12345"),
                "{error}"
            );
        }
    }
}
