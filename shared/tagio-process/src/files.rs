//! The folder for a program's own files, and writes that nobody else can read and no crash can halve.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result};

/// The folder for keys, settings and pins; made if it is missing, for the owner only where the system knows that.
///
/// A folder that is already there keeps its permissions: it may be shared on purpose, and every file that
/// [`write_private`] puts into it is private by itself.
pub fn data_dir(chosen: Option<&Path>) -> Result<PathBuf> {
    let dir = match chosen {
        Some(dir) => dir.to_owned(),
        None => directories::ProjectDirs::from("", "", "TagIO")
            .context("no home folder is known for this user; name a folder with --data-dir")?
            .data_local_dir()
            .to_owned(),
    };
    create_private_dir(&dir).with_context(|| {
        format!("cannot create the folder {}; name another one with --data-dir", dir.display())
    })?;
    Ok(dir)
}

fn create_private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Replaces a file as a whole: readers see the old bytes or the new ones, also after a power cut.
///
/// On Unix only the owner can read or write it, whatever the old file allowed. On Windows the folder in the
/// user's profile gives it that protection.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary_beside(path)?;
    let written = write_new(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    match written {
        Ok(()) => sync_folder_of(path),
        Err(error) => {
            // Of two failures the first one says more.
            let _ = fs::remove_file(&temporary);
            Err(error)
        }
    }
}

/// A name in the same folder (a rename must not cross file systems) that no other writer uses.
fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}-{number}.tmp", process::id()));
    Ok(path.with_file_name(temporary))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes the rename itself durable.
#[cfg(unix)]
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    fs::File::open(folder)?.sync_all()
}

/// Windows cannot open a folder for that, and journals renames anyway.
#[cfg(not(unix))]
fn sync_folder_of(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tagio_testkit::TempDir;

    #[test]
    fn a_write_replaces_the_old_file_and_leaves_nothing_beside_it() {
        let dir = TempDir::new();
        let path = dir.path().join("key");
        write_private(&path, b"first").expect("the first write");
        write_private(&path, b"second").expect("the second write");
        assert_eq!(fs::read(&path).expect("the file"), b"second");
        assert_eq!(fs::read_dir(dir.path()).expect("the folder").count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let dir = TempDir::new();
        let taken = dir.path().join("a-folder");
        fs::create_dir(&taken).expect("a folder");
        fs::write(taken.join("inside"), b"").expect("a file");
        assert!(write_private(&taken, b"bytes").is_err());
        assert_eq!(fs::read_dir(dir.path()).expect("the folder").count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn folder_and_file_belong_to_the_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| fs::metadata(path).expect("its metadata").permissions().mode() & 0o777;
        let dir = TempDir::new();
        let data = data_dir(Some(&dir.path().join("deep/data"))).expect("the data folder");
        let path = data.join("key");
        fs::write(&path, b"open to all").expect("an old file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("loose permissions");
        write_private(&path, b"secret").expect("the write");
        assert_eq!((mode(&data), mode(&path)), (0o700, 0o600));
    }

    #[test]
    fn a_folder_that_cannot_be_made_says_what_to_do() {
        let dir = TempDir::new();
        let file = dir.path().join("file");
        fs::write(&file, b"").expect("a file");
        let error = data_dir(Some(&file.join("data"))).expect_err("a file cannot hold a folder");
        assert!(error.to_string().contains("--data-dir"), "{error}");
    }
}
