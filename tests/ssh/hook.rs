//! Pushes through the installed hook by people who sign with SSH keys.

use crate::workshop::{PROGRAM, Said, Workshop};

struct Server {
    workshop: Workshop,
}

impl Server {
    /// A server whose policy lets the key `alice`, and principal `bob` of the authority `ca`, sign on `main`.
    fn open(test: &str) -> Option<Self> {
        let workshop = Workshop::open(test)?;
        workshop.repository();
        for key in ["alice", "bob", "eve", "ca"] {
            workshop.key(key, &["ed25519"]);
        }
        workshop.certify("ca", "bob", &["-I", "i", "-n", "bob"]);
        workshop.run("git", &["init", "-q", "--bare", "-b", "main", "server.git"], b"").good();
        let policy = format!(
            "version = 1\nother_refs = \"refuse\"\n[identity.alice]\nssh = [\"{} her laptop\"]\n\
             [identity.bob]\nssh_certificates = [{{ authority = \"{}\", principal = \"bob\" }}]\n\
             [[rule]]\nname = \"main\"\nrefs = [\"refs/heads/main\"]\ncommits = [\"alice\", \"bob\"]\n\
             create = \"allow\"\n",
            workshop.public("alice"),
            workshop.public("ca"),
        );
        workshop.write("policy.toml", policy);
        let arguments = ["hook", "install", "--repository", "server.git", "--policy", "policy.toml"];
        workshop.run(PROGRAM, &arguments, b"").good();
        Some(Self { workshop })
    }

    /// Commit with the key or certificate in the file `key`, and push to main.
    fn push(&self, key: &str) -> Said {
        let sign = format!("-S{}", self.workshop.path(key).display());
        self.workshop.git(&["commit", "-q", "--allow-empty", "-m", "m", &sign]).good();
        self.workshop.git(&["push", "-q", "../server.git", "HEAD:refs/heads/main"])
    }

    /// Take the last commit back.
    fn undo(&self) {
        self.workshop.git(&["reset", "-q", "--hard", "HEAD~1"]).good();
    }
}

#[test]
fn named_keys_may_push_and_others_may_not() {
    let Some(server) = Server::open("hook with ssh") else { return };
    server.push("alice").good();
    server.push("bob-cert.pub").good();

    let said = server.push("eve");
    let eve = server.workshop.fingerprint("eve");
    assert_ne!(said.status, 0);
    for words in
        [format!("signed by 'SSH {eve}', whom the policy does not name (rule 'main')"), "hint: ".to_owned()]
    {
        assert!(said.stderr.contains(&words), "{said:?}");
    }
    server.undo();

    let said = server.push("bob");
    assert!(
        said.status != 0 && said.stderr.contains("whom the policy does not name"),
        "the bare key: {said:?}"
    );
    server.undo();

    server.workshop.certify("ca", "eve", &["-I", "i", "-n", "bobby"]);
    let said = server.push("eve-cert.pub");
    assert!(said.status != 0 && said.stderr.contains("SSH principal bobby of "), "{said:?}");
    server.undo();

    server.workshop.certify("ca", "bob", &["-I", "i", "-n", "bob", "-V", "20200101:20210101"]);
    let said = server.push("bob-cert.pub");
    assert!(said.status != 0 && said.stderr.contains("was not valid at the stated time"), "{said:?}");
    server.undo();
    server.push("alice").good();
}

#[test]
fn whoever_is_their_own_authority_names_no_more_than_is_read_and_told() {
    let Some(server) = Server::open("hook with many principals") else { return };
    server.push("alice").good();
    server.workshop.key("own", &["ed25519"]);
    let many = |length: usize| {
        let name = |number: usize| format!("p{number:03}{}", "x".repeat(length - 4));
        (0..256).map(name).collect::<Vec<_>>().join(",")
    };
    let push = |names: &str| {
        server.workshop.certify("own", "eve", &["-I", "i", "-n", names]);
        let said = server.push("eve-cert.pub");
        server.undo();
        assert_ne!(said.status, 0);
        assert!(said.stderr.len() < 4000, "{}", said.stderr.len());
        said.stderr
    };
    let said = push(&many(60));
    assert!(said.contains("' or others, whom the policy does not name"), "{said}");
    // More in all than are read, and one that is longer than any name.
    for names in [many(61), "x".repeat(257)] {
        let said = push(&names);
        assert!(said.contains("the signature cannot be read"), "{said}");
    }
}
