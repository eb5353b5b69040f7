//! Two machines on one network find each other without a relay.
#![cfg(target_os = "linux")]

use std::{fs, net::Ipv4Addr, path::PathBuf, process::Command, time::Duration};

use tagio_testkit::{
    Canvas, Lab, Namespace, Program,
    lab::{Host, LIMIT, PASSWORD, Relay},
    picture::assert_same,
    wait_until,
};

const HOST: Ipv4Addr = Ipv4Addr::new(10, 80, 1, 1);
const VIEWER: Ipv4Addr = Ipv4Addr::new(10, 80, 1, 2);
/// Until a viewer that may not look on its network has given up.
const GIVES_UP: Duration = Duration::from_secs(30);

/// A host that had a relay until just now, and a viewer's place on its network.
struct Home {
    lab: Lab,
    _host_net: Namespace,
    viewer_net: Namespace,
    host: Host,
    relay_flag: String,
}

impl Home {
    fn new() -> Option<Self> {
        let lab = Lab::new()?;
        let (host_net, viewer_net) = (Namespace::new("host")?, Namespace::new("viewer")?);
        viewer_net.join(VIEWER, &host_net, HOST).expect("a cable");
        wait_until("the cable to carry", LIMIT, || {
            let ends = [viewer_net.is_joined(HOST), host_net.is_joined(VIEWER)];
            ends.into_iter().all(|end| end.is_ok_and(|is_joined| is_joined))
        });
        let relay_command = lab.relay_command(&format!("{HOST}:0"));
        let mut relay = Relay::start(&mut host_net.inside(&relay_command));
        let relay_flag = relay.flag();
        let command = lab.host_command(&["--password", PASSWORD, "--relay", &relay_flag]);
        let host = Host::start(&mut host_net.inside(&command));
        host.id();
        relay.program.kill();
        Some(Self { lab, _host_net: host_net, viewer_net, host, relay_flag })
    }
}

/// Where a command of the lab keeps its things.
fn folder(command: &Command) -> PathBuf {
    command.get_args().skip_while(|arg| *arg != "--data-dir").nth(1).expect("it has one").into()
}

/// The same viewer as one before.
fn with_folder_of(before: &Command, command: Command) -> Command {
    fs::remove_dir_all(folder(&command)).ok();
    fs::rename(folder(before), folder(&command)).expect("one folder instead of the other");
    command
}

#[test]
fn a_viewer_finds_a_host_on_its_network_while_the_relay_is_away() {
    let Some(home) = Home::new() else { return };
    let canvas = Canvas::cover(home.lab.host_display.screen(), 91);
    let args = ["--password", PASSWORD, "--relay", &home.relay_flag];
    let mut command = home.viewer_net.inside(&home.lab.viewer_command(&home.host.id(), &args));
    let seen = home.lab.take(&mut command).expect("a screenshot, by the ID alone");
    assert_same(&seen, canvas.picture());

    // Its key is pinned now, and it is found by that.
    let command = with_folder_of(&command, home.lab.viewer_command(&home.host.id(), &args));
    let viewer = Program::start("viewer", &mut home.viewer_net.inside(&command));
    let connected = viewer.word("connected", LIMIT);
    assert!(connected.starts_with("direct"), "{connected}");
    viewer.word("first-frame", LIMIT);
}

#[test]
fn who_does_not_want_that_is_not_found() {
    let Some(home) = Home::new() else { return };
    let args = ["--password", PASSWORD, "--relay", &home.relay_flag];
    let command = home.lab.viewer_command(&home.host.id(), &args);
    fs::create_dir_all(folder(&command)).expect("the folder");
    fs::write(folder(&command).join("settings.json"), r#"{"lan": false}"#).expect("settings");
    let viewer = Program::start("viewer", &mut home.viewer_net.inside(&command));
    let reason = viewer.word("closed", GIVES_UP);
    assert_eq!(reason, "no-relay");
}
