//! `import` and `export`, with ASE and h5py as witnesses: what goes in comes out, bit for bit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use framewise::adapters::extxyz::reader::ExtxyzReader;
use framewise::adapters::hdf5::create;
use framewise::adapters::hdf5::geometry::Geometry;
use framewise::adapters::hdf5::input::Input;
use framewise::adapters::hdf5::layout;
use framewise::adapters::hdf5::result_block::ResultBlock;
use framewise::adapters::hdf5::result_reader::ResultReader;
use framewise::adapters::source::{Detail, FrameStream as _, SourceFrame};
use framewise::commands::export::{self, ExportArgs};
use framewise::commands::import::{self, ImportArgs};
use framewise::domain::checksum::checksum;
use framewise::domain::frame::FrameBlock;
use framewise::engine::ports::Source as _;
use framewise::planning::frame_set::FrameSet;

/// One test at a time: HDF5 locks the files it writes, and a Python started meanwhile would inherit the lock.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `scripts/test` provides the interpreter; there is no test without it.
fn python(action: &str, arguments: &[PathBuf]) {
    let interpreter = std::env::var_os("FRAMEWISE_PYTHON")
        .expect("FRAMEWISE_PYTHON names a Python with ase and h5py; scripts/test makes one");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/interchange.py");
    let output = Command::new(interpreter)
        .arg(script)
        .arg(action)
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{action} {arguments:?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn import(
    sources: &[PathBuf],
    output: &Path,
    overwrite: bool,
) -> framewise::domain::error::Result<()> {
    let args = ImportArgs {
        sources: sources.to_vec(),
        output: output.to_owned(),
        overwrite,
        topology: None,
        species: None,
        length_unit: None,
        author: "test".into(),
    };
    import::import(&args, &|| Ok(())).map(drop)
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// The frames of a file as the reader of inputs sees them and as they are in the source.
fn assert_same_frames(sources: &[PathBuf], imported: &Path) {
    let mut input = Input::open(imported, None).unwrap();
    let mut block = FrameBlock::default();
    let mut frame = SourceFrame::default();
    let mut index = 0;
    for source in sources {
        let shown = source.display();
        let mut reader = ExtxyzReader::open(source).unwrap();
        while reader.read(&mut frame, Detail::Full).unwrap() {
            let this = FrameSet::all(index + 1).slice(index..index + 1);
            input.read(&this, &mut block).unwrap();
            let found = block.frame(0);
            let bits = |v: &[[f64; 3]]| {
                v.as_flattened()
                    .iter()
                    .map(|x| x.to_bits())
                    .collect::<Vec<_>>()
            };
            assert_eq!(found.species, frame.species, "{shown} {index}");
            assert_eq!(
                bits(found.positions),
                bits(&frame.positions),
                "{shown} {index}"
            );
            assert_eq!(
                bits(&found.cell.vectors),
                bits(&frame.cell.vectors),
                "{shown} {index}"
            );
            assert_eq!(found.cell.periodic, frame.cell.periodic, "{shown} {index}");
            index += 1;
        }
    }
    let beyond = FrameSet::all(index + 1).slice(index..index + 1);
    assert!(
        input.read(&beyond, &mut block).is_err(),
        "more frames than the sources have"
    );
}

#[test]
fn real_trajectories_are_imported_bit_for_bit() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut pairs = Vec::new();
    for name in [
        "argon.xyz",
        "argon_npt.xyz",
        "argon_slab.xyz",
        "argon_cluster.xyz",
        "argon_triclinic.xyz",
        "argon_single.xyz",
        "charged.xyz",
        "ArKr.xyz",
        "silicon.xyz",
        "water6.xyz",
    ] {
        let out = folder.path().join(name).with_extension("h5");
        import(&[data(name)], &out, false).unwrap();
        assert_same_frames(&[data(name)], &out);
        pairs.extend([data(name), out]);
    }
    python("imported", &pairs);
    // One file after another: sizes, species, cells and directions all differ.
    let sources = ["argon.xyz", "charged.xyz", "argon_slab.xyz", "silicon.xyz"].map(data);
    let out = folder.path().join("all.h5");
    import(&sources, &out, false).unwrap();
    assert_same_frames(&sources, &out);
}

#[test]
fn every_property_survives_import() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let pairs = ["constant", "varying", "ragged"].map(|kind| {
        let source = folder.path().join(format!("{kind}.xyz"));
        (
            PathBuf::from(kind),
            source.clone(),
            source.with_extension("h5"),
        )
    });
    let arguments: Vec<_> = pairs
        .iter()
        .flat_map(|(k, s, _)| [k.clone(), s.clone()])
        .collect();
    python("write", &arguments);
    for (_, source, out) in &pairs {
        import(std::slice::from_ref(source), out, false).unwrap();
        assert_same_frames(std::slice::from_ref(source), out);
    }
    let arguments: Vec<_> = pairs.into_iter().flat_map(|(_, s, o)| [s, o]).collect();
    python("imported", &arguments);
}

#[test]
fn the_same_sources_give_the_same_bytes() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let files = ["a.h5", "b.h5"].map(|name| folder.path().join(name));
    for file in &files {
        import(&[data("argon_npt.xyz")], file, false).unwrap();
    }
    assert_eq!(fs::read(&files[0]).unwrap(), fs::read(&files[1]).unwrap());
}

