//! Who is there: SCRAM-SHA-256 against the verifiers made from the credentials, or nobody's
//! proof at all with `--unauthenticated`.
//!
//! An actor that does not exist goes through the same exchange with a verifier of its own, in
//! the same time and with the same messages; whoever fails reads one text (28P01). After five
//! failures an address may try an actor once a second.

pub mod credentials;
pub mod rotation;
pub mod scram;
pub mod throttle;

use std::net::IpAddr;
use std::path::Path;

use tokio::io::{AsyncRead, AsyncWrite};
use tracing::info;

use crate::auth::credentials::Credentials;
use crate::auth::rotation::{Current, Watched};
use crate::auth::scram::{Exchange, MECHANISM, MECHANISM_PLUS};
use crate::auth::throttle::Throttle;
use crate::error::{PgError, PgResult};
use crate::sqlstate;
use crate::wire::MAX_PASSWORD;
use crate::wire::channel::Channel;
use crate::wire::message::{Body, utf8, violation};
use crate::wire::reply;

/// How this server finds out who is there.
pub enum Authenticator {
    /// Everybody is who they say; the server listens on loopback addresses only.
    Trust,
    Scram {
        credentials: Current,
        throttle: Throttle,
    },
}

impl Authenticator {
    pub fn scram(credentials: Credentials) -> Self {
        Authenticator::Scram {
            credentials: Current::new(credentials),
            throttle: Throttle::default(),
        }
    }

    /// The credentials of a file, to be kept up with it.
    pub fn watched(&self, path: &Path) -> Option<Watched> {
        match self {
            Authenticator::Trust => None,
            Authenticator::Scram { credentials, .. } => {
                Some(Watched::new(path, credentials.clone()))
            }
        }
    }

    /// The actors that are known beforehand, in a lasting order.
    pub fn actors(&self) -> Vec<String> {
        match self {
            Authenticator::Trust => Vec::new(),
            Authenticator::Scram { credentials, .. } => credentials.now().names(),
        }
    }

    /// Runs the exchange. `endpoint` is the hash of our certificate when the connection is
    /// encrypted and the certificate has one: -PLUS is offered then.
    pub async fn run<S>(
        &self,
        channel: &mut Channel<S>,
        actor: &str,
        address: Option<IpAddr>,
        endpoint: Option<&[u8]>,
    ) -> PgResult<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Authenticator::Scram {
            credentials,
            throttle,
        } = self
        else {
            return Ok(());
        };
        if !throttle.admit(actor, address).await {
            return Err(refused(actor));
        }
        let verifier = credentials.now().verifier(actor);
        let result = exchange(channel, Exchange::new(&verifier, endpoint)).await;
        match result {
            Ok(true) => {
                throttle.succeeded(actor, address);
                Ok(())
            }
            Ok(false) => {
                throttle.failed(actor, address);
                info!(actor, ?address, "wrong password or unknown actor");
                Err(refused(actor))
            }
            Err(error) => Err(error),
        }
    }
}

/// Was the proof right? Errors are those of the protocol.
async fn exchange<S>(channel: &mut Channel<S>, exchange: Exchange<'_>) -> PgResult<bool>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    reply::authentication_sasl(&mut channel.out, exchange.mechanisms());
    channel.flush().await?;

    let mut body = Body {
        rest: password_message(channel).await?,
    };
    let mechanism = body.text()?;
    let plus = match mechanism.as_str() {
        MECHANISM => false,
        MECHANISM_PLUS if exchange.mechanisms().contains(&MECHANISM_PLUS) => true,
        _ => {
            return Err(violation(
                "client selected an invalid SASL authentication mechanism",
            ));
        }
    };
    let length = body.u32()? as usize;
    let first = body.take(length)?;
    body.end()?;
    let (server_first, waiting) = exchange.first(utf8(&first)?, plus)?;
    reply::sasl_continue(&mut channel.out, server_first.as_bytes());
    channel.flush().await?;

    let last = password_message(channel).await?;
    let Some(server_final) = waiting.finish(utf8(&last)?)? else {
        return Ok(false);
    };
    reply::sasl_final(&mut channel.out, server_final.as_bytes());
    Ok(true)
}

async fn password_message<S>(channel: &mut Channel<S>) -> PgResult<bytes::Bytes>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match channel.frame(MAX_PASSWORD).await? {
        Some(frame) if frame.tag == b'p' => Ok(frame.body),
        Some(frame) => Err(violation(format!(
            "expected SASL response, got message type {}",
            frame.tag
        ))),
        None => Err(PgError::fatal(
            sqlstate::CONNECTION_FAILURE,
            "connection to client lost",
        )),
    }
}

fn refused(actor: &str) -> PgError {
    PgError::fatal(
        sqlstate::INVALID_PASSWORD,
        format!("password authentication failed for user \"{actor}\""),
    )
}
