//! Every sentence that the window says.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use tagio_wire::{
    nat::Mapping,
    port::PortTarget,
    session::{Monitor, Permission},
};

use crate::engine::{
    outlook::Hindrance,
    status::{
        Carrier, CarrierKind, ConnectStep, ConnectedViewer, ExchangeState, ExchangeSummary, ForwardState,
        ForwardStatus, MappedBy, Outcome, PathKind, RelayState, Relayed,
    },
};

pub const APP: &str = "TagIO";
pub const COPIED: &str = "Copied";
pub const SETTINGS: &str = "Settings";
pub const BACK: &str = "Back";
pub const CANCEL: &str = "Cancel";

// Home: this computer
pub const THIS_COMPUTER: &str = "This computer";
pub const YOUR_ID: &str = "Your ID";
pub const COPY_ID: &str = "Copy the ID";
pub const NO_ID_YET: &str = "— — —";
pub const NO_ID_WHY: &str = "The relay gives this computer its ID as soon as it is reached.";
pub const ONE_TIME_CODE: &str = "One-time code";
pub const COPY_CODE: &str = "Copy the code";
pub const RENEW_CODE: &str = "New code";
pub const HOW_TO_SHARE: &str = "Tell ID and code only to somebody you know and called yourself.";
pub const PASSWORD_IS_SET: &str = "The unattended password opens this computer too.";
pub const SCREEN_PROBLEM: &str = "This screen cannot be shown";
pub const RELAY_PROBLEM: &str = "Not reachable by ID";

// Home: connecting
pub const CONNECT_TO: &str = "Connect to another computer";
pub const CONNECT: &str = "Connect";
pub const CONNECT_HINT: &str = "ID or address";
pub const CONNECT_HELP: &str = "Nine digits, or an address like example.org:4443.";
pub const LOOK_ONLY: &str = "Only look, do not control";
pub const RECENT: &str = "Recent computers";
pub const NO_RECENT: &str = "Computers that you connect to appear here.";
pub const FORGET: &str = "Remove from the list";

// Viewers
pub const CONNECTED_NOW: &str = "Connected to this computer";
pub const END: &str = "End";
pub const END_ALL: &str = "End all";
pub const MAY_CONTROL: &str = "May control";
pub const MAY_LOOK: &str = "Looks only";
pub const MAY_USE_PORTS: &str = "Ports only";
pub const PORTS_IN_USE: &str = "Ports in use:";
pub const STOP_CONTROL: &str = "Stop control";
pub const ALLOW_CONTROL: &str = "Allow control";

// The question whether to let somebody in
pub const ASK_WANTS_CONTROL: &str = "wants to see and control this computer";
pub const ASK_WANTS_LOOK: &str = "wants to see this screen";
pub const ASK_WANTS_PORTS: &str = "wants to use network ports of this computer";
pub const ALLOW: &str = "Allow";
pub const KNOWN: &str = "Let in before";
pub const FIRST_TIME: &str = "First time";
pub const PHRASE: &str = "Safety phrase";
pub const PHRASE_HOW: &str =
    "Read these four words to each other. If they differ, somebody is in between: decline.";
pub const PHRASE_HOW_VIEWER: &str =
    "Read these four words to each other. If they differ, somebody is in between: disconnect.";
pub const FINGERPRINT: &str = "Key";
pub const VIEW_ONLY: &str = "View only";
pub const DECLINE: &str = "Decline";
pub const SCAM_WARNING: &str = "Did a stranger call and ask for this? Decline. No bank or company does that.";

// Settings
pub const SAVE: &str = "Save";
pub const SAVED: &str = "Saved";
pub const UNSAVED: &str = "Not saved yet";
pub const GENERAL: &str = "This computer";
pub const NAME: &str = "Name that others see";
pub const NAME_EMPTY: &str = "Others need a name to know who is calling.";
pub const NAME_LONG: &str = "This name is too long; 64 letters are the most.";
pub const ASK_FIRST: &str = "Ask me before the one-time code lets somebody in";
pub const ASK_FIRST_OFF: &str = "Whoever knows the one-time code is let in at once.";
pub const CONTROL_DEFAULT: &str = "Let them control when nobody is asked";
pub const RELAY: &str = "Relay";
pub const RELAY_WHAT: &str =
    "The relay introduces computers to each other. It cannot see what they say. You can run your own.";
