//! Whole paths that are written down for later: by no folder but those that they lie in.

use std::{
    io,
    path::{Component, Path, PathBuf},
};

/// `path` as a whole one without `..`: what stood before one may be gone tomorrow, and what is meant is still there.
/// Symbolic links stay in it where no `..` has to be told by what they lead to.
///
/// # Errors
/// It is empty, or there is no current directory.
pub fn absolute(path: &Path) -> io::Result<PathBuf> {
    let whole = std::path::absolute(path)?;
    let mut plain = PathBuf::new();
    for component in whole.components() {
        if component != Component::ParentDir {
            plain.push(component);
            continue;
        }
        // A link is above what it leads to, and not above its name.
        match plain.canonicalize() {
            Ok(real) => plain = real,
            Err(_) => return Ok(whole),
        }
        plain.pop();
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_needs_no_folder_that_it_does_not_lie_in() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["a/b", "c"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        std::os::unix::fs::symlink(root.join("a/b"), root.join("link")).unwrap();
        let plain = |path: &str| absolute(&root.join(path)).unwrap();
        assert_eq!(plain("c/../a/file"), root.join("a/file"));
        assert_eq!(plain("link/../file"), root.join("a/file"), "as the file system has it");
        assert_eq!(plain("c/../link/file"), root.join("link/file"), "a link stays one");
        assert_eq!(plain("./c/."), root.join("c"));
        assert_eq!(plain("gone/../file"), root.join("gone/../file"), "nothing is guessed");
        assert_eq!(absolute(Path::new("/../..")).unwrap(), Path::new("/"));
        assert!(absolute(Path::new("")).is_err());
    }
}
