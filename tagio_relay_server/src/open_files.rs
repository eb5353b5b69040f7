//! Whether the system lets this process have as many sockets as the relay's own limits do.

use tracing::warn;

/// Files besides the connections: listeners, the store, logs, and data connections of tunnels.
const BESIDES: u64 = 100;

/// Takes as many as the system gives, and warns if the relay's own limit of connections is above that.
pub fn raise_open_files(connections_max: u32) {
    let Some(max) = tagio_process::raise_open_files() else { return };
    if max < u64::from(connections_max) + BESIDES {
        warn!(
            "the system allows {max} open files, too few for connections-max = {connections_max}: \
             raise LimitNOFILE (systemd) or `ulimit -Hn`, or lower connections-max"
        );
    }
}
