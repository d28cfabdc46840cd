//! A ledger that has grown: a push costs what is new, and looking at all of it takes no more memory than that.

use countersign::{
    ledger::{Acceptance, Entry, Occasion, PolicyVersion, Previous, PushId, Record},
    object::{HashKind, object_id},
};

use super::*;

const LEDGER: &str = "refs/countersign/ledger";

#[test]
fn a_push_reads_no_more_of_the_ledger_than_its_end() {
    let world = World::new();
    let mut last = world.commit(&[], "begin");
    for number in 0..6 {
        world.push(&[&format!("{last}:refs/heads/main"), &format!("{last}:refs/heads/r{number}")]).good();
        last = world.commit(&[&last], &number.to_string());
    }
    // All of it is away but the newest record: whoever goes back to an older one fails.
    let records = world.on_server(&["rev-list", LEDGER]).good().stdout;
    let old: Vec<PathBuf> = records
        .lines()
        .skip(1)
        .map(|id| world.server.join("objects").join(&id[..2]).join(&id[2..]))
        .collect();
    for object in &old {
        fs::rename(object, object.with_extension("away")).unwrap();
    }
    world.push(&[&format!("{last}:refs/heads/main"), ":refs/heads/r0"]).good();
    let names: Vec<String> = (0..40).map(|number| format!("{last}:refs/heads/many-{number}")).collect();
    world.push(&names.iter().map(String::as_str).collect::<Vec<_>>()).good();
    let without_hooks = world.state().join("intents");
    assert_eq!(fs::read_dir(without_hooks).unwrap().count(), 0, "everything is entered");
    world.ledger(&["settle"]).good();
    world.ledger(&["verify"]).ended(1, &["is missing"]);
    for object in &old {
        fs::rename(object.with_extension("away"), object).unwrap();
    }
    assert_eq!(world.entries().len(), 12 + 2 + 40);
    world.is_in_order();
}

/// The most anonymous memory that the program takes, in KiB.
fn peak(world: &World, arguments: &[&str]) -> (u64, i32) {
    let mut command = world.command(PROGRAM, arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut peak = 0;
    loop {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        peak = peak.max(line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            return (peak, status.code().unwrap_or(-1));
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[test]
fn a_hundred_thousand_entries_are_looked_at_in_flat_memory() {
    const RECORDS: usize = 10_000;
    const REFS: usize = 10;
    let world = World::without_hooks(&[]);
    let one = world.commit(&[], "one");
    let two = world.commit(&[&one], "two");
    let name = |number: usize| format!("refs/heads/r{number}");
    let push: Vec<String> = (0..REFS).map(|number| format!("{two}:{}", name(number))).collect();
    world.push(&push.iter().map(String::as_str).collect::<Vec<_>>()).good();
    // Pushes that move every ref there and back again, the last one there.
    let mut previous: Option<Previous> = None;
    let mut stream = Vec::new();
    for number in 0..RECORDS {
        let value = |id: &String| Some(id.parse().unwrap());
        let (old, new) = match number {
            0 => (None, value(&one)),
            _ if number % 2 == 1 => (value(&one), value(&two)),
            _ => (value(&two), value(&one)),
        };
        let acceptance = Acceptance {
            push: PushId(((number + 1) as u128).to_be_bytes()),
            received: 1_700_000_000 + number as i64,
            policy: PolicyVersion::Digest([7; 32]),
            pusher: Some("account 'alice' of 'forge'".to_owned()),
            certificate: None,
        };
        let entry = |number: usize| Entry { old, new, reference: name(number).into() };
        let record = Record {
            sequence: (number * REFS + 1) as u64,
            previous,
            occasion: Occasion::Push(acceptance),
            entries: (0..REFS).map(entry).collect(),
        };
        let bytes = record.commit(HashKind::Sha1);
        let id = object_id(HashKind::Sha1, gix::objs::Kind::Commit, &bytes).unwrap();
        previous = Some(Record::previous_for_next(id, &bytes));
        let text = String::from_utf8(bytes).unwrap();
        let (head, message) = text.split_once("\n\n").unwrap();
        let people: Vec<&str> = head.lines().filter(|line| line.contains("countersign <")).collect();
        stream.extend(
            format!("commit {LEDGER}\n{}\ndata {}\n{message}\n", people.join("\n"), message.len())
                .into_bytes(),
        );
    }
    let import = world.command("git", &["--git-dir", "server.git", "fast-import", "--quiet"]);
    run(import, &stream).good();
    assert_eq!(world.at(LEDGER), previous.unwrap().commit.to_string());
    world.install(&[]).good();
    let verify = ["ledger", "verify", "--repository", "server.git"];
    let (memory, status) = peak(&world, &verify);
    assert_eq!(status, 0);
    assert!(memory < 64 * 1024, "{memory} KiB");
    let (memory, status) = peak(&world, &["ledger", "show", "1", "--repository", "server.git"]);
    assert_eq!(status, 0);
    assert!(memory < 64 * 1024, "{memory} KiB");
    world.push(&[&format!("{one}:refs/heads/new")]).good();
    world
        .ledger(&["verify"])
        .ended(0, &[&format!("every ref is as the ledger says: {} entries", RECORDS * REFS + 1)]);
}
