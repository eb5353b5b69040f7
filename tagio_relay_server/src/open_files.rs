//! How many sockets the system lets this process have: systems give a shell's 1024 at first, and more to who asks.

use tracing::warn;

/// Files besides the connections: listeners, the store, logs, and data connections of tunnels.
const BESIDES: u64 = 100;

/// Takes as many as the system gives, and warns if the relay's own limit of connections is above that.
pub fn raise_open_files(connections_max: u32) {
    let Some(max) = raise() else { return };
    if max < u64::from(connections_max) + BESIDES {
        warn!(
            "the system allows {max} open files, too few for connections-max = {connections_max}: \
             raise LimitNOFILE (systemd) or `ulimit -Hn`, or lower connections-max"
        );
    }
}

/// The new limit; `None` where there is none.
#[cfg(unix)]
fn raise() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        Ok(()) => limit.maximum,
        Err(error) => {
            warn!("cannot raise the limit of open files: {error}");
            limit.current
        }
    }
}

#[cfg(not(unix))]
fn raise() -> Option<u64> {
    None
}
