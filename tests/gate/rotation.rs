//! Keys that are lost or replaced, drilled through the hook.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use countersign::sandbox::{Authority, ManualClock, Options, RekorOffer};
use serde_json::Value;

use crate::{ALICE, BOB, Draft, MAIN, REF, Stage, World, now};

#[test]
fn the_policys_signer_is_lost_and_the_administrator_pins_again() {
    let stage = Stage::new(MAIN);
    let one = stage.author().commit("one");
    stage.accepted(&[&format!("{one}:refs/heads/main")]);
    // Alice cannot sign any more; Bob begins the policy anew, and nobody has to believe him.
    stage.author().git(&["update-ref", "-d", REF]).check();
    let rules = MAIN.replace("[\"alice\"]", "[\"alice\", \"bob\"]");
    let anew = Draft { owners: &["bob"], ..Draft::new(2, &rules) }.publish(&stage, BOB);
    stage.refused(&[&format!("+{REF}:{REF}")], &["does not follow the present one"]);
    // The administrator does, on the server: brings the commit in, points the ref at it and pins it.
    let path = stage.world.path("author");
    let server = stage.server();
    server.git(&["fetch", "-q", path.to_str().unwrap(), &format!("+{REF}:{REF}")]).check();
    let two = stage.author().commit_as(BOB, "two");
    let push = format!("{two}:refs/heads/main");
    stage.refused(&[&push], &["was rewound or is out of date"]);
    stage.install(&anew, &[]).any_stdout().check();
    stage.accepted(&[&push]);
    // Bob's policy goes on from there, and what Alice signs for it counts no more.
    let third = Draft { owners: &["bob"], ..Draft::new(3, &rules) };
    third.publish(&stage, BOB);
    stage.accepted(&[&format!("{REF}:{REF}")]);
}

/// What the old instance signed stays good by its own root; what the new one signs counts once the policy
/// brings its root.
#[test]
fn a_new_authority_and_a_new_log_come_with_a_policy_that_the_old_ones_still_sign() {
    let stage = Stage::new(MAIN);
    let world = &stage.world;
    let one = stage.author().commit("one");
    stage.accepted(&[&format!("{one}:refs/heads/main")]);

    // Another certificate authority with another log, under another name.
    let next = Authority::new(Options { rekor: RekorOffer::V1Only, ..Options::default() }).unwrap();
    let next = next.serve(0).unwrap();
    let root = next.authority().trusted_root_json().to_owned();
    let file = world.write("next.json", &root);
    let config = world.write("next_config.json", next.authority().signing_config_json());
    world.configure(&format!(
        "[countersign \"next\"]\n trustedRoot = {}\n signingConfig = {}",
        file.display(),
        config.display()
    ));
    let by_next = |message: &str| {
        let token = next.authority().issue_id_token(ALICE).unwrap();
        let author = stage.author();
        let commit = ["-c", "countersign.instance=next", "commit", "-q", "--allow-empty", "-m", message];
        author.git(&commit).env("SIGSTORE_ID_TOKEN", token).check();
        author.id("HEAD")
    };
    let two = by_next("two");
    let push = format!("{two}:refs/heads/main");
    stage.refused(&[&push], &["no trusted root in use knows the certificate's authority"]);

    // The policy of the old ones says who the new ones are; from then on either counts.
    let text = Draft::new(2, MAIN).text(world);
    let text = text.replace(
        "[identity.alice]\nkeyless = [",
        &format!(
            "[[instance]]\nname = \"next\"\ntrusted_root = \"next.json\"\n[identity.alice]\nkeyless = [\n\
             {{ instance = \"next\", issuer = \"{}\", kind = \"email\", subject = \"{ALICE}\" }},",
            next.url()
        ),
    );
    world.write("draft/next.json", &root);
    let path = world.write("draft/both.toml", &text);
    let publish = |path: &std::path::Path| {
        stage.author().countersign(&["policy", "publish", path.to_str().unwrap()]).any_stdout()
    };
    publish(&path).check();
    stage.accepted(&[&format!("{REF}:{REF}")]);
    stage.accepted(&[&push]);

    // Then the old ones go: signed by the new, and what they had signed is behind main's value.
    let alone = text
        .replace("serial = 2", "serial = 3")
        .replace("[[instance]]\nname = \"sandbox\"\ntrusted_root = \"sandbox.json\"\n", "")
        .replace(
            &format!(
                "{{ instance = \"sandbox\", issuer = \"{}\", kind = \"email\", subject = \"{ALICE}\" }}",
                world.url()
            ),
            "",
        );
    let bob = alone.find("[identity.bob]").unwrap();
    let rule = alone.find("[[rule]]").unwrap();
    let path = world.write("draft/alone.toml", format!("{}{}", &alone[..bob], &alone[rule..]));
    let token = next.authority().issue_id_token(ALICE).unwrap();
    stage.author().git(&["config", "countersign.instance", "next"]).check();
    world.configure("[countersign]\n instance = next");
    publish(&path).env("SIGSTORE_ID_TOKEN", token).check();
    stage.accepted(&[&format!("{REF}:{REF}")]);
    let three = by_next("three");
    stage.accepted(&[&format!("{three}:refs/heads/main")]);
    let author = stage.author();
    author.git(&["-c", "countersign.instance=sandbox", "commit", "-q", "--allow-empty", "-m", "old"]).check();
    let old = author.id("HEAD");
    stage.refused(&[&format!("{old}:refs/heads/main")], &["no trusted root in use knows"]);
}

/// What is replaced in an instance that stays the same: keys and certificates of its state, and where they stand in
/// its trusted root.
struct Replaced {
    offer: RekorOffer,
    keys: &'static [&'static str],
    certificates: &'static [&'static str],
    place: &'static str,
}

