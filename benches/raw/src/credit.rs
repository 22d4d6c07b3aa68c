//! The number of received messages, shared between the two processes. The format is part of the contract in `main.rs`.

use std::{
    fs::OpenOptions,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{Result, os};

#[derive(Clone, Copy)]
pub(crate) struct Credit(&'static AtomicU64);

impl Credit {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        if file.metadata()?.len() < 8 {
            file.set_len(8)?;
        }
        Ok(Self(os::map_counter(&file)?))
    }

    pub(crate) fn received(self) -> u64 {
        u64::from_le(self.0.load(Ordering::Acquire))
    }

    pub(crate) fn set(self, received: u64) {
        self.0.store(received.to_le(), Ordering::Release);
    }
}
