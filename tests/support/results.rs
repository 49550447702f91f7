//! Result files, read serially and byte by byte.

use std::collections::BTreeMap;
use std::fs::File as PlainFile;
use std::os::unix::fs::FileExt;
use std::path::Path;

use framewise::adapters::hdf5::layout;
use framewise::adapters::hdf5::result_block::ResultBlock;
use framewise::adapters::hdf5::result_reader::ResultReader;
use framewise::domain::frame::FrameBlock;
use framewise::planning::frame_set::FrameSet;
use hdf5::Group;

/// The only datasets that may differ between two ways to the same result.
const MEASURED: [&str; 2] = [layout::SECONDS, layout::HISTORY];

/// The bytes of every dataset as they stand in the file, by path, without seconds and history.
pub fn bytes(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let file = hdf5::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let plain = PlainFile::open(path).unwrap();
    let mut found = BTreeMap::new();
    collect(&file, &plain, "", &mut found);
    for name in MEASURED {
        found
            .remove(name)
            .unwrap_or_else(|| panic!("{}: no {name}", path.display()));
    }
    found
}

fn collect(group: &Group, file: &PlainFile, at: &str, found: &mut BTreeMap<String, Vec<u8>>) {
    for name in group.member_names().unwrap() {
        let path = format!("{at}/{name}");
        if let Ok(dataset) = group.dataset(&name) {
            let values = dataset.size() * dataset.dtype().unwrap().size();
            let mut raw = vec![0; values];
            // What is stored in one piece stands in the file as it is in memory.
            match dataset.offset() {
                Some(offset) => file.read_exact_at(&mut raw, offset).unwrap(),
                None => assert_eq!(values, 0, "{path} is not in one piece"),
            }
            found.insert(path, raw);
        } else {
            collect(&group.group(&name).unwrap(), file, &path, found);
        }
    }
}

/// Fails, naming the dataset and the place, unless all datasets of both files hold the same bytes, and the same text
/// is said of the job.
#[track_caller]
pub fn assert_same(found: &Path, expected: &Path) {
    let (a, b) = (bytes(found), bytes(expected));
    let shown = found.display();
    assert!(a.contains_key(layout::STATUS) && a.len() >= 10, "{shown}");
    assert!(
        a.keys().eq(b.keys()),
        "{shown}: other datasets: {:?}, not {:?}",
        a.keys(),
        b.keys()
    );
    for (name, x) in &a {
        let y = &b[name];
        assert_eq!(x.len(), y.len(), "{shown}: {name}: length");
        let different = x.iter().zip(y).position(|(x, y)| x != y);
        assert_eq!(different, None, "{shown}: {name}: first different byte");
    }
    let attributes = |path| {
        let mut all = ResultReader::open(path).unwrap().attributes().clone();
        // Who wrote the file, not what is in it: the results of one MPI are those of another.
        all.remove(layout::attribute::MPI_VERSION);
        all
    };
    assert_eq!(attributes(found), attributes(expected), "{shown}");
}

/// All results.
pub fn read(path: &Path) -> ResultBlock {
    let reader = ResultReader::open(path).unwrap();
    let mut block = ResultBlock::default();
    reader
        .read_results(&FrameSet::all(reader.n_frames()), &mut block)
        .unwrap();
    block
}

/// The states of all frames.
pub fn statuses(path: &Path) -> Vec<i64> {
    read(path).status
}

/// Number of completed frames.
pub fn completed(path: &Path) -> usize {
    statuses(path).iter().filter(|code| **code == 0).count()
}

/// Fails unless the frames of `selected` hold exactly what `null` computes and all others are NaN and undefined.
#[track_caller]
pub fn assert_null(path: &Path, frames: &FrameBlock, selected: &dyn Fn(u64) -> bool) {
    let found = read(path);
    let shown = path.display();
    assert_eq!(found.status.len(), frames.len(), "{shown}");
    for i in 0..frames.len() {
        let forces = &found.forces[found.offsets[i]..found.offsets[i + 1]];
        let stress = found.stress[i].as_flattened();
        let numbers = forces.as_flattened();
        let frame = frames.frame(i);
        assert_eq!(forces.len(), frame.len(), "{shown} {i}");
        if selected(i as u64) {
            assert_eq!(found.status[i], 0, "{shown} {i}");
            let mut sum = 0.0;
            for x in frame.positions.as_flattened() {
                sum += x;
            }
            assert_eq!(
                found.energy[i].to_bits(),
                f64::to_bits(sum),
                "{shown} {i}: energy"
            );
            assert_eq!(bits(numbers), bits(frame.positions.as_flattened()));
            assert_eq!(bits(stress), [0; 9], "{shown} {i}: stress");
        } else {
            assert_eq!(found.status[i], 1, "{shown} {i}");
            assert_eq!(found.checksum[i], 0, "{shown} {i}");
            let all = numbers.iter().chain(stress).chain([&found.energy[i]]);
            assert!(all.into_iter().all(|x| x.is_nan()), "{shown} {i}");
        }
    }
}

/// The bits of numbers.
pub fn bits(numbers: &[f64]) -> Vec<u64> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

/// The JSON that `--metrics` wrote.
pub fn metrics(path: &Path) -> serde_json::Value {
    let text = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&text).unwrap()
}

/// Frames computed by each rank, from `--metrics`.
pub fn frames_by_rank(path: &Path) -> Vec<u64> {
    let metrics = metrics(path);
    let ranks = metrics["ranks"].as_array().unwrap();
    ranks
        .iter()
        .map(|r| r["frames"].as_u64().unwrap())
        .collect()
}
