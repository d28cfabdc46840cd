//! A folder with certificate authorities and certificates made by openssl, and a repository.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// What every object of these tests says, but for its signature.
pub const PAYLOAD: &str = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\
    author A <a@example.org> 1600000000 +0000\ncommitter A <a@example.org> 1600000000 +0000\n\nmessage\n";

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_countersign");

/// Extensions of an authority that may stand above others, one that may not, and of a certificate for mail.
pub const ROOT: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n";
pub const INTERMEDIATE: &str =
    "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n";
pub const MAIL: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n\
    extendedKeyUsage=emailProtection\nsubjectAltName=email:NAME@corp.example\n";

/// From when to when most certificates are valid.
pub const ALWAYS: (&str, &str) = ("20200101000000Z", "20400101000000Z");
/// The year 2021.
pub const YEAR_2021: (&str, &str) = ("20210101000000Z", "20220101000000Z");
/// Middle of 2021, in seconds since 1970.
pub const MIDDLE_OF_2021: i64 = 1_625_000_000;

/// A policy whose people have certificates by the authority `corp`, whose file is `file`: each name with what says
/// whose certificate it is.
pub fn policy(file: &str, people: &[(&str, &str)], rules: &str) -> String {
    let people: String = people
        .iter()
        .map(|(name, what)| format!("[identity.{name}]\nx509 = [{{ authority = \"corp\", {what} }}]\n"))
        .collect();
    format!(
        "version = 1\nrepository = \"example.com/project\"\nother_refs = \"refuse\"\n\
         [[certificate_authority]]\nname = \"corp\"\nfile = \"{file}\"\n{people}{rules}"
    )
}

pub struct Workshop {
    folder: tempfile::TempDir,
}

impl Workshop {
    /// A root, `root`, an intermediate authority under it, `middle`, and a certificate for mail of `alice`.
    /// `None`, with a line that says so, where a program is not installed.
    pub fn new(test: &str, programs: &[&str]) -> Option<Self> {
        for program in ["openssl", "git"].iter().chain(programs) {
            let version = if *program == "openssl" { "version" } else { "--version" };
            if Command::new(program).arg(version).stdout(Stdio::null()).status().is_err() {
                println!("SKIPPED: {test}: {program} is not installed");
                return None;
            }
        }
        // The path of the agent's socket has to be short.
        let folder = tempfile::Builder::new().prefix("cs").tempdir_in("/tmp").unwrap();
        let workshop = Self { folder };
        workshop.run("git", &["init", "-q", "-b", "main", "repository"]);
        fs::create_dir(workshop.path("ca")).unwrap();
        fs::write(workshop.path("ca/index"), "").unwrap();
        fs::write(workshop.path("ca/index.attr"), "unique_subject = no\n").unwrap();
        fs::write(workshop.path("ca/serial"), "4D00\n").unwrap();
        fs::write(workshop.path("ca/crlnumber"), "01\n").unwrap();
        fs::write(
            workshop.path("ca.cnf"),
            "[ca]\ndefault_ca = default\n[default]\ndatabase = ca/index\nserial = ca/serial\ncrlnumber = ca/crlnumber\n\
             new_certs_dir = ca\ndefault_md = sha256\npolicy = names\npreserve = yes\n\
             [numbered]\nauthorityKeyIdentifier = keyid\n\
             [names]\norganizationName = optional\ncommonName = supplied\nemailAddress = optional\n",
        )
        .unwrap();
        workshop.issue("root", "root", ROOT, ALWAYS);
        workshop.issue("middle", "root", INTERMEDIATE, ALWAYS);
        workshop.issue("alice", "middle", MAIL, ALWAYS);
        Some(workshop)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.folder.path())
            .env("GNUPGHOME", self.path("gnupg"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "A")
            .env("GIT_AUTHOR_EMAIL", "a@example.org")
            .env("GIT_COMMITTER_NAME", "A")
            .env("GIT_COMMITTER_EMAIL", "a@example.org")
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        String::from_utf8_lossy(&self.bytes(program, arguments)).into_owned()
    }