#[test]
fn nothing_is_overwritten_unasked_and_failure_leaves_nothing() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("a.xyz");
    fs::copy(data("charged.xyz"), &source).unwrap();
    let sources = [source.clone()];
    let out = folder.path().join("a.h5");
    import(&sources, &out, false).unwrap();
    let error = import(&sources, &out, false).unwrap_err();
    assert!(error.message.contains("a.h5: exists already"), "{error}");
    assert_eq!(error.exit_code(), 2);
    import(&sources, &out, true).unwrap();

    let alias = folder.path().join("alias.xyz");
    fs::hard_link(&source, &alias).unwrap();
    for same in [&source, &alias] {
        let error = import(&sources, same, true).unwrap_err();
        assert!(error.message.contains("are the same file"), "{error}");
    }
    let before = fs::read(&out).unwrap();
    fs::write(&source, "1\n\nAr 0 0 zero\n").unwrap();
    let error = import(&sources, &out, true).unwrap_err();
    assert!(error.message.contains("a.xyz:3: frame 0: "), "{error}");
    assert_eq!(
        fs::read(&out).unwrap(),
        before,
        "a failed import touched the old file"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "leftovers");
    let error = import(&[data("charged.xyz")], Path::new("/nowhere/x.h5"), false).unwrap_err();
    assert!(
        error.message.contains("/nowhere: no such directory"),
        "{error}"
    );
}

/// A result whose frame `k` has status `k % 4`, with numbers that need all their digits.
fn write_result(input: &Path, result: &Path) {
    create::create(
        result,
        &mut Input::open(input, None).unwrap(),
        Geometry::Copy,
        &|| Ok(()),
    )
    .unwrap();
    create::publish(result, &[]).unwrap();
    let file = hdf5::File::open_rw(result).unwrap();
    let fill = |name: &str, value: &dyn Fn(usize) -> f64| {
        let dataset = file.dataset(name).unwrap();
        let numbers: Vec<f64> = (0..dataset.size()).map(value).collect();
        let shaped = ndarray::ArrayViewD::from_shape(dataset.shape(), &numbers).unwrap();
        dataset.write(shaped).unwrap();
    };
    fill(&format!("{}/value", layout::ENERGY), &|k| {
        -1.0 / (k as f64 + 3.0)
    });
    fill(&format!("{}/value", layout::FORCES), &|k| {
        (k as f64).sin() * 1e-3
    });
    // Symmetric, as a stress is; ASE keeps six numbers. Frame 4 has none.
    fill(&format!("{}/value", layout::STRESS), &|k| {
        let (frame, i, j) = (k / 9, k / 3 % 3, k % 3);
        if frame == 4 {
            f64::NAN
        } else {
            ((frame * 10 + i + j + i * j) as f64).sqrt() * 1e-4
        }
    });
    let status = file.dataset(layout::STATUS).unwrap();
    let codes: Vec<i64> = (0..status.size() as i64).map(|k| k % 4).collect();
    status.write(&codes).unwrap();
    drop((status, file));
    let reader = ResultReader::open(result).unwrap();
    let mut block = ResultBlock::default();
    let all = FrameSet::all(reader.n_frames());
    reader.read_results(&all, &mut block).unwrap();
    drop(reader);
    let sum = |i: usize| {
        let forces = &block.forces[block.offsets[i]..block.offsets[i + 1]];
        checksum(block.energy[i], forces, &block.stress[i])
    };
    let sums: Vec<u64> = (0..block.energy.len()).map(sum).collect();
    let file = hdf5::File::open_rw(result).unwrap();
    file.dataset(layout::CHECKSUM)
        .unwrap()
        .write(&sums)
        .unwrap();
}

fn export(
    result: &Path,
    output: &Path,
    frames: Option<&str>,
) -> framewise::domain::error::Result<()> {
    let args = ExportArgs {
        frames: frames.map(|f| f.parse().unwrap()),
        ..ExportArgs::new(result.to_owned(), output.to_owned())
    };
    export::export(&args, &|| Ok(()))
}

#[test]
fn completed_frames_are_exported_for_ase() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut pairs = Vec::new();
    for (name, sources) in [
        ("fixed", vec![data("argon.xyz")]),
        (
            "ragged",
            vec![
                data("argon_npt.xyz"),
                data("argon_slab.xyz"),
                data("silicon.xyz"),
            ],
        ),
    ] {
        let (input, result) = (path(&format!("{name}.in.h5")), path(&format!("{name}.h5")));
        import(&sources, &input, false).unwrap();
        write_result(&input, &result);
        let out = path(&format!("{name}.extxyz"));
        export(&result, &out, None).unwrap();
        pairs.extend([result.clone(), out.clone()]);
        let error = export(&result, &out, None).unwrap_err();
        assert!(error.message.contains("exists already"), "{error}");
    }
    python("exported", &pairs);
    let result = path("fixed.h5");
    let frames_of = |selection: &str, name: &str| {
        let out = path(name);
        export(&result, &out, Some(selection)).map(|()| {
            let written = fs::read_to_string(out).unwrap();
            written
                .split_whitespace()
                .filter_map(|w| w.strip_prefix("frame=").map(str::to_owned))
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(frames_of("3:10,-4:", "a.extxyz").unwrap(), ["4", "8", "16"]);
    let error = frames_of("1:4", "b.extxyz").unwrap_err();
    assert!(
        error
            .message
            .contains("none of the 3 selected frames is completed"),
        "{error}"
    );
    let error = frames_of("20", "b.extxyz").unwrap_err();
    assert!(
        error.message.contains("--frames: frame 20 does not exist"),
        "{error}"
    );
    assert!(!path("b.extxyz").exists());
}
