//! What the system knows of a process and its children: time and memory.

use std::fs;

/// Microseconds of one clock tick: hundredths of a second on every Linux that is alive.
const TICK_US: u64 = 10_000;

/// The processes and their children, theirs included.
pub(crate) fn with_children(roots: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut found: Vec<u32> = roots.collect();
    let mut at = 0;
    while at < found.len() {
        let children = format!("/proc/{0}/task/{0}/children", found[at]);
        let children = fs::read_to_string(children).unwrap_or_default();
        found.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        at += 1;
    }
    found
}

/// User and system time of the processes so far, in microseconds.
pub(crate) fn cpu_us(processes: &[u32]) -> u64 {
    processes.iter().filter_map(|pid| Some(times(&format!("/proc/{pid}/stat"))?.own)).sum()
}

/// User and system time of the children of this process that have ended, in microseconds.
pub(crate) fn cpu_us_of_ended_children() -> u64 {
    times("/proc/self/stat").map_or(0, |times| times.of_children)
}

/// The highest resident memory of each process, added up, in KiB.
pub(crate) fn peak_kib(processes: &[u32]) -> u64 {
    processes
        .iter()
        .filter_map(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            status.lines().find_map(|line| {
                line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
            })
        })
        .sum()
}

struct Times {
    own: u64,
    of_children: u64,
}

fn times(path: &str) -> Option<Times> {
    let stat = fs::read_to_string(path).ok()?;
    // The name in parentheses may hold spaces; the fields after it are counted from the state.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Times { own: (ticks(11)? + ticks(12)?) * TICK_US, of_children: (ticks(13)? + ticks(14)?) * TICK_US })
}

/// The processor, how many of it, and the kernel: without them no figure says much.
pub(crate) fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} × {model}, Linux {}", kernel.trim())
}
