//! Many bytes and many connections with curl, and ends in the middle of them.

use std::{fmt::Write as _, fs, process::Command, time::Instant};

use tagio_testkit::{
    TempDir, eventually, procfs,
    program::{self, Program},
    wait_until,
};

use super::{
    BACK,
    parts::{LIMIT, LOCAL_TOO, Pop, Web, pattern, sha256},
};

const MIB: usize = 1 << 20;
/// What a program may grow by while others wait: windows of all sessions here, and the allocator's leavings.
const GROWTH_MAX: u64 = 64 << 20;

/// Transfers at once, each by a connection of its own.
fn parallel(pop: &Pop, list: &str) -> Result<String, String> {
    let dir = TempDir::new();
    let file = dir.path().join("transfers");
    fs::write(&file, list).unwrap();
    let many = [
        "-sS",
        "--fail-early",
        "-f",
        "-m",
        "170",
        "--parallel",
        "--parallel-immediate",
        "--parallel-max",
        "200",
    ];
    let config = ["-H", "Connection: close", "-K", file.to_str().unwrap()];
    pop.curl(&[&many[..], &config].concat())
}

#[test]
fn two_hundred_mebibytes_come_and_go_at_once() {
    let Some(web) = Web::start() else { return };
    let (pop, dir) = (Pop::new(), TempDir::new());
    let (_relay, _node) = (pop.relay(), pop.node(&LOCAL_TOO));
    let sums: Vec<_> = (0..8)
        .map(|seed| {
            fs::write(web.file(&format!("{seed}")), pattern(MIB, seed)).unwrap();
            sha256(&web.file(&format!("{seed}")))
        })
        .collect();
    let (mut down, mut up) = (String::new(), String::new());
    for number in 0..200 {
        let source = format!("{}", number % 8);
        let here = dir.path().join(format!("{number}"));
        writeln!(down, "url = {}\noutput = {}", web.url(&source), here.display()).unwrap();
        let there = web.url(&format!("up/{number}"));
        writeln!(up, "url = {there}\nupload-file = {}", web.file(&source).display()).unwrap();
    }
    parallel(&pop, &down).unwrap();
    parallel(&pop, &up).unwrap();
    for number in 0..200 {
        let (sum, up) = (&sums[number % 8], web.file(&format!("up/{number}")));
        assert_eq!(&sha256(&dir.path().join(format!("{number}"))), sum, "down {number}");
        assert_eq!(&sha256(&up), sum, "up {number}");
    }
    assert!(pop.metric("tagio_edge_sessions_total") >= 400);
    pop.wait_metric("tagio_edge_sessions", 0);
}

/// `TMPDIR=/somewhere/large cargo test -p tagio-gui --test e2e_edge -- --ignored --nocapture gibibyte`
#[test]
#[ignore = "moves 2 GiB and writes as much"]
fn a_gibibyte_comes_and_goes_whole() {
    let Some(web) = Web::start() else { return };
    let pop = Pop::new();
    let (relay, node) = (pop.relay(), pop.node(&LOCAL_TOO));
    let file = web.file("large");
    program::run("sh", &["-c", &format!("head -c 1G /dev/urandom > {}", file.display())]).unwrap();
    let sum = sha256(&file);
    let before = [&relay, &node].map(|program| procfs::resident_bytes(program.pid()));
    let timed = |name: &str, work: &dyn Fn()| {
        let cpu = || [&relay, &node].map(|program| procfs::cpu_time(program.pid()));
        let (started, before) = (Instant::now(), cpu());
        work();
        let (took, after) = (started.elapsed().as_secs_f64(), cpu());
        let used: Vec<_> = before.iter().zip(after).map(|(before, after)| after - *before).collect();
        eprintln!("{name}: {:.2} Gb/s, processor time of relay and node {used:.1?}", 8.59 / took);
    };
    timed("down", &|| {
        let line = format!("exec \"$@\" -sSf {} | sha256sum", web.url("large"));
        let curl = pop.curl_command();
        let mut command = Command::new("sh");
        command.args(["-c", &line, "sh"]).arg(curl.get_program()).args(curl.get_args());
        let output = command.output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).starts_with(&sum), "{output:?}");
    });
    timed("up", &|| {
        pop.curl(&["-sSf", "-T", file.to_str().unwrap(), &web.url("up/large")]).unwrap();
    });
    assert_eq!(sha256(&web.file("up/large")), sum);
    for (program, before) in [&relay, &node].into_iter().zip(before) {
        let grown = procfs::resident_bytes(program.pid()).saturating_sub(before);
        eprintln!("grown by {} KiB", grown >> 10);
        assert!(grown < GROWTH_MAX, "{program:?}");
    }
}

