//! The seeds of the targets in `targets/`: whether one gets as deep as it should, and how they are made.

use std::{ffi::OsString, fs, path::Path, process::Command as Program};

use countersign::{
    encoding::sha256,
    gpg::{Request, ssh_keygen::SshRequest},
    hook::{Verdicts, parse_planned, parse_updates},
    identity::{Token, login_code},
    key::{self, KeyError, Reference},
    object::{Commit, HashKind, Payload, Statement, Tag, assemble, carried, carry},
    remote::{Address, Advertisement, Memory, next_command},
    repository::{Configuration, hash_of, tree_names},
    service::{fulcio, rekor_v1, rekor_v2, timestamp, tuf},
    sign::{Preference, SigningPlan},
    sigstore::{log_entry::TransparencyLogEntry, trusted_root::Instance},
    trust::Pin,
    verify::{Verdict, Verifier},
};
use serde_json::json;

use super::{
    forge::{self, World},
    targets::{
        NOW, PAYLOAD,
        pushes::shims,
        remotes::quoted,
        services::{BODIES, IMPRINT, LOGIN, NONCE, Nobody, PUBLIC, STATE},
    },
};

const HASHES: [HashKind; 2] = [HashKind::Sha1, HashKind::Sha256];

/// Whether `seed` is taken by what `target` tries.
pub fn is_taken(target: &str, seed: &[u8]) -> bool {
    let either = |parse: &dyn Fn(HashKind) -> bool| HASHES.into_iter().any(parse);
    let text = || std::str::from_utf8(seed).unwrap();
    let words = || {
        let words = seed.split(|byte| *byte == 0).map(|word| String::from_utf8(word.to_vec()).unwrap());
        words.map(OsString::from).collect::<Vec<_>>()
    };
    match target {
        "address" => Address::parse(text()).is_ok(),
        "advertisement" => Advertisement::parse(seed).is_ok_and(|found| found.symbolic.len() == 1),
        "assembled" => {
            let at = seed.windows(11).position(|window| window == b"-----BEGIN ");
            let (payload, signature) = seed.split_at(at.unwrap_or_default());
            either(&|hash| assemble(hash, payload, signature).is_some()) || carried(seed).len() == 2
        }
        "certificate_answer" => fulcio::read(seed, &PUBLIC).is_ok(),
        "configuration" => Configuration::parse(seed).is_ok(),
        "hook_shim" => shims(seed).is_some_and(|(shim, _)| shim.render().is_ok()),
        "identity_token" => Token::parse(text().to_owned()).is_ok(),
        "key_file" => {
            matches!(key::from_pem(seed, "key", &Nobody), Ok(_) | Err(KeyError::Person(..)))
        }
        "key_reference" => Reference::parse(text()).unwrap().is_some(),
        "log_answer" => {
            let [first, second] = &*BODIES;
            rekor_v1::read(seed, first.clone()).is_ok() || rekor_v2::read(seed, second.clone()).is_ok()
        }
        "login_answer" => login_code(seed, LOGIN.0, STATE, LOGIN.1).is_some(),
        "names" => Pin::parse(text()).is_ok() || text().contains('\n'),
        "program_arguments" => Request::parse(&words()).is_ok() || SshRequest::parse(&words()).is_ok(),
        "push_environment" => seed.split(|byte| *byte == 0).all(|line| line.contains(&b'=')),
        "ref_updates" => either(&|hash| {
            parse_updates(hash, seed).is_ok()
                || parse_planned(hash, seed).is_ok_and(|planned| planned.len() > 1)
        }),
        "remote_command" => {
            let mut input = seed;
            let commands = std::iter::from_fn(|| next_command(&mut input).unwrap());
            commands.count() > 1
        }
        "remote_memory" => Memory::parse(seed).is_ok_and(|memory| !memory.held.is_empty()),
        "repository_format" => hash_of(seed).is_ok(),
        "signing_config" => SigningPlan::from_signing_config(text(), NOW, Preference::Newest).is_ok(),
        "status_lines" | "words" => !seed.is_empty(),
        "timestamp_answer" => timestamp::read(seed, &IMPRINT, &NONCE).is_ok(),
        "tree" => either(&|hash| tree_names(hash, seed).is_ok_and(|names| names.len() > 2)),
        "trusted_root" => Instance::from_json("sandbox", text()).is_ok(),
        "tuf_root" => tuf::check_pinned(seed).is_ok(),
        "verdict_cache" => Verdicts::whole_records(seed).count() == 3,
        "verdict_record" => Verdict::from_record(seed).is_some(),
        other => panic!("no such target: {other}"),
    }
}