    pub fn bytes(&self, program: &str, arguments: &[&str]) -> Vec<u8> {
        let output = self.command(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {}", words(&output));
        output.stdout
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        let output =
            self.command("git").current_dir(self.path("repository")).args(arguments).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", words(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A P-256 key called `name`.
    pub fn key(&self, name: &str) {
        self.key_as(name, &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    }

    /// A key called `name`; `algorithm` as for `openssl genpkey`.
    pub fn key_as(&self, name: &str, algorithm: &[&str]) {
        let file = format!("{name}.key");
        self.run("openssl", &[&["genpkey", "-out", &file, "-quiet", "-algorithm"], algorithm].concat());
    }

    /// A certificate of `/O=Corp/CN=NAME` by `issuer`, for the key of that name, which is made if need be.
    pub fn issue(&self, name: &str, issuer: &str, extensions: &str, valid: (&str, &str)) {
        self.issue_for(name, &format!("/O=Corp/CN={name}"), issuer, extensions, valid);
    }

    /// [`Self::issue`] for mail, signed with another digest.
    pub fn issue_by_digest(&self, name: &str, issuer: &str, digest: &str) {
        let configuration = fs::read_to_string(self.path("ca.cnf")).unwrap();
        let other = configuration.replace("default_md = sha256", &format!("default_md = {digest}"));
        fs::write(self.path("ca.cnf"), other).unwrap();
        self.issue(name, issuer, MAIL, ALWAYS);
        fs::write(self.path("ca.cnf"), configuration).unwrap();
    }

    /// [`Self::issue`] with any subject.
    pub fn issue_for(&self, name: &str, subject: &str, issuer: &str, extensions: &str, valid: (&str, &str)) {
        if !self.path(&format!("{name}.key")).exists() {
            self.key(name);
        }
        let [key, request, certificate, file] =
            ["key", "request", "pem", "extensions"].map(|kind| format!("{name}.{kind}"));
        let extensions = extensions.replace("NAME", name);
        let identifiers = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
        let identifiers = if name == issuer { "subjectKeyIdentifier=hash\n" } else { identifiers };
        fs::write(self.path(&file), format!("{extensions}{identifiers}")).unwrap();
        self.run("openssl", &["req", "-new", "-key", &key, "-out", &request, "-subj", subject]);
        let (issuer_key, issuer_certificate) = (format!("{issuer}.key"), format!("{issuer}.pem"));
        let by: &[&str] = if name == issuer { &["-selfsign"] } else { &["-cert", &issuer_certificate] };
        let fixed = ["ca", "-batch", "-config", "ca.cnf", "-notext", "-keyfile", &issuer_key];
        let rest = ["-in", &request, "-out", &certificate, "-extfile", &file];
        let dates = ["-startdate", valid.0, "-enddate", valid.1];
        self.run("openssl", &[&fixed[..], by, &rest, &dates].concat());
    }

    /// The PEM text of certificates, one after the other.
    pub fn pem(&self, names: &[&str]) -> String {
        names.iter().map(|name| fs::read_to_string(self.path(&format!("{name}.pem"))).unwrap()).collect()
    }

    /// A certificate's DER.
    pub fn der(&self, name: &str) -> Vec<u8> {
        let pem = self.pem(&[name]);
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        STANDARD.decode(body).unwrap()
    }

    /// A signature over [`PAYLOAD`] by `openssl cms -sign`, in git's armor.
    pub fn openssl_sign(&self, name: &str, options: &[&str]) -> String {
        fs::write(self.path("payload"), PAYLOAD).unwrap();
        let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
        let fixed = ["cms", "-sign", "-binary", "-in", "payload", "-outform", "DER"];
        let by = ["-signer", &certificate, "-inkey", &key];
        armor(&self.bytes("openssl", &[&fixed[..], &by, options].concat()))
    }

    /// Write a commit that carries `armor`; its id.
    pub fn commit(&self, armor: &str) -> String {
        self.commit_saying(PAYLOAD, armor)
    }

    /// [`Self::commit`] with any payload.
    pub fn commit_saying(&self, payload: &str, armor: &str) -> String {
        let (headers, message) = payload.split_once("\n\n").unwrap();
        let signature = armor.trim_end().replace('\n', "\n ");
        let file = write(&self.path(""), "object", &format!("{headers}\ngpgsig {signature}\n\n{message}"));
        let id = self.git(&["hash-object", "-t", "commit", "-w", file.to_str().unwrap()]);
        id.trim().to_owned()
    }

    /// What `git log` prints for a commit in `format`, with `program` as git's program for X.509.
    pub fn log(&self, program: &str, id: &str, format: &str) -> String {
        let program = format!("gpg.x509.program={program}");
        let format = format!("--format={format}");
        self.git(&["-c", &program, "log", "-1", &format, id]).trim_end().to_owned()
    }

    /// Whether `git verify-commit` accepts a commit, and all that it says.
    pub fn verify(&self, program: &str, id: &str, settings: &[&str]) -> (bool, String) {
        let program = format!("gpg.x509.program={program}");
        let mut git = self.command("git");
        git.current_dir(self.path("repository")).args(["-c", &program]);
        let settings = settings.iter().flat_map(|setting| ["-c", setting]);
        let output = git.args(settings).args(["verify-commit", "--raw", id]).output().unwrap();
        (output.status.success(), words(&output))
    }

    /// A GnuPG home that trusts `roots`, knows the certificates of all `names`, asks for no revocation lists,
    /// and holds the keys of `keys`.
    pub fn gnupg(&self, roots: &[&str], names: &[&str], keys: &[&str]) {
        let home = self.path("gnupg");
        fs::create_dir(&home).unwrap();
        self.run("chmod", &["700", "gnupg"]);
        let entry = |home: &Path, answer: &str| {
            let script = write(home, "pinentry", answer);
            self.run("chmod", &["700", script.to_str().unwrap()]);
            script
        };
        let script = entry(
            &home,
            "#!/bin/sh\necho OK\nwhile read -r line; do\ncase $line in\n\
             GETPIN*) echo 'D x'; echo OK ;;\nBYE*) echo OK; exit ;;\n*) echo OK ;;\nesac\ndone\n",
        );
        let agent = format!("pinentry-program {}\nno-allow-mark-trusted\n", script.display());
        write(&home, "gpg-agent.conf", &agent);
        write(&home, "gpgsm.conf", "disable-crl-checks\n");
        self.trust(roots);
        for name in names {
            self.bytes("gpgsm", &["--batch", "--quiet", "--import", &format!("{name}.pem")]);
        }
        for name in keys {
            let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
            let old = ["-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"];
            let fixed = ["pkcs12", "-export", "-passout", "pass:x", "-out", "key.p12"];
            let rest = ["-in", &certificate, "-inkey", &key];
            // gpgsm 2.2 misreads one such file in a few dozen; another one, with other salts, will do.
            let is_imported = (0..8).any(|_| {
                self.run("openssl", &[&fixed[..], &rest, &old].concat());
                let import = ["--batch", "--quiet", "--import", "key.p12"];
                self.command("gpgsm").args(import).output().unwrap().status.success()
            });
            assert!(is_imported, "gpgsm takes no key of {name}");
        }
    }

    /// Make GnuPG trust these roots and no others.
    pub fn trust(&self, roots: &[&str]) {
        let lines: Vec<String> = roots.iter().map(|root| format!("{} S relax\n", self.sha1(root))).collect();
        write(&self.path("gnupg"), "trustlist.txt", &lines.concat());
        let _ = self.command("gpgconf").args(["--kill", "gpg-agent"]).output();
    }

    /// A certificate's SHA-1 fingerprint with colons, as openssl prints it.
    pub fn sha1(&self, name: &str) -> String {
        let file = format!("{name}.pem");
        let text = self.run("openssl", &["x509", "-in", &file, "-noout", "-fingerprint", "-sha1"]);
        text.trim().split_once('=').unwrap().1.to_owned()
    }

    /// A signature over [`PAYLOAD`] by gpgsm, at `time` if one is given.
    pub fn gpgsm_sign(&self, name: &str, time: Option<i64>) -> String {
        let file = write(&self.path(""), "payload", PAYLOAD);
        let time = time.map(|time| time.to_string());
        let faked: Vec<&str> = time.iter().flat_map(|time| ["--faked-system-time", time]).collect();
        let user = format!("{name}@corp.example");
        let fixed = ["--batch", "--quiet", "--armor", "--detach-sign", "-u", &user, file.to_str().unwrap()];
        self.run("gpgsm", &[&faked[..], &fixed].concat())
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // The agent of this home alone; it would go by itself once its folder has.
        let _ = self.command("gpgconf").args(["--kill", "all"]).output();
    }
}

/// `der` in git's armor.
pub fn armor(der: &[u8]) -> String {
    String::from_utf8(countersign::signature::armor::encode(der)).unwrap()
}

/// Everything that a command has said.
pub fn words(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

/// `text` in the file `name` of `folder`.
pub fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}
