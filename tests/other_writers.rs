//! H5MD as other programs write it: read as it is, or with what the user says of it, or refused in one line.

mod support;

use framewise::adapters::hdf5::input::Input;
use framewise::domain::frame::FrameBlock;
use framewise::engine::ports::Source as _;
use framewise::planning::frame_set::FrameSet;

use support::folder::Folder;
use support::python::said;
use support::results::{bits, read};

fn make(folder: &Folder, variant: &str) {
    said("writers.py", folder, ["in.h5", variant]);
}

/// The frames in a file, as it has them.
fn frames(folder: &Folder, name: &str) -> FrameBlock {
    let mut input = Input::open(&folder.path(name), None).unwrap();
    let mut block = FrameBlock::default();
    input.read(&FrameSet::all(3), &mut block).unwrap();
    block
}

#[test]
fn every_way_to_write_a_molecule_is_the_same_molecule() {
    let folder = Folder::new();
    let mut expected: Option<FrameBlock> = None;
    for (variant, options) in [
        ("plain", ""),
        ("named", "--key water"),
        ("big-endian", ""),
        ("float32", ""),
        ("chunked", ""),
        ("cell-per-frame", ""),
        ("even-times", ""),
        ("times", ""),
        ("unitless", ""),
        ("unitless", "--length-unit Angstrom"),
        ("plain", "--length-unit Å"),
        ("uint8", ""),
        ("per-frame", ""),
        ("text", ""),
        ("long-text", ""),
        ("enumeration", ""),
        ("enumeration-per-frame", ""),
        ("text-per-frame", ""),
        ("long-text-per-frame", ""),
        ("types-in-text-per-frame", "--species OW=O,HW1=H,HW2=H"),
        ("enumeration-of-types", "--species OW=O,HW=H"),
        ("enumeration-of-types", "--species 1=O,0=H"),
        ("types-in-text", "--species OW=O,HW1=H,HW2=H"),
        ("types", "--species 2=O,1=H"),
        ("types", "--species O,H:2"),
        ("no-species", "--species O,H,H"),
    ] {
        make(&folder, variant);
        let run = format!("run in.h5 -o r.h5 --calculator null {options}");
        folder.on(2, &run).expect(0);
        let found = frames(&folder, "r.h5");
        let expected = expected.get_or_insert_with(|| found.clone());
        assert_eq!(found.species, [8, 1, 1, 8, 1, 1, 8, 1, 1], "{variant}");
        let flat = |block: &FrameBlock| bits(block.positions.as_flattened());
        assert_eq!(flat(&found), flat(expected), "{variant}");
        assert_eq!(found.cells, expected.cells, "{variant}");
        let forces = read(&folder.path("r.h5")).forces;
        assert_eq!(bits(forces.as_flattened()), flat(expected), "{variant}");
        std::fs::remove_file(folder.path("r.h5")).unwrap();
    }
    // Numbers of another unit, which are not the same to the last bit.
    for (variant, options) in [("nm", ""), ("unitless-nm", "--length-unit nm")] {
        make(&folder, variant);
        folder
            .alone(&format!("run in.h5 -o r.h5 --calculator null {options}"))
            .expect(0);
        let (found, expected) = (frames(&folder, "r.h5"), expected.as_ref().unwrap());
        let pairs = found.positions.as_flattened().iter();
        let pairs = pairs.zip(expected.positions.as_flattened());
        for (x, y) in pairs {
            assert!((x - y * 10.0 / 8.0).abs() < 1e-13, "{variant}: {x} {y}");
        }
        std::fs::remove_file(folder.path("r.h5")).unwrap();
    }
}

#[test]
fn enumerations_of_every_width_sign_and_byte_order_mean_their_symbols() {
    let folder = Folder::new();
    for order in ["<", ">"] {
        for kind in ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"] {
            for when in ["fixed", "per-frame"] {
                let variant = format!("enumeration:{order}{kind}:{when}");
                make(&folder, &variant);
                let found = frames(&folder, "in.h5").species;
                assert_eq!(found, [8, 1, 1, 8, 1, 1, 8, 1, 1], "{variant}");
            }
        }
    }
}

#[test]
fn names_of_each_frame_may_differ_and_frames_be_taken_out() {
    let folder = Folder::new();
    for kind in ["fixed", "varying"] {
        said(
            "writers.py",
            &folder,
            ["ragged.h5", &format!("ragged-text:{kind}")],
        );
        let run = format!("run ragged.h5 -o {kind}.h5 --calculator null --frames 0,2");
        folder.on(2, &run).expect(0);
        let mut input = Input::open(&folder.path("ragged.h5"), None).unwrap();
        let mut block = FrameBlock::default();
        let some: FrameSet = [0..1, 2..3].into_iter().collect();
        input.read(&some, &mut block).unwrap();
        assert_eq!(block.species, [18, 8, 1, 1], "{kind}");
        assert_eq!(block.offsets, [0, 1, 4], "{kind}");
    }
}

