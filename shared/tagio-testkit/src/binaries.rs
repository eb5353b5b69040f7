//! Where the two programs under test lie: beside the test, or where `TAGIO_TEST_GUI` and `TAGIO_TEST_RELAY` say, as for
//! a measurement with programs that were built before.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// `tagio-gui`, which Cargo builds before it runs that package's tests.
pub fn gui() -> PathBuf {
    if let Some(path) = env::var_os("TAGIO_TEST_GUI") {
        return path.into();
    }
    let path = profile_dir().join(executable("tagio-gui"));
    assert!(path.is_file(), "no {}: run `cargo build --workspace` first", path.display());
    path
}

/// `tagio_relay_server`; built here if it is missing, as after `cargo test -p tagio-gui` alone.
pub fn relay_server() -> PathBuf {
    if let Some(path) = env::var_os("TAGIO_TEST_RELAY") {
        return path.into();
    }
    let dir = profile_dir();
    let path = dir.join(executable("tagio_relay_server"));
    // Test programs of several packages may get here at once.
    let lock = fs::File::create(dir.join("tagio-relay-build.lock")).expect("a writable target folder");
    lock.lock().expect("the lock on the target folder");
    if !path.is_file() {
        build_relay_server(&dir);
    }
    path
}

fn build_relay_server(profile_dir: &Path) {
    let target_dir = profile_dir.parent().expect("a profile lies in a target folder");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "-p", "tagio_relay_server", "--target-dir"]).arg(target_dir);
    if profile_dir.ends_with("release") {
        command.arg("--release");
    }
    let status = command.current_dir(workspace()).status().expect("cargo runs");
    assert!(status.success(), "cannot build tagio_relay_server");
}

/// The folder of the workspace's `Cargo.toml`.
pub fn workspace() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the workspace is where the testkit was built")
}

/// A test runs as `target/<profile>/deps/<name>-<hash>`.
fn profile_dir() -> PathBuf {
    let test = env::current_exe().expect("a running test has a path");
    let dir = test.parent().expect("a program lies in a folder");
    if dir.ends_with("deps") {
        dir.parent().expect("deps lies in a folder").to_owned()
    } else {
        dir.to_owned()
    }
}

fn executable(name: &str) -> String {
    format!("{name}{}", env::consts::EXE_SUFFIX)
}