/// `cargo test -p tagio-gui --test e2e_edge -- --ignored --nocapture short_connections`
#[test]
#[ignore = "takes a minute"]
fn ten_thousand_short_connections_all_succeed() {
    const COUNT: usize = 10_000;
    let Some(web) = Web::start() else { return };
    let pop = Pop::new();
    // One user opens them as fast as the machine goes.
    pop.set_limits("edge-session-burst = 20000");
    let (relay, node) = (pop.relay(), pop.node(&LOCAL_TOO));
    fs::write(web.file("small"), "small").unwrap();
    let started = Instant::now();
    let url = format!("{}?[1-{COUNT}]", web.url("small"));
    let many = ["-sS", "-f", "--parallel", "--parallel-max", "50", "-H", "Connection: close"];
    let codes = pop.curl(&[&many[..], &["-o", "/dev/null", "-w", "%{http_code}\n", &url]].concat()).unwrap();
    let took = started.elapsed();
    assert_eq!(codes.lines().filter(|code| *code == "200").count(), COUNT);
    pop.wait_metric("tagio_edge_sessions", 0);
    let sizes = [&relay, &node].map(|program| procfs::resident_bytes(program.pid()) >> 20);
    eprintln!("{:.0} connections/s; relay and node have {sizes:?} MiB", COUNT as f64 / took.as_secs_f64());
}

#[test]
fn who_reads_slowly_holds_nobody_up_and_fills_no_memory() {
    let Some(web) = Web::start() else { return };
    let (pop, dir) = (Pop::new(), TempDir::new());
    let (relay, node) = (pop.relay(), pop.node(&LOCAL_TOO));
    fs::File::create(web.file("large")).unwrap().set_len(256 << 20).unwrap();
    fs::write(web.file("page"), pattern(MIB, 2)).unwrap();
    let before = [&relay, &node].map(|program| procfs::resident_bytes(program.pid()));
    let slow: Vec<_> = (0..8)
        .map(|number| {
            let mut curl = pop.curl_command();
            curl.args(["-sS", "--limit-rate", "16k", "-o"]).arg(dir.path().join(format!("{number}")));
            Program::start("curl", curl.arg(web.url("large")))
        })
        .collect();
    wait_until("all eight read", LIMIT, || pop.metric("tagio_edge_sessions") == 8);
    let sum = sha256(&web.file("page"));
    for _ in 0..10 {
        let page = dir.path().join("page");
        pop.curl(&["-sSf", "-m", "20", "-o", page.to_str().unwrap(), &web.url("page")]).unwrap();
        assert_eq!(sha256(&page), sum);
    }
    for (program, before) in [&relay, &node].into_iter().zip(before) {
        let grown = procfs::resident_bytes(program.pid()).saturating_sub(before);
        assert!(grown < GROWTH_MAX, "{} MiB {program:?}", grown >> 20);
    }
    drop(slow);
    pop.wait_metric("tagio_edge_sessions", 0);
    pop.wait_metric("tagio_edge_queued_bytes", 0);
}

#[test]
fn what_is_cut_in_the_middle_fails_and_is_served_anew_at_once() {
    let Some(web) = Web::start() else { return };
    let (pop, dir) = (Pop::new(), TempDir::new());
    let (mut relay, mut node) = (pop.relay(), pop.node(&LOCAL_TOO));
    fs::File::create(web.file("large")).unwrap().set_len(64 << 20).unwrap();
    fs::write(web.file("page"), "all work and no play").unwrap();
    let half_fetched = |name: &str| {
        let file = dir.path().join(name);
        let mut curl = pop.curl_command();
        curl.args(["-sS", "--limit-rate", "4M", "-o"]).arg(&file);
        let curl = Program::start("curl", curl.arg(web.url("large")));
        wait_until("some of it is here", LIMIT, || fs::metadata(&file).is_ok_and(|file| file.len() > 0));
        curl
    };
    let is_back = |what: &str, since: Instant| {
        let page = eventually(LIMIT, || pop.curl(&["-sf", "-m", "5", &web.url("page")]).ok());
        assert_eq!(page.as_deref(), Some("all work and no play"), "{what}");
        assert!(since.elapsed() < BACK, "{what}: {:?}", since.elapsed());
    };

    let mut cut = half_fetched("node");
    node.kill();
    assert!(!cut.wait_exit(LIMIT).status.success(), "an accident is no end of a file");
    let restarted = Instant::now();
    let node = pop.node(&LOCAL_TOO);
    is_back("the node was restarted", restarted);

    let mut cut = half_fetched("relay");
    relay.kill();
    assert!(!cut.wait_exit(LIMIT).status.success(), "an accident is no end of a file");
    relay = pop.relay();
    is_back("the relay was restarted", Instant::now());

    // One that neither answers nor closes.
    let mut cut = half_fetched("frozen");
    program::run("sh", &["-c", &format!("kill -STOP {}", node.pid())]).unwrap();
    let restarted = Instant::now();
    let _successor = pop.node(&LOCAL_TOO);
    is_back("a node took a frozen one's place", restarted);
    assert!(!cut.wait_exit(LIMIT).status.success(), "{relay:?}");
}
