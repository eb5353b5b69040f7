//! A session that a POP asks for: dials its target, then moves bytes.

use bytes::Bytes;
use tagio_proxy::{DialError, Dialer, Target};
use tracing::debug;

use crate::{
    pump::pump,
    session::Session,
    wire::{DestAddr, Message, read},
};

/// Serves it to its end. What the POP sends before the target answers waits in the session's inbox, in order.
pub(super) async fn serve(dialer: Dialer, session: Session, payload: Bytes) {
    let dialled = match target(payload) {
        Some(target) => {
            debug!(%target, session = session.id(), "dialling");
            dialer.connect(&target).await
        }
        None => Err(DialError::BadTarget),
    };
    let reply = Message::reply(session.id(), dialled.as_ref().map(drop).map_err(ToString::to_string));
    if session.send(reply).await.is_err() {
        return;
    }
    match dialled {
        Ok(stream) => {
            // Small pieces with a person waiting for each. A socket that refuses is dying.
            let _ = stream.set_nodelay(true);
            let id = session.id().to_owned();
            if let Err(error) = pump(stream, Bytes::new(), session.into_stream(true)).await {
                debug!(session = id, "broken off: {error}");
            }
        }
        // The session ends here, which is all that POPs look for that send data without waiting.
        Err(error) => debug!(session = session.id(), "no connection: {error}"),
    }
}

fn target(payload: Bytes) -> Option<Target> {
    Target::parse(&read::<DestAddr>(payload).ok()?.addr, None).ok()
}
