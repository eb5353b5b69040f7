//! Programs that are measured: on a core of their own, ended with this one.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{self, Child, Command, Stdio},
};

/// Of what is measured.
const MEASURED_CORE: usize = 0;
/// Of everything else.
pub(crate) const LOAD_CORE: usize = 1;

/// See the module.
pub(crate) struct Process(Child);

impl Process {
    /// Starts `program` on its core.
    pub(crate) fn start(program: impl AsRef<Path>, arguments: &[&str]) -> Self {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", &MEASURED_CORE.to_string()]).arg(program.as_ref()).args(arguments);
        for variable in ["PORT", "PUBLIC_IP", "AUTH_SECRET"] {
            command.env_remove(variable);
        }
        Self(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap())
    }

    /// The first line that it writes.
    pub(crate) fn first_line(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "it ended before it served");
        line
    }

    /// Processor time so far with that of its children, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let own = self.0.id();
        let all = processes().filter(|pid| *pid == own || parent(*pid) == Some(own));
        all.map(cpu_nanoseconds).sum::<u64>() as f64 / 1e9
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn processes() -> impl Iterator<Item = u32> {
    let names = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    names.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// proc(5); `None` where the process is gone.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the program's name, which may hold spaces: its state, its parent.
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}

/// Of all threads that live. `stat` counts ticks of 10 ms, which is too much for a process of two hundred.
fn cpu_nanoseconds(pid: u32) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    let times = threads.filter_map(Result::ok).filter_map(|thread| {
        let times = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        times.split_whitespace().next()?.parse::<u64>().ok()
    });
    times.sum()
}

/// Keeps this process, and the threads that it starts from now on, to one core.
pub(crate) fn pin_this(core: usize) {
    let (core, pid) = (core.to_string(), process::id().to_string());
    let pinned =
        Command::new("taskset").args(["--cpu-list", "--pid", &core, &pid]).stdout(Stdio::null()).status();
    assert!(pinned.unwrap().success(), "this needs a second core");
}