/// Write all of them anew into the corpus in `folder`, besides what is there of the others.
pub fn write(folder: &Path) {
    let write = |target: &str, name: &str, seed: &[u8]| {
        let folder = folder.join("corpus").join(target);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}.seed")), seed).unwrap();
    };
    let seed = |path: &str| fs::read(folder.join("corpus").join(path)).unwrap();
    write_remotes(&write);
    write_pushes(&write);
    write_repositories(&write);
    write_keys(&write);

    // What is said of the seeds that are there.
    let root = fs::read_to_string(folder.join("trusted_root.json")).unwrap();
    let verifier = Verifier::new(vec![Instance::from_json("sandbox", &root).unwrap()]);
    let mut records = Vec::new();
    for (name, of) in
        [("good", "signature/rekor-v1-stamped.seed"), ("stated", "ssh_signature/certificate.seed")]
    {
        let verdict = verifier.verify(&Payload::whole(PAYLOAD), &seed(of), NOW);
        let (_, record) = verdict.record().unwrap();
        write("verdict_record", name, &record);
        records.push(record);
    }
    let record = |id: u8, record: &[u8]| {
        let times = [NOW.to_le_bytes(), i64::MAX.to_le_bytes()].concat();
        let checked = [&[7; 16][..], &times, &[20], &[id; 20], record].concat();
        let size = u32::try_from(checked.len()).unwrap().to_le_bytes();
        [b"CSv1".as_slice(), &size, &sha256(&[&checked])[..8], &checked].concat()
    };
    let torn = &record(9, b"torn")[..30];
    let cache = [&record(1, &records[0])[..], torn, &record(2, &records[1]), &record(3, b"")].concat();
    write("verdict_cache", "torn", &cache);
    write("trusted_root", "sandbox", root.as_bytes());
    let commit = seed("commit/signed.seed");
    let signed = Commit::parse(HashKind::Sha1, &commit).unwrap().signed;
    write("assembled", "commit", &[signed.payload.to_vec(), signed.signature.unwrap().to_vec()].concat());
    let tag = seed("tag/sha1.seed");
    assert!(Tag::parse(HashKind::Sha1, &tag).is_ok());
    write("assembled", "tag", &tag);
    let carried = carry(b"{\"payload\":\"\"}") + &carry(b"{}");
    write("assembled", "carried", format!("merge\n\n{carried}").as_bytes());
    let pem = forge_pem("CERTIFICATE", &seed("certificate/email.seed"));
    let answer = json!({"signedCertificateEmbeddedSct": {"chain": {"certificates": [pem, pem]}}});
    write("certificate_answer", "fulcio", answer.to_string().as_bytes());
    write("log_answer", "rekor-v1", &seed("api_entry/sha1.seed"));
    write("log_answer", "rekor-v2", second_answer(&seed("log_entry/rekor-v2.seed")).as_bytes());
    write("tuf_root", "staging", include_bytes!("../../src/service/tuf/staging.root.json"));

    let world = World::new();
    write("signing_config", "sandbox", world.authority.signing_config_json().as_bytes());
    let algorithm = forge::tlv(forge::SEQUENCE, &[&forge::oid(forge::SHA256), &[5, 0]]);
    let imprint = forge::tlv(forge::SEQUENCE, &[&algorithm, &forge::tlv(4, &[&IMPRINT])]);
    let request = [&[2, 1, 1][..], &imprint, &forge::tlv(2, &[&NONCE]), &[1, 1, 0xff]].concat();
    let answer = world.authority.timestamp(&forge::tlv(forge::SEQUENCE, &[&request])).unwrap();
    write("timestamp_answer", "sandbox", &answer);
    let token = world.authority.issue_id_token("dev@example.com").unwrap();
    write("identity_token", "sandbox", token.as_bytes());
}

fn write_remotes(write: &dyn Fn(&str, &str, &[u8])) {
    for (name, text) in [
        ("web", "https://user:secret@Example.com:8443//team/a%2fb.git/"),
        ("scp", "git@example.com:team/it's.git"),
        ("ssh", "ssh://git@[::1]:2222/~/team/repo"),
        ("path", "/srv/git/team/repo/.git"),
    ] {
        write("address", name, text.as_bytes());
    }
    for (name, length) in [("sha1", 40), ("sha256", 64)] {
        let [one, two] = ["1", "2"].map(|digit| digit.repeat(length));
        let refs = format!(
            "ref: refs/heads/main\tHEAD\n{one}\tHEAD\nref: refs/heads/main\trefs/heads/alias\n\
             {one}\trefs/heads/alias\n{one}\trefs/heads/main\n{two}\trefs/tags/v1\n{one}\trefs/tags/v1^{{}}\n\
             {one}\trefs/heads/a b\n"
        );
        write("advertisement", name, refs.as_bytes());
        let conversation = format!(
            "capabilities\noption object-format true\noption push-option \"a\\tb\\303\\244\"\nlist for-push\n\
             fetch {one} refs/heads/main\nfetch {two} HEAD\n\npush +refs/heads/a:refs/heads/b\n\
             push :refs/heads/c\n\n"
        );
        write("remote_command", name, conversation.as_bytes());
        let digest = "ab".repeat(32);
        let memory = format!(
            "countersign remote 1\nkey ssh://example.com/team/repo\nunverified\nrepository example.com/a\n\
             serial 7\nledger {one}\nagreed {digest}\nknown\nseen refs/heads/seen\n\
             accepted {one} refs/heads/main\nheld {digest} {two} refs/heads/held it is by nobody\n\
             held {digest} - refs/heads/gone it may not go\n"
        );
        write("remote_memory", name, memory.as_bytes());
    }
}

