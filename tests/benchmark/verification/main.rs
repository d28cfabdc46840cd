//! Verification throughput on commits of each kind (real ones, but for S/MIME), as a ratio to the bare cryptography of that kind,
//! and to `git log --format=%G?` in the same run: with gpg and ssh-keygen over commits of their kinds, and with
//! countersign over the keyless ones.
//!
//! What bare means is said in `bare.rs`. Run with `cargo bench --bench verification`. The corpus lies beside
//! the project.

#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "a benchmark stands in the world")]

mod bare;
#[path = "../../support/corpus.rs"]
mod corpus;
mod git;
mod keyless;
mod openpgp;
mod smime;
mod ssh;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bare::{Bare, compare, thread_counts};
use corpus::{Corpus, NOW};
use countersign::{
    object::{Commit, HashKind, ObjectId},
    repository::Objects,
    sigstore::trusted_root::Instance,
    verify::{
        Verdict, Verifier,
        openpgp::KeyRing,
        smime::{Authorities, CertificateAuthority},
    },
};
use rayon::prelude::*;

fn main() {
    let Some(corpus) = Corpus::open("the benchmark of verification") else {
        println!("nothing is measured");
        return;
    };
    let objects = Objects::open(HashKind::Sha1, &[corpus.directory()]).unwrap();
    let keys = corpus.file("keys/github-web-flow.asc");
    let ring = || KeyRing::from_armored(&keys).unwrap();
    let commits = |signature: &str, expect: &str| -> Vec<ObjectId> {
        let rows = corpus.rows.iter().filter(|row| row.kind == "commit" && row.signature == signature);
        rows.filter(|row| row.expect.starts_with(expect)).map(|row| row.id).collect()
    };
    let (keyless, ssh, openpgp) =
        (commits("gitsign-embedded", "good"), commits("ssh", "good"), commits("openpgp", "good"));

    let git = [
        ("gpg", git::with_gpg(&corpus, &openpgp), openpgp.len()),
        ("ssh-keygen", git::with_ssh_keygen(&corpus, &ssh), ssh.len()),
        ("countersign", Some(git::with_countersign(&corpus, &keyless)), keyless.len()),
    ];
    let git: Vec<(&str, f64)> = git
        .into_iter()
        .filter_map(|(name, took, count)| {
            took.map(|took: Duration| (name, count as f64 / took.as_secs_f64()))
        })
        .collect();
    for (name, rate) in &git {
        println!("git log --format=%G? with {name}: {rate:.0}/s");
    }

    let measure = |name: &str,
                   objects: &Objects,
                   ids: &[ObjectId],
                   bare: &[Bare],
                   verifier: &(dyn Fn() -> Verifier + Sync)| {
        for threads in thread_counts() {
            print!("{name}, {} commits, ", ids.len());
            let rate = compare(threads, bare, || verify(objects, ids, &verifier()));
            for (program, git) in &git {
                println!("  {:.0} times git with {program}", rate / git);
            }
        }
    };
    let bare = keyless::bare(&objects, &keyless);
    measure("keyless", &objects, &keyless, &bare, &|| Verifier::new(vec![Instance::public_good().unwrap()]));
    let bare = ssh::bare(&objects, &ssh);
    measure("ssh", &objects, &ssh, &bare, &|| Verifier::new(Vec::new()));
    let bare = openpgp::bare(&objects, &openpgp, &keys);
    measure("openpgp", &objects, &openpgp, &bare, &|| Verifier::new(Vec::new()).with_openpgp(ring()));
    if let Some(made) = smime::make() {
        let authorities =
            || Authorities::new(vec![CertificateAuthority::from_pem("corp", &made.root).unwrap()]);
        measure("s/mime", &made.objects, &made.ids, &made.bare(), &|| {
            Verifier::new(Vec::new()).with_smime(authorities())
        });
    }
}

/// From the pack to the verdict, with a verifier that has seen nothing yet.
fn verify(objects: &Objects, ids: &[ObjectId], verifier: &Verifier) {
    // Some were made just now.
    let made = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap();
    let vouched = ids
        .par_iter()
        .map_init(
            || objects.reader(),
            |reader, id| {
                let object = reader.read(*id).unwrap();
                let commit = Commit::parse(HashKind::Sha1, &object.bytes).unwrap();
                let armor = commit.signed.signature.as_deref().unwrap();
                let verdict = verifier.verify(&commit.signed.payload, armor, NOW.max(made));
                matches!(verdict, Verdict::Good(_) | Verdict::Stated(_))
            },
        )
        .filter(|vouched| *vouched)
        .count();
    assert_eq!(vouched, ids.len());
}
