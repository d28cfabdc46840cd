//! The fuzz targets on their seeds: each seed gets as deep as it should, and nothing breaks on changed ones.
//!
//! Seeds are made by an embedded authority with `cargo test --test fuzz -- --ignored write_seeds`, and by
//! ssh-keygen and gpg with `write_key_seeds`; `write_more_seeds` makes those of `targets/`, in part of the others. All
//! write to `tests/fuzz/corpus`. Those of a ledger are what a
//! server has left of a push to a branch and a tag.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)]

#[path = "support/forge.rs"]
mod forge;
#[path = "fuzz/seeds.rs"]
mod more;
#[path = "fuzz/targets.rs"]
mod targets;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::Command,
};

use countersign::{
    agent::{
        payload::Signable,
        protocol::{self, PREFIX_BYTES, Request},
    },
    encoding::x509::Slices,
    ledger::{Intent, Record},
    object::{Approval, Commit, HashKind, Payload, PushCertificate, Statement, Tag},
    policy::{AllowedSigners, Policy},
    signature::{
        armor,
        keyless::Keyless,
        ssh::{Revocations, SshSignature},
    },
    sigstore::{
        api_entry::HashedRecordEntry, certificate::SigningCertificate, checkpoint::Checkpoint,
        log_entry::TransparencyLogEntry, sct::Sct, timestamp::TimestampToken, trusted_root::Instance,
    },
    verify::{
        Verdict, Verifier,
        openpgp::KeyRing,
        smime::{Authorities, CertificateAuthority},
    },
};
use der::asn1::ObjectIdentifier;
use forge::World;
use jiff::tz::TimeZone;
use prost::Message as _;
use targets::{NOW, PAYLOAD, SIGNER, SMIME_PAYLOAD, SSH_SIGNERS, TARGETS};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// The committed seeds of a target, by name.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut seeds: Vec<(String, Vec<u8>)> = fs::read_dir(folder().join("corpus").join(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seed"))
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "{target} has no seeds");
    seeds
}

/// Whether `seed` is taken by what `target` tries.
fn is_taken(target: &str, seed: &[u8]) -> bool {
    let either = |parse: &dyn Fn(HashKind) -> bool| parse(HashKind::Sha1) || parse(HashKind::Sha256);
    let text = || std::str::from_utf8(seed).unwrap();
    match target {
        "agent_message" => {
            let head = u32::from_be_bytes(seed[..4].try_into().unwrap()) as usize;
            let (head, body) = seed[PREFIX_BYTES..].split_at(head);
            let request = protocol::decode::<Request>(head).unwrap();
            matches!(request, Request::Open(_)) || Signable::parse(body).is_ok()
        }
        "allowed_signers" => AllowedSigners::parse(text(), &TimeZone::UTC).is_ok(),
        "api_entry" => HashedRecordEntry::parse(seed).is_ok(),
        "approval" => either(&|hash| Approval::parse(hash, seed).is_ok()),
        "armor" => armor::decode(seed).is_ok(),
        "certificate" => SigningCertificate::parse(seed).is_ok(),
        "checkpoint" => Checkpoint::parse(text()).is_ok(),
        "cms" => Keyless::parse(seed).is_ok(),
        "commit" => {
            either(&|hash| Commit::parse(hash, seed).is_ok_and(|commit| commit.signed.signature.is_some()))
        }
        "ledger_intent" => either(&|hash| Intent::parse(hash, seed).is_ok()),
        "ledger_record" => either(&|hash| Record::parse(hash, seed).is_ok()),
        "log_entry" => TransparencyLogEntry::parse(seed).is_ok(),
        "openpgp_certificates" => KeyRing::from_binary(seed).or_else(|_| KeyRing::from_armored(seed)).is_ok(),
        "openpgp_signature" => {
            let certificates = folder().join("corpus/openpgp_certificates/all.seed");
            let ring = KeyRing::from_binary(&fs::read(certificates).unwrap()).unwrap();
            let verifier = Verifier::new(Vec::new()).with_openpgp(ring);
            matches!(verifier.verify(&Payload::whole(PAYLOAD), seed, NOW), Verdict::Stated(_))
        }
        "policy" => Policy::parse(text()).is_ok(),
        "push_certificate" => either(&|hash| PushCertificate::parse(hash, seed).is_ok()),
        "sct" => Sct::parse_only(seed).is_ok(),
        "signature" => {
            let root = fs::read_to_string(folder().join("trusted_root.json")).unwrap();
            let verifier = Verifier::new(vec![Instance::from_json("sandbox", &root).unwrap()]);
            matches!(verifier.verify(&Payload::whole(PAYLOAD), seed, NOW), Verdict::Good(_))
        }
        "ssh_revocations" => {
            let armor = fs::read(folder().join("corpus/ssh_signature/rsa.seed")).unwrap();
            let blob = countersign::signature::ssh::decode(&armor).unwrap();
            Revocations::parse(seed).unwrap().revokes(&SshSignature::parse(&blob).unwrap())
        }
        "ssh_signature" => {
            let verdict = Verifier::new(Vec::new()).verify(&Payload::whole(PAYLOAD), seed, NOW);
            matches!(verdict, Verdict::Stated(stated) if SSH_SIGNERS.contains(&stated.signing_key()))
        }
        "smime" => {
            let authority = fs::read(folder().join("authority.pem")).unwrap();
            let authority = CertificateAuthority::from_pem("corp", &authority).unwrap();
            let verifier = Verifier::new(Vec::new()).with_smime(Authorities::new(vec![authority]));
            let armor = armor::encode(seed);
            matches!(verifier.verify(&Payload::whole(SMIME_PAYLOAD), &armor, NOW), Verdict::Stated(_))
        }
        "tag" => either(&|hash| Tag::parse(hash, seed).is_ok_and(|tag| tag.signed.signature.is_some())),
        "timestamp" => TimestampToken::parse(seed).is_ok(),
        other => more::is_taken(other, seed),
    }
}