/// An authority with a state of its own in `after`, which shares everything with the one in `before` but what is
/// replaced.
fn successor(
    before: &Path,
    after: &Path,
    replaced: &Replaced,
    options: &dyn Fn(&Path) -> Options,
) -> Authority {
    drop(Authority::new(options(after)).unwrap());
    for (folder, own) in [("keys", replaced.keys), ("certificates", replaced.certificates)] {
        for entry in fs::read_dir(before.join(folder)).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if !own.contains(&name.split('.').next().unwrap()) {
                fs::copy(entry.path(), after.join(folder).join(name)).unwrap();
            }
        }
    }
    Authority::new(options(after)).unwrap()
}

/// The trusted root of both: what is replaced counts up to `moment`, and what takes its place from then on.
fn overlapped(before: &str, after: &str, place: &str, moment: i64) -> String {
    let [mut root, after]: [Value; 2] = [before, after].map(|text| serde_json::from_str(text).unwrap());
    let moment = jiff::Timestamp::from_second(moment).unwrap().to_string();
    let key = |entry: &Value| [&entry["publicKey"]["rawBytes"], &entry["certChain"]].map(Value::clone);
    let is_in = |entry: &Value, list: &[Value]| list.iter().any(|other| key(other) == key(entry));
    let old = root[place].as_array_mut().unwrap();
    let mut new: Vec<Value> = after[place].as_array().unwrap().clone();
    new.retain(|entry| !is_in(entry, old));
    let after = after[place].as_array().unwrap();
    let gone: Vec<&mut Value> = old.iter_mut().filter(|entry| !is_in(entry, after)).collect();
    assert_eq!((gone.len(), new.len()), (1, 1), "one is replaced by one");
    fn window(entry: &mut Value) -> &mut Value {
        let is_log = entry["publicKey"].is_object();
        if is_log { &mut entry["publicKey"]["validFor"] } else { &mut entry["validFor"] }
    }
    for entry in gone {
        window(entry)["end"] = moment.clone().into();
    }
    for entry in &mut new {
        window(entry)["start"] = moment.clone().into();
    }
    old.extend(new);
    root.to_string()
}

/// Wait until nobody listens on the port any more: a program that another test starts in this moment has the socket as
/// well, until it is another program.
fn wait_for(port: u16) {
    let begun = Instant::now();
    while TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "port {port} is taken");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What was signed by the old within its time stays good at the gate, and by the new within its own; the old after
/// its end and the new before its beginning are refused for `cause`.
fn drill(replaced: &Replaced, cause: &str) {
    let folder = tempfile::tempdir().unwrap();
    let [before, after] = ["before", "after"].map(|name| folder.path().join(name));
    let begun = now() - 300;
    let clock = Arc::new(ManualClock::at(begun));
    let options = |state: &Path| Options {
        state: Some(state.to_owned()),
        clock: clock.clone(),
        rekor: replaced.offer,
        ..Options::default()
    };
    let mut stage = Stage::of(World::with(options(&before)), MAIN, &[]);
    // The successor's keys are made, and announced before they are used.
    let next = successor(&before, &after, replaced, &options);
    let moment = begun + 150;
    let old = stage.world.authority().authority().trusted_root_json();
    let both = overlapped(&old, &next.trusted_root_json(), replaced.place, moment);
    stage.world.write("draft/sandbox.json", both);
    clock.set(begun + 50);
    Draft::new(2, MAIN).publish(&stage, ALICE);
    stage.accepted(&[&format!("{REF}:{REF}")]);

    // Each on top of the first; what is refused is never pushed twice.
    let commit = |stage: &Stage, seconds: i64, message: &str| {
        clock.set(begun + seconds);
        stage.author().commit(message)
    };
    let in_time = commit(&stage, 100, "by the old, in its time");
    let late = commit(&stage, 200, "by the old, after its end");
    let port: u16 = stage.world.url().rsplit(':').next().unwrap().parse().unwrap();
    stage.world.stop_authority();
    let root = next.trusted_root_json();
    wait_for(port);
    let next = next.serve(port).unwrap();
    assert_eq!(next.url(), stage.world.url());
    stage.world.write("authority/trusted_root.json", root);
    let reset = |stage: &Stage| stage.author().git(&["reset", "-q", "--hard", &in_time]).check();
    reset(&stage);
    let early = commit(&stage, 120, "by the new, before its beginning");
    reset(&stage);
    let after = commit(&stage, 250, "by the new, in its time");

    let main = |id: &str| format!("{id}:refs/heads/main");
    stage.accepted(&[&main(&in_time)]);
    stage.refused(&[&main(&late)], &[&late[..12], cause]);
    stage.refused(&[&main(&early)], &[&early[..12], cause]);
    stage.accepted(&[&main(&after)]);
    // Nor under any other name.
    let release = format!("{late}:refs/heads/release/1");
    stage.refused(&[&release], &[&late[..12], cause]);
    drop(next);
}

#[test]
fn a_logs_key_alone_is_replaced() {
    const LOG: &str = "the log's key was not valid at the proven time";
    drill(
        &Replaced { offer: RekorOffer::V1Only, keys: &["rekor-v1"], certificates: &[], place: "tlogs" },
        LOG,
    );
    drill(
        &Replaced { offer: RekorOffer::V2Only, keys: &["rekor-v2"], certificates: &[], place: "tlogs" },
        LOG,
    );
}

#[test]
fn a_certificate_authority_alone_is_replaced() {
    let names = &["certificate-root", "certificate-intermediate"];
    drill(
        &Replaced {
            offer: RekorOffer::V1Only,
            keys: names,
            certificates: names,
            place: "certificateAuthorities",
        },
        "the certificate was not valid at the proven time",
    );
}
