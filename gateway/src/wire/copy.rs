//! COPY's sub-protocol, in both directions and both query modes.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::error::{PgError, PgResult};
use crate::session::protocol::{Backend, CopyFormat, CopyOut, Reason};
use crate::sqlstate;
use crate::wire::MAX_MESSAGE;
use crate::wire::connection::{Connection, at, flush, guard, stop};
use crate::wire::message::{Frame, Message, violation};
use crate::wire::reply;

impl<S, B> Connection<S, B>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    B: Backend,
{
    /// Asks the client for data and hands it on until it is done. After an error the loop ignores
    /// the rest of the data, in extended mode together with everything up to Sync.
    pub(super) async fn copy_in(
        &mut self,
        format: CopyFormat,
        deadline: Option<Instant>,
    ) -> PgResult<()> {
        self.news();
        reply::copy_in_response(&mut self.channel.out, format);
        flush(&self.handle, &mut self.channel, deadline).await?;
        match self.copy_messages(deadline).await {
            Ok(tag) => {
                self.held = Some(tag);
                Ok(())
            }
            Err(error) => {
                self.backend.copy_abort().await;
                Err(error)
            }
        }
    }

    /// The command tag, once the client has sent everything.
    async fn copy_messages(&mut self, deadline: Option<Instant>) -> PgResult<String> {
        loop {
            let frame = self.copy_frame(deadline).await?;
            let tag = frame.tag;
            match Message::parse(frame)? {
                Message::CopyData(data) => {
                    let write = self.backend.copy_write(data);
                    guard(&self.handle, &mut self.channel, deadline, write).await?;
                }
                Message::CopyDone => return self.backend.copy_finish().await,
                Message::CopyFail(reason) => {
                    return Err(PgError::new(
                        sqlstate::QUERY_CANCELED,
                        format!("COPY from stdin failed: {reason}"),
                    ));
                }
                // Drivers send these right behind the Execute, before they know of the copy.
                Message::Flush | Message::Sync => {}
                Message::Terminate => return Err(Reason::ClientGone.error()),
                _ => {
                    return Err(violation(format!(
                        "unexpected message type 0x{tag:02X} during COPY from stdin"
                    )));
                }
            }
        }
    }

    async fn copy_frame(&mut self, deadline: Option<Instant>) -> PgResult<Frame> {
        let interrupt = self.handle.interrupt();
        tokio::select! {
            biased;
            reason = interrupt.wait() => Err(stop(&self.handle, reason)),
            frame = self.channel.frame(MAX_MESSAGE) => {
                frame?.ok_or_else(|| Reason::ClientGone.error())
            }
            () = at(deadline) => {
                interrupt.raise(Reason::StatementTimeout);
                Err(Reason::StatementTimeout.error())
            }
        }
    }

    pub(super) async fn copy_out(
        &mut self,
        mut copy: CopyOut,
        deadline: Option<Instant>,
    ) -> PgResult<()> {
        self.news();
        reply::copy_out_response(&mut self.channel.out, copy.format);
        let mut rows = 0;
        while let Some(batch) = self.next_item(&mut copy.stream, deadline).await? {
            let mut start = 0;
            for end in batch.ends {
                let data = batch.data.get(start..end).unwrap_or_default();
                reply::copy_data(&mut self.channel.out, data);
                start = end;
                if self.channel.wants_flush() {
                    flush(&self.handle, &mut self.channel, deadline).await?;
                }
            }
            rows += batch.rows;
        }
        reply::copy_done(&mut self.channel.out);
        self.held = Some(format!("COPY {rows}"));
        Ok(())
    }
}
