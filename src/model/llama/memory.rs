//! How much memory is free.

use std::{fs, path::Path};

/// Assumed where the system does not tell.
const UNKNOWN_BYTES: u64 = 8 << 30;

/// Bytes that can be used without swapping: what Linux calls available, within the limit of the
/// control group; 8 GiB on other systems.
pub fn free_bytes() -> u64 {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok())
        .map_or(UNKNOWN_BYTES, |kib| kib << 10);
    let of_group = |name: &str| {
        let text = fs::read_to_string(Path::new("/sys/fs/cgroup").join(name)).ok()?;
        text.trim().parse::<u64>().ok()
    };
    // Files that are only cached count as used there, and are dropped when memory is short.
    let cached = fs::read_to_string("/sys/fs/cgroup/memory.stat")
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse().ok())
        .unwrap_or(0);
    match (of_group("memory.max"), of_group("memory.current")) {
        (Some(limit), Some(used)) => available.min((limit + cached).saturating_sub(used)),
        _ => available,
    }
}