fn write_pushes(write: &dyn Fn(&str, &str, &[u8])) {
    for (name, length) in [("sha1", 40), ("sha256", 64)] {
        let [zero, one, two] = ["0", "1", "2"].map(|digit| digit.repeat(length));
        let updates =
            format!("{zero} {one} refs/heads/a\n{one} {two} refs/heads/b c\n{two} {zero} refs/tags/v1\n");
        write("ref_updates", name, updates.as_bytes());
        let planned = format!(
            "refs/heads/a {one} refs/heads/b {zero}\nHEAD@{{1 day ago}} {one} refs/heads/c {two}\n\
             (delete) {zero} refs/heads/d {one}\n"
        );
        write("ref_updates", &format!("planned-{name}"), planned.as_bytes());
    }
    let common = "GIT_DIR=.\0GIT_QUARANTINE_PATH=/r/objects/tmp\0GIT_OBJECT_DIRECTORY=objects/tmp\0\
                  GIT_ALTERNATE_OBJECT_DIRECTORIES=\"/a:\\303\\244\":/b:#c\0GIT_PUSH_OPTION_COUNT=2\0\
                  GIT_PUSH_OPTION_0=ci.skip\0GIT_PUSH_OPTION_1=\0GIT_PUSH_CERT_NONCE_STATUS=OK\0";
    for (name, forge) in [
        ("bitbucket", "BB_USER_NAME=dev\0BB_HOOK_TRIGGER_ID=repo-push\0BB_PROJECT_KEY=P\0BB_REPO_SLUG=r"),
        (
            "gitea",
            "GITEA_PUSHER_NAME=dev\0GITEA_PUSHER_ID=7\0GITEA_DEPLOY_KEY_ID=0\0GITEA_PUSH_TRIGGER=pr-merge-to-base\0\
             GITEA_REPO_USER_NAME=o\0GITEA_REPO_NAME=r\0SSH_ORIGINAL_COMMAND=gitea-internal",
        ),
        ("github", "GITHUB_USER_LOGIN=dev\0GITHUB_VIA=pull request merge button\0GITHUB_REPO_NAME=o/r"),
        ("gitlab", "GL_USERNAME=dev\0GL_ID=key-7\0GL_PROTOCOL=ssh\0GL_PROJECT_PATH=o/r"),
        ("gitolite", "GL_USER=dev\0GL_REPO=r\0REQUEST_METHOD=POST\0REMOTE_USER=dev"),
    ] {
        write("push_environment", name, format!("{common}{forge}").as_bytes());
    }
    let pin = "example.com/a refs/countersign/policy 1111111111111111111111111111111111111111";
    for (name, before, policy, file) in [
        ("file", "/r.git/hooks/it's before", "/etc/@POLICY@ $(x) \"y\"", "file:/x=y\\"),
        ("pin", "", pin, "syslog:/dev/log"),
    ] {
        let words = ["/bin/countersign", "/r.git", "/state", before, policy, file];
        let settings = ["sandbox", "4.5", "git@example.com:r.git", "gitlab=git lab's"];
        write("hook_shim", name, [&words[..], &settings].concat().join("\0").as_bytes());
    }
}

