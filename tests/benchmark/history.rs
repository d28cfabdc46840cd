//! A long signed history verified in one run: commits per second, and the peak of anonymous memory.
//!
//! The history is built in process with the keys of an embedded authority: every tenth commit brings a new
//! certificate and a new checkpoint, on as many branches as it takes to sign in parallel. Beside it, in the
//! same run, `git log --format=%G?` with gpg and with ssh-keygen over small histories.
//!
//! Run with `cargo bench --bench history`; the number of commits may be given as argument.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use countersign::{
    encoding::sha256,
    sandbox::{Authority, Identity, KeyAlgorithm, LeafProfile, Options, REKOR_V1_NAME, Role, SigningKey},
    signature::{
        armor,
        emit::{Evidence, SignedAttributes, detached_signature},
    },
    sigstore::log_entry::{
        self, BodyVersion, Checkpoint, InclusionPromise, InclusionProof, KindVersion, LogId,
        TransparencyLogEntry,
    },
};
use gix::{
    hash::{Kind as HashKind, ObjectId},
    objs::{self, Kind},
    odb::pack::data::{Version, entry, header},
    zlib::{Compression, stream::deflate},
};
use prost::Message as _;

const PROGRAM: &str = env!("CARGO_BIN_EXE_countersign");
pub const SIGNER: &str = "alice@example.com";
/// How many commits when the command line says nothing.
const COMMITS: usize = 20_000;
/// How many commits share a certificate, and how many share a checkpoint.
const SHARED: usize = 10;
/// How many commits the programs that git runs are given.
const SMALL: usize = 200;
/// What the peak of anonymous memory has to stay under, in MiB.
const MEMORY: u64 = 150;
/// Height of the log's tree: proofs are as long as in a log of a million entries.
const HEIGHT: usize = 20;
/// Height of the subtree that holds the entries of one checkpoint.
const INNER: usize = 4;

fn main() {
    let wanted = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(COMMITS);
    let world = World::new();
    let begun = Instant::now();
    let history = world.build(wanted);
    let repository = world.path("history.git");
    println!(
        "built {} commits on {} branches with {} certificates and as many checkpoints in {:.1} s: a pack of {} MiB",
        history.commits,
        history.branches,
        history.commits / SHARED,
        begun.elapsed().as_secs_f64(),
        history.bytes >> 20,
    );

    let all = world.verify(&repository, &["--all"], history.commits);
    let root = history.first.to_string();
    let since = world.verify(&repository, &["--all", "--since", &root], history.commits - 1);
    println!("verify --all: {all}");
    println!("verify --all --since (which walks first): {since}");

    for (name, seconds) in world.programs() {
        let rate = SMALL as f64 / seconds.as_secs_f64();
        println!(
            "git log --format=%G? with {name}: {rate:.0} commits/s; countersign verify is {:.0} times as fast",
            all.rate / rate
        );
    }
    for run in [all, since] {
        assert!(run.memory >> 10 < MEMORY, "the peak of anonymous memory is {} KiB", run.memory);
    }
}

/// What one run of the program came to.
pub struct Measured {
    rate: f64,
    pub seconds: f64,
    /// The peak of RssAnon, in KiB.
    memory: u64,
}

impl std::fmt::Display for Measured {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rate, seconds, memory } = self;
        let mebibytes = *memory as f64 / 1024.0;
        write!(formatter, "{rate:.0} commits/s ({seconds:.1} s), peak RssAnon {mebibytes:.1} MiB")
    }
}

/// What was built.
pub struct History {
    pub commits: usize,
    branches: usize,
    first: ObjectId,
    bytes: u64,
}

pub struct World {
    directory: tempfile::TempDir,
    pub authority: Authority,
    now: i64,
}

