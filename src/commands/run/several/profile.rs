//! How the work is spread over several inputs, in a few lines.

use crate::commands::table::{plural, thousands};

use super::sized::Sized;

/// Percentiles that are told.
const PERCENTILES: [u64; 3] = [5, 50, 95];
/// An input with more than this share of all atoms decides how long everything takes.
const DOMINANT: f64 = 0.5;
/// An input with fewer frames for each rank leaves ranks idle.
const FEW_FRAMES: u64 = 4;

/// What is said of `all`, the largest first, on so many ranks.
pub(super) fn lines(all: &[Sized], ranks: usize) -> Vec<String> {
    let good: Vec<_> = all.iter().filter(|one| one.defect.is_none()).collect();
    let mut frames: Vec<u64> = good.iter().map(|one| one.frames).collect();
    let mut atoms: Vec<u64> = good
        .iter()
        .map(|one| one.atoms / one.frames.max(1))
        .collect();
    frames.sort_unstable();
    atoms.sort_unstable();
    let (sum, work) = (
        frames.iter().sum::<u64>(),
        good.iter().map(|one| one.atoms).sum::<u64>(),
    );
    let mut lines = vec![format!(
        "{} with {} of {} atoms in all",
        plural(good.len() as u64, "input"),
        plural(sum, "frame"),
        thousands(work)
    )];
    if good.is_empty() {
        return lines;
    }
    lines.push(format!("frames per input: {}", spread(&frames)));
    lines.push(format!("atoms per frame: {}", spread(&atoms)));
    lines.push(format!("inputs by number of frames: {}", bins(&frames)));
    let share = good[0].atoms as f64 / work.max(1) as f64;
    if good.len() > 1 && share > DOMINANT {
        lines.push(format!(
            "{} has {:.0} % of all atoms and is computed first",
            good[0].input.display(),
            100.0 * share
        ));
    }
    let few = good
        .iter()
        .filter(|one| one.frames < FEW_FRAMES * ranks as u64);
    let few = few.count();
    if ranks > 1 && 2 * few > good.len() {
        lines.push(format!(
            "{few} of the inputs have fewer than {FEW_FRAMES} frames for each of {ranks} ranks, which then wait for each other: \
             fewer ranks, or groups of one file as one job with --keys, use them better"
        ));
    }
    lines
}

/// `mean 120.5, 5 % 10, median 100, 95 % 300, 5 to 400`.
fn spread(sorted: &[u64]) -> String {
    let mean = sorted.iter().sum::<u64>() as f64 / sorted.len() as f64;
    let at = |percent: u64| {
        let last = sorted.len() as u64 - 1;
        thousands(sorted[((last * percent + 50) / 100) as usize])
    };
    let named = PERCENTILES.map(|percent| {
        let name = if percent == 50 {
            "median".to_owned()
        } else {
            format!("{percent} %")
        };
        format!("{name} {}", at(percent))
    });
    let (least, most) = (sorted[0], sorted[sorted.len() - 1]);
    format!(
        "mean {mean:.1}, {}, {} to {}",
        named.join(", "),
        thousands(least),
        thousands(most)
    )
}

/// `1-9: 4, 10-99: 2`, by powers of ten.
fn bins(sorted: &[u64]) -> String {
    let mut counts: Vec<(u32, u64)> = Vec::new();
    for n in sorted {
        let bin = n.checked_ilog10().map_or(0, |log| log + 1);
        match counts.last_mut() {
            Some((last, count)) if *last == bin => *count += 1,
            _ => counts.push((bin, 1)),
        }
    }
    let named = counts.iter().map(|(bin, count)| {
        if *bin == 0 {
            return format!("none: {count}");
        }
        let first = 10_u64.pow(bin - 1);
        let last = 10 * first - 1;
        format!("{}-{}: {count}", thousands(first), thousands(last))
    });
    named.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sized(frames: u64, atoms: u64) -> Sized {
        Sized {
            input: format!("{frames}.h5").into(),
            frames,
            atoms: frames * atoms,
            ..Sized::default()
        }
    }

    #[test]
    fn sizes_are_told_with_what_they_mean() {
        let mut all: Vec<_> = [1000, 12, 3, 2, 1].map(|frames| sized(frames, 10)).into();
        all.push(Sized {
            defect: Some("damaged".into()),
            ..sized(7, 7)
        });
        let said = lines(&all, 4).join("\n");
        for part in [
            "5 inputs with 1,018 frames of 10,180 atoms in all",
            "frames per input: mean 203.6, 5 % 1, median 3, 95 % 1,000, 1 to 1,000",
            "atoms per frame: mean 10.0",
            "1-9: 3, 10-99: 1, 1,000-9,999: 1",
            "1000.h5 has 98 % of all atoms",
            "4 of the inputs have fewer than 4 frames for each of 4 ranks",
        ] {
            assert!(said.contains(part), "{part}:\n{said}");
        }
        assert_eq!(lines(&[], 1), ["0 inputs with 0 frames of 0 atoms in all"]);
    }
}
