//! Whether git would find a hook: what it may not execute, or may not even see, it passes over, and refuses nothing.

use std::{
    fs::{self, Metadata},
    path::{Path, PathBuf},
};

use crate::repository::system::{MetadataExt as _, PermissionsExt as _};

/// Who acts: a user, and the groups that this machine's own files name for one.
struct Actor {
    user: u32,
    groups: Vec<u32>,
}

/// What keeps `user` from executing the file at `path`: the first of it and of the folders above it, as it is written and
/// as symbolic links lead to it.
pub(in crate::hook) fn obstacle(path: &Path, user: u32) -> Option<PathBuf> {
    let actor = Actor { user, groups: groups(user, &text("/etc/passwd"), &text("/etc/group")) };
    let led_to = path.canonicalize().ok();
    let mut all = path.ancestors().chain(led_to.iter().flat_map(|path| path.ancestors()));
    all.find(|path| path.metadata().is_ok_and(|metadata| !actor.may_execute(&metadata))).map(Path::to_owned)
}

impl Actor {
    /// Whether the file may be executed, or the folder looked into (path_resolution(7)).
    fn may_execute(&self, metadata: &Metadata) -> bool {
        let mode = metadata.permissions().mode();
        match self.user {
            0 => metadata.is_dir() || mode & 0o111 != 0,
            user if user == metadata.uid() => mode & 0o100 != 0,
            _ if self.groups.contains(&metadata.gid()) => mode & 0o010 != 0,
            _ => mode & 0o001 != 0,
        }
    }
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The groups of `user`, by passwd(5) and group(5).
fn groups(user: u32, users: &str, groups: &str) -> Vec<u32> {
    let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let own = fields.filter(|fields| fields.get(2).is_some_and(|id| id.parse() == Ok(user)));
    let mut found = Vec::new();
    for entry in own {
        found.extend(entry.get(3).and_then(|id| id.parse::<u32>().ok()));
        let name = entry[0];
        let with = groups.lines().filter_map(|line| {
            let mut fields = line.split(':').skip(2);
            let id = fields.next()?.parse::<u32>().ok()?;
            fields.next()?.split(',').any(|member| member == name).then_some(id)
        });
        found.extend(with);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_groups_of_a_user_are_those_of_the_machines_files() {
        let users = "root:x:0:0::/:/bin/sh\ngit:x:998:997::/:/bin/sh\n";
        let all = "web:x:33:www,git\nother:x:44:gitx\nnone:x:45:\ndamaged\n";
        assert_eq!(groups(998, users, all), [997, 33]);
        assert_eq!(groups(999, users, all), [0; 0]);
    }

    #[test]
    fn what_another_user_may_not_look_into_is_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let mode =
            |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode(folder.path(), 0o755);
        let hooks = folder.path().join("hooks");
        fs::create_dir(&hooks).unwrap();
        mode(&hooks, 0o755);
        let hook = hooks.join("pre-receive");
        fs::write(&hook, "").unwrap();
        mode(&hook, 0o755);
        let own = hook.metadata().unwrap().uid();
        let stranger = own + 54_321;
        assert_eq!((obstacle(&hook, stranger), obstacle(&hook, own)), (None, None));
        mode(&hooks, 0o700);
        assert_eq!((obstacle(&hook, stranger), obstacle(&hook, own)), (Some(hooks.clone()), None));
        mode(&hooks, 0o755);
        mode(&hook, 0o754);
        assert_eq!((obstacle(&hook, stranger), obstacle(&hook, own)), (Some(hook.clone()), None));
        mode(&hook, 0o644);
        assert_eq!(obstacle(&hook, own), Some(hook));
    }
}
