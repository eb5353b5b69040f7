//! What went wrong, in sentences for people, each with a next step. Codes are for scripts.

use std::io;

use tagio_transport::{ConnectError, LegError, Lost, relay::RelayError};
use tagio_wire::{
    control::CallFailure,
    port::{PortRefusal, PortTarget},
    session::{AuthRefusal, EndReason},
};

use super::status::Ending;

/// Code of the ending when nobody with the ID is online.
pub(super) const OFFLINE: &str = "offline";

/// Codes of the endings that the relay is to blame for.
const NO_RELAY: &str = "no-relay";
const NO_ANSWER: &str = "no-answer";
const NO_LEG: &str = "no-leg";

/// An error's words as a sentence for people.
pub(super) fn sentence(error: &impl std::error::Error) -> String {
    as_sentence(&error.to_string())
}

/// Words as a sentence for people.
pub(super) fn as_sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(char::to_uppercase).into_iter().flatten();
    let stop = if words.ends_with(['.', '!', '?']) { "" } else { "." };
    first.chain(letters).collect::<String>() + stop
}

/// An ending that may be tried again.
pub(super) fn ending(code: &'static str, reason: impl Into<String>, advice: impl Into<String>) -> Ending {
    Ending { code, reason: reason.into(), advice: advice.into(), may_retry: true, key_changed: false }
}

pub(super) fn left() -> Ending {
    Ending { may_retry: false, ..ending("left", "You left the session.", "") }
}

pub(super) fn key_changed() -> Ending {
    Ending {
        key_changed: true,
        may_retry: false,
        ..ending(
            "key-changed",
            "This host does not show the key that it showed before.",
            "Somebody may be posing as it. If the host was set up anew, ask its user for the fingerprint \
             on its screen, and forget the old key only if that is right.",
        )
    }
}

pub(super) fn call_failed(failure: CallFailure) -> Ending {
    match failure {
        CallFailure::Offline => ending(
            OFFLINE,
            "No host with this ID is online.",
            "Check the ID, and that TagIO runs there and says that it is online.",
        ),
        CallFailure::RateLimited(secs) => ending(
            "rate-limited",
            "The relay takes no more calls from here for now.",
            format!("Wait {secs} seconds and try again."),
        ),
        CallFailure::Full => ending(
            "relay-full",
            "The relay has no room for another session.",
            "Try again later, or use another relay.",
        ),
        CallFailure::Yourself => ending(
            "yourself",
            "That is the ID of this very computer.",
            "Type the ID that the other computer shows.",
        ),
    }
}

pub(super) fn refused(refusal: AuthRefusal) -> Ending {
    match refusal {
        AuthRefusal::WrongSecret => ending(
            "wrong-secret",
            "The code or password is wrong.",
            "Ask for the code that the host shows now: it changes after each use and after five wrong tries.",
        ),
        AuthRefusal::NoSuchSecret => ending(
            "no-password",
            "This host has no password.",
            "Use the one-time code that it shows, or set a password there.",
        ),
        AuthRefusal::TooMany(secs) => ending(
            "too-many",
            "Too many wrong codes or passwords.",
            format!("Wait {secs} seconds and try again."),
        ),
        AuthRefusal::Declined => {
            ending("declined", "The host’s user did not let you in.", "Talk to them and try again.")
        }
        AuthRefusal::ResumeExpired => ending(
            "expired",
            "The session was away for too long.",
            "Connect again with the code or password.",
        ),
        AuthRefusal::WrongVersion(version) => Ending {
            may_retry: false,
            ..ending(
                "wrong-version",
                format!("The host speaks version {version} of the protocol, and this program another."),
                "Update the older of the two.",
            )
        },
        AuthRefusal::Full => ending(
            "host-full",
            "The host has as many viewers as it can serve.",
            "Try again when one has left.",
        ),
        AuthRefusal::NoScreen => ending(
            "no-screen",
            "The host cannot show its screen.",
            "Look at the host: it says why. It may be locked, or have no display.",
        ),
        AuthRefusal::NoPorts => ending(
            "no-ports",
            "The host lets nobody use its ports.",
            "Allow it there: in the settings, or with `server --ports own`.",
        ),
    }
}

