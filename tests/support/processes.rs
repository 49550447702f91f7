//! Processes of this machine, from `/proc` (proc(5)).

use std::fs;

use rustix::process::Pid;

/// Name and state of a process, and where in the kernel each of its threads waits (proc(5)).
pub fn portrait(pid: Pid) -> String {
    let folder = format!("/proc/{}", pid.as_raw_nonzero());
    let of = |path: &str| fs::read_to_string(format!("{folder}/{path}")).unwrap_or_default();
    let status = of("status");
    let about = status.lines().filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        ["Name", "State", "Pid", "SigBlk"]
            .contains(&key)
            .then(|| value.trim())
    });
    let threads = fs::read_dir(format!("{folder}/task")).into_iter().flatten();
    let waits = threads.flatten().map(|thread| {
        let thread = thread.file_name();
        of(&format!("task/{}/wchan", thread.to_string_lossy()))
    });
    let about: Vec<_> = about.collect();
    let waits: Vec<_> = waits.collect();
    format!("{}: {}", about.join(" "), waits.join(" "))
}

/// A process and those it started, from `/proc/PID/stat` (field 4, proc(5)).
pub fn with_descendants(pid: Pid) -> Vec<Pid> {
    let parents: Vec<(Pid, Pid)> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
            Some((Pid::from_raw(pid)?, Pid::from_raw(parent.parse().ok()?)?))
        })
        .collect();
    let mut family = vec![pid];
    let mut next = 0;
    while next < family.len() {
        let of = family[next];
        let children = parents.iter().filter(|(_, parent)| *parent == of);
        family.extend(children.map(|(child, _)| *child));
        next += 1;
    }
    family
}

/// The process of an engine under `--isolate`, or of the keeper of another program: no rank.
pub fn is_engine(pid: Pid) -> bool {
    let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    let verb = line.split(|byte| *byte == 0).nth(1);
    verb == Some(b"evaluate") || verb == Some(b"keep")
}

/// The rank that its launcher told it in the environment; 0 without one.
pub fn rank_of(pid: Pid) -> usize {
    let environment =
        fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .filter_map(|entry| std::str::from_utf8(entry).ok())
        .find_map(|entry| {
            let mut names = ["OMPI_COMM_WORLD_RANK=", "PMI_RANK="].into_iter();
            names.find_map(|name| entry.strip_prefix(name))
        })
        .and_then(|rank| rank.parse().ok())
        .unwrap_or(0)
}
