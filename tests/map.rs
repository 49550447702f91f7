//! `framewise map`: kernels on the rows of arrays, against numpy, scipy, pyUSID and sidpy, under kills and with bad input.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use hdf5::types::VarLenUnicode;
use rustix::process::Signal;
use support::folder::Folder;
use support::launch::{Finished, send};
use support::results::{assert_same, read, statuses};

const RAW: &str = "Measurement_000/Channel_000/Raw_Data";
const FIT: &str = "Measurement_000/Channel_000/Raw_Data-SHO_Fit_000";

/// A folder with `scan.h5` and its references, see `tests/data/make/scan.py`.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.bring("scan.h5");
    folder.bring("scan.reference.h5");
    folder
}

/// All numbers of a dataset.
fn numbers(folder: &Folder, file: &str, name: &str) -> Vec<f64> {
    let path = folder.path(file);
    let file = hdf5::File::open(&path).unwrap();
    let dataset = file.dataset(name).unwrap_or_else(|e| panic!("{name}: {e}"));
    if dataset.dtype().unwrap().size() == 16 {
        let pairs = dataset.read_raw::<Pair>().unwrap();
        return pairs.iter().flat_map(|z| [z.r, z.i]).collect();
    }
    dataset.read_raw::<f64>().unwrap()
}

/// Fails unless the program prints `text`.
#[track_caller]
fn prints(finished: &Finished, text: &str) {
    assert!(finished.stdout.contains(text), "no {text:?}: {finished}");
}

/// A complex number as h5py stores it.
#[derive(hdf5::H5Type, Clone, Copy)]
#[repr(C)]
struct Pair {
    r: f64,
    i: f64,
}

/// Fails unless both are the same to so much of the largest.
#[track_caller]
fn assert_near(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        let same = (a - b).abs() <= tolerance * largest || (a.is_nan() && b.is_nan());
        assert!(same, "{what}, {i}: {a}, not {b}");
    }
}

#[test]
fn statistics_are_those_of_numpy_and_scipy() {
    let folder = folder();
    for (dataset, reference, more) in [
        ("signals", "statistics_signals", ""),
        ("images", "statistics_images", ""),
        (RAW, "statistics_phase", "-p part=phase"),
    ] {
        let command = format!("map scan.h5 --dataset {dataset} --kernel statistics -o r.h5 {more}");
        folder.alone(&command).expect(0);
        let expected = numbers(&folder, "scan.reference.h5", reference);
        let rows = expected.len() / 6;
        let names = [
            "Mean",
            "Standard_Deviation",
            "Minimum",
            "Maximum",
            "Skewness",
            "Kurtosis",
        ];
        for (name, expected) in names.iter().zip(expected.chunks(rows)) {
            let found = numbers(&folder, "r.h5", &format!("{dataset}-Statistics_000/{name}"));
            assert_near(&found, expected, 1e-12, &format!("{dataset} {name}"));
        }
        fs::remove_file(folder.path("r.h5")).unwrap();
    }
    // A row of equal numbers has no shape, and is completed all the same.
    folder
        .alone("map scan.h5 --dataset constant --kernel statistics -o r.h5")
        .expect(0);
    let skewness = numbers(&folder, "r.h5", "constant-Statistics_000/Skewness");
    assert!(skewness[0].is_nan() && skewness[1].abs() < 1e-12);
    folder.alone("verify r.h5").expect(0);
}

#[test]
fn filters_are_those_of_scipy_for_real_complex_and_odd_rows() {
    let folder = folder();
    for (dataset, reference) in [("signals", "signals"), ("odd", "odd"), ("exact", "complex")] {
        folder
            .on(2, &format!(
                "map scan.h5 --dataset {dataset} --kernel fft-filter -o {reference}.h5 -p noise-tolerance=1e-3 -p low-pass=0.3 \
                 -p high-pass=0.01"
            ))
            .expect(0);
        let result = format!("{reference}.h5");
        for (name, expected) in [("Filtered", "filtered"), ("Noise_Threshold", "threshold")] {
            let found = numbers(
                &folder,
                &result,
                &format!("{dataset}-FFT_Filter_000/{name}"),
            );
            let expected = numbers(
                &folder,
                "scan.reference.h5",
                &format!("{expected}_{reference}"),
            );
            assert_near(&found, &expected, 1e-12, &format!("{dataset} {name}"));
        }
    }
}

