//! Whom the gate does not bind is said, at installation and whenever somebody asks.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn a_shared_repository_is_told_plainly_and_a_private_one_is_not() {
    let world = World::without_hooks(&["--shared=group"]);
    let words = ["core.sharedRepository", "the gate binds none of them", "as one user"];
    world.install(&[]).ended(0, &words);
    world.countersign(&["hook", "status", "--repository", "server.git"]).ended(1, &words);

    let world = World::without_hooks(&[]);
    let mode = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for part in ["", "refs", "refs/heads", "objects", "objects/pack", "hooks"] {
        mode(&world.server.join(part), 0o755);
    }
    for file in [world.path("policy.toml"), world.server.join("config"), world.server.join("HEAD")] {
        mode(&file, 0o644);
    }
    let said = world.install(&[]).good();
    assert!(!said.stdout.contains("warning"), "{said:?}");
    let status = world.countersign(&["hook", "status", "--repository", "server.git"]).good();
    for line in ["reference-transaction: ", "post-receive: ", "ledger: true"] {
        assert!(status.stdout.contains(line), "{status:?}");
    }
    mode(&world.server.join("countersign"), 0o770);
    world
        .countersign(&["hook", "status", "--repository", "server.git"])
        .ended(1, &["can be changed by others than its owner", "the gate does not bind them"]);
}
