//! What is logged, kept in memory: to prove what is not in it.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

/// Everything that this thread logs while it lives, at every level.
pub struct Logs {
    kept: Kept,
    _guard: DefaultGuard,
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Kept {
    type Writer = Kept;
    fn make_writer(&'a self) -> Kept {
        self.clone()
    }
}

impl Logs {
    /// Begins to keep. Works on a current-thread runtime, where everything runs on this thread.
    pub fn keep() -> Logs {
        let kept = Kept::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(kept.clone())
            .finish();
        Logs { kept, _guard: tracing::subscriber::set_default(subscriber) }
    }
    /// All of it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}