pub const RELAY_ADDRESS: &str = "Address, with #KEY to accept that key only";
pub const RELAY_SHAPE: &str = "Type a name and a port, like relay.example.org:443.";
pub const RELAY_AUTH: &str = "Access secret, if the relay asks for one";
pub const REACH: &str = "How to reach the relay";
pub const REACH_AUTOMATIC: &str = "Automatic";
pub const REACH_TLS: &str = "Only TLS";
pub const REACH_WEBSOCKET: &str = "Only WebSocket";
pub const REACH_HTTP: &str = "Only HTTP";
pub const PROXY: &str = "HTTP proxy";
pub const PROXY_HINT: &str = "As the system says";
pub const PROXY_SHAPE: &str =
    "Type a name and a port, like proxy.example.org:3128. Only HTTP proxies can be used.";
pub const PROXY_USER: &str = "Name at the proxy, if it asks for one";
pub const PROXY_PASSWORD: &str = "Password at the proxy";
pub const PORTS: &str = "Ports of this computer";
pub const PORTS_WHAT: &str = "Whether others who are connected can use network services here, like a web page \
    or a database. Who may only look never can.";
pub const PORTS_ASK: (&str, &str) = ("Ask me", "Each session anew, and again for other computers.");
pub const PORTS_OWN: (&str, &str) =
    ("Allow", "Services of this computer, without a question. No other computers.");
pub const PORTS_OFF: (&str, &str) = ("Off", "Nobody.");
pub const LAN: &str = "Without the relay, find and be found on the local network";
pub const SHOW: &str = "Show";
pub const HIDE: &str = "Hide";
pub const USE_DEFAULT: &str = "Use the default";
pub const PASSWORD: &str = "Unattended access";
pub const PASSWORD_WHAT: &str =
    "With a password you can reach this computer when nobody sits at it. It is never stored or shown again.";
pub const PASSWORD_NONE: &str = "No password is set.";
pub const PASSWORD_SET: &str = "A password is set.";
pub const PASSWORD_NEW: &str = "New password";
pub const PASSWORD_AGAIN: &str = "The same again";
pub const PASSWORD_STORE: &str = "Set password";
pub const PASSWORD_CHANGE: &str = "Change password";
pub const PASSWORD_REMOVE: &str = "Remove password";
pub const PASSWORD_SHORT: &str = "Use at least eight letters or digits.";
pub const PASSWORD_DIFFERS: &str = "The two are not the same.";
pub const PASSWORD_SEALING: &str = "Storing…";
pub const LOOKS: &str = "Appearance";
pub const THEME: &str = "Colours";
pub const THEME_SYSTEM: &str = "As the system";
pub const THEME_LIGHT: &str = "Light";
pub const THEME_DARK: &str = "Dark";
pub const SCALE: &str = "Size";

// The picture, in the settings and in a session's menu: each choice with what it means
pub const PICTURE: &str = "Picture";
pub const PICTURE_DEFAULTS: &str = "How sessions start. Each can choose for itself from its toolbar.";
pub const QUALITY: &str = "Quality";
pub const AUTO: (&str, &str) = ("Auto", "Exact text, smooth movement. Best for most.");
pub const SHARP: (&str, &str) = ("Sharp", "Every pixel exact, even if it comes later.");
pub const SMOOTH: (&str, &str) = ("Smooth", "Movement first, exact as soon as it rests.");
pub const SAVER: (&str, &str) = ("Saver", "Least data, for slow or costly networks.");
pub const GREY: &str = "Without colour";
pub const HALF: &str = "At half the resolution";
pub const FPS_MAX: &str = "Pictures a second, at most";
pub const FPS_CHOICES: [(Option<u8>, &str); 5] =
    [(None, "No limit"), (Some(60), "60"), (Some(30), "30"), (Some(15), "15"), (Some(5), "5")];
pub const VIDEO: &str = "Moving parts are sent as";
pub const VIDEO_H264: &str = "H.264";
pub const VIDEO_JPEG: &str = "JPEG";
pub const VIDEO_WHAT: &str = "H.264 needs far less data. Try JPEG if they look wrong.";

// The monitors of the other computer
pub const MONITORS: &str = "Monitors";
pub const ALL_MONITORS: &str = "All monitors";
pub const ALL_MONITORS_WHAT: &str = "Side by side, as they stand there";

