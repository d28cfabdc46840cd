//! Every kind of signer, in one table: how alice signs with it, and how a policy names her by it.

use crate::support::{ALICE, Repository, Run, World, now, skipped};

/// One kind. A new one gets its line in [`KINDS`], and every story is told of it.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub name: &'static str,
    /// The programs without which it cannot be tried.
    pub tools: &'static [&'static str],
    /// Whether its signatures prove their time.
    pub proves_time: bool,
    /// Make what is needed in the world, once.
    prepare: fn(&World),
    /// What git has to be told to sign with it.
    settings: fn(&World) -> Vec<String>,
    /// What the policy's head needs besides.
    head: &'static str,
    /// The key of the identity's table, and the parts of its entry.
    entry: fn(&World) -> (&'static str, String),
}

pub const KINDS: [Kind; 5] = [
    Kind {
        name: "keyless",
        tools: &[],
        proves_time: true,
        prepare: |_| {},
        settings: |_| Vec::new(),
        head: "[[instance]]\nname = \"sandbox\"\ntrusted_root = \"authority/trusted_root.json\"\n",
        entry: |world| {
            let issuer = world.url();
            let signer = format!(
                "instance = \"sandbox\", issuer = \"{issuer}\", kind = \"email\", subject = \"{ALICE}\""
            );
            ("keyless", signer)
        },
    },
    Kind {
        name: "ssh",
        tools: &["ssh-keygen"],
        proves_time: false,
        prepare: |world| ssh_key(world, "alice"),
        settings: |world| ssh(world, "alice"),
        head: "",
        entry: |world| ("ssh", format!("key = \"{}\"", public(world, "alice"))),
    },
    Kind {
        name: "ssh certificate",
        tools: &["ssh-keygen"],
        proves_time: false,
        prepare: |world| {
            ssh_key(world, "ca");
            ssh_key(world, "alice");
            let arguments = ["-q", "-s", "ca", "-I", "alice", "-n", "alice", "alice.pub"];
            world.run("ssh-keygen", &arguments).directory(&world.path("")).check();
        },
        settings: |world| ssh(world, "alice-cert.pub"),
        head: "",
        entry: |world| {
            ("ssh_certificates", format!("authority = \"{}\", principal = \"alice\"", public(world, "ca")))
        },
    },
    Kind {
        name: "openpgp",
        tools: &["gpg"],
        proves_time: false,
        prepare: |world| {
            world.run("chmod", &["700", "gnupg"]).directory(&world.path("")).check();
            let user = format!("Alice <{ALICE}>");
            let generate = ["--quick-generate-key", &user, "ed25519", "sign", "0"];
            gpg(world, &[&["--faked-system-time", "20200101T000000!"], &generate[..]].concat());
            let keys = gpg(world, &["--armor", "--export"]);
            world.write("alice.asc", keys);
            // gpg as it is for whoever sets the clock of the machine.
            let script = "#!/bin/sh\nexec gpg --batch --no-tty --quiet --pinentry-mode loopback --passphrase '' \
                          ${SIGN_AT:+--faked-system-time \"$SIGN_AT\"} \"$@\"\n";
            let script = world.write("gpg-at", script);
            world.run("chmod", &["755", script.to_str().unwrap()]).directory(&world.path("")).check();
        },
        settings: |world| {
            let program = world.path("gpg-at").display().to_string();
            vec![
                "gpg.format=openpgp".to_owned(),
                format!("gpg.openpgp.program={program}"),
                format!("user.signingKey={}", fingerprint(world)),
            ]
        },
        head: "[[openpgp_certificates]]\nfile = \"alice.asc\"\n",
        entry: |world| ("openpgp", format!("fingerprint = \"{}\"", fingerprint(world))),
    },
    Kind {
        name: "s/mime",
        tools: &["gpgsm", "openssl", "gpg"],
        proves_time: false,
        prepare: smime,
        settings: |world| {
            vec![
                "gpg.format=x509".to_owned(),
                format!("gpg.x509.program={}", world.path("gpgsm-at").display()),
                format!("user.signingKey={ALICE}"),
            ]
        },
        head: "[[certificate_authority]]\nname = \"corp\"\nfile = \"root.pem\"\n",
        entry: |_| ("x509", format!("authority = \"corp\", subject = \"{ALICE}\"")),
    },
];

