//! One GPU for each rank of a node.

use crate::adapters::mpi::launcher;

/// The variable by which CUDA chooses.
const VARIABLE: &str = "CUDA_VISIBLE_DEVICES";

/// Variables for a process of this rank. Where several ranks of a node have several GPUs, each gets one, in turn; a
/// rank that is alone on its node has all of them.
pub(super) fn variables() -> Vec<(String, String)> {
    let variable = |name: &str| std::env::var(name).ok();
    let visible = variable(VARIABLE).unwrap_or_else(|| installed().join(","));
    let chosen = launcher::place_on_node(variable).and_then(|place| choose(&visible, place));
    chosen
        .map(|device| (VARIABLE.to_owned(), device))
        .into_iter()
        .collect()
}

/// The device of `visible`, a list as the variable has it, for rank `place.0` of the `place.1` of a node.
fn choose(visible: &str, (rank, ranks): (u64, u64)) -> Option<String> {
    let devices: Vec<&str> = visible.split(',').map(str::trim).collect();
    if ranks < 2 || devices.len() < 2 {
        return None;
    }
    let device = devices[rank as usize % devices.len()];
    tracing::debug!("{VARIABLE}={device} for rank {rank} of the {ranks} of this node");
    Some(device.to_owned())
}

/// Numbers of the devices that the driver shows.
fn installed() -> Vec<String> {
    let names = std::fs::read_dir("/dev").into_iter().flatten();
    let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut numbers: Vec<u32> = names
        .filter_map(|name| name.strip_prefix("nvidia")?.parse().ok())
        .collect();
    numbers.sort_unstable();
    numbers.iter().map(u32::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::choose;

    #[test]
    fn ranks_of_a_node_take_devices_in_turn() {
        let of = |visible, place| choose(visible, place).unwrap_or_default();
        assert_eq!([0, 1, 2].map(|rank| of("0,1", (rank, 3))), ["0", "1", "0"]);
        // The scheduler's own names.
        assert_eq!(of("GPU-a, GPU-b", (1, 2)), "GPU-b");
        // Who has one already, or all for himself, keeps what he has.
        assert_eq!(choose("3", (1, 4)), None);
        assert_eq!(choose("0,1,2,3", (0, 1)), None);
        assert_eq!(choose("", (1, 2)), None);
    }
}