// Reverse tunnels
pub const TUNNELS: &str = "Tunnels";
pub const TUNNELS_WHAT: &str = "A tunnel shows a service of this computer to others, through a relay.";
pub const NO_TUNNELS: &str = "No tunnel yet. Add one to show a web page or another service that runs here.";
pub const ADD_TUNNEL: &str = "Add a tunnel";
pub const CHANGE_TUNNEL: &str = "Change this tunnel";
pub const REMOVE_TUNNEL: &str = "Remove this tunnel";
pub const START_TUNNEL: &str = "Start";
pub const STOP_TUNNEL: &str = "Stop";
pub const KEEP_AND_START: &str = "Save and start";
pub const TUNNEL_NAME: &str = "Name";
pub const TUNNEL_NAME_HINT: &str = "My web page";
pub const TUNNEL_NAME_SHAPE: &str = "Give it a name of at most 64 letters.";
pub const SERVICE_HERE: &str = "Service here";
pub const SERVICE_HERE_HINT: &str = "3000, or name:port";
pub const TUNNEL_RELAY: &str = "The relay’s tunnel port";
pub const TUNNEL_RELAY_HINT: &str = "relay.example.org:8089";
pub const TUNNEL_TOKEN: &str = "Token, if the relay asks for one";
pub const TUNNEL_HOSTNAME: &str = "Name for visitors, if you want a certain one";
pub const TUNNEL_HOSTNAME_HINT: &str = "as the relay gives it";
pub const TUNNEL_HOSTNAME_SHAPE: &str = "A word, or a whole name like app.example.org.";
pub const STARTS_ITSELF: &str = "Start it with TagIO";
pub const TUNNEL_STOPPED: &str = "Stopped";
pub const TUNNEL_STARTING: &str = "Asking the relay…";
pub const TUNNEL_OPEN: &str = "Open for visitors at";
pub const TUNNEL_DOWN: &str = "Down, trying again";
pub const TUNNEL_FAILED: &str = "Given up";
pub const LAST_REQUESTS: &str = "Last requests";
pub const SHOW_ALL: &str = "Show all";
pub const SHOW_FEWER: &str = "Show fewer";
pub const FORGET_REQUESTS: &str = "Forget them";

// Ports of the other side, in a session
pub const SESSION_PORTS: &str = "Ports";
pub const SESSION_PORTS_WHAT: &str = "Programs here reach services there, as if they ran on this computer.";
pub const SESSION_PORTS_VIEW_ONLY: &str =
    "Who may only look gets no ports. Ask the other side to allow control.";
pub const THEIR_SERVICE: &str = "Service there";
pub const THEIR_SERVICE_HINT: &str = "8080, or name:port";
pub const LOCAL_PORT: &str = "Port here";
pub const LOCAL_PORT_HINT: &str = "any free";
pub const OPEN_PORT: &str = "Open";
pub const STOP_PORT: &str = "Stop";
pub const PORT_CLOSED: &str = "Closed";
pub const COPY_ADDRESS: &str = "Copy the address";
pub const PORT_SHAPE: &str = "Type a port, or a name and a port, like localhost:8080.";
pub const LOCAL_PORT_SHAPE: &str = "A number up to 65535.";

// Recording
pub const RECORD: &str = "Record to a file";
pub const RECORD_STOP: &str = "Stop recording";
pub const RECORDED: &str = "Recorded";
pub const RECORD_FAILED: &str = "Recording has stopped";
pub const DISMISS: &str = "Dismiss";

// Figures of a session
pub const FIGURES: &str = "Figures (Ctrl+Alt+S)";
pub const FIGURES_CLOSE: &str = "Close the figures (Ctrl+Alt+S)";
pub const LATENCY: &str = "From their screen to yours";
pub const CAPTURE: &str = "Read there";
pub const ENCODE: &str = "Encode";
pub const NETWORK: &str = "Network";
pub const DECODE: &str = "Decode";
pub const DISPLAY: &str = "Show here";
pub const SUM: &str = "Together";
pub const P50: &str = "p50";
pub const P50_WHAT: &str = "Half of the pictures take no longer";
pub const P95: &str = "p95";
pub const P95_WHAT: &str = "Nineteen of twenty pictures take no longer";
pub const FPS: &str = "Pictures";
pub const RATE: &str = "Data";
pub const PATH: &str = "Connection";
pub const EXACTNESS: &str = "Pixels";
pub const NO_FIGURE: &str = "–";
pub const EXACT: &str = "exact";
pub const EXACT_WHAT: &str = "Every pixel is exactly what the other computer shows.";
pub const REDUCED: &str = "saver";
pub const REDUCED_WHAT: &str = "Saver leaves out colour or resolution, so the picture is not exact.";
pub const VIDEO_PLAYS: &str = "What moves comes as video. It becomes exact when it rests.";
pub const NOT_YET_EXACT: &str = "The share of the picture that is exact by now. The rest follows.";

