//! SCRAM-SHA-256 (RFC 5802, RFC 7677) from the server's side, with channel binding
//! `tls-server-end-point` (RFC 5929).

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use rand::RngCore;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::error::{PgError, PgResult};
use crate::wire::message::violation;

pub const MECHANISM: &str = "SCRAM-SHA-256";
pub const MECHANISM_PLUS: &str = "SCRAM-SHA-256-PLUS";

pub(super) const ITERATIONS: u32 = 4096;
pub(super) const SALT_LENGTH: usize = 16;

/// What the server keeps of an actor's tokens. None of it lets anyone log in.
#[derive(Debug, Clone)]
pub struct Verifier {
    pub(super) salt: [u8; SALT_LENGTH],
    pub(super) keys: Vec<Keys>,
}

/// One token's. Two may be valid at once, while tokens are rotated: they share the salt, since
/// the client is told only one.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) stored: [u8; 32],
    pub(super) server: [u8; 32],
}

impl Keys {
    pub(super) fn derive(token: &str, salt: &[u8]) -> Keys {
        let mut salted =
            pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(token.as_bytes(), salt, ITERATIONS);
        let client = hmac(&salted, b"Client Key");
        let server = hmac(&salted, b"Server Key");
        salted.fill(0);
        Keys {
            stored: Sha256::digest(client).into(),
            server,
        }
    }
}

pub(super) fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// The exchange before the client has said anything.
pub struct Exchange<'a> {
    verifier: &'a Verifier,
    endpoint: Option<&'a [u8]>,
}

/// The exchange while the client computes its proof.
pub struct Waiting<'a> {
    verifier: &'a Verifier,
    /// What `c=` has to be.
    binding: Vec<u8>,
    nonce: String,
    /// The first two messages, as the proof covers them.
    so_far: String,
}

impl<'a> Exchange<'a> {
    pub fn new(verifier: &'a Verifier, endpoint: Option<&'a [u8]>) -> Self {
        Exchange { verifier, endpoint }
    }

    pub fn mechanisms(&self) -> &'static [&'static str] {
        if self.endpoint.is_some() {
            &[MECHANISM_PLUS, MECHANISM]
        } else {
            &[MECHANISM]
        }
    }

    /// The client's first message to ours.
    pub fn first(self, message: &str, plus: bool) -> PgResult<(String, Waiting<'a>)> {
        let mut nonce = [0; 18];
        rand::rng().fill_bytes(&mut nonce);
        self.first_with(message, plus, &BASE64.encode(nonce))
    }

    fn first_with(self, message: &str, plus: bool, nonce: &str) -> PgResult<(String, Waiting<'a>)> {
        let (flag, rest) = message.split_once(',').ok_or_else(malformed)?;
        let (authzid, bare) = rest.split_once(',').ok_or_else(malformed)?;
        let header = format!("{flag},{authzid},");
        if !authzid.is_empty() {
            return Err(violation(
                "client uses authorization identity, but it is not supported",
            ));
        }
        let mut binding = header.into_bytes();
        match (flag, plus, self.endpoint) {
            ("n", false, _) | ("y", false, None) => {}
            // The client supports binding and thinks that we do not: somebody took it away.
            ("y", false, Some(_)) => {
                return Err(violation("SCRAM channel binding negotiation error")
                    .detail("The client supports SCRAM channel binding but thinks the server does not. However, this server does support channel binding."));
            }
            ("p=tls-server-end-point", true, Some(endpoint)) => binding.extend_from_slice(endpoint),
            _ => return Err(malformed()),
        }
        let mut attributes = bare.split(',');
        // The name was given in the startup packet; this one is not looked at.
        if !attributes.next().is_some_and(|name| name.starts_with("n=")) {
            return Err(malformed());
        }
        let client_nonce = attributes
            .next()
            .and_then(|attribute| attribute.strip_prefix("r="))
            .filter(|nonce| !nonce.is_empty() && nonce.bytes().all(|b| b.is_ascii_graphic()))
            .ok_or_else(malformed)?;
        let nonce = format!("{client_nonce}{nonce}");
        let reply = format!(
            "r={nonce},s={},i={ITERATIONS}",
            BASE64.encode(self.verifier.salt)
        );
        let waiting = Waiting {
            verifier: self.verifier,
            binding,
            nonce,
            so_far: format!("{bare},{reply}"),
        };
        Ok((reply, waiting))
    }
}

