//! The cores that this process may use: its affinity mask, in the order of the machine's topology, and its quota of
//! processor time.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use xxhash_rust::xxh3::xxh3_64;

use crate::planning::cores::Berth;

/// What a launcher, a batch system or a container has left to this process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given {
    /// Kernel's numbers of the cores (hardware threads) it may run on: those of one physical core side by side, and
    /// physical cores of one package side by side. Empty when they cannot be found out.
    pub cores: Vec<usize>,
    /// Cores in use in the whole machine.
    pub online: usize,
    /// Processor time: its bound in cores, and the control group that sets it.
    pub quota: Option<(f64, PathBuf)>,
}

impl Given {
    /// What this process has now.
    pub fn find() -> Self {
        let system = Path::new("/sys/devices/system/cpu");
        let mask = sched_getaffinity(None).map(|set| numbers(&set));
        Self {
            cores: by_topology(mask.unwrap_or_default(), system),
            online: online(&read(system.join("online"))),
            quota: quota(Path::new("/sys/fs/cgroup"), &read("/proc/self/cgroup")),
        }
    }

    /// How many cores: where the mask is unknown, as many as the standard library finds.
    pub fn count(&self) -> usize {
        match self.cores.len() {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        }
    }

    /// What this process tells the other ranks.
    pub fn berth(&self, asked: Option<usize>) -> Berth {
        let mut sorted = self.cores.clone();
        sorted.sort_unstable();
        let hash = |text: &str| xxh3_64(text.as_bytes());
        Berth {
            machine: hash(&machine()),
            mask: hash(&format!("{sorted:?}")),
            cores: self.count(),
            quota: self
                .quota
                .as_ref()
                .map(|(cores, group)| (hash(&group.to_string_lossy()), whole(*cores))),
            asked,
        }
    }
}

/// Whole cores of a quota, at least one.
fn whole(quota: f64) -> usize {
    (quota as usize).max(1)
}

/// Keeps the calling thread, and those it will start, to one core. False when the system refuses.
pub fn pin(core: usize) -> bool {
    let mut set = CpuSet::new();
    if core >= CpuSet::MAX_CPU {
        return false;
    }
    set.set(core);
    sched_setaffinity(None, &set).is_ok()
}

fn numbers(set: &CpuSet) -> Vec<usize> {
    (0..CpuSet::MAX_CPU)
        .filter(|cpu| set.is_set(*cpu))
        .collect()
}

