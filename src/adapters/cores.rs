//! Cores that this process may use.

/// Cores this process may use, divided by the ranks that share them.
pub fn for_each_rank(local_ranks: usize) -> usize {
    let mine = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let node = rustix::thread::sched_getaffinity(None).map_or(mine, |_| online_cores());
    // A launcher that binds its ranks leaves each a part of the node; otherwise they share it.
    if mine < node {
        mine
    } else {
        (mine / local_ranks.max(1)).max(1)
    }
}

fn online_cores() -> usize {
    let present = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let count = |range: &str| -> Option<usize> {
        let (a, b) = range
            .trim()
            .split_once('-')
            .unwrap_or((range.trim(), range.trim()));
        Some(b.parse::<usize>().ok()? + 1 - a.parse::<usize>().ok()?)
    };
    present.split(',').filter_map(count).sum::<usize>().max(1)
}
