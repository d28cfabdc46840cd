//! Installing and taking out, with every hook that there may be.

use super::*;
use crate::{
    hook::{AuditSink, ShimError, StatusFinding, layout::hooks_path, place::kept_path},
    repository::{system::PermissionsExt as _, tests::Scratch},
    trust::TrustError,
    words::Failure,
};

/// Every hook beside the gate, with a first policy.
pub(in crate::hook) fn options(scratch: &Scratch) -> InstallOptions {
    let policy = scratch.path().join("policy.toml");
    std::fs::write(&policy, crate::policy::FIRST_POLICY).unwrap();
    InstallOptions {
        repository: scratch.path().to_owned(),
        policy: PolicyChoice::File(policy),
        state: None,
        program: "/bin/sh".into(),
        hooks: HookName::COMPANIONS.into(),
        configured: false,
        trusted_roots: vec![],
        openpgp_certificates: vec![],
        certificate_authorities: vec![],
        settings: Settings { ledger: true, ..Settings::default() },
        guard: GuardChoice::default(),
        now: 0,
    }
}

fn hook(scratch: &Scratch) -> PathBuf {
    scratch.path().join("hooks/pre-receive")
}

fn kept(scratch: &Scratch) -> PathBuf {
    kept_path(&hook(scratch))
}

#[test]
fn a_symbolic_link_in_the_state_folder_is_not_written_through() {
    let scratch = Scratch::new(&["--bare"]);
    let victim = scratch.path().join("victim");
    std::fs::write(&victim, scratch.path().canonicalize().unwrap().as_os_str().as_encoded_bytes()).unwrap();
    std::fs::set_permissions(&victim, std::fs::Permissions::from_mode(0o600)).unwrap();
    let state = scratch.path().join("countersign");
    std::fs::create_dir(&state).unwrap();
    std::os::unix::fs::symlink(&victim, state.join("repository")).unwrap();
    install(&options(&scratch)).unwrap();
    assert!(!state.join("repository").is_symlink());
}

#[test]
fn a_policy_that_has_not_come_yet_is_asked_for() {
    let scratch = Scratch::new(&["--bare"]);
    let root = crate::object::ObjectId::from_hex(&[b'1'; 40]).unwrap();
    let reference = "refs/countersign/policy".to_owned();
    let policy = PolicyChoice::Reference { reference, root };
    let error = install(&InstallOptions { policy, ..options(&scratch) }).unwrap_err();
    assert!(matches!(error, InstallError::NoRoot { .. }), "{error:?}");
    let failure = Failure::from(error);
    assert!(failure.error.contains("is not in the repository"), "{failure:?}");
    assert_eq!(failure.hints, ["push it there first: 'git push REMOTE refs/countersign/policy'"]);
    assert!(!hook(&scratch).exists());
}

#[test]
fn installing_and_uninstalling_leave_nothing_behind() {
    let scratch = Scratch::new(&["--bare"]);
    let options = options(&scratch);
    let first = install(&options).unwrap();
    assert!(is_executable(&first.hook));
    assert_eq!(install(&options).unwrap(), first, "again");
    assert_eq!(Shim::parse(&std::fs::read(hook(&scratch)).unwrap()).unwrap(), first.shim);
    assert_eq!(uninstall(scratch.path()).unwrap(), Uninstalled::Removed);
    assert!(!hook(&scratch).exists());
    assert_eq!(uninstall(scratch.path()).unwrap(), Uninstalled::Nothing);
}

#[test]
fn a_hook_that_is_there_is_chained_and_restored_byte_for_byte() {
    let scratch = Scratch::new(&["--bare"]);
    let text = b"#!/bin/sh\nexit 0 # \xff\n";
    std::fs::create_dir_all(scratch.path().join("hooks")).unwrap();
    std::fs::write(hook(&scratch), text).unwrap();
    std::fs::set_permissions(hook(&scratch), std::fs::Permissions::from_mode(0o750)).unwrap();
    let options = options(&scratch);
    let kept = kept(&scratch);
    for _ in 0..2 {
        assert_eq!(install(&options).unwrap().shim.before.as_ref(), Some(&kept), "again too");
    }
    assert_eq!(uninstall(scratch.path()).unwrap(), Uninstalled::Restored);
    assert_eq!(std::fs::read(hook(&scratch)).unwrap(), text);
    assert_eq!(hook(&scratch).metadata().unwrap().permissions().mode() & 0o777, 0o750);
    assert!(!kept.exists());
}