// A session
pub const FULL_SCREEN: &str = "Full screen (Ctrl+Alt+Enter)";
pub const FIT: &str = "Fit the window";
pub const ORIGINAL: &str = "Original size";
pub const CTRL_ALT_DEL: &str = "Ctrl+Alt+Del";
pub const DISCONNECT: &str = "Disconnect";
pub const SAFETY: &str = "Safety phrase";
pub const SECRET_TITLE: &str = "Code or password";
pub const SECRET_WHAT: &str =
    "Ask for the one-time code on the other screen, or use the unattended password.";
pub const SECRET_HINT: &str = "abcd-efgh";
pub const ASKING: &str = "Waiting for the other side to let you in…";
pub const ASKING_HOW: &str = "Somebody there has to press “Allow”. Compare the safety phrase with them.";
pub const RECONNECTING: &str = "The connection is lost. Trying to get it back…";
pub const RECONNECTING_WHAT: &str = "What you see is the last picture.";
pub const TRY_AGAIN: &str = "Try again";
pub const CLOSE: &str = "Close";
pub const KEY_CHANGED: &str = "This is not the computer that you met before";
pub const KEY_CHANGED_WHAT: &str = "Its key is another one. That is so after it was set up anew, or when \
    somebody pretends to be it. Ask its owner to read you the key's fingerprint first.";
pub const TRUST_NEW_KEY: &str = "I have asked. Trust the new key";
pub const TOOLBAR: &str = "Toolbar (Ctrl+Alt+Home)";

/// Longest unit first; anything below a minute is "just now".
const AGES: [(u64, &str); 4] =
    [(365 * 86_400, "year"), (30 * 86_400, "month"), (86_400, "day"), (3600, "hour")];

/// `3 days ago`.
pub fn ago(then_unix_s: u64, now_unix_s: u64) -> String {
    let age_s = now_unix_s.saturating_sub(then_unix_s);
    for (unit_s, unit) in AGES {
        if age_s >= unit_s {
            return count(age_s / unit_s, unit) + " ago";
        }
    }
    if age_s >= 60 { count(age_s / 60, "minute") + " ago" } else { "just now".to_owned() }
}

/// `for 12 minutes`.
pub fn since(then: Instant, now: Instant) -> String {
    let age = now.saturating_duration_since(then).as_secs();
    match age {
        0..60 => "since just now".to_owned(),
        60..3600 => format!("for {}", count(age / 60, "minute")),
        _ => format!("for {}", count(age / 3600, "hour")),
    }
}

/// Whole seconds until then, rounded up.
pub fn seconds_until(then: Instant, now: Instant) -> u64 {
    then.saturating_duration_since(now).as_millis().div_ceil(1000) as u64
}

/// The relay's state in a sentence, when it is no trouble.
pub fn relay_state(state: &RelayState) -> &'static str {
    match state {
        RelayState::Off => "No relay: reachable by address only",
        RelayState::Connecting => "Connecting to the relay…",
        RelayState::Online => "Ready: reachable by ID",
        RelayState::Offline { .. } => RELAY_PROBLEM,
    }
}

/// The relay's trouble and what comes next.
pub fn relay_problem(problem: &str, retry_at: Option<Instant>, now: Instant) -> String {
    let Some(retry_at) = retry_at else { return problem.to_owned() };
    match seconds_until(retry_at, now) {
        0 => format!("{problem} Trying again now…"),
        seconds => format!("{problem} Trying again in {}.", count(seconds, "second")),
    }
}

/// How a session's packets travel.
pub fn path(path: PathKind) -> &'static str {
    match path {
        PathKind::Direct => "direct",
        PathKind::Relay => "via relay",
    }
}

// How the computers are connected
pub const CONNECTION: &str = "How you are connected";
pub const TO_THE_RELAY: &str = "To the relay";
pub const OWN_NETWORK: &str = "Your network";
pub const PEER_NETWORK: &str = "Their network";