#[test]
fn oscillators_are_those_of_scipy_and_exact_ones_come_back() {
    let folder = folder();
    folder
        .on(
            2,
            &format!("map scan.h5 --dataset {RAW} --kernel sho-fit -o r.h5"),
        )
        .expect(0);
    let expected = numbers(&folder, "scan.reference.h5", "sho");
    let names = [
        "Amplitude",
        "Resonance_Frequency",
        "Quality_Factor",
        "Phase",
        "R2",
    ];
    for (k, name) in names.iter().enumerate() {
        let found = numbers(&folder, "r.h5", &format!("{FIT}/{name}"));
        let expected: Vec<f64> = expected.iter().skip(k).step_by(5).copied().collect();
        assert_near(&found, &expected, 1e-6, name);
    }
    folder
        .alone("map scan.h5 --dataset exact --kernel sho-fit -p frequencies=exact_frequencies -o exact.h5")
        .expect(0);
    let truth = numbers(&folder, "scan.h5", "exact_truth");
    for (k, name) in names.iter().take(4).enumerate() {
        let found = numbers(&folder, "exact.h5", &format!("exact-SHO_Fit_000/{name}"));
        let expected: Vec<f64> = truth.iter().skip(k).step_by(4).copied().collect();
        assert_near(&found, &expected, 1e-9, name);
    }
    let file = hdf5::File::open_rw(folder.path("scan.h5")).unwrap();
    let dataset = file.dataset("exact_frequencies").unwrap();
    let other = dataset.read_1d::<f64>().unwrap() * 2.0;
    dataset.write(&other).unwrap();
    drop((dataset, file));
    folder
        .alone("map scan.h5 --dataset exact --kernel sho-fit -p frequencies=exact_frequencies -o exact.h5")
        .expect(0)
        .says("parameter frequencies-xxh3");
}

#[test]
fn scores_are_those_of_numpy_and_other_components_get_another_group() {
    let folder = folder();
    let command =
        "map scan.h5 --dataset signals --kernel pca-projection:components -p mean=mean -o r.h5";
    folder.on(3, command).expect(0);
    for (name, reference) in [("Scores", "scores"), ("Residual", "residual")] {
        let found = numbers(
            &folder,
            "r.h5",
            &format!("signals-PCA_Projection_000/{name}"),
        );
        let expected = numbers(&folder, "scan.reference.h5", reference);
        assert_near(&found, &expected, 1e-12, name);
    }
    let file = hdf5::File::open_rw(folder.path("scan.h5")).unwrap();
    let components = file.dataset("components").unwrap();
    let mut values = components.read_2d::<f64>().unwrap();
    values[(0, 0)] += 1.0;
    components.write(&values).unwrap();
    drop((components, file));
    folder
        .alone(command)
        .expect(0)
        .says("parameter components-xxh3");
    let first = numbers(&folder, "r.h5", "signals-PCA_Projection_000/Scores");
    let second = numbers(&folder, "r.h5", "signals-PCA_Projection_001/Scores");
    assert!(first != second);
}

#[test]
fn the_bytes_are_the_same_for_any_ranks_and_threads_and_selections() {
    let folder = folder();
    for (kernel, dataset) in [
        ("statistics", "images"),
        ("fft-filter:", "signals"),
        ("sho-fit", RAW),
        ("pca-projection:components", "signals"),
    ] {
        let (kernel, more) = match kernel {
            "fft-filter:" => ("fft-filter", "-p noise-tolerance=0.01"),
            other => (other, ""),
        };
        let command = format!("map scan.h5 --dataset {dataset} --kernel {kernel} {more}");
        folder
            .alone(&format!("{command} -t 1 -o whole.h5"))
            .expect(0);
        for (ranks, threads) in [(1, 2), (2, 1), (2, 2), (3, 1)] {
            let name = format!("{ranks}-{threads}.h5");
            folder
                .on(
                    ranks,
                    &format!("{command} --oversubscribe -t {threads} -o {name}"),
                )
                .expect(0);
            assert_same(&folder.path(&name), &folder.path("whole.h5"));
            fs::remove_file(folder.path(&name)).unwrap();
        }
        folder
            .on(2, &format!("{command} -o parts.h5 --rows 1::2"))
            .expect(0);
        folder
            .on(2, &format!("{command} -o parts.h5 --chunk 1/2"))
            .expect(0);
        folder.on(1, &format!("{command} -o parts.h5")).expect(0);
        assert_same(&folder.path("parts.h5"), &folder.path("whole.h5"));
        folder.alone("verify parts.h5").expect(0);
        fs::remove_file(folder.path("parts.h5")).unwrap();
        fs::remove_file(folder.path("whole.h5")).unwrap();
    }
}

