//! Whose a datagram is that comes out of the tunnel.
//!
//! The protocol names only the target in a reply. So a target belongs to one association at a time; another association
//! that names it meanwhile gets the replies from then on as well, as each knows its own: names are asked for under a
//! number of one's own, and QUIC has its connection IDs.

use std::{collections::HashMap, sync::PoisonError};

use bytes::Bytes;
use tagio_proxy::Target;
use tokio::sync::mpsc;

use super::Live;
use crate::wire;

/// Datagrams that wait for one association: 300 KB. When it is full, they are dropped.
pub(super) const ASSOCIATION_QUEUE: usize = 256;
/// Datagrams that are read at once.
const BATCH: usize = 64;
/// Targets of one tunnel at once; a server has less.
const TARGETS_MAX: usize = 4_096;
/// Associations that one target's replies go to.
const SHARERS_MAX: usize = 64;

/// What an association hears.
pub(super) type Heard = (Target, Bytes);

/// Who hears of which target.
#[derive(Debug, Default)]
pub(crate) struct Routes(HashMap<Bytes, Vec<mpsc::Sender<Heard>>>);

impl Routes {
    /// Whether `association` hears of the target with this head from now on; `false` if there are too many.
    pub(super) fn add(&mut self, head: &Bytes, association: &mpsc::Sender<Heard>) -> bool {
        if let Some(sharers) = self.0.get_mut(head) {
            if sharers.iter().any(|sharer| sharer.same_channel(association)) {
                return true;
            }
            sharers.retain(|sharer| !sharer.is_closed());
            if sharers.len() >= SHARERS_MAX {
                return false;
            }
            sharers.push(association.clone());
            return true;
        }
        if self.0.len() >= TARGETS_MAX {
            self.forget();
        }
        let has_room = self.0.len() < TARGETS_MAX;
        if has_room {
            self.0.insert(head.clone(), vec![association.clone()]);
        }
        has_room
    }

    /// Forgets targets whose associations have ended.
    fn forget(&mut self) {
        self.0.retain(|_, sharers| {
            sharers.retain(|sharer| !sharer.is_closed());
            !sharers.is_empty()
        });
    }

    fn deliver(&self, head: &Bytes, payload: &Bytes) {
        let Some(sharers) = self.0.get(head) else { return };
        let Ok(target) = wire::head_target(head) else { return };
        for sharer in sharers {
            // One that does not keep up loses some, as with any UDP.
            let _ = sharer.try_send((target.clone(), payload.clone()));
        }
    }
}

/// Delivers what comes until the connection is gone.
pub(super) async fn distribute(live: &Live) -> String {
    let mut batch = [const { Bytes::new() }; BATCH];
    loop {
        let count = match live.connection.read_many_datagrams(&mut batch).await {
            Ok(count) => count,
            Err(error) => return error.to_string(),
        };
        let routes = live.routes.lock().unwrap_or_else(PoisonError::into_inner);
        for datagram in &mut batch[..count] {
            if let Ok((head, payload)) = wire::split_datagram(std::mem::take(datagram)) {
                routes.deliver(&head, &payload);
            }
        }
    }
}
