//! Links what Windows wants to know of the program: icon, version, manifest. Runs before the build, on the
//! building machine; does nothing for other systems.

use std::{env, error::Error, path::Path};

/// US English, as the texts are.
const LANGUAGE: u16 = 0x0409;

fn main() -> Result<(), Box<dyn Error>> {
    let assets = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../assets");
    let [icon, manifest] =
        ["icon.ico", "windows.manifest"].map(|name| assets.join(name).display().to_string());
    println!("cargo::rerun-if-changed={icon}");
    println!("cargo::rerun-if-changed={manifest}");
    if env::var("CARGO_CFG_TARGET_OS")? != "windows" {
        return Ok(());
    }
    if env::var("CARGO_CFG_TARGET_ENV")? == "gnu" {
        // For the C++ in dependencies (see .cargo/config.toml). By its full name, mingw's own linker finds the
        // static one wherever this version keeps it. Once: from `cc` it would come once per library of openh264,
        // and rustc refuses to hear a name with a modifier twice.
        println!("cargo::rustc-link-lib=dylib:+verbatim=libstdc++.a");
    }
    let mut resource = winresource::WindowsResource::new();
    resource
        .set_language(LANGUAGE)
        .set_icon(&icon)
        .set_manifest_file(&manifest)
        .set("ProductName", "TagIO")
        // The name that the task manager and the firewall's question show.
        .set("FileDescription", "TagIO remote desktop")
        .set("OriginalFilename", "tagio-gui.exe")
        .set("LegalCopyright", "MIT licence")
        .compile()?;
    Ok(())
}