#[test]
fn a_finished_result_is_not_touched() {
    let folder = folder();
    let command = "map scan.h5 --dataset signals --kernel statistics -o r.h5";
    folder.on(2, command).expect(0);
    let result = folder.path("r.h5");
    let before = (
        fs::read(&result).unwrap(),
        result.metadata().unwrap().modified().unwrap(),
    );
    prints(&folder.on(3, command).expect(0), "0 rows computed");
    let after = (
        fs::read(&result).unwrap(),
        result.metadata().unwrap().modified().unwrap(),
    );
    assert!(before == after);
    folder
        .alone("export r.h5 -o x.xyz")
        .expect(1)
        .error("holds results of rows");
}

/// So many rows of the scan, one after the other, over and over.
fn long(folder: &Folder, rows: usize) {
    let source = hdf5::File::open(folder.path("scan.h5")).unwrap();
    let spectra = source.dataset(RAW).unwrap().read_2d::<Pair>().unwrap();
    let values = ndarray::Array2::from_shape_fn((rows, 48), |(i, k)| {
        let z = spectra[(i % spectra.nrows(), k)];
        let scale = 1.0 + i as f64 * 1e-6;
        Pair {
            r: z.r * scale,
            i: z.i * scale,
        }
    });
    let file = hdf5::File::create(folder.path("long.h5")).unwrap();
    file.new_dataset_builder()
        .with_data(&values)
        .create("d")
        .unwrap();
}

#[test]
fn killed_jobs_go_on_and_end_with_the_same_bytes() {
    let folder = folder();
    long(&folder, 60_000);
    let command = "-v map long.h5 --dataset d --kernel sho-fit -p frequencies=300e3..350e3 -t 1 --checkpoint-interval 0.05";
    folder.on(2, &format!("{command} -o whole.h5")).expect(0);
    let command = format!("{command} -o r.h5");
    for (ranks, victims) in [(3, 1), (2, 2), (1, 1)] {
        let mut run = if ranks == 1 {
            folder.alone(&command)
        } else {
            folder.on(ranks, &command)
        }
        .start();
        run.wait_for(" committed commit=1 ");
        if ranks == 1 {
            run.signal(Signal::KILL);
        } else {
            for rank in run.ranks().into_iter().take(victims) {
                send(rank, Signal::KILL);
            }
        }
        let died = run.finish();
        assert!(!matches!(died.code, Some(0 | 3 | 75)), "{died}");
        folder.alone("verify r.h5").expect(0);
        let states = statuses(&folder.path("r.h5"));
        let completed = states.iter().filter(|code| **code == 0).count();
        assert!(completed > 0 && completed < states.len(), "{completed}");
    }
    let mut run = folder.on(2, &command).start();
    run.wait_for(" committed commit=1 ");
    send(run.ranks()[1], Signal::TERM);
    run.finish().expect(75);
    folder.on(3, &command).expect(0);
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
    prints(&folder.alone("status r.h5").expect(0), "60,000");
}

/// States and what pyUSID reads of them are written in one phase: a kill may come between, in either order.
#[test]
fn what_pyusid_reads_of_the_states_is_mended_after_a_kill_between_the_two() {
    let folder = folder();
    let command = "map scan.h5 --dataset signals --kernel statistics -o r.h5 --rows 0:30";
    folder.alone(command).expect(0);
    let whole = folder.path("whole.h5");
    fs::copy(folder.path("r.h5"), &whole).unwrap();
    let file = hdf5::File::open_rw(folder.path("r.h5")).unwrap();
    let name = "signals-Statistics_000/completed_positions";
    let completed = file.dataset(name).unwrap();
    let mut bytes = completed.read_1d::<u8>().unwrap();
    assert!(bytes.len() > 31 && bytes.iter().map(|b| usize::from(*b)).sum::<usize>() == 30);
    (bytes[3], bytes[31]) = (0, 1);
    completed.write(&bytes).unwrap();
    drop((completed, file));
    folder.on(2, command).expect(0);
    assert_same(&folder.path("r.h5"), &whole);
}

