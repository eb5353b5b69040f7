//! The call that waits for a connection, so that it goes out with the client's first words.

use tagio_wire::{
    PeerId,
    control::{CallId, ClientMessage},
};
use tokio::sync::watch;

/// At most one: a newer one takes its place.
#[derive(Clone, Debug, Default)]
pub(super) struct StandingCall(watch::Sender<Option<(CallId, PeerId)>>);

impl StandingCall {
    pub(super) fn set(&self, call: CallId, target: PeerId) {
        self.0.send_replace(Some((call, target)));
    }

    /// Nobody waits for this one any more; whether it was still to be made.
    pub(super) fn forget(&self, call: CallId) -> bool {
        self.0.send_if_modified(|standing| standing.take_if(|(known, _)| *known == call).is_some())
    }

    /// Is being made now.
    pub(super) fn take(&self) -> Option<ClientMessage> {
        let (call, target) = self.0.send_replace(None)?;
        Some(ClientMessage::Call { call, target })
    }

    /// Waits for one, and takes it. Cancel safe.
    pub(super) async fn next(&self) -> ClientMessage {
        let mut standing = self.0.subscribe();
        loop {
            // Its sender is this very value.
            standing.wait_for(Option::is_some).await.ok();
            if let Some(call) = self.take() {
                return call;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_call_is_made_once_and_one_that_was_given_up_never() {
        let (standing, target) = (StandingCall::default(), PeerId::new(PeerId::MIN).expect("the first ID"));
        standing.set(1, target);
        standing.set(2, target);
        assert!(!standing.forget(1), "a newer one stands");
        assert_eq!(standing.next().await, ClientMessage::Call { call: 2, target });
        assert_eq!(standing.take(), None);
        standing.set(3, target);
        assert!(standing.forget(3));
        assert_eq!(standing.take(), None);
    }
}