#[test]
fn every_seed_is_taken_and_every_target_has_its_program() {
    for (target, run) in TARGETS {
        assert!(folder().join(format!("fuzz_targets/{target}.rs")).is_file(), "{target}");
        for (name, seed) in seeds(target) {
            assert!(is_taken(target, &seed), "{name} gets nowhere");
            run(&seed);
        }
    }
    assert_eq!(fs::read_dir(folder().join("fuzz_targets")).unwrap().count(), TARGETS.len());
}

#[test]
fn changed_seeds_break_nothing() {
    for (target, run) in TARGETS {
        for (name, seed) in seeds(target) {
            // A verification is a thousand times a parse; its flips have a test of their own.
            let stride = if target == "signature" { 61 } else { 1 };
            for position in (0..seed.len()).step_by(stride) {
                let mut changed = seed.clone();
                changed[position] ^= 1 << (position % 8);
                let shorter = &seed[..position];
                for data in [&changed[..], shorter] {
                    let outcome = catch_unwind(AssertUnwindSafe(|| run(data)));
                    assert!(outcome.is_ok(), "{name}, changed at {position}");
                }
            }
        }
    }
}

#[test]
#[ignore = "it writes the seeds anew"]
fn write_seeds() {
    let world = World::new();
    fs::write(folder().join("trusted_root.json"), world.authority.trusted_root_json()).unwrap();
    let write = |target: &str, name: &str, seed: &[u8]| {
        let folder = folder().join("corpus").join(target);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}.seed")), seed).unwrap();
    };
    let signer = world.signer_for(SIGNER);
    let logged = world.signed_by(&signer);
    let stamped = world.stamped(world.signed_by(&signer));
    let second = world.stamped(world.logged_v2(world.unlogged(&signer)));
    for (name, signature) in [("rekor-v1", &logged), ("rekor-v1-stamped", &stamped), ("rekor-v2", &second)] {
        write("armor", name, &signature.armor());
        write("cms", name, &signature.der());
        write("signature", name, &signature.armor());
        let entry = signature.signers[0].entry.as_ref().unwrap();
        write("log_entry", name, &entry.encode_to_vec());
        let checkpoint = entry.inclusion_proof.as_ref().unwrap().checkpoint.as_ref().unwrap();
        write("checkpoint", name, checkpoint.envelope.as_bytes());
    }
    write("timestamp", "sandbox", &stamped.signers[0].tokens[0]);
    write("certificate", "email", &signer.certificate);
    let uri = "https://example.com/build@refs/heads/main";
    let identity = countersign::sandbox::Identity::Uri(uri.to_owned());
    let profile = countersign::sandbox::LeafProfile::new(identity, world.authority.url(), forge::START);
    let chain = world.authority.issue_certificate_as(signer.key.spki_der(), &profile).unwrap();
    write("certificate", "uri", &chain[0]);
    let list = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.2");
    let slices = Slices::parse(&signer.certificate).unwrap();
    write("sct", "sandbox", slices.extension(&list).unwrap().value);

    let person = "A U Thor <a@example.com> 1790000000 +0000";
    let head =
        format!("tree {}\nauthor {person}\ncommitter {person}\n", "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
    let payload = format!("{head}\nmessage\n");
    let attributes = forge::default_attributes(payload.as_bytes());
    let armor = String::from_utf8(world.logged(forge::unlogged(&signer, &attributes)).armor()).unwrap();
    let folded = armor.trim_end().replace('\n', "\n ");
    write("commit", "signed", format!("{head}gpgsig {folded}\n\nmessage\n").as_bytes());

    let armor = String::from_utf8(logged.armor()).unwrap();
    let folded = armor.trim_end().replace('\n', "\n ");
    for (hash, length, header) in [("sha1", 40, "gpgsig"), ("sha256", 64, "gpgsig-sha256")] {
        let [tree, parent] = ["4", "5"].map(|digit| digit.repeat(length));
        let commit = format!(
            "tree {tree}\nparent {parent}\nparent {tree}\nauthor {person}\ncommitter {person}\nencoding UTF-8\n\
             {header} {folded}\nmergetag object {parent}\n type commit\n tag v1\n tagger {person}\n \n merged\n\n\
             subject\n\nbody\n"
        );
        write("commit", hash, commit.as_bytes());
        let tag = format!("object {tree}\ntype commit\ntag v1\ntagger {person}\n\nsubject\n{armor}");
        write("tag", hash, tag.as_bytes());
        let pushed = format!(
            "certificate version 0.1\npusher {person}\npushee https://example.com/r.git\nnonce 1-abc\n\
             push-option ci.skip\n\n{tree} {parent} refs/heads/main\n{armor}"
        );
        write("push_certificate", hash, pushed.as_bytes());
        let statement = Statement {
            repository: "example.com/project".to_owned(),
            reference: "refs/heads/main".to_owned(),
            base: Some(parent.parse().unwrap()),
            tree: Some(tree.parse().unwrap()),
        };
        let kind = if length == 40 { HashKind::Sha1 } else { HashKind::Sha256 };
        write("approval", hash, &statement.envelope(kind, armor.as_bytes()));
    }
    write("policy", "all", POLICY.as_bytes());
    let plan = serde_json::json!({
        "fulcio": "https://f", "logs": [{"url": "https://r", "version": "V1"}], "timestamps": [], "logging": "required",
    });
    let source =
        serde_json::json!({"login": {"issuer": "https://i", "client": "sigstore", "connector": null}});
    let wanted = serde_json::json!({"instance": "a", "plan": plan, "source": source, "identity": SIGNER});
    let demands = serde_json::json!({"identity": SIGNER, "committer": true});
    for (name, token, body) in [("sign", None, payload.as_str()), ("open", Some("a.b.c"), "")] {
        let ask = serde_json::json!({
            "wanted": wanted, "demands": demands, "may_log_in": true, "token": token, "patience": 300,
        });
        let request: Request = serde_json::from_value(serde_json::json!({name: ask})).unwrap();
        write("agent_message", name, &protocol::encode(&request, body.as_bytes()).unwrap());
    }
}