/// The path as a sentence.
pub const fn connected(path: PathKind) -> &'static str {
    match path {
        PathKind::Direct => "Directly, computer to computer",
        PathKind::Relay => "Through the relay, encrypted all the way",
    }
}

/// What a carrier stands in for, where it is not the best.
pub const fn stands_in(carrier: Carrier) -> Option<&'static str> {
    match carrier {
        Carrier::Udp => None,
        Carrier::Stream { kind: CarrierKind::Tcp, .. } => Some("UDP gets no answer there, or is not wanted."),
        Carrier::Stream { .. } => Some("UDP and TCP get no answer there, or are not wanted."),
    }
}

/// Why a session is relayed, and the one thing that could change that.
pub const fn relayed(why: Relayed) -> (&'static str, &'static str) {
    match why {
        Relayed::StillTrying => ("A direct way is still being looked for.", "This takes some seconds."),
        Relayed::OwnUdpBlocked => {
            ("Your network lets no UDP out.", "Allow outgoing UDP in its firewall, or use another network.")
        }
        Relayed::PeerUdpBlocked => (
            "Their network lets no UDP out.",
            "They can allow outgoing UDP in its firewall, or use another network.",
        ),
        Relayed::BothHide => (
            "Both routers give each connection a port of its own, so that neither side can be found.",
            "Turn on UPnP or NAT-PMP in one of the routers, or IPv6 in both networks.",
        ),
        Relayed::QuicFails => (
            "The computers reach each other, but not with large packets.",
            "Look for a VPN or a firewall on the way that changes packets.",
        ),
        Relayed::Firewall => (
            "Nothing arrives, although both routers would let it pass.",
            "Allow TagIO in the firewall of one of the computers.",
        ),
    }
}

/// What a network does, in few words.
pub const fn mapping(mapping: Mapping) -> &'static str {
    match mapping {
        Mapping::Unknown => NO_FIGURE,
        Mapping::Blocked => "no UDP",
        Mapping::EndpointIndependent => "open to direct connections",
        Mapping::Sequential { .. } => "a new port for each, in order",
        Mapping::Random => "a new port for each, at random",
    }
}

/// The same of this network, where a NAT may be missing.
pub const fn network(mapping: Mapping, is_public: bool) -> &'static str {
    match mapping {
        Mapping::EndpointIndependent if is_public => "without NAT, open to direct connections",
        Mapping::Unknown => "not known: the relay sees too little",
        other => self::mapping(other),
    }
}

/// Whether packets get to the relay.
pub const fn udp_to_relay(mapping: Mapping) -> &'static str {
    match mapping {
        Mapping::Blocked => "no UDP",
        Mapping::EndpointIndependent | Mapping::Sequential { .. } | Mapping::Random | Mapping::Unknown => {
            "UDP too"
        }
    }
}

/// Who leads a port here.
pub const fn mapped_by(by: MappedBy) -> &'static str {
    match by {
        MappedBy::Upnp => "UPnP",
        MappedBy::NatPmp => "NAT-PMP",
        MappedBy::Pcp => "PCP",
        MappedBy::Ipv6Pinhole => "an IPv6 pinhole",
    }
}

/// What is in the way of direct paths on this side, and the one thing that could change that.
pub const fn hindrance(hindrance: Hindrance) -> (&'static str, &'static str) {
    match hindrance {
        Hindrance::Nothing => ("Nothing to change on this side.", ""),
        Hindrance::UdpBlocked => relayed(Relayed::OwnUdpBlocked),
        Hindrance::Hidden => (
            "The router gives each connection a port of its own, so that others have to guess it.",
            "Turn on UPnP or NAT-PMP in the router, or IPv6.",
        ),
        Hindrance::Unknown => (
            "The relay has one address and port only, and cannot tell what the router does.",
            "If sessions stay relayed, turn on UPnP or NAT-PMP in the router, or IPv6.",
        ),
    }
}

/// What came of an address.
pub const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Silent => "no answer",
        Outcome::Answered => "answered",
        Outcome::Failed => "answered, then failed",
        Outcome::Open => "works",
    }
}

/// Above the addresses that were tried.
pub fn tried(rounds: u32, guessed: bool) -> String {
    let rounds = if rounds == 1 { "Tried once".to_owned() } else { format!("Tried {rounds} times") };
    if guessed { format!("{rounds}, ports guessed too") } else { rounds }
}

