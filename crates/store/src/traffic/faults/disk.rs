//! A disk that fails when it is told to, and remembers what would survive a loss of power.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::traffic::disk::{Disk, DiskFile, RealDisk};

/// What a failing operation says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The disk is full; half of what was to be written is there.
    Full,
    /// The disk does not answer; half of what was to be written is there.
    Broken,
}

/// The machine's disk with faults.
#[derive(Debug)]
pub(super) struct FaultyDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    operations: u64,
    /// The first operation that fails, and the first after it that does not.
    fails: (u64, u64),
    fails_syncs: bool,
    fault: Fault,
    files: BTreeMap<PathBuf, Kept>,
    next_file: u64,
    syncs: BTreeMap<u64, u64>,
}

/// What of a file would survive.
#[derive(Debug, Clone, Copy, Default)]
struct Kept {
    file: u64,
    length: u64,
    name: bool,
}

impl FaultyDisk {
    /// Fails `times` operations from the `nth` on.
    pub(super) fn new(nth: u64, times: u64, fault: Fault) -> Arc<Self> {
        Self::with((nth, nth.saturating_add(times)), fault, false)
    }

    pub(super) fn sound() -> Arc<Self> {
        Self::with((u64::MAX, u64::MAX), Fault::Broken, false)
    }

    pub(super) fn failing_syncs() -> Arc<Self> {
        Self::with((u64::MAX, u64::MAX), Fault::Broken, true)
    }

    fn with(fails: (u64, u64), fault: Fault, fails_syncs: bool) -> Arc<Self> {
        let state = State {
            operations: 0,
            fails,
            fails_syncs,
            fault,
            files: BTreeMap::new(),
            next_file: 0,
            syncs: BTreeMap::new(),
        };
        Arc::new(Self { state: Arc::new(Mutex::new(state)) })
    }

    /// Whether any operation failed.
    pub(super) fn was_reached(&self) -> bool {
        let state = self.state();
        state.operations >= state.fails.0
    }

    /// Whether it will never work again.
    pub(super) fn is_down(&self) -> bool {
        let state = self.state();
        state.operations >= state.fails.0 && state.fails.1 == u64::MAX
    }

    pub(super) fn most_syncs_of_a_file(&self) -> u64 {
        self.state().syncs.values().copied().max().unwrap_or(0)
    }

    /// Leaves of each file what was synchronised, and of the rest what chance leaves.
    pub(super) fn lose_power(&self, seed: u64) {
        let mut chance = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut draw = |below: u64| {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            chance % below.max(1)
        };
        for (path, kept) in &self.state().files {
            if !kept.name && draw(2) == 0 {
                std::fs::remove_file(path).expect("it was there");
                continue;
            }
            let mut bytes = std::fs::read(path).expect("it is there");
            let unsynced = bytes.len() as u64 - kept.length;
            bytes.truncate((kept.length + draw(unsynced + 1)) as usize);
            // Sectors whose data was not written yet read as zeros.
            for sector in bytes[kept.length as usize..].chunks_mut(64) {
                if draw(4) == 0 {
                    sector.fill(0);
                }
            }
            std::fs::write(path, bytes).expect("it can be written");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics with it")
    }
}

impl State {
    fn fault(&self) -> io::Error {
        match self.fault {
            Fault::Full => io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error()),
            Fault::Broken => io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()),
        }
    }

    /// Counts an operation; an error when this is one that fails.
    fn operate(&mut self) -> io::Result<()> {
        self.operations += 1;
        let failing = self.operations >= self.fails.0 && self.operations < self.fails.1;
        if failing { Err(self.fault()) } else { Ok(()) }
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.operate()?;
        let file = RealDisk.create(path)?;
        state.next_file += 1;
        let kept = Kept { file: state.next_file, ..Kept::default() };
        state.files.insert(path.to_owned(), kept);
        Ok(Box::new(FaultyFile { file, number: kept.file, state: self.state.clone() }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.operate()?;
        let file = RealDisk.open(path)?;
        let number = state.files.get(path).map_or(0, |kept| kept.file);
        Ok(Box::new(FaultyFile { file, number, state: self.state.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        RealDisk.rename(from, to)?;
        if let Some(kept) = state.files.remove(from) {
            state.files.insert(to.to_owned(), Kept { name: false, ..kept });
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        state.files.remove(path);
        RealDisk.remove(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        for (file, kept) in &mut state.files {
            kept.name |= file.parent() == Some(path);
        }
        Ok(())
    }
}

struct FaultyFile {
    file: Box<dyn DiskFile>,
    number: u64,
    state: Arc<Mutex<State>>,
}

impl DiskFile for FaultyFile {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let failed = self.state.lock().expect("no test panics with it").operate();
        if failed.is_err() {
            self.file.write(offset, &bytes[..bytes.len() / 2])?;
            return failed;
        }
        self.file.write(offset, bytes)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.state.lock().expect("no test panics with it");
        state.operate()?;
        for kept in state.files.values_mut().filter(|kept| kept.file == self.number) {
            kept.length = kept.length.min(length);
        }
        self.file.truncate(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.state.lock().expect("no test panics with it");
        *state.syncs.entry(self.number).or_default() += 1;
        if state.fails_syncs {
            return Err(state.fault());
        }
        state.operate()?;
        for (path, kept) in &mut state.files {
            if kept.file == self.number {
                kept.length = std::fs::metadata(path)?.len();
            }
        }
        Ok(())
    }
}