#[test]
fn a_row_that_fails_costs_that_row() {
    let folder = folder();
    let command = "map scan.h5 --dataset holes --kernel statistics -o r.h5";
    let failed = folder.on(3, command).expect(3);
    failed.says("value 3 of the row is not finite (NaN)");
    let mut expected = vec![0; 12];
    (expected[5], expected[7]) = (3, 3);
    assert_eq!(statuses(&folder.path("r.h5")), expected);
    let means = numbers(&folder, "r.h5", "holes-Statistics_000/Mean");
    let nan: Vec<_> = (0..12).filter(|i| means[*i].is_nan()).collect();
    assert_eq!(nan, [5, 7]);
    let done = numbers(&folder, "r.h5", "holes-Statistics_000/completed_positions");
    assert_eq!(done.iter().sum::<f64>(), 10.0);
    let again = folder.alone(&format!("{command} --retry failed")).expect(3);
    assert!(again.stdout.contains("2 failed"), "{again}");
    folder
        .alone(&format!("{command} --overwrite --rows 0:3"))
        .expect(0);
    prints(&folder.alone("verify r.h5").expect(0), "10 completed rows");
}

#[test]
fn a_changed_byte_is_found_and_computed_again() {
    let folder = folder();
    let command = "map scan.h5 --dataset signals --kernel statistics -o r.h5";
    folder.alone(command).expect(0);
    let whole = read(&folder.path("r.h5"));
    let file = hdf5::File::open_rw(folder.path("r.h5")).unwrap();
    let mean = file.dataset("signals-Statistics_000/Mean").unwrap();
    let mut values = mean.read_2d::<f64>().unwrap();
    values[(17, 0)] += 1e-12;
    mean.write(&values).unwrap();
    drop((mean, file));
    prints(
        &folder.alone("verify r.h5").expect(1),
        "row 17: does not match its checksum",
    );
    folder.on(2, command).expect(0).says("row 17");
    assert_eq!(read(&folder.path("r.h5")).packed, whole.packed);
}

#[test]
fn no_rows_and_fewer_rows_than_ranks() {
    let folder = folder();
    folder
        .on(2, "map scan.h5 --dataset empty --kernel statistics -o r.h5")
        .expect(0);
    prints(&folder.alone("status r.h5").expect(0), "0 rows");
    folder
        .on(
            3,
            "map scan.h5 --dataset constant --kernel statistics -o few.h5",
        )
        .expect(0);
    assert_eq!(statuses(&folder.path("few.h5")), [0, 0]);
}

