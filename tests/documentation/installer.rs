//! The installer: what it says it would do, and what it does where cargo is a stand-in.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use super::{PROGRAM, TREE, files};

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let cargo = format!(
            "#!/bin/sh\necho \"$@\" >>\"$HOME/cargo.log\"\ndo=$1\n\
             while [ $# -gt 1 ]; do [ \"$1\" = --root ] && root=$2; shift; done\n\
             case $do in\ninstall) mkdir -p \"$root/bin\" && cp '{PROGRAM}' \"$root/bin/\";;\n\
             uninstall) rm \"$root/bin/countersign\";;\nesac\n"
        );
        fs::write(bin.join("cargo"), cargo).unwrap();
        fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    fn prefix(&self) -> PathBuf {
        self.folder.path().join("a prefix")
    }

    /// Exit status, standard output, standard error.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let path = std::env::var("PATH").unwrap();
        let output = Command::new("sh")
            .arg(Path::new(TREE).join("installers/install.sh"))
            .args(arguments)
            .env_clear()
            .env("PATH", format!("{}:{path}", self.folder.path().join("bin").display()))
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// Every file below the prefix, relative to it.
    fn installed(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut folders = vec![self.prefix()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.insert(path.strip_prefix(self.prefix()).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        found
    }
}

#[cfg(target_os = "macos")]
const UNITS: [&str; 1] = ["share/countersign/countersign.plist"];
#[cfg(not(target_os = "macos"))]
const UNITS: [&str; 2] = ["share/systemd/user/countersign.socket", "share/systemd/user/countersign.service"];

fn expected(sandbox: bool) -> BTreeSet<String> {
    let mut files: BTreeSet<String> = files("man", "")
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .filter(|page| sandbox || !page.starts_with("countersign-sandbox"))
        .map(|page| format!("share/man/man{}/{page}", page.rsplit('.').next().unwrap()))
        .collect();
    files.insert("bin/countersign".to_owned());
    for unit in UNITS {
        files.insert(unit.to_owned());
    }
    files.insert("share/bash-completion/completions/countersign".to_owned());
    files.insert("share/zsh/site-functions/_countersign".to_owned());
    files.insert("share/fish/vendor_completions.d/countersign.fish".to_owned());
    files
}

#[test]
fn a_dry_run_names_every_file_and_writes_none() {
    let place = Place::new();
    let prefix = place.prefix();
    let (status, said, complained) = place.run(&["--dry-run", "--prefix", prefix.to_str().unwrap()]);
    assert_eq!((status, complained.as_str()), (0, ""));
    assert_eq!(place.installed(), BTreeSet::new());
    assert!(!place.folder.path().join("cargo.log").exists(), "cargo was run");
    let prefix = prefix.to_str().unwrap();
    assert!(said.contains(&format!("cargo install --locked --path {TREE} --root {prefix}\n")), "{said}");
    for file in expected(true).iter().filter(|file| *file != "bin/countersign") {
        assert!(said.lines().any(|line| line.ends_with(&format!("{prefix}/{file}"))), "'{file}' in\n{said}");
    }
}

#[test]
fn what_is_installed_is_uninstalled() {
    let place = Place::new();
    let prefix = place.prefix().to_str().unwrap().to_owned();
    for (arguments, sandbox) in
        [(&["--prefix", "a prefix"][..], true), (&["--no-sandbox", "--prefix", &prefix], false)]
    {
        let (status, said, complained) = place.run(arguments);
        assert_eq!((status, complained.as_str()), (0, ""), "{said}");
        assert_eq!(place.installed(), expected(sandbox), "{arguments:?}");
        let (status, _, complained) = place.run(&["--uninstall", "--prefix", &prefix]);
        assert_eq!((status, complained.as_str()), (0, ""));
        assert_eq!(place.installed(), BTreeSet::new());
    }
    let log = fs::read_to_string(place.folder.path().join("cargo.log")).unwrap();
    let features: Vec<bool> = log.lines().map(|line| line.contains("--no-default-features")).collect();
    assert_eq!(features, [false, false, true, false], "{log}");
}

#[test]
fn a_wrong_option_does_nothing() {
    let place = Place::new();
    let (status, said, complained) = place.run(&["--prefixx"]);
    assert_eq!((status, said.as_str()), (64, ""));
    assert!(complained.starts_with("error: unknown option '--prefixx'\nhint: "), "{complained}");
    assert_eq!(place.run(&["--prefix"]).0, 64);
    assert_eq!(place.run(&["--prefix="]).0, 64);
}

#[test]
fn the_completions_are_scripts_of_their_shells() {
    for shell in ["bash", "zsh", "fish"] {
        if Command::new(shell).arg("--version").output().is_err() {
            println!("NOTE: the_completions_are_scripts_of_their_shells: {shell} not found");
            continue;
        }
        let script = Command::new(PROGRAM).args(["completions", shell]).output().unwrap().stdout;
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), script).unwrap();
        let output = Command::new(shell).arg("-n").arg(file.path()).output().unwrap();
        assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn systemd_understands_the_units_wherever_the_program_is() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("NOTE: systemd_understands_the_units_wherever_the_program_is: systemd-analyze not found");
        return;
    }
    let place = Place::new();
    let (status, said, complained) = place.run(&["--prefix", "a prefix"]);
    assert_eq!((status, complained.as_str()), (0, ""), "{said}");
    let units: Vec<PathBuf> = UNITS.iter().map(|unit| place.prefix().join(unit)).collect();
    let service = fs::read_to_string(&units[1]).unwrap();
    let program = place.prefix().join("bin/countersign");
    assert!(service.contains(&format!("ExecStart=\"{}\" agent run", program.display())), "{service}");
    let output = Command::new("systemd-analyze")
        .args(["--user", "verify", "--man=no"])
        .args(&units)
        .env("XDG_RUNTIME_DIR", place.folder.path())
        .env("HOME", place.folder.path())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    let own: Vec<&str> = words.lines().filter(|line| line.contains("countersign")).collect();
    assert_eq!(own, Vec::<&str>::new(), "{words}");
}