impl Waiting<'_> {
    /// The client's proof to our signature; `None` if the proof is wrong.
    pub fn finish(self, message: &str) -> PgResult<Option<String>> {
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or_else(malformed)?;
        let mut attributes = without_proof.split(',');
        let binding = attributes
            .next()
            .and_then(|attribute| attribute.strip_prefix("c="))
            .and_then(|text| BASE64.decode(text).ok())
            .ok_or_else(malformed)?;
        let nonce = attributes
            .next()
            .and_then(|attribute| attribute.strip_prefix("r="))
            .ok_or_else(malformed)?;
        if nonce != self.nonce {
            return Err(malformed().detail("Nonce does not match."));
        }
        if binding != self.binding {
            return Err(violation("SCRAM channel binding check failed"));
        }
        let proof: [u8; 32] = BASE64
            .decode(proof)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(malformed)?;
        let covered = format!("{},{without_proof}", self.so_far);
        Ok(self.signature(&proof, covered.as_bytes()))
    }

    /// Looks at every key, so that the time does not tell which of them was meant.
    fn signature(&self, proof: &[u8; 32], covered: &[u8]) -> Option<String> {
        let mut right = Choice::from(0);
        let mut signature = None;
        for keys in &self.verifier.keys {
            let mut client_key = hmac(&keys.stored, covered);
            for (byte, proof) in client_key.iter_mut().zip(proof) {
                *byte ^= proof;
            }
            let stored: [u8; 32] = Sha256::digest(client_key).into();
            let matches = stored.ct_eq(&keys.stored);
            let ours = format!("v={}", BASE64.encode(hmac(&keys.server, covered)));
            if bool::from(matches) {
                signature = Some(ours);
            }
            right |= matches;
        }
        signature.filter(|_| bool::from(right))
    }
}

fn malformed() -> PgError {
    violation("malformed SCRAM message")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677, section 3.
    #[test]
    fn the_exchange_of_the_rfc_is_ours() {
        let salt: [u8; 16] = BASE64
            .decode("W22ZaJ0SNY7soEsUEjb6gQ==")
            .expect("base64")
            .try_into()
            .expect("16 bytes");
        let verifier = Verifier {
            salt,
            keys: vec![Keys::derive("other", &salt), Keys::derive("pencil", &salt)],
        };
        let start = |verifier| {
            Exchange::new(verifier, None)
                .first_with(
                    "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
                    false,
                    "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
                )
                .expect("a first message")
        };
        let (reply, waiting) = start(&verifier);
        assert_eq!(
            reply,
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(
            waiting.finish(last).expect("well formed").as_deref(),
            Some("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
        );
        let (_, waiting) = start(&verifier);
        let wrong = last.replace("p=dH", "p=eH");
        assert_eq!(waiting.finish(&wrong).expect("well formed"), None);
        let (_, waiting) = start(&verifier);
        let replayed = last.replace("hNlF$k0", "hNlF$k1");
        assert_eq!(waiting.finish(&replayed).unwrap_err().code, "08P01");
    }

    #[test]
    fn taking_the_binding_away_is_noticed() {
        let verifier = Verifier {
            salt: [0; 16],
            keys: Vec::new(),
        };
        let first = |message: &str, plus, endpoint| {
            Exchange::new(&verifier, endpoint)
                .first(message, plus)
                .map(|_| ())
                .map_err(|e| e.code)
        };
        let endpoint: Option<&[u8]> = Some(&[1, 2, 3]);
        assert_eq!(first("n,,n=,r=abc", false, endpoint), Ok(()));
        assert_eq!(first("y,,n=,r=abc", false, None), Ok(()));
        assert_eq!(first("y,,n=,r=abc", false, endpoint), Err("08P01"));
        assert_eq!(
            first("p=tls-server-end-point,,n=,r=abc", true, endpoint),
            Ok(())
        );
        assert_eq!(
            first("p=tls-unique,,n=,r=abc", true, endpoint),
            Err("08P01")
        );
        assert_eq!(
            first("p=tls-server-end-point,,n=,r=abc", false, None),
            Err("08P01")
        );
        for bad in ["", "n", "n,,", "n,,r=abc", "n,,n=,r=", "n,a=x,n=,r=abc"] {
            assert_eq!(first(bad, false, None), Err("08P01"), "{bad}");
        }
    }

    #[test]
    fn another_channel_fails_the_check() {
        let verifier = Verifier {
            salt: [0; 16],
            keys: vec![Keys::derive("t", &[0; 16])],
        };
        let (reply, waiting) = Exchange::new(&verifier, Some(&[7; 32]))
            .first("p=tls-server-end-point,,n=,r=abc", true)
            .expect("a first message");
        let nonce = reply.split(',').next().expect("a nonce").to_owned();
        let binding = BASE64.encode([b"p=tls-server-end-point,,".as_slice(), &[8; 32]].concat());
        let last = format!("c={binding},{nonce},p={}", BASE64.encode([0; 32]));
        assert_eq!(
            waiting.finish(&last).unwrap_err().message,
            "SCRAM channel binding check failed"
        );
    }
}