#[test]
#[ignore = "it writes the seeds anew"]
fn write_entry_seeds() {
    let world = World::new();
    let folder = folder().join("corpus/api_entry");
    fs::create_dir_all(&folder).unwrap();
    for (name, length) in [("sha1", 40), ("sha256", 64)] {
        let entry = forge::log_online(&world.authority, &world.signer(), &"4".repeat(length));
        fs::write(folder.join(format!("{name}.seed")), entry).unwrap();
    }
}

#[test]
#[ignore = "it writes the seeds anew"]
fn write_more_seeds() {
    more::write(&folder());
}

#[test]
#[ignore = "it writes the seeds anew"]
fn write_key_seeds() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(home.path())
            .env("GNUPGHOME", home.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
        output.stdout
    };
    let write = |target: &str, name: &str, seed: &[u8]| {
        let folder = folder().join("corpus").join(target);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}.seed")), seed).unwrap();
    };
    fs::write(path("payload"), PAYLOAD).unwrap();
    let mut allowed = String::from("# who may\n");
    for (name, kind, bits) in
        [("ed25519", "ed25519", "256"), ("ecdsa", "ecdsa", "384"), ("rsa", "rsa", "2048")]
    {
        run("ssh-keygen", &["-q", "-t", kind, "-b", bits, "-N", "", "-C", "", "-f", name]);
        run("ssh-keygen", &["-q", "-Y", "sign", "-n", "git", "-f", name, "payload"]);
        fs::rename(path("payload.sig"), path(&format!("{name}.sig"))).unwrap();
        write("ssh_signature", name, &fs::read(path(&format!("{name}.sig"))).unwrap());
        let line = fs::read_to_string(path(&format!("{name}.pub"))).unwrap();
        println!("{}", String::from_utf8(run("ssh-keygen", &["-l", "-f", name])).unwrap());
        allowed +=
            &format!("*@example.com,!eve@example.com namespaces=\"git\",valid-after=\"20200101\" {line}");
    }
    let sign = ["-q", "-s", "ed25519", "-I", "id", "-n", "dev@example.com", "-z", "7", "ecdsa.pub"];
    run("ssh-keygen", &sign);
    run("ssh-keygen", &["-q", "-Y", "sign", "-n", "git", "-f", "ecdsa-cert.pub", "payload"]);
    write("ssh_signature", "certificate", &fs::read(path("payload.sig")).unwrap());
    let line = fs::read_to_string(path("ed25519.pub")).unwrap();
    allowed += &format!("dev@example.com cert-authority,valid-before=\"20300101Z\" {line}");
    write("allowed_signers", "all", allowed.as_bytes());
    fs::write(path("revoked"), "serial: 7-9\nserial: 100\nid: somebody\n").unwrap();
    run("ssh-keygen", &["-q", "-k", "-f", "krl", "-s", "ed25519.pub", "revoked", "rsa.pub"]);
    write("ssh_revocations", "krl", &fs::read(path("krl")).unwrap());
    write("ssh_revocations", "lines", &fs::read(path("rsa.pub")).unwrap());

    for (name, algorithm) in [("ed25519", "ed25519"), ("ecdsa", "nistp256"), ("rsa", "rsa2048")] {
        let user = format!("{name} <{name}@example.com>");
        let gpg = ["--batch", "--quiet", "--faked-system-time", "20260101T000000!", "--passphrase", ""];
        run("gpg", &[&gpg[..], &["--quick-generate-key", &user, algorithm, "sign", "never"]].concat());
        let signed = run(
            "gpg",
            &[&gpg[..], &["--local-user", name, "--armor", "--detach-sign", "-o", "-", "payload"]].concat(),
        );
        write("openpgp_signature", name, &signed);
    }
    write("openpgp_certificates", "all", &run("gpg", &["--export"]));
    write("openpgp_certificates", "armored", &run("gpg", &["--armor", "--export", "ed25519"]));
    let listed = run("gpg", &["--with-colons", "--list-keys", "ed25519"]);
    println!("{}", String::from_utf8(listed).unwrap());
}