/// macOS itself is not here; what it would read is.
#[test]
fn the_property_list_is_one_wherever_the_program_is() {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("NOTE: the_property_list_is_one_wherever_the_program_is: python3 not found");
        return;
    }
    let place = Place::new();
    let uname = place.folder.path().join("bin/uname");
    fs::write(&uname, "#!/bin/sh\necho Darwin\n").unwrap();
    fs::set_permissions(&uname, fs::Permissions::from_mode(0o755)).unwrap();
    let (status, said, complained) = place.run(&["--prefix", "a <prefix> & more"]);
    assert_eq!((status, complained.as_str()), (0, ""), "{said}");
    let prefix = place.folder.path().join("a <prefix> & more");
    let read = "import plistlib, sys\nall = plistlib.load(open(sys.argv[1], 'rb'))\n\
                print(all['ProgramArguments'][0])\nprint(all['Sockets']['Listeners']['SockPathMode'])";
    let list = prefix.join("share/countersign/countersign.plist");
    let output = Command::new("python3").args(["-c", read]).arg(list).output().unwrap();
    let program = prefix.join("bin/countersign");
    let expected = format!("{}\n{}\n", program.display(), 0o600);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        expected,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn what_is_for_everybody_everybody_can_read_and_nothing_of_an_earlier_version_stays() {
    let place = Place::new();
    let script = format!("umask 077; exec sh '{TREE}/installers/install.sh' --prefix 'a prefix'");
    let path = std::env::var("PATH").unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &script]).env_clear().current_dir(place.folder.path());
    command.env("PATH", format!("{}:{path}", place.folder.path().join("bin").display()));
    assert!(command.env("HOME", place.folder.path()).output().unwrap().status.success());
    let mode = |name: &str| place.prefix().join(name).metadata().unwrap().permissions().mode() & 0o777;
    for name in ["bin/countersign", "share/man/man1/countersign.1", "share/man/man1"] {
        assert_eq!(mode(name) & 0o044, 0o044, "{name}: {:o}", mode(name));
    }
    fs::write(place.prefix().join("share/man/man1/countersign-earlier.1"), "").unwrap();
    fs::write(place.prefix().join("share/man/man1/other.1"), "").unwrap();
    assert_eq!(place.run(&["--uninstall", "--prefix", "a prefix"]).0, 0);
    assert_eq!(place.installed(), BTreeSet::from(["share/man/man1/other.1".to_owned()]));
}

/// What a package of a distribution holds, by its table in Cargo.toml.
fn packaged(table: &str) -> BTreeSet<String> {
    let manifest: toml::Table =
        fs::read_to_string(Path::new(TREE).join("Cargo.toml")).unwrap().parse().unwrap();
    let metadata = &manifest["package"]["metadata"][table]["assets"];
    let entries = metadata.as_array().unwrap().iter().map(|asset| {
        let source = asset.get(0).or_else(|| asset.get("source")).unwrap();
        source.as_str().unwrap().to_owned()
    });
    entries.collect()
}

#[test]
fn packages_hold_all_that_the_installer_installs() {
    let wanted: BTreeSet<String> = [
        "target/release/countersign",
        "target/release/countersign-gate",
        "target/release/git-remote-verified",
        "target/man/*.1",
        "target/man/*.5",
        "installers/units/countersign.socket",
        "installers/units/countersign.service",
        "README.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "LICENSE",
        "target/completions/countersign.bash",
        "target/completions/_countersign",
        "target/completions/countersign.fish",
    ]
    .map(ToOwned::to_owned)
    .into();
    for table in ["deb", "generate-rpm"] {
        assert_eq!(packaged(table), wanted, "{table}");
    }
    for source in wanted.iter().filter(|source| !source.starts_with("target/") && !source.contains('*')) {
        assert!(Path::new(TREE).join(source).is_file(), "{source}");
    }
}