/// Below them.
pub fn more_addresses(count: usize) -> String {
    format!("and {count} more")
}

/// Where a connection stands before the first picture.
pub fn step(step: ConnectStep) -> &'static str {
    match step {
        ConnectStep::Reaching => "Reaching the network…",
        ConnectStep::Calling => "Calling the other computer…",
        ConnectStep::Proving => "Checking keys and code…",
        ConnectStep::Picture => "Let in. The first picture is on its way…",
    }
}

/// What somebody wants who waits for an answer.
pub fn wish(wants: Permission, port: Option<&PortTarget>) -> String {
    match (wants, port) {
        (Permission::Ports, Some(port)) => format!("wants to reach {port} through this computer"),
        (Permission::Ports, None) => ASK_WANTS_PORTS.to_owned(),
        (Permission::View, _) => ASK_WANTS_LOOK.to_owned(),
        (Permission::Control, _) => ASK_WANTS_CONTROL.to_owned(),
    }
}

/// What it means to allow that.
pub fn ports_meaning(port: Option<&PortTarget>) -> &'static str {
    if port.is_none_or(PortTarget::is_own) {
        "Their programs can then use any service of this computer until the session ends, but no other computer."
    } else {
        "Their programs can then use any service that this computer reaches, on other computers too, until the \
         session ends."
    }
}

/// The countdown of the question whether to let somebody in.
pub fn declines_in(until: Instant, now: Instant) -> String {
    format!("Declined by itself in {} s", seconds_until(until, now))
}

/// How many more wait behind the question.
pub fn more_waiting(more: usize) -> String {
    count(more as u64, "more request") + " waiting"
}

/// Who is connected, on one line.
pub fn banner(viewers: &[ConnectedViewer]) -> String {
    match viewers {
        [one] => match one.permission {
            Permission::Control => format!("{} controls this computer", one.name),
            Permission::View => format!("{} sees this screen", one.name),
            Permission::Ports => format!("{} uses ports of this computer", one.name),
        },
        [first, others @ ..] => {
            format!("{} and {} are connected", first.name, count(others.len() as u64, "other"))
        }
        [] => String::new(),
    }
}

/// Which ports all of them use, on one line; `None` where there are none.
pub fn ports_in_use<'a>(viewers: impl IntoIterator<Item = &'a ConnectedViewer>) -> Option<String> {
    let mut ports: Vec<_> = viewers.into_iter().flat_map(|viewer| &viewer.ports).collect();
    ports.sort();
    ports.dedup();
    let list: Vec<_> = ports.into_iter().map(ToString::to_string).collect();
    (!list.is_empty()).then(|| format!("{} {}", PORTS_IN_USE, list.join(", ")))
}

/// Round trip for people.
pub fn latency(rtt: Duration) -> String {
    format!("{} ms", rtt.as_millis().max(1))
}

/// A part of the latency: short ones to a tenth of a millisecond.
pub fn duration(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1000.0;
    if duration.is_zero() {
        NO_FIGURE.to_owned()
    } else if ms < 10.0 {
        format!("{ms:.1} ms")
    } else {
        format!("{ms:.0} ms")
    }
}

/// `1.2 MB`.
pub fn bytes(bytes: u64) -> String {
    match bytes as f64 {
        few if few < 1e3 => format!("{bytes} B"),
        some if some < 1e6 => format!("{:.0} kB", some / 1e3),
        many if many < 1e8 => format!("{:.1} MB", many / 1e6),
        many if many < 1e9 => format!("{:.0} MB", many / 1e6),
        lots => format!("{:.1} GB", lots / 1e9),
    }
}

/// From where to where a forward leads.
pub fn forward(local: Option<&str>, target: &PortTarget) -> String {
    format!("{} to {target}", local.unwrap_or(NO_FIGURE))
}

/// How a forward stands, on one line.
pub fn forward_facts(forward: &ForwardStatus) -> String {
    match forward.state {
        ForwardState::Waiting => "Waits for the connection to come back".to_owned(),
        ForwardState::Asking => "Waits for the other side to allow it…".to_owned(),
        ForwardState::Failed(_) => PORT_CLOSED.to_owned(),
        ForwardState::Open => [
            "Open".to_owned(),
            count(forward.connections as u64, "connection"),
            traffic(forward.sent, forward.received),
        ]
        .join("  ·  "),
    }
}