fn write_repositories(write: &dyn Fn(&str, &str, &[u8])) {
    write(
        "configuration",
        "scopes",
        b"system\0core.bare\0global\0user.name\nA U Thor\0local\0remote.origin.fetch\n\
          +refs/heads/*:refs/remotes/origin/*\0local\0countersign.policy\n/tmp/p\0command\0hook.a.b.event\nx\0\
          worktree\0core.ignorecase\n1\0",
    );
    let one = "1".repeat(40);
    for (name, text) in [
        ("pin", format!("example.com/a refs/countersign/policy {one}")),
        ("pattern", "refs/heads/release-*/**\nrefs/heads/release-1/a/b".to_owned()),
        ("path", "infra/keys\ninfra/keys/root.pem".to_owned()),
        ("subject", "https://github.com/a/b@refs/heads/*\nhttps://github.com/a/b@refs/heads/m".to_owned()),
        ("letters", "refs/heads/\u{391}\u{3a3}\u{df}\u{1f0}\u{345}\nJ\u{30c}\u{200d}".to_owned()),
    ] {
        write("names", name, text.as_bytes());
    }
    for (name, words) in [
        ("sign", "--status-fd=2\0-bsau\0A U Thor <a@example.com>"),
        ("verify", "--keyid-format=long\0--status-fd=1\0--verify\0/tmp/sig\0-"),
        (
            "ssh-verify",
            "-Y\0verify\0-f\0al\0-I\0a@example.com\0-n\0git\0-s\0sig\0-Overify-time=20240102030405",
        ),
        ("ssh-find", "-Yfind-principals\0-fal\0-ssig"),
    ] {
        write("program_arguments", name, words.as_bytes());
    }
    write("repository_format", "sha1", b"[core]\n\trepositoryformatversion = 0\n\tbare = true\n");
    let second = "[core]\n\trepositoryFormatVersion = 1\n\tignoreCase\n[extensions]\n\tobjectFormat = sha256\n\
                  \tpartialClone = \"or\\\"igin\" ; x\n";
    write("repository_format", "sha256", second.as_bytes());
    for (name, text) in [
        ("plain", "A U Thor <a@example.com>"),
        ("hostile", "x\n[GNUPG:] GOODSIG 0 y\r%0A\u{85}\u{2028}\u{202e}"),
    ] {
        write("status_lines", name, text.as_bytes());
        write("words", name, format!("it's {text} `$(x)`").as_bytes());
    }
    for (name, length) in [("sha1", 20), ("sha256", 32)] {
        let entry =
            |mode: &str, name: &str| [format!("{mode} {name}\0").as_bytes(), &vec![0xab; length]].concat();
        let proof = format!("{}.{}", "cd".repeat(length - 1), "ab".repeat(length));
        let entries =
            [entry("100644", "a.b"), entry("40000", "a"), entry("120000", "b"), entry("160000", "c")];
        let all = [entries.concat(), entry("100644", &proof)].concat();
        write("tree", name, &all);
    }
    write("words", "quoted", &quoted(b"\xff\0\x1b[2J"));
    let head = format!("GET {}?code=a%2Bb&state={STATE}&iss={} HTTP/1.1\r\n", LOGIN.0, LOGIN.1);
    write("login_answer", "code", format!("{head}Host: localhost\r\n\r\n").as_bytes());
    // The approvals of a statement are under its key.
    let statement =
        Statement { repository: "r".into(), reference: "refs/heads/a".into(), base: None, tree: None };
    assert!(statement.key(HashKind::Sha1).is_some());
}

fn write_keys(write: &dyn Fn(&str, &str, &[u8])) {
    let openssl = |arguments: &[&str]| {
        let output = Program::new("openssl").args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        output.stdout
    };
    let curve = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    write("key_file", "p256", &openssl(&curve));
    write("key_file", "encrypted", &openssl(&[&curve[..], &["-aes-256-cbc", "-pass", "pass:x"]].concat()));
    write("key_file", "rsa", &openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]));
    write("key_file", "sec1", &openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"]));
    for (name, text) in [
        ("file", "file:///home/a/key.pem"),
        ("agent", "ssh-agent:SHA256:PX0UVwCo0UAEV5s8mE/fOOr6vd+ItvH7Ks63PIbQbcM"),
        ("kms", "awskms://host/alias/key"),
        (
            "token",
            "pkcs11:token=a%20b;object=key;id=%01%ff;type=private;slot-id=3?module-path=/lib/m.so&pin-source=file:/pin",
        ),
    ] {
        write("key_reference", name, text.as_bytes());
    }
}

/// An entry as the API of Rekor v2 answers it.
fn second_answer(entry: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let entry = TransparencyLogEntry::parse(entry).unwrap();
    let proof = entry.inclusion_proof.unwrap();
    let hashes: Vec<String> = proof.hashes.iter().map(|hash| STANDARD.encode(hash)).collect();
    json!({
        "logIndex": entry.log_index.to_string(),
        "logId": {"keyId": STANDARD.encode(entry.log_id.unwrap().key_id)},
        "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
        "inclusionProof": {
            "logIndex": proof.log_index.to_string(),
            "rootHash": STANDARD.encode(proof.root_hash),
            "treeSize": proof.tree_size.to_string(),
            "hashes": hashes,
            "checkpoint": {"envelope": proof.checkpoint.unwrap().envelope},
        },
        "canonicalizedBody": STANDARD.encode(entry.canonicalized_body),
    })
    .to_string()
}

fn forge_pem(label: &str, der: &[u8]) -> String {
    der::pem::encode_string(label, der::pem::LineEnding::LF, der).unwrap()
}