#[test]
fn bad_input_is_one_clear_line_and_nothing_is_created() {
    let folder = folder();
    let file = hdf5::File::open_rw(folder.path("scan.h5")).unwrap();
    let words: Vec<VarLenUnicode> = vec!["a".parse().unwrap(); 3];
    file.new_dataset_builder()
        .with_data(&words)
        .create("words")
        .unwrap();
    file.new_dataset::<f64>().create("one").unwrap();
    drop(file);
    for (arguments, code, says) in [
        (
            "--dataset Measurement_000/Channel_000/Raw_Dat --kernel statistics",
            1,
            "did you mean",
        ),
        (
            "--dataset Measurement_000 --kernel statistics",
            1,
            "is a group, not a dataset",
        ),
        ("--dataset words --kernel statistics", 1, "expected numbers"),
        ("--dataset one --kernel statistics", 1, "is one number"),
        (
            "--dataset signals --kernel statistic",
            2,
            "did you mean \"statistics\"?",
        ),
        (
            "--dataset signals --kernel statistics:7",
            2,
            "takes nothing after its name",
        ),
        (
            "--dataset signals --kernel statistics -p parts=real",
            2,
            "kernel statistics has no parameter",
        ),
        (
            "--dataset signals --kernel statistics -p part=reel",
            2,
            "is not one of",
        ),
        (
            "--dataset signals --kernel sho-fit",
            2,
            "takes complex rows",
        ),
        (
            "--dataset exact --kernel sho-fit",
            2,
            "does not say the frequencies",
        ),
        (
            "--dataset exact --kernel sho-fit -p frequencies=5..1",
            2,
            "ascending",
        ),
        (
            "--dataset exact --kernel sho-fit -p frequencies=nowhere",
            2,
            "does not exist",
        ),
        (
            "--dataset signals --kernel fft-filter",
            2,
            "nothing to filter",
        ),
        (
            "--dataset images --kernel fft-filter -p low-pass=0.1",
            2,
            "takes rows of one axis",
        ),
        (
            "--dataset signals --kernel pca-projection",
            2,
            "components is missing",
        ),
        (
            "--dataset odd --kernel pca-projection:components",
            2,
            "rows have 75 elements",
        ),
        (
            "--dataset signals --kernel statistics --rows 50",
            2,
            "--rows",
        ),
        ("--kernel statistics", 2, "--dataset PATH is missing"),
    ] {
        for ranks in [1, 2] {
            let command = format!("map scan.h5 -o r.h5 {arguments}");
            let refused = folder.on(ranks, &command).refused(code);
            refused.error(says);
        }
    }
    assert_eq!(
        folder.names(),
        ["scan.h5", "scan.reference.h5"],
        "leftovers"
    );
}

#[test]
fn job_files_are_read_as_those_of_run() {
    let folder = folder();
    let job = "dataset = 'signals'\nkernel = 'fft-filter'\nthreads = 1\n[param]\nlow-pass = 0.1\n";
    fs::write(folder.path("job.toml"), job).unwrap();
    folder
        .alone("map scan.h5 -o r.h5 --config job.toml")
        .expect(0);
    fs::write(
        folder.path("job.toml"),
        "kernel = 'statistics'\n\ncalculator = 'null'\n",
    )
    .unwrap();
    folder
        .alone("map scan.h5 -o s.h5 --dataset odd --config job.toml")
        .expect(2)
        .error("line 3");
}

#[test]
fn pyusid_and_sidpy_open_finished_and_partial_results() {
    let folder = folder();
    let fit = format!("map scan.h5 --dataset {RAW} --kernel sho-fit -o fit.h5");
    folder.on(2, &format!("{fit} --rows 3:20")).expect(0);
    let shapes = [
        "Amplitude",
        "Resonance_Frequency",
        "Quality_Factor",
        "Phase",
        "R2",
    ];
    let shapes: Vec<_> = shapes.iter().map(|name| format!("{name}=5x7x2")).collect();
    usid(&folder.path("fit.h5"), FIT, ["35", "17"], &shapes);
    folder.on(3, &fit).expect(0);
    usid(&folder.path("fit.h5"), FIT, ["35", "35"], &shapes);
    folder
        .alone("map scan.h5 --dataset signals --kernel fft-filter -p noise-tolerance=1e-3 -o f.h5 --rows 0:9")
        .expect(0);
    let shapes = ["Filtered=41x100", "Noise_Threshold=41x1"].map(str::to_owned);
    usid(
        &folder.path("f.h5"),
        "signals-FFT_Filter_000",
        ["41", "9"],
        &shapes,
    );
}

/// `scripts/test` provides the interpreter; there is no test without it.
fn usid(result: &Path, group: &str, counts: [&str; 2], shapes: &[String]) {
    let interpreter = std::env::var_os("FRAMEWISE_PYTHON")
        .expect("FRAMEWISE_PYTHON names a Python with pyUSID; scripts/test makes one");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/usid.py");
    let output = Command::new(interpreter)
        .arg(script)
        .arg(result)
        .arg(group)
        .args(counts)
        .args(shapes)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn kernels_are_listed_with_their_parameters() {
    let folder = Folder::new();
    let all = folder.alone("kernels").expect(0);
    for name in ["statistics", "fft-filter", "sho-fit", "pca-projection"] {
        assert!(all.stdout.contains(name), "{all}");
        let one = folder.alone(&format!("kernels {name}")).expect(0);
        assert!(one.stdout.contains("Checked against"), "{one}");
    }
    folder.alone("kernels sho").expect(2).error("did you mean");
}
