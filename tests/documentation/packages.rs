//! Packages of distributions, made by the script that makes them, where only the compiler is a stand-in.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use super::{PROGRAM, TREE, files};

const REMOTE: &str = env!("CARGO_BIN_EXE_git-remote-verified");
const GATE: &str = env!("CARGO_BIN_EXE_countersign-gate");

/// A copy of what a package is made of, with a cargo that compiles nothing.
struct Tree {
    folder: tempfile::TempDir,
}

impl Tree {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        for part in ["man", "installers/units"] {
            fs::create_dir_all(tree.join(part)).unwrap();
        }
        let pages = files("man", ".5").into_iter().chain(files("installers/units", ""));
        let others = ["Cargo.toml", "Cargo.lock", "README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE"];
        let others =
            others.into_iter().chain(["installers/package.sh"]).map(|name| Path::new(TREE).join(name));
        for path in pages.chain(others) {
            fs::copy(&path, tree.join(path.strip_prefix(TREE).unwrap())).unwrap();
        }
        // Only their names are asked for.
        for part in ["src", "tests", "hooks"] {
            symlink(Path::new(TREE).join(part), tree.join(part)).unwrap();
        }
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        // The program writes pages and completions; what is packed then is small.
        let stand_in = format!(
            "#!/bin/sh\necho \"$@\" >>\"$HOME/cargo.log\"\ncase $1 in\n\
             build) mkdir -p target/release && cp '{PROGRAM}' '{REMOTE}' '{GATE}' target/release/; exit;;\n\
             deb | generate-rpm) for name in countersign countersign-gate git-remote-verified; do cp /bin/true target/release/$name; done;;\n\
             esac\nexec '{cargo}' \"$@\"\n"
        );
        fs::create_dir(folder.path().join("bin")).unwrap();
        let path = folder.path().join("bin/cargo");
        fs::write(&path, stand_in).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    /// Make a package of this kind, if `tool` is there to do it; its file.
    fn package(&self, test: &str, kind: &str, tool: &str, extension: &str) -> Option<PathBuf> {
        if Command::new(tool).arg("--version").output().is_err() {
            println!("NOTE: {test}: {tool} not found");
            return None;
        }
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new("sh");
        command.arg(self.folder.path().join("tree/installers/package.sh")).arg(kind);
        command.env("PATH", format!("{}:{path}", self.folder.path().join("bin").display()));
        command
            .env("HOME", self.folder.path())
            .env("CARGO_NET_OFFLINE", "true")
            .env_remove("CARGO_TARGET_DIR");
        // Where cargo has what is needed to name the parts, which is not there.
        let home = |name: &str, folder: &str| {
            let default = || format!("{}/{folder}", std::env::var("HOME").unwrap_or_default());
            (name.to_owned(), std::env::var(name).unwrap_or_else(|_| default()))
        };
        command.envs([home("CARGO_HOME", ".cargo"), home("RUSTUP_HOME", ".rustup")]);
        let output = command.output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{kind}: {words}");
        let made = packages(&self.folder.path().join("tree/target"), extension);
        assert_eq!(made.len(), 1, "{made:?}");
        made.into_iter().next()
    }
}

fn packages(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(packages(&path, extension));
        } else if path.extension().is_some_and(|other| other == extension) {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_package_of_debian_holds_everything_where_it_belongs() {
    let test = "a_package_of_debian_holds_everything_where_it_belongs";
    let tree = Tree::new();
    let Some(package) = tree.package(test, "deb", "cargo-deb", "deb") else { return };
    let log = fs::read_to_string(tree.folder.path().join("cargo.log")).unwrap();
    assert!(log.starts_with("build --locked --release --no-default-features --features pkcs11\n"), "{log}");
    let list = match Command::new("dpkg-deb").arg("--contents").arg(&package).output() {
        Ok(list) => String::from_utf8(list.stdout).unwrap(),
        Err(_) => return println!("NOTE: {test}: dpkg-deb not found"),
    };
    let held: BTreeSet<&str> = list.lines().filter_map(|line| line.split_whitespace().nth(5)).collect();
    for file in [
        "usr/bin/countersign",
        "usr/bin/countersign-gate",
        "usr/bin/git-remote-verified",
        "usr/lib/systemd/user/countersign.service",
        "usr/lib/systemd/user/countersign.socket",
        "usr/share/bash-completion/completions/countersign",
        "usr/share/zsh/vendor-completions/_countersign",
        "usr/share/fish/vendor_completions.d/countersign.fish",
        "usr/share/doc/countersign/LICENSE",
    ] {
        assert!(held.contains(format!("./{file}").as_str()), "no '{file}' in\n{list}");
    }
    let line = list.lines().find(|line| line.ends_with(" ./usr/bin/countersign")).unwrap();
    assert!(line.starts_with("-rwxr-xr-x "), "{line}");
    for page in files("man", "").iter().filter(|page| !page.to_str().unwrap().contains("sandbox")) {
        let name = page.file_name().unwrap().to_str().unwrap();
        let section = name.rsplit('.').next().unwrap();
        let is_held = |end: &str| held.contains(format!("./usr/share/man/man{section}/{name}{end}").as_str());
        assert!(is_held("") || is_held(".gz"), "no '{name}' in\n{list}");
    }
}

#[test]
fn a_package_for_rpm_is_made_of_what_its_table_names() {
    let test = "a_package_for_rpm_is_made_of_what_its_table_names";
    let tree = Tree::new();
    let Some(package) = tree.package(test, "rpm", "cargo-generate-rpm", "rpm") else { return };
    // What is not there it refuses; how a package begins (rpm, `lead`) is all that is looked at.
    assert!(fs::read(package).unwrap().starts_with(&[0xed, 0xab, 0xee, 0xdb]));
}

#[test]
fn another_kind_of_package_is_refused() {
    let tree = Tree::new();
    for arguments in [&[][..], &["zip"]] {
        let mut command = Command::new("sh");
        command.arg(tree.folder.path().join("tree/installers/package.sh")).args(arguments);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(64));
        assert!(String::from_utf8_lossy(&output.stderr).contains("hint: run 'installers/package.sh deb'"));
    }
    assert!(!tree.folder.path().join("tree/target").exists());
}
