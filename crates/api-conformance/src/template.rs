//! A world that others begin as: its database and its files, copied. Ten thousand simulations are seeded once.

use crate::world::{Shape, World};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, PoisonError};
use store::Store;

/// What a world had when it was taken: one of [`crate::Database::Inline`], kept in memory.
pub struct Template {
    store: Store,
    files: Vec<(PathBuf, Vec<u8>)>,
    now: i64,
}

/// Every file below `dir`, by its path from `root`.
fn files(root: &Path, dir: &Path, out: &mut Vec<(PathBuf, Vec<u8>)>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            files(root, &path, out)?;
        } else {
            let name = path.strip_prefix(root).map_or_else(|_| path.clone(), Path::to_path_buf);
            out.push((name, std::fs::read(&path)?));
        }
    }
    Ok(())
}

impl World {
    /// This world as it is between two lives.
    /// # Panics
    /// If it keeps no database in memory.
    pub fn template(&self) -> Template {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = memory.as_ref().expect("a template is taken of a world that is kept in memory");
        let store = store::testing::copy(kept).expect("a database in memory can be copied");
        let mut all = Vec::new();
        files(self.dir.path(), self.dir.path(), &mut all).expect("the world's files can be read");
        Template { store, files: all, now: self.now.load(SeqCst) }
    }

    /// A world of `shape` that begins where `template` was taken.
    /// # Panics
    /// If there is no place for it.
    pub fn after(template: &Template, shape: Shape) -> Arc<World> {
        let world = World::new(Shape { keep: true, in_memory: true, ..shape });
        world.now.store(template.now, SeqCst);
        let copy = store::testing::copy(&template.store).expect("a database in memory can be copied");
        *world.memory.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
        for (name, bytes) in &template.files {
            let path = world.dir.path().join(name);
            let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
            made.and_then(|()| std::fs::write(&path, bytes)).expect("the world's files can be written");
        }
        world
    }
}