#[test]
fn every_hook_and_the_configuration_are_restored_byte_for_byte() {
    let scratch = Scratch::new(&["--bare"]);
    let folder = scratch.path().join("hooks");
    std::fs::create_dir_all(&folder).unwrap();
    let configuration = std::fs::read(scratch.path().join("config")).unwrap();
    let text = |name: HookName| format!("#!/bin/sh\n# {}\n", name.name());
    for name in HookName::COMPANIONS {
        let path = folder.join(name.name());
        std::fs::write(&path, text(name)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let options = options(&scratch);
    let first = install(&options).unwrap();
    assert_eq!(install(&options).unwrap(), first, "again");
    for (name, path) in &first.companions {
        let shim = Companion::parse(*name, &std::fs::read(path).unwrap()).unwrap();
        assert_eq!(shim.before, Some(kept_path(path)));
    }
    // Installing fewer takes the others out.
    install(&InstallOptions { hooks: vec![HookName::PostReceive], ..options.clone() }).unwrap();
    assert_eq!(std::fs::read_to_string(folder.join("update")).unwrap(), text(HookName::Update));
    install(&options).unwrap();
    assert_eq!(uninstall(scratch.path()).unwrap(), Uninstalled::Restored);
    for name in HookName::COMPANIONS {
        let path = folder.join(name.name());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text(name));
        assert!(!kept_path(&path).exists());
    }
    assert!(!folder.join("pre-receive").exists());
    assert_eq!(std::fs::read(scratch.path().join("config")).unwrap(), configuration);
}

#[test]
fn a_hook_that_git_would_not_run_is_kept_and_not_run() {
    let scratch = Scratch::new(&["--bare"]);
    std::fs::create_dir_all(scratch.path().join("hooks")).unwrap();
    std::fs::write(hook(&scratch), "#!/bin/sh\nexit 1\n").unwrap();
    std::fs::set_permissions(hook(&scratch), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(install(&options(&scratch)).unwrap().shim.before, None);
    assert_eq!(uninstall(scratch.path()).unwrap(), Uninstalled::Restored);
}

#[test]
fn a_foreign_hook_is_never_lost() {
    let scratch = Scratch::new(&["--bare"]);
    let folder = scratch.path().join("hooks");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(hook(&scratch), "one").unwrap();
    std::fs::write(kept(&scratch), "two").unwrap();
    assert!(matches!(install(&options(&scratch)), Err(InstallError::BeforeExists(_))));
    assert_eq!(uninstall(scratch.path()).unwrap(), Uninstalled::Nothing);
    assert_eq!(std::fs::read(hook(&scratch)).unwrap(), b"one");
}

#[test]
fn hooks_path_is_refused() {
    let scratch = Scratch::new(&["--bare"]);
    scratch.git(&["config", "core.hooksPath", "/elsewhere"]);
    let error = install(&options(&scratch)).unwrap_err();
    assert!(matches!(&error, InstallError::HooksPath(path) if path == "/elsewhere"));
    assert!(!hook(&scratch).exists());
}

#[test]
fn a_hooks_path_is_where_git_comes_to_it_in_a_push() {
    let scratch = Scratch::new(&["--bare"]);
    let path = |said: &str| {
        scratch.git(&["config", "core.hooksPath", said]);
        PathBuf::from(hooks_path(&scratch.open()).unwrap().unwrap())
    };
    assert_eq!(path("hooks of all"), scratch.open().git_dir().join("hooks of all"));
    assert_eq!(path("/elsewhere"), Path::new("/elsewhere"));
    assert_eq!(path("~/hooks"), Path::new("~/hooks"));
}

#[test]
fn where_decisions_are_written_down_does_not_depend_on_where_the_hook_runs() {
    let scratch = Scratch::new(&["--bare"]);
    let mut options = options(&scratch);
    options.settings.audit = AuditSink::File("audit.jsonl".into());
    options.state = Some(scratch.path().join("state"));
    let folder = scratch.path().join("hooks-of-all");
    let for_all = install_for_all(&folder, None, &options).unwrap().shim.settings.audit;
    let here = absolute(Path::new("audit.jsonl")).unwrap();
    assert_eq!(for_all, AuditSink::File(here));
    assert_eq!(install(&options).unwrap().shim.settings.audit, for_all);
}

#[test]
fn nothing_is_installed_without_a_policy_that_can_be_used() {
    let scratch = Scratch::new(&["--bare"]);
    let mut options = options(&scratch);
    std::fs::write(scratch.path().join("policy.toml"), "version = 1\n").unwrap();
    assert!(matches!(install(&options), Err(InstallError::Trust(TrustError::Policy { .. }))));
    options.policy = PolicyChoice::File("/nowhere".into());
    let failure = Failure::from(install(&options).unwrap_err());
    assert!(failure.hints[0].contains("countersign policy init /nowhere"));
    assert!(!hook(&scratch).exists() && !scratch.path().join("countersign").exists());
}

#[test]
fn a_repository_that_has_moved_keeps_its_state_whoever_takes_its_place() {
    let scratch = Scratch::new(&["--bare"]);
    install(&options(&scratch)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (here, moved) = (scratch.path(), folder.path().join("moved.git"));
    std::process::Command::new("cp").arg("-a").arg(here).arg(&moved).status().unwrap();
    let moved_options = InstallOptions { repository: moved.clone(), ..options(&scratch) };
    install(&moved_options).unwrap();
    let owner = std::fs::read(moved.join("countersign/repository")).unwrap();
    assert_eq!(owner, moved.canonicalize().unwrap().as_os_str().as_encoded_bytes());
    // A folder of the other one's is another matter.
    let state = Some(here.join("countersign"));
    let shared = InstallOptions { state, ..moved_options };
    assert!(matches!(install(&shared), Err(InstallError::StateOfAnother { .. })));
}

#[test]
fn two_repositories_share_no_state() {
    let (one, two) = (Scratch::new(&["--bare"]), Scratch::new(&["--bare"]));
    let state = tempfile::tempdir().unwrap();
    let with = |scratch: &Scratch| InstallOptions { state: Some(state.path().into()), ..options(scratch) };
    install(&with(&one)).unwrap();
    install(&with(&one)).unwrap();
    assert!(matches!(install(&with(&two)), Err(InstallError::StateOfAnother { .. })));
}

#[test]
fn whoever_installs_waits_for_others_who_do() {
    let scratch = Scratch::new(&["--bare"]);
    let options = options(&scratch);
    let turn = Turn::take(scratch.path()).unwrap();
    std::thread::scope(|scope| {
        let installs = scope.spawn(|| install(&options).map(|_| ()));
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert!(!hook(&scratch).exists() && !installs.is_finished());
        drop(turn);
        installs.join().unwrap().unwrap();
    });
    assert!(hook(&scratch).exists());
}

#[test]
fn a_program_that_could_not_be_run_is_not_installed() {
    let scratch = Scratch::new(&["--bare"]);
    let mut options = options(&scratch);
    let program = |name: &str, mode: u32| {
        let path = scratch.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    options.program = program("plain", 0o644);
    assert!(matches!(install(&options), Err(InstallError::NoProgram(_))));
    // env(1) would take it for a variable, and run what comes next.
    options.program = program("a=b/program", 0o755);
    assert!(matches!(install(&options), Err(InstallError::Shim(ShimError::EqualsSign(_)))));
    assert!(!hook(&scratch).exists());
}

#[test]
fn what_another_installation_gives_up_is_said() {
    let scratch = Scratch::new(&["--bare"]);
    let mut options = InstallOptions { guard: GuardChoice::Always, ..options(&scratch) };
    assert_eq!(install(&options).unwrap().given_up, [""; 0]);
    assert_eq!(install(&options).unwrap().given_up, [""; 0], "again");
    let elsewhere = tempfile::tempdir().unwrap();
    options.state = Some(elsewhere.path().join("state"));
    options.guard = GuardChoice::WhereForgesMove;
    let given_up = install(&options).unwrap().given_up;
    assert_eq!(given_up.len(), 2, "{given_up:?}");
    assert!(given_up[0].contains("/countersign'") && given_up[1].contains("--guard"), "{given_up:?}");
    options.settings.ledger = false;
    assert!(install(&options).unwrap().given_up[0].contains("a ledger was kept"));
}

#[test]
fn what_another_version_of_the_program_has_installed_is_not_forgotten() {
    let scratch = Scratch::new(&["--bare"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let state = elsewhere.path().join("state");
    let guard = GuardChoice::Always;
    let mut options = InstallOptions { guard, state: Some(state.clone()), ..options(&scratch) };
    options.settings.audit = AuditSink::Off;
    let installed = install(&options).unwrap();
    let of_another_version = |path: &Path| {
        let text = std::fs::read_to_string(path).unwrap();
        std::fs::write(path, text.replacen("#\n", "#\n# Another version has written this.\n", 1)).unwrap();
    };
    of_another_version(&installed.hook);
    installed.companions.iter().for_each(|(_, path)| of_another_version(path));
    assert_eq!(Shim::parse(&std::fs::read(&installed.hook).unwrap()), Err(ShimError::Edited));
    // Whoever looks at the ledger, or settles it, finds what belongs to it.
    assert_eq!(super::super::state_folder(&scratch.open()), state);
    let again = InstallOptions {
        state: None,
        guard: GuardChoice::WhereForgesMove,
        ..super::tests::options(&scratch)
    };
    let given_up = install(&again).unwrap().given_up;
    assert_eq!(given_up.len(), 3, "{given_up:?}");
    assert!(given_up[0].contains("/state'") && given_up[1].contains("--guard"), "{given_up:?}");
    assert!(given_up[2].contains("--audit off"), "{given_up:?}");
    // The same of one for every repository.
    uninstall(scratch.path()).unwrap();
    let folder = elsewhere.path().join("hooks");
    let shared = install_for_all(&folder, None, &options).unwrap();
    of_another_version(&shared.hook);
    scratch.git(&["config", "core.hooksPath", folder.to_str().unwrap()]);
    let own = scratch.path().canonicalize().unwrap();
    assert_eq!(super::super::state_folder(&scratch.open()), state.join(own.strip_prefix("/").unwrap()));
    let findings = super::super::status(scratch.path(), 0).unwrap().findings;
    assert!(matches!(&findings[..], [StatusFinding::Unreadable(_)]), "{findings:?}");
    options.settings.audit = AuditSink::State;
    let given_up = install_for_all(&folder, None, &options).unwrap().given_up;
    assert!(given_up[0].contains("--audit off"), "{given_up:?}");
}

#[test]
fn a_guard_is_there_by_itself_only_where_a_forge_is_known_to_need_it() {
    let scratch = Scratch::new(&["--bare"]);
    let script = hook(&scratch);
    std::fs::create_dir_all(script.parent().unwrap()).unwrap();
    std::fs::write(&script, "#!/bin/sh\n# runs pre-receive.d/*\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let guard = |forge: Option<&str>, guard: GuardChoice, ledger: bool| {
        let forge = forge.map(|forge| super::super::parse_forge(forge).unwrap());
        let settings = Settings { ledger, forge, ..Settings::default() };
        install(&InstallOptions { guard, settings, ..options(&scratch) }).map(|installed| installed.guard)
    };
    let default = GuardChoice::default();
    for (forge, choice, ledger, expected) in [
        (None, default, true, Some(Guarded::No)),
        (None, GuardChoice::Always, true, Some(Guarded::Yes)),
        (None, GuardChoice::Always, false, None),
        (Some("gitea"), default, true, Some(Guarded::Yes)),
        (Some("forgejo"), default, true, Some(Guarded::Yes)),
        (Some("gitea"), GuardChoice::Never, true, Some(Guarded::No)),
        (Some("gitea"), default, false, Some(Guarded::NotHere)),
        (Some("gitlab"), default, true, Some(Guarded::NotHere)),
        (Some("gitlab"), GuardChoice::Always, true, None),
    ] {
        let found = guard(forge, choice, ledger);
        assert_eq!(found.as_ref().ok(), expected.as_ref(), "{forge:?} {choice:?} {ledger}");
        assert!(found.is_ok() || matches!(found, Err(InstallError::Guard)));
    }
}

#[test]
fn one_hook_for_all_lies_where_the_forge_looks_for_it() {
    let scratch = Scratch::new(&["--bare"]);
    let folder = scratch.path().join("custom_hooks");
    let mut options = InstallOptions { state: Some(scratch.path().join("state")), ..options(&scratch) };
    options.settings.forge = Some(super::super::parse_forge("gitlab").unwrap());
    let installed = install_for_all(&folder, None, &options).unwrap();
    assert_eq!(installed.hook, folder.join("pre-receive.d/countersign"));
    assert_eq!(installed.left_out, [HookName::ReferenceTransaction]);
    // By the forge's layout no longer, and then not at all.
    options.settings.forge = None;
    assert_eq!(install_for_all(&folder, None, &options).unwrap().hook, folder.join("pre-receive"));
    assert!(!folder.join("pre-receive.d").exists());
    options.settings.forge = Some(super::super::parse_forge("gitlab").unwrap());
    install_for_all(&folder, None, &options).unwrap();
    assert!(!folder.join("pre-receive").exists());
    assert_eq!(uninstall_for_all(&folder, None).unwrap(), Uninstalled::Removed);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    // Gitea's own hooks would not run any more.
    options.settings.forge = Some(super::super::parse_forge("gitea").unwrap());
    assert!(matches!(install_for_all(&folder, None, &options), Err(InstallError::ForgeRuns(_))));
    // gitolite's own stays its own.
    options.settings.forge = Some(super::super::parse_forge("gitolite").unwrap());
    let installed = install_for_all(&folder, None, &options).unwrap();
    assert_eq!(installed.left_out, [HookName::Update]);
}