/// An authority by openssl, a certificate for alice's mail, and gpgsm as it is for whoever sets the clock of
/// the machine.
fn smime(world: &World) {
    let run = |program: &str, arguments: &[&str]| {
        let run = world.run(program, arguments).directory(&world.path("")).any_stdout().any_stderr();
        run.check().text()
    };
    let script = |name: &str, text: &str| {
        let path = world.write(name, text).display().to_string();
        run("chmod", &["700", &path]);
        path
    };
    run("chmod", &["700", "gnupg"]);
    run("mkdir", &["ca"]);
    for (name, text) in [("ca/index", ""), ("ca/serial", "4D00\n")] {
        world.write(name, text);
    }
    world.write(
        "ca.cnf",
        "[ca]\ndefault_ca = default\n[default]\ndatabase = ca/index\nserial = ca/serial\nnew_certs_dir = ca\n\
         default_md = sha256\npolicy = names\n[names]\ncommonName = supplied\n\
         [root]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n\
         subjectKeyIdentifier=hash\n[mail]\nbasicConstraints=critical,CA:FALSE\n\
         keyUsage=critical,digitalSignature\nextendedKeyUsage=emailProtection\n\
         subjectAltName=email:alice@example.com\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n",
    );
    for (name, by) in [
        ("root", &["-selfsign", "-extensions", "root"][..]),
        ("alice", &["-cert", "root.pem", "-extensions", "mail"]),
    ] {
        let [key, request, certificate] = ["key", "csr", "pem"].map(|kind| format!("{name}.{kind}"));
        let subject = format!("/CN={name}");
        run(
            "openssl",
            &["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", &key],
        );
        run("openssl", &["req", "-new", "-key", &key, "-out", &request, "-subj", &subject]);
        let fixed = ["ca", "-batch", "-config", "ca.cnf", "-notext", "-keyfile", "root.key"];
        let dates = ["-startdate", "20200101000000Z", "-enddate", "20400101000000Z"];
        run("openssl", &[&fixed[..], by, &["-in", &request, "-out", &certificate], &dates].concat());
    }
    let pinentry = script(
        "pinentry",
        "#!/bin/sh\necho OK\nwhile read -r line; do\ncase $line in\n\
         GETPIN*) echo 'D x'; echo OK ;;\nBYE*) echo OK; exit ;;\n*) echo OK ;;\nesac\ndone\n",
    );
    world.write("gnupg/gpg-agent.conf", format!("pinentry-program {pinentry}\nno-allow-mark-trusted\n"));
    world.write("gnupg/gpgsm.conf", "disable-crl-checks\n");
    let root = run("openssl", &["x509", "-in", "root.pem", "-noout", "-fingerprint", "-sha1"]);
    let (_, root) = root.trim().split_once('=').unwrap();
    world.write("gnupg/trustlist.txt", format!("{root} S relax\n"));
    run("gpgsm", &["--batch", "--quiet", "--import", "root.pem"]);
    let old = ["-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"];
    let fixed = ["pkcs12", "-export", "-passout", "pass:x", "-out", "alice.p12"];
    // gpgsm 2.2 misreads one such file in a few dozen; another one, with other salts, will do.
    let is_imported = (0..8).any(|_| {
        run("openssl", &[&fixed[..], &["-in", "alice.pem", "-inkey", "alice.key"], &old].concat());
        let import = world.run("gpgsm", &["--batch", "--quiet", "--import", "alice.p12"]);
        let import = import.directory(&world.path("")).any_status().any_stdout().any_stderr();
        import.check().status == 0
    });
    assert!(is_imported, "gpgsm takes none of alice's keys");
    let text =
        "#!/bin/sh\nexec gpgsm --batch --quiet ${SIGN_AT:+--faked-system-time \"${SIGN_AT%!}\"} \"$@\"\n";
    script("gpgsm-at", text);
}

fn ssh_key(world: &World, name: &str) {
    let arguments = ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name];
    world.run("ssh-keygen", &arguments).directory(&world.path("")).check();
}

fn ssh(world: &World, key: &str) -> Vec<String> {
    let key = world.path(key).display().to_string();
    vec!["gpg.format=ssh".to_owned(), format!("user.signingKey={key}")]
}