impl World {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new(Options::default()).unwrap();
        fs::create_dir(directory.path().join("home")).unwrap();
        fs::write(directory.path().join("root.json"), authority.trusted_root_json()).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap();
        Self { directory, authority, now }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `command` without anything of the machine's own.
    pub fn isolated<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path("home"))
            .env("GNUPGHOME", self.path("home"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
    }

    fn run(&self, command: &mut Command) -> String {
        let output = self.isolated(command).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn git(&self, repository: &Path, arguments: &[&str]) -> String {
        self.run(Command::new("git").arg("-C").arg(repository).args(arguments))
    }

    /// A bare repository `history.git` of at least `wanted` signed commits, in one pack.
    pub fn build(&self, wanted: usize) -> History {
        let repository = self.path("history.git");
        self.run(Command::new("git").args(["init", "-q", "--bare"]).arg(&repository));
        let groups = thread::available_parallelism().map_or(1, usize::from) * 2;
        let steps = wanted.div_ceil(groups * SHARED);
        let commits = groups * SHARED * steps;

        let temporary = repository.join("objects/pack/new.pack");
        let (sender, receiver) = sync_channel(64);
        let (branches, digest) = thread::scope(|scope| {
            let writer = scope.spawn(|| write_pack(&temporary, receiver, commits + 1));
            let tree = add(&sender, Kind::Tree, b"");
            let members: Vec<_> = (0..groups)
                .map(|group| {
                    let sender = sender.clone();
                    scope.spawn(move || Group { world: self, group, tree }.grow(steps, &sender))
                })
                .collect();
            drop(sender);
            let branches: Vec<(ObjectId, ObjectId)> =
                members.into_iter().flat_map(|member| member.join().unwrap()).collect();
            (branches, writer.join().unwrap())
        });
        let pack = repository.join(format!("objects/pack/pack-{digest}.pack"));
        fs::rename(temporary, &pack).unwrap();
        self.git(&repository, &["index-pack", pack.to_str().unwrap()]);
        for (number, (_, tip)) in branches.iter().enumerate() {
            fs::write(repository.join(format!("refs/heads/branch{number}")), format!("{tip}\n")).unwrap();
        }
        History {
            commits,
            branches: branches.len(),
            first: branches[0].0,
            bytes: pack.metadata().unwrap().len(),
        }
    }

    /// Verify with the program; all must be good.
    pub fn verify(&self, repository: &Path, arguments: &[&str], expected: usize) -> Measured {
        let root = format!("sandbox={}", self.path("root.json").display());
        let errors = self.path("errors");
        let begun = Instant::now();
        let mut child = self
            .isolated(&mut Command::new(PROGRAM))
            .args(["verify", "--format", "json", "--identity", SIGNER, "--issuer", self.authority.url()])
            .args(["--instance", "sandbox", "--trusted-root", &root, "--repository"])
            .arg(repository)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(File::create(&errors).unwrap())
            .spawn()
            .unwrap();
        let mut memory = 0;
        let status = loop {
            memory = memory.max(anonymous_memory(child.id()).unwrap_or(0));
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            thread::sleep(Duration::from_millis(5));
        };
        let seconds = begun.elapsed().as_secs_f64();
        let words = fs::read_to_string(errors).unwrap();
        assert!(status.success(), "{words}");
        assert!(words.ends_with(&format!("verified {expected} objects: {expected} good\n")), "{words}");
        Measured { rate: expected as f64 / seconds, seconds, memory }
    }

    /// How long git takes over [`SMALL`] commits with each of the programs that it runs.
    fn programs(&self) -> Vec<(&'static str, Duration)> {
        let key = self.path("id_ed25519");
        let identity = "Alice <alice@example.com>";
        let generate =
            ["--batch", "--quiet", "--passphrase", "", "--quick-generate-key", identity, "ed25519"];
        self.run(Command::new("gpg").args(generate));
        self.run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
        let public = fs::read_to_string(key.with_extension("pub")).unwrap();
        fs::write(self.path("allowed"), format!("{SIGNER} {public}")).unwrap();
        let key = format!("user.signingKey={}", key.display());
        let allowed = format!("gpg.ssh.allowedSignersFile={}", self.path("allowed").display());
        let people =
            ["-c", "user.name=Alice", "-c", "user.email=alice@example.com", "-c", "commit.gpgSign=true"];
        let setups = [
            ("gpg", vec!["-c", "gpg.format=openpgp"]),
            ("ssh-keygen", vec!["-c", "gpg.format=ssh", "-c", &key, "-c", &allowed]),
        ];
        setups
            .into_iter()
            .map(|(name, options)| {
                let repository = self.path(name);
                self.run(Command::new("git").args(["init", "-q"]).arg(&repository));
                for _ in 0..SMALL {
                    let commit = ["commit", "-q", "--allow-empty", "-m", "message"];
                    self.git(&repository, &[&people, &options[..], &commit].concat());
                }
                let begun = Instant::now();
                let grades = self.git(&repository, &[&options[..], &["log", "--format=%G?"]].concat());
                let took = begun.elapsed();
                assert_eq!(
                    grades.lines().filter(|grade| ["G", "U"].contains(grade)).count(),
                    SMALL,
                    "{grades}"
                );
                (name, took)
            })
            .collect()
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// RssAnon of a process, in KiB; `None` once it has ended.
fn anonymous_memory(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Write the entries that come to a pack of `count` objects; its checksum.
fn write_pack(path: &Path, entries: Receiver<Vec<u8>>, count: usize) -> ObjectId {
    let file = BufWriter::new(File::create(path).unwrap());
    let mut pack = gix::hash::io::Write::new(file, HashKind::Sha1);
    pack.write_all(&header::encode(Version::V2, count.try_into().unwrap())).unwrap();
    for entry in entries {
        pack.write_all(&entry).unwrap();
    }
    let digest = pack.hash.try_finalize().unwrap();
    pack.inner.write_all(digest.as_slice()).unwrap();
    pack.inner.flush().unwrap();
    digest
}

/// Send an object to the pack; its id.
fn add(sender: &SyncSender<Vec<u8>>, kind: Kind, bytes: &[u8]) -> ObjectId {
    let header = if kind == Kind::Tree { entry::Header::Tree } else { entry::Header::Commit };
    let mut entry = Vec::new();
    header.write_to(bytes.len() as u64, &mut entry).unwrap();
    let mut deflated = deflate::Write::new(entry, Compression::BEST_SPEED);
    deflated.write_all(bytes).unwrap();
    deflated.flush().unwrap();
    sender.send(deflated.into_inner()).unwrap();
    objs::compute_hash(HashKind::Sha1, kind, bytes).unwrap()
}

/// [`SHARED`] branches that grow side by side, so that a checkpoint can cover a commit of each.
struct Group<'w> {
    world: &'w World,
    group: usize,
    tree: ObjectId,
}

/// One branch.
struct Branch {
    key: SigningKey,
    certificate: Vec<u8>,
    first: Option<ObjectId>,
    tip: Option<ObjectId>,
}

/// A commit that is signed and not yet logged.
struct Pending {
    head: String,
    message: String,
    attributes: SignedAttributes,
    signature: Vec<u8>,
    body: Vec<u8>,
}

impl Group<'_> {
    /// Grow all branches by `steps` commits; the first and the last commit of each.
    fn grow(&self, steps: usize, sender: &SyncSender<Vec<u8>>) -> Vec<(ObjectId, ObjectId)> {
        let mut branches: Vec<Branch> = (0..SHARED).map(|_| self.branch()).collect();
        for step in 0..steps {
            if step > 0 && step % SHARED == 0 {
                for branch in &mut branches {
                    let renewed = self.branch();
                    (branch.key, branch.certificate) = (renewed.key, renewed.certificate);
                }
            }
            let pending: Vec<Pending> = branches
                .iter()
                .enumerate()
                .map(|(lane, branch)| {
                    self.sign(branch, &format!("step {step} of branch {lane} in group {}", self.group))
                })
                .collect();
            let proofs = self.log(step, &pending);
            for ((branch, pending), proof) in branches.iter_mut().zip(pending).zip(proofs) {
                let id = add(sender, Kind::Commit, &self.commit(branch, pending, proof));
                branch.first.get_or_insert(id);
                branch.tip = Some(id);
            }
        }
        branches.into_iter().map(|branch| (branch.first.unwrap(), branch.tip.unwrap())).collect()
    }

    /// A branch without commits, with a new certificate.
    fn branch(&self) -> Branch {
        let World { authority, now, .. } = self.world;
        let key = SigningKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let profile = LeafProfile::new(Identity::Email(SIGNER.to_owned()), authority.url(), *now);
        let certificate = authority.issue_certificate_as(key.spki_der(), &profile).unwrap().remove(0);
        Branch { key, certificate, first: None, tip: None }
    }

    fn sign(&self, branch: &Branch, title: &str) -> Pending {
        let parent = branch.tip.map_or_else(String::new, |tip| format!("parent {tip}\n"));
        let now = self.world.now;
        let person = format!("Alice <{SIGNER}> {now} +0000");
        let head = format!("tree {}\n{parent}author {person}\ncommitter {person}\n", self.tree);
        let message = format!("\n{title}\n\nWhat was done and why, in the words of whoever has done it.\n");
        let digest = sha256(&[head.as_bytes(), message.as_bytes()]);
        let attributes = SignedAttributes::new(&digest, now).unwrap();
        let signature = branch.key.sign(attributes.as_der());
        let hashed = sha256(&[attributes.as_der()]);
        let details = "PKIX_ECDSA_P256_SHA_256";
        let body = log_entry::body(BodyVersion::V001, &hashed, &signature, &branch.certificate, details);
        Pending { head, message, attributes, signature, body }
    }

    /// Log the entries of one step in a tree of their own, which is a small part of a large one.
    fn log(&self, step: usize, pending: &[Pending]) -> Vec<InclusionProof> {
        let number = (self.group << 20 | step) as u64;
        let first = (number % (1 << (HEIGHT - INNER))) << INNER;
        let other = |level: usize| sha256(&[&number.to_be_bytes(), &level.to_be_bytes()]);
        let mut levels = vec![(0..1 << INNER).map(|_| other(HEIGHT)).collect::<Vec<[u8; 32]>>()];
        for (leaf, pending) in levels[0].iter_mut().zip(pending) {
            *leaf = sha256(&[&[0], &pending.body]);
        }
        let node = |left: &[u8; 32], right: &[u8; 32]| sha256(&[&[1], left, right]);
        while levels.last().unwrap().len() > 1 {
            let above = levels.last().unwrap().chunks(2).map(|pair| node(&pair[0], &pair[1])).collect();
            levels.push(above);
        }
        let mut root = levels[INNER][0];
        for level in INNER..HEIGHT {
            root =
                if first >> level & 1 == 0 { node(&root, &other(level)) } else { node(&other(level), &root) };
        }
        let key = self.world.authority.signing_key(Role::RekorV1);
        let size = 1_u64 << HEIGHT;
        let text = format!("{REKOR_V1_NAME} - 1\n{size}\n{}\n", STANDARD.encode(root));
        let signature = STANDARD.encode([&key.key_id()[..4], &key.sign(text.as_bytes())].concat());
        let envelope = format!("{text}\n\u{2014} {REKOR_V1_NAME} {signature}\n");
        (0..pending.len())
            .map(|position| InclusionProof {
                log_index: (first + position as u64).try_into().unwrap(),
                root_hash: root.to_vec(),
                tree_size: size.try_into().unwrap(),
                hashes: (0..INNER)
                    .map(|level| levels[level][position >> level ^ 1].to_vec())
                    .chain((INNER..HEIGHT).map(|level| other(level).to_vec()))
                    .collect(),
                checkpoint: Some(Checkpoint { envelope: envelope.clone() }),
            })
            .collect()
    }

    /// The bytes of the commit with its signature.
    fn commit(&self, branch: &Branch, pending: Pending, proof: InclusionProof) -> Vec<u8> {
        let World { authority, now, .. } = self.world;
        let key = authority.signing_key(Role::RekorV1);
        let Pending { head, message, attributes, signature, body } = pending;
        let promise = log_entry::signed_entry_timestamp_payload(&body, *now, &key.key_id(), proof.log_index);
        let entry = TransparencyLogEntry {
            log_index: proof.log_index,
            log_id: Some(LogId { key_id: key.key_id().to_vec() }),
            kind_version: Some(KindVersion { kind: "hashedrekord".to_owned(), version: "0.0.1".to_owned() }),
            integrated_time: *now,
            inclusion_promise: Some(InclusionPromise { signed_entry_timestamp: key.sign(&promise) }),
            inclusion_proof: Some(proof),
            canonicalized_body: Vec::new(),
        };
        let entry = entry.encode_to_vec();
        let evidence = Evidence { log_entries: &[entry], timestamps: &[] };
        let cms = detached_signature(&attributes, &signature, &branch.certificate, evidence).unwrap();
        let armor = String::from_utf8(armor::encode(&cms)).unwrap();
        let folded = armor.trim_end().replace('\n', "\n ");
        format!("{head}gpgsig {folded}\n{message}").into_bytes()
    }
}
