//! Where recordings go, and what they are called.

use std::{
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use chrono::NaiveDateTime;

/// Host names are cut here: with the date, well below what any file system takes.
const NAME_CHARS_MAX: usize = 64;
/// Files of one name; a folder with more is not one that a person looks into.
const COPIES_MAX: u32 = 9999;

/// The user's folder for films, else the home folder, else the current one.
pub(super) fn default_folder() -> PathBuf {
    let Some(user) = directories::UserDirs::new() else { return PathBuf::from(".") };
    let videos = user.video_dir().filter(|folder| folder.is_dir());
    videos.unwrap_or_else(|| user.home_dir()).to_owned()
}

/// `TagIO workshop 2026-11-21 14.03.05`, from characters that no file system refuses.
pub(super) fn name_of(host_name: &str, at: NaiveDateTime) -> String {
    let is_refused = |c: char| c.is_control() || r#"/\:*?"<>|"#.contains(c);
    let host: String = host_name.chars().map(|c| if is_refused(c) { '_' } else { c }).collect();
    let host: String = host.trim_matches(['.', ' ']).chars().take(NAME_CHARS_MAX).collect();
    let host = if host.is_empty() { "host" } else { host.trim_end() };
    format!("TagIO {host} {}", at.format("%Y-%m-%d %H.%M.%S"))
}

/// A new file `NAME.mp4`, else `NAME (2).mp4` and so on: never one that is there already.
///
/// # Errors
/// The folder is missing, or nothing can be written there.
pub(super) fn create(folder: &Path, name: &str) -> io::Result<(File, PathBuf)> {
    for number in 1..=COPIES_MAX {
        let file = if number == 1 { format!("{name}.mp4") } else { format!("{name} ({number}).mp4") };
        let path = folder.join(file);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return opened.map(|file| (file, path)),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: &str) -> String {
        let day = chrono::NaiveDate::from_ymd_opt(2026, 11, 21).unwrap();
        name_of(host, day.and_hms_opt(14, 3, 5).unwrap())
    }

    #[test]
    fn names_hold_nothing_that_a_file_system_refuses() {
        assert_eq!(name("workshop"), "TagIO workshop 2026-11-21 14.03.05");
        assert_eq!(name("../a:b\n"), "TagIO _a_b_ 2026-11-21 14.03.05");
        assert_eq!(name(" ... "), "TagIO host 2026-11-21 14.03.05");
        assert!(name(&"ä".repeat(300)).len() < 255);
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (0..3).map(|_| create(folder.path(), "a").unwrap().1).collect();
        let names: Vec<_> = paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.mp4", "a (2).mp4", "a (3).mp4"]);
        assert!(create(&folder.path().join("missing"), "a").is_err());
    }
}