fn public(world: &World, name: &str) -> String {
    std::fs::read_to_string(world.path(&format!("{name}.pub"))).unwrap().trim_end().to_owned()
}

/// gpg in the world's own home; what it prints.
pub fn gpg(world: &World, arguments: &[&str]) -> String {
    let fixed = ["--batch", "--quiet", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", ""];
    let arguments = [&fixed[..], arguments].concat();
    let run = world.run("gpg", &arguments).directory(&world.path("")).any_stdout().any_stderr();
    run.check().text()
}

fn fingerprint(world: &World) -> String {
    let listing = gpg(world, &["--with-colons", "--list-keys"]);
    let line = listing.lines().find(|line| line.starts_with("fpr:")).unwrap();
    line.split(':').nth(9).unwrap().to_owned()
}

impl Kind {
    /// A world in which alice can sign so, or `None` with a line that says what is missing.
    pub fn world(&self, test: &str) -> Option<Stage> {
        if self.tools.iter().any(|tool| skipped(&format!("{test}, {}", self.name), tool)) {
            return None;
        }
        let world = World::new();
        (self.prepare)(&world);
        Some(Stage { kind: *self, world })
    }
}

/// A world with one kind of signer.
pub struct Stage {
    pub kind: Kind,
    pub world: World,
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.kind.tools.contains(&"gpg") {
            // The agent of this home alone.
            let kill = self.world.run("gpgconf", &["--kill", "all"]).directory(&self.world.path(""));
            kill.any_status().any_stdout().any_stderr().check();
        }
    }
}

impl Stage {
    /// git with what it takes to sign as alice.
    pub fn git<'w>(&'w self, repository: &Repository<'w>, arguments: &[&str]) -> Run<'w> {
        let settings = (self.kind.settings)(&self.world);
        let mut all: Vec<&str> = Vec::new();
        for setting in &settings {
            all.extend(["-c", setting]);
        }
        all.extend(arguments);
        repository.git(&all)
    }

    /// A commit of alice's; its id.
    pub fn commit(&self, repository: &Repository<'_>, message: &str) -> String {
        self.commit_at(repository, message, now())
    }

    /// A commit of alice's in which every date that she chooses is `time`; its id.
    pub fn commit_at(&self, repository: &Repository<'_>, message: &str, time: i64) -> String {
        let date = format!("@{time} +0000");
        self.git(repository, &["commit", "-q", "--allow-empty", "-S", "-m", message])
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_DATE", &date)
            .env("SIGN_AT", gpg_time(time))
            .any_stderr()
            .check();
        repository.id("HEAD")
    }

    /// Write the policy: alice as this kind knows her, with `window` beside it (`, until = …`), `lines` in
    /// her table, and `anchors` of object and moment. Everything is hers.
    pub fn policy(&self, window: &str, lines: &str, anchors: &[(&str, i64)]) -> String {
        let (key, entry) = (self.kind.entry)(&self.world);
        let mut text = format!("version = 1\nother_refs = \"refuse\"\n{}", self.kind.head);
        for (object, received) in anchors {
            text += &format!("[[anchor]]\nobject = \"{object}\"\nreceived = {}\n", moment(*received));
        }
        text += &format!("[identity.alice]\n{key} = [{{ {entry}{window} }}]\n{lines}\n");
        text += "[[rule]]\nname = \"all\"\nrefs = [\"refs/**\"]\ncommits = [\"alice\"]\ntags = [\"alice\"]\n\
                 create = \"allow\"\nrewind = \"allow\"\nbases = [\"refs/heads/main\"]\n";
        self.world.write("policy.toml", text).to_str().unwrap().to_owned()
    }
}

/// Tell `story` of every kind of signer, side by side.
pub fn each(test: &str, story: impl Fn(&Stage) + Sync) {
    let story = &story;
    std::thread::scope(|scope| {
        for kind in KINDS {
            scope.spawn(move || kind.world(test).iter().for_each(story));
        }
    });
}

/// A moment as policies write it.
pub fn moment(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap().to_string()
}

/// A moment as gpg takes it, where the clock stands still.
fn gpg_time(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).unwrap();
    format!("{}!", time.strftime("%Y%m%dT%H%M%S"))
}

/// Wait until `moment` is past.
pub fn wait_for(moment: i64) {
    while now() <= moment {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