const POLICY: &str = r#"version = 1
repository = "example"
other_refs = "refuse"

[[instance]]
name = "sandbox"
trusted_root = "trusted_root.json"
ci_issuers = ["https://ci"]

[[forge]]
name = "forge"
openpgp = ["ABCDEF0123ABCDEF0123ABCDEF0123ABCDEF0123"]

[[anchor]]
object = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
received = 2026-01-31T12:00:00Z

[identity.alice]
keyless = [{ instance = "sandbox", issuer = "http://127.0.0.1", kind = "email", subject = "alice@example.com" }]
retired = "2030-01-31T12:00:00+01:00"
compromised = 2029-01-31T12:00:00Z
openpgp = [{ fingerprint = "0123456789ABCDEF0123456789ABCDEF01234567", from = 2026-01-31T12:00:00Z }]
ssh = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB"]

[identity.build]
keyless = [{ instance = "public-good", issuer = "https://token.actions.githubusercontent.com", kind = "uri", subject = "https://github.com/a/b/.github/workflows/c.yml@refs/heads/main", repository = "https://github.com/a/b", ref = "refs/heads/*", trigger = "push", until = 2030-01-31T12:00:00Z }]

[[rule]]
name = "releases"
refs = ["refs/tags/v*", "refs/heads/release/**"]
commits = ["alice", "build"]
tags = ["build"]
create = "allow"
delete = "refuse"
rewind = "refuse"
replace_tags = "refuse"
lightweight_tags = "refuse"
nested_tags = "refuse"
misnamed_tags = "refuse"
tags_of_trees_and_blobs = "refuse"
bases = ["refs/heads/main"]
anchor = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
mode = "warn"

[[rule]]
name = "all"
refs = ["refs/heads/**"]
commits = "unsigned"
create = "allow"
"#;