#[test]
fn steps_and_times_come_along_with_their_unit() {
    let folder = Folder::new();
    for (variant, steps, times, unit) in [
        ("plain", [0, 1, 2], [0.0, 1.0, 2.0], "ps"),
        ("times", [10, 20, 40], [1.0, 2.0, 4.0], "ns"),
        ("even-times", [1000, 1250, 1500], [2.0, 2.5, 3.0], "fs"),
    ] {
        make(&folder, variant);
        folder
            .alone("run in.h5 -o r.h5 --calculator null")
            .expect(0);
        let file = hdf5::File::open(folder.path("r.h5")).unwrap();
        let position = file.group("particles/trajectory/position").unwrap();
        let step = position.dataset("step").unwrap().read_raw::<i64>().unwrap();
        let time = position.dataset("time").unwrap();
        assert_eq!(step, steps, "{variant}");
        assert_eq!(time.read_raw::<f64>().unwrap(), times, "{variant}");
        let said = time.attr("unit").unwrap();
        let said = said.read_scalar::<hdf5::types::VarLenUnicode>().unwrap();
        assert_eq!(said.as_str(), unit, "{variant}");
        drop((file, position, time));
        std::fs::remove_file(folder.path("r.h5")).unwrap();
    }
}

#[test]
fn what_cannot_be_known_is_asked_for_in_one_line() {
    let folder = Folder::new();
    for (variant, options, code, what) in [
        ("no-species", "", 1, "--species Ar:108"),
        (
            "no-species",
            "--species O,H",
            1,
            "has 3 atoms in each frame, but --species lists 2",
        ),
        ("no-species", "--species 1=O", 1, "is missing"),
        ("no-species", "--species Qq", 2, "--species"),
        (
            "types-in-text",
            "",
            1,
            "\"OW\" is not the symbol of an element",
        ),
        (
            "types-in-text",
            "--species OW=O",
            1,
            "\"HW1\" is not the symbol",
        ),
        (
            "types-in-text-per-frame",
            "",
            1,
            "dataset /particles/trajectory/species/value: \"OW\" is not the symbol",
        ),
        (
            "float16",
            "",
            1,
            "dataset /particles/trajectory/position/value holds numbers of another precision than single and double; store it \
             as float32 or float64",
        ),
        (
            "flat-box",
            "",
            1,
            "has shape [2, 2], expected (3, 3), (3), (3, 3, 3) or (3, 3)",
        ),
        ("enumeration-of-types", "", 1, "--species HW=O"),
        (
            "types",
            "--species 2=O",
            1,
            "if it stands for an element, say which: --species 1=O",
        ),
        (
            "nm",
            "--length-unit Angstrom",
            1,
            "has the unit \"nm\", --length-unit says \"Angstrom\"",
        ),
        (
            "unitless",
            "--length-unit mile",
            2,
            "--length-unit \"mile\"",
        ),
    ] {
        make(&folder, variant);
        folder
            .alone(&format!("run in.h5 -o r.h5 --calculator null {options}"))
            .expect(code)
            .error(what);
        assert_eq!(folder.names(), ["in.h5"], "{variant} {options}");
    }
    std::fs::write(folder.path("md.traj"), b"- of Ulm").unwrap();
    folder
        .alone("import md.traj -o md.h5")
        .expect(1)
        .error("ase convert md.traj md.traj.extxyz");
}

#[test]
fn properties_are_of_what_their_names_and_rows_say() {
    let folder = Folder::new();
    // As many frames as atoms.
    let file = hdf5::File::create(folder.path("mbe.h5")).unwrap();
    let group = file.create_group("md").unwrap();
    let put = |group: &hdf5::Group, name: &str, values: &[f64]| {
        let dataset = group.new_dataset_builder().with_data(values);
        dataset.create(name).unwrap();
    };
    let positions: Vec<f64> = (0..48).map(f64::from).collect();
    let positions = ndarray::Array3::from_shape_vec((4, 4, 3), positions).unwrap();
    let builder = group.new_dataset_builder().with_data(&positions);
    builder.create("positions (Å)").unwrap();
    let numbers = group.new_dataset_builder().with_data(&[18_i64; 4]);
    numbers.create("atomic_numbers").unwrap();
    put(&group, "E_pot", &[0.5, 1.5, 2.5, 3.5]);
    put(&group, "masses (u)", &[40.0, 41.0, 42.0, 43.0]);
    put(&group, "blocks", &[1.0, 2.0]);
    file.flush().unwrap();
    drop((group, file));
    folder
        .alone("run mbe.h5 --key md -o r.h5 -c null --carry all")
        .expect(0)
        .says("--carry all: blocks is left out: it has the shape [2]");
    for command in ["export mbe.h5 --key md -o -", "export r.h5 -o -"] {
        let said = folder.alone(command).expect(0).stdout;
        let comments: Vec<_> = said.lines().skip(1).step_by(6).collect();
        assert!(comments[2].contains("E_pot=2.5"), "{said}");
        assert!(comments[2].contains("masses:R:1"), "{said}");
    }
    folder
        .alone("export mbe.h5 --key md -o x.extxyz")
        .expect(0)
        .says("property \"blocks\" is left out");

    // Names that are of the geometry elsewhere, and numbers longer than 64 bits.
    std::fs::write(
        folder.path("named.xyz"),
        "1\npositions=2 box=7 periodic=3 offsets=4 uid=12345678901234567891\nAr 0 0 0\n",
    )
    .unwrap();
    folder.import("named");
    let said = folder.alone("export named.h5 -o -").expect(0).stdout;
    for key in [
        "positions=2",
        "box=7",
        "periodic=3",
        "offsets=4",
        "12345678901234567891",
    ] {
        assert!(said.contains(key), "{key}: {said}");
    }
}