/// Bytes from here and to here.
pub fn traffic(sent: u64, received: u64) -> String {
    format!("{} out, {} in", bytes(sent), bytes(received))
}

/// What a tunnel shows, and by which relay.
pub fn tunnel_facts(service: &str, relay: &str, traffic: &str) -> String {
    format!("Service {service}  ·  relay {relay}  ·  {traffic}")
}

/// What came of a request: its status, or why there is none.
pub fn request_status(request: &ExchangeSummary) -> String {
    match (request.status, request.state) {
        (0, ExchangeState::Open) => "…".to_owned(),
        (0, ExchangeState::Done | ExchangeState::Failed) => "no answer".to_owned(),
        (status, ExchangeState::Failed) => format!("{status}, cut off"),
        (status, ExchangeState::Open | ExchangeState::Done) => status.to_string(),
    }
}

/// Data rate, in the unit that fits.
pub fn rate(megabits_per_second: f32) -> String {
    match megabits_per_second {
        rate if rate < 1.0 => format!("{:.0} kb/s", rate * 1000.0),
        rate if rate < 10.0 => format!("{rate:.1} Mb/s"),
        rate => format!("{rate:.0} Mb/s"),
    }
}

/// How much of the picture is exact. Says "100 %" never: that is "exact".
pub fn exact_share(share: f32) -> String {
    if share >= 1.0 { EXACT.to_owned() } else { format!("{:.0} %", (share.max(0.0) * 100.0).floor()) }
}

/// `12:03`, and with hours `1:02:03`.
pub fn elapsed(time: Duration) -> String {
    let (hours, minutes, seconds) = (time.as_secs() / 3600, time.as_secs() / 60 % 60, time.as_secs() % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// What to call a monitor, numbered from 1.
pub fn monitor(number: usize, name: &str) -> String {
    if name.is_empty() { format!("Monitor {number}") } else { format!("{number}  {name}") }
}

/// How large a monitor is, and whether it has the task bar.
pub fn monitor_facts(monitor: &Monitor) -> String {
    let primary = if monitor.is_primary { "  ·  primary" } else { "" };
    format!("{} × {}{primary}", monitor.rect.width, monitor.rect.height)
}

/// Why a recording has stopped, and what is left of it.
pub fn record_problem(problem: &str, file: &Path) -> String {
    format!("{problem} What came before is in {}.", file.display())
}

/// How long the connection has been lost.
pub fn lost_for(since: Instant, now: Instant) -> String {
    format!("{} so far.", count(now.saturating_duration_since(since).as_secs(), "second"))
}

fn count(number: u64, unit: &str) -> String {
    if number == 1 { format!("1 {unit}") } else { format!("{number} {unit}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_naturally() {
        assert_eq!(ago(1000, 1030), "just now");
        assert_eq!(ago(0, 60), "1 minute ago");
        assert_eq!(ago(0, 7300), "2 hours ago");
        assert_eq!(ago(0, 3 * 86_400), "3 days ago");
        assert_eq!(ago(50, 0), "just now");
    }

    #[test]
    fn figures_read_naturally() {
        assert_eq!(duration(Duration::ZERO), NO_FIGURE);
        assert_eq!(duration(Duration::from_micros(340)), "0.3 ms");
        assert_eq!(duration(Duration::from_micros(23_400)), "23 ms");
        assert_eq!(
            [rate(0.0), rate(0.35), rate(4.25), rate(120.3)],
            ["0 kb/s", "350 kb/s", "4.2 Mb/s", "120 Mb/s"]
        );
        assert_eq!([bytes(999), bytes(1_499), bytes(2_340_000)], ["999 B", "1 kB", "2.3 MB"]);
        assert_eq!([bytes(340_000_000), bytes(5_000_000_000)], ["340 MB", "5.0 GB"]);
        assert_eq!([exact_share(1.0), exact_share(0.999), exact_share(0.0)], ["exact", "99 %", "0 %"]);
        assert_eq!(elapsed(Duration::from_secs(65)), "1:05");
        assert_eq!(elapsed(Duration::from_secs(3665)), "1:01:05");
    }

    #[test]
    fn countdowns_end_with_zero() {
        let now = Instant::now();
        assert_eq!(seconds_until(now + Duration::from_millis(1500), now), 2);
        assert_eq!(seconds_until(now, now + Duration::from_secs(5)), 0);
        assert!(relay_problem("No net.", Some(now), now).ends_with("now…"));
    }
}