pub(super) fn ended(reason: EndReason) -> Ending {
    match reason {
        EndReason::ByHost => {
            ending("ended-by-host", "The host’s user ended the session.", "Talk to them and connect again.")
        }
        EndReason::HostStops => {
            ending("host-stopped", "TagIO was closed on the host.", "Connect again once it runs there.")
        }
        EndReason::ScreenLost => ending(
            "screen-lost",
            "The host’s screen went away.",
            "Connect again once somebody is logged in there.",
        ),
        EndReason::Protocol => {
            ending("protocol", "The host did not understand this program.", "Update the older of the two.")
        }
    }
}

pub(super) fn lost(lost: &Lost) -> Ending {
    match lost {
        Lost::TimedOut => ending(
            "lost",
            "The connection is lost and did not come back.",
            "Check the network on both sides and connect again.",
        ),
        Lost::ByPeer => ending(
            "closed-by-host",
            "The host closed the connection.",
            "See whether TagIO still runs there and connect again.",
        ),
        Lost::WrongPeer => key_changed(),
        Lost::ByUs => left(),
        Lost::Broken(why) => ending(
            "broken",
            format!("The connection broke: {why}."),
            "Connect again; if it happens again, update TagIO on both sides.",
        ),
    }
}

pub(super) fn unreachable(error: &ConnectError) -> Ending {
    match error {
        ConnectError::Address(_) | ConnectError::TimedOut => ending(
            "unreachable",
            "The host does not answer.",
            "Check the address and that TagIO waits there; a firewall may be in between.",
        ),
        ConnectError::Refused(why) => ending(
            "refused",
            format!("What answers there is no TagIO host ({why})."),
            "Check the address and the port.",
        ),
    }
}

pub(super) fn no_leg(error: &LegError) -> Ending {
    ending(NO_LEG, sentence(error), "Check the network and try again.")
}

/// Whether the relay is what is out of reach, so that the host may still be there.
pub(super) fn is_about_the_relay(ending: &Ending) -> bool {
    [NO_RELAY, NO_ANSWER, NO_LEG].contains(&ending.code)
}

pub(super) fn no_relay(error: &RelayError) -> Ending {
    ending(NO_RELAY, sentence(error), "")
}

pub(super) fn no_relay_at_all() -> Ending {
    ending(NO_RELAY, "The relay was given up.", "Start TagIO again.")
}

pub(super) fn no_pins(error: &anyhow::Error) -> Ending {
    ending("no-pins", "The keys of known hosts cannot be checked.", error.to_string())
}

pub(super) fn no_answer() -> Ending {
    ending(NO_ANSWER, "The relay does not answer the call.", "Check the network and try again.")
}

/// Why a port is not opened, and what to do.
pub(super) fn port_refused(refusal: PortRefusal, target: &PortTarget) -> String {
    match refusal {
        PortRefusal::NotAllowed if target.is_own() => {
            "The host lets nobody use its ports. Allow it there: in the \
            settings, or with `server --ports own`."
                .to_owned()
        }
        PortRefusal::NotAllowed => format!(
            "The host does not let viewers reach {target}, only ports of its own (localhost). Allow it there with \
             `server --ports any`."
        ),
        PortRefusal::Declined => {
            "The host’s user did not allow it. Talk to them, and connect again to ask again.".to_owned()
        }
        PortRefusal::ViewOnly => {
            "Who may only look gets no ports. Ask the host’s user to allow control.".to_owned()
        }
        PortRefusal::BadTarget => {
            format!("{target} is no name or address with a port. Type one like localhost:8080.")
        }
        PortRefusal::UnknownName => {
            format!("The host does not know the name {}. Check how it is spelled there.", target.host)
        }
        PortRefusal::Refused => {
            format!("Nothing listens at {target} on the host’s side. Start the service there.")
        }
        PortRefusal::Unreachable => {
            format!("{target} does not answer on the host’s side. Check the address and its firewall.")
        }
    }
}

pub(super) fn no_local_port(port: u16, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("Another program has port {port} of this computer. Choose another.")
        }
        io::ErrorKind::PermissionDenied => {
            format!("Port {port} of this computer needs more rights. Choose one from 1024 up.")
        }
        _ => format!("Port {port} of this computer cannot be opened: {error}. Choose another."),
    }
}

pub(super) fn wrong_tunnel_token() -> String {
    "The relay asks for a token that it knows. Ask its admin for one, and type it here.".to_owned()
}

pub(super) fn too_many_forwards() -> String {
    "These are as many ports as one session can forward. Stop one first.".to_owned()
}