/// The kernel that runs this process, whatever name its container has.
fn machine() -> String {
    let boot = read("/proc/sys/kernel/random/boot_id");
    if boot.trim().is_empty() {
        return super::owner::host();
    }
    boot
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Sorted by package, physical core and number: a consecutive part of the list then shares as few physical cores and
/// caches with another part as can be. `system` is `/sys/devices/system/cpu`.
fn by_topology(mut cores: Vec<usize>, system: &Path) -> Vec<usize> {
    cores.sort_by_cached_key(|cpu| {
        let topology = system.join(format!("cpu{cpu}/topology"));
        let number = |name: &str| read(topology.join(name)).trim().parse().unwrap_or(0_i64);
        let package = number("physical_package_id");
        // Where the kernel tells no topology, its order.
        let core = match read(topology.join("core_id")).trim().parse() {
            Ok(core) => core,
            Err(_) => *cpu as i64,
        };
        (package, core, *cpu)
    });
    cores
}

/// The order in which workers take places of `cores` (sorted as in [`Given`]): one hardware thread of each physical
/// core before the second of any.
pub fn spread(cores: &[usize]) -> Vec<usize> {
    spread_by(cores, |cpu| {
        let topology = format!("/sys/devices/system/cpu/cpu{cpu}/topology");
        let number = |name: &str| read(format!("{topology}/{name}")).trim().parse::<i64>();
        match (number("physical_package_id"), number("core_id")) {
            (Ok(package), Ok(core)) => (package, core),
            _ => (i64::MAX, cpu as i64),
        }
    })
}

fn spread_by(cores: &[usize], physical: impl Fn(usize) -> (i64, i64)) -> Vec<usize> {
    let mut seen = std::collections::BTreeMap::new();
    let mut order: Vec<_> = cores
        .iter()
        .enumerate()
        .map(|(place, cpu)| {
            let sibling = seen.entry(physical(*cpu)).or_insert(0);
            *sibling += 1;
            (*sibling, place, *cpu)
        })
        .collect();
    order.sort_unstable();
    order.into_iter().map(|(_, _, cpu)| cpu).collect()
}

/// Number of cores in a list like `0-3,8`.
fn online(list: &str) -> usize {
    let count = |range: &str| -> Option<usize> {
        let (a, b) = range
            .trim()
            .split_once('-')
            .unwrap_or((range.trim(), range.trim()));
        Some(b.parse::<usize>().ok()? + 1 - a.parse::<usize>().ok()?)
    };
    list.split(',').filter_map(count).sum::<usize>().max(1)
}

/// The tightest bound on processor time in cores, and the control group that sets it: cgroups(7), version 2 with
/// `cpu.max`, version 1 with `cpu.cfs_quota_us`. `mount` is `/sys/fs/cgroup`, `own` the text of `/proc/self/cgroup`.
/// Inside a container the path may be the one outside: what can be found of it and above it counts.
fn quota(mount: &Path, own: &str) -> Option<(f64, PathBuf)> {
    let mut tightest: Option<(f64, PathBuf)> = None;
    for line in own.lines() {
        let mut fields = line.splitn(3, ':');
        let (_, Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let roots: Vec<PathBuf> = match controllers {
            "" => vec![mount.to_owned(), mount.join("unified")],
            list if list.split(',').any(|name| name == "cpu") => {
                vec![mount.join("cpu"), mount.join("cpu,cpuacct")]
            }
            _ => continue,
        };
        for root in roots {
            let mut group = root.join(path.trim_start_matches('/'));
            loop {
                if let Some(cores) = limit_of(&group)
                    && tightest.as_ref().is_none_or(|(least, _)| cores < *least)
                {
                    tightest = Some((cores, group.clone()));
                }
                if group == root || !group.pop() || !group.starts_with(&root) {
                    break;
                }
            }
        }
    }
    tightest
}

fn limit_of(group: &Path) -> Option<f64> {
    let numbers = |text: String| -> Option<(f64, f64)> {
        let mut fields = text.split_whitespace();
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let (quota, period) = numbers(read(group.join("cpu.max"))).or_else(|| {
        let quota = read(group.join("cpu.cfs_quota_us"));
        let period = read(group.join("cpu.cfs_period_us"));
        numbers(format!("{quota} {period}"))
    })?;
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_tightest_quota_of_the_group_and_those_above_it_counts() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(root, "cpu.max", "max 100000\n");
        write(root, "job/cpu.max", "350000 100000\n");
        write(root, "job/step/cpu.max", "800000 100000\n");
        let found = quota(root, "0::/job/step\n");
        assert_eq!(found, Some((3.5, root.join("job"))));
        assert_eq!(whole(3.5), 3);
        assert_eq!(whole(0.5), 1);
        // The path outside of a container, of which nothing is seen inside.
        write(root, "cpu.max", "200000 100000\n");
        let inside = quota(root, "0::/outside/docker-7\n");
        assert_eq!(inside, Some((2.0, root.to_owned())));
        assert_eq!(quota(root, ""), None);
    }

    #[test]
    fn quotas_of_version_1_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(root, "cpu,cpuacct/a/cpu.cfs_quota_us", "150000\n");
        write(root, "cpu,cpuacct/a/cpu.cfs_period_us", "50000\n");
        write(root, "cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
        write(root, "cpu,cpuacct/cpu.cfs_period_us", "100000\n");
        let own = "4:memory:/a\n3:cpu,cpuacct:/a\n";
        assert_eq!(quota(root, own), Some((3.0, root.join("cpu,cpuacct/a"))));
    }

    #[test]
    fn hardware_threads_of_one_core_lie_side_by_side_and_are_taken_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        // Two packages of two cores of two threads, numbered as Linux does: siblings far apart.
        for cpu in 0..8_usize {
            let topology = format!("cpu{cpu}/topology");
            let (package, core) = (cpu % 4 / 2, cpu % 2);
            write(
                folder.path(),
                &format!("{topology}/physical_package_id"),
                &package.to_string(),
            );
            write(
                folder.path(),
                &format!("{topology}/core_id"),
                &core.to_string(),
            );
        }
        let sorted = by_topology((0..8).collect(), folder.path());
        assert_eq!(sorted, [0, 4, 1, 5, 2, 6, 3, 7]);
        let physical = |cpu: usize| ((cpu % 4 / 2) as i64, (cpu % 2) as i64);
        assert_eq!(spread_by(&sorted[..4], physical), [0, 1, 4, 5]);
        let nothing_known = by_topology(vec![3, 1, 2], &folder.path().join("no"));
        assert_eq!(nothing_known, [1, 2, 3]);
    }

    #[test]
    fn lists_of_cores_are_counted() {
        assert_eq!(online("0-3,8\n"), 5);
        assert_eq!(online("0"), 1);
        assert_eq!(online(""), 1);
        let given = Given::find();
        assert!(given.count() >= 1 && given.online >= 1);
        assert_eq!(given.berth(None).cores, given.count());
    }

    #[test]
    fn a_pinned_thread_stays_on_its_core() {
        let core = *Given::find().cores.last().unwrap();
        std::thread::spawn(move || {
            assert!(pin(core));
            assert_eq!(Given::find().cores, [core]);
            assert!(!pin(CpuSet::MAX_CPU));
        })
        .join()
        .unwrap();
    }
}
