//! Extended XYZ: what is accepted, what is refused and with which words, and that no bytes do harm.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use framewise::adapters::extxyz::reader::ExtxyzReader;
use framewise::adapters::source::values::Values;
use framewise::adapters::source::{Detail, FrameStream as _, SourceFrame};
use framewise::domain::error::Result;
use proptest::prelude::*;

fn read_all(bytes: &[u8], detail: Detail) -> Result<Vec<SourceFrame>> {
    let mut reader = ExtxyzReader::new(bytes, Path::new("x.xyz"));
    let mut frame = SourceFrame::default();
    let mut frames = Vec::new();
    while reader.read(&mut frame, detail)? {
        frames.push(frame.clone());
    }
    Ok(frames)
}

fn one(text: &str) -> SourceFrame {
    let mut frames = read_all(text.as_bytes(), Detail::Full).unwrap();
    assert_eq!(frames.len(), 1, "{text}");
    frames.remove(0)
}

/// Every bad file has its message beside it; `FRAMEWISE_BLESS=1` writes the messages anew.
#[test]
fn bad_files_are_refused_with_the_message_beside_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/extxyz");
    let out = tempfile::tempdir().unwrap();
    let mut differences = String::new();
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "xyz") {
            continue;
        }
        count += 1;
        let args = framewise::commands::import::ImportArgs {
            sources: vec![path.clone()],
            output: out.path().join("x.h5"),
            overwrite: false,
            topology: None,
            species: None,
            length_unit: None,
            author: "test".into(),
        };
        let found = match framewise::commands::import::import(&args, &|| Ok(())) {
            Ok(_) => "was accepted".to_owned(),
            Err(e) => e.message.replace(&format!("{}/", folder.display()), ""),
        };
        let sidecar = path.with_extension("expected");
        if std::env::var_os("FRAMEWISE_BLESS").is_some() {
            fs::write(&sidecar, format!("{found}\n")).unwrap();
        }
        let expected = fs::read_to_string(&sidecar).unwrap_or_default();
        if found != expected.trim_end() || found.contains('\n') {
            let _ = writeln!(differences, "found    {found}\nexpected {expected}");
        }
        assert_eq!(
            fs::read_dir(out.path()).unwrap().count(),
            0,
            "{}: leftovers",
            path.display()
        );
    }
    assert!(differences.is_empty(), "\n{differences}");
    assert!(count >= 28, "only {count} fixtures");
}

#[test]
fn cells_and_directions() {
    let atoms = "Ar 0 0 0\n";
    for (comment, vectors, periodic) in [
        ("Properties=species:S:1:pos:R:3", [[0.0; 3]; 3], [false; 3]),
        (
            "Lattice=\"1 2 3 4 5 6 7 8 10\"",
            [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 10.0]],
            [true; 3],
        ),
        (
            "Lattice=[[1, 2, 3], [4, 5, 6], [7, 8, 10]] pbc=[T, F, T]",
            [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 10.0]],
            [true, false, true],
        ),
        (
            "lattice={2 3 4} PBC=\"0 1 0\"",
            [[2.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 4.0]],
            [false, true, false],
        ),
        (
            "Lattice='0 1 0 1 0 0 0 0 1' pbc=F",
            [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
            [false; 3],
        ),
    ] {
        let frame = one(&format!("1\n{comment}\n{atoms}"));
        assert_eq!(frame.cell.vectors, vectors, "{comment}");
        assert_eq!(frame.cell.periodic, periodic, "{comment}");
        assert_eq!(frame.has_cell, comment.to_lowercase().contains("lattice"));
        assert!(frame.keys.is_empty());
    }
    let frame = one("1\nslab\nAr 0 0 0\nVEC1 1 0 0\nVEC2 0 2 0\n");
    assert_eq!(frame.cell.periodic, [true, true, false]);
    assert!((frame.cell.vectors[1][1] - 2.0).abs() < 1e-15);
}

#[test]
fn columns_of_every_type() {
    let frame = one(
        "2\nProperties=label:S:1:Z:I:1:pos:R:3:forces:R:3:id:I:1:fixed:L:2 q=1\n\
         a 18 0 0 1e-3 .1 1.0D+02 -3 7 T F\n\
         b 36 1 2 3 nan inf 0 -8 True FALSE\n\n \n",
    );
    assert_eq!(frame.species, [18, 36]);
    assert_eq!(
        frame.positions[1].map(f64::to_bits),
        [1.0, 2.0, 3.0].map(f64::to_bits)
    );
    let names: Vec<_> = frame
        .columns
        .iter()
        .map(|c| (c.name.as_str(), c.width))
        .collect();
    assert_eq!(
        names,
        [("label", 1), ("forces", 3), ("id", 1), ("fixed", 2)]
    );
    assert_eq!(frame.columns[2].values, Values::Integer(vec![7, -8]));
    assert_eq!(
        frame.columns[3].values,
        Values::Logical(vec![true, false, true, false])
    );
    let Values::Real(forces) = &frame.columns[1].values else {
        panic!("forces are reals");
    };
    assert_eq!(
        forces[..3].iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
        [0.1, 100.0, -3.0].map(f64::to_bits)
    );
    assert!(forces[3].is_nan() && forces[4].is_infinite());
}

#[test]
fn plain_xyz_line_ends_and_gaps() {
    let text = "2\r\nwater, 3 steps\r\nO 0 0 0 extra\r\n1 0 0 1\r\n\r\n\r\n1\r\n\r\nHe 1 2 3";
    let frames = read_all(text.as_bytes(), Detail::Full).unwrap();
    assert_eq!(frames[0].species, [8, 1]);
    assert_eq!(frames[0].keys[0].name, "comment");
    assert_eq!(frames[0].keys[0].text, "water, 3 steps");
    assert_eq!(frames[1].species, [2]);
    assert!(frames[1].keys.is_empty());
    assert!(read_all(b"0\n\n0\n\n", Detail::Full).unwrap().len() == 2);
}

#[test]
fn a_claimed_count_allocates_nothing() {
    for count in ["1000000000000000000", "18446744073709551615"] {
        let text = format!("{count}\nProperties=species:S:1:pos:R:3\nAr 0 0 0\n");
        let error = read_all(text.as_bytes(), Detail::Full).unwrap_err();
        assert!(
            error.message.contains("the file ends after 1 of"),
            "{error}"
        );
    }
}

/// Pieces that reach every branch of the grammar sooner than random bytes do.
fn scraps() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "1",
            "2",
            "\n",
            "\r\n",
            " ",
            "Ar",
            "8",
            "1.5",
            "-1e300",
            "nan",
            "Lattice=",
            "pbc=",
            "\"",
            "'",
            "{",
            "}",
            "[",
            "]",
            ",",
            "=",
            "\\",
            "T",
            "F",
            "Properties=species:S:1:pos:R:3",
            ":q:R:1",
            ":n:I:2",
            ":l:L:1",
            ":s:S:1",
            "Z:I:1",
            "a",
            "VEC1 1 2 3\n",
            "_JSON [[1,2],[3]]",
            "\u{e9}",
            "1\n\nAr 0 0 0\n",
            "stress=\"1 2 3 4 5 6 7 8 9\"",
            "99999999999999999999",
        ])
        .prop_map(|s| s.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_frames_or_an_error(bytes in scraps()) {
        let full = read_all(&bytes, Detail::Full);
        let structure = read_all(&bytes, Detail::Structure);
        match full {
            Ok(frames) => {
                let structure = structure.unwrap();
                prop_assert_eq!(frames.len(), structure.len());
                for (a, b) in frames.iter().zip(&structure) {
                    prop_assert_eq!(&a.species, &b.species);
                    prop_assert_eq!(a.positions.len(), a.len());
                    for c in &a.columns {
                        prop_assert_eq!(c.values.len(), c.width * a.len());
                    }
                    for k in &a.keys {
                        prop_assert_eq!(k.values.len(), k.shape.iter().product::<usize>());
                    }
                }
            }
            Err(e) => {
                prop_assert!(e.message.starts_with("x.xyz:"), "{}", e);
                prop_assert!(e.message.contains(": frame "), "{}", e);
            }
        }
    }
}

/// A frame of at most three atoms with properties whose kinds and shapes differ from frame to frame.
fn any_frame() -> impl Strategy<Value = String> {
    let value = prop::sample::select(vec![
        "1",
        "2.5",
        "T",
        "word",
        "\"1 2\"",
        "[1.5, 2]",
        "[[1,2],[3,4]]",
        "\"\"",
        "9007199254740993",
        "\"T F\"",
        "\u{e9}/",
    ]);
    let column = prop::sample::select(vec![
        ("q:R:1", "0.5"),
        ("q:I:1", "7"),
        ("q:R:2", "1 2"),
        ("q:S:1", "abc"),
        ("q:L:1", "T"),
        ("box:I:2", "3 4"),
        ("a/b:S:2", "x \u{e9}"),
    ]);
    let keys = prop::collection::vec(
        (
            prop::sample::select(vec!["a", "b", "c/d", "step", "."]),
            value,
        ),
        0..4,
    );
    (
        0..4_usize,
        keys,
        prop::option::of(column),
        prop::option::of(1..4),
    )
        .prop_map(|(n, keys, column, cell)| {
            let (declared, values) =
                column.map_or((String::new(), ""), |(d, v)| (format!(":{d}"), v));
            let mut text = format!("{n}\nProperties=species:S:1:pos:R:3{declared}");
            for (key, value) in keys {
                let _ = write!(text, " {key}={value}");
            }
            if let Some(length) = cell {
                let _ = write!(
                    text,
                    " Lattice=\"{length} 0 0 0 1 0 0 0 1\" pbc=\"T {} F\"",
                    if length == 1 { 'T' } else { 'F' }
                );
            }
            text + "\n" + &format!("Ar 1 2 3 {values}\n").repeat(n)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_mixture_of_frames_is_imported(frames in prop::collection::vec(any_frame(), 1..6)) {
        let folder = tempfile::tempdir().unwrap();
        let (source, output) = (folder.path().join("a.xyz"), folder.path().join("a.h5"));
        fs::write(&source, frames.concat()).unwrap();
        let args = framewise::commands::import::ImportArgs {
            sources: vec![source],
            output: output.clone(),
            overwrite: false,
            topology: None,
            species: None,
            length_unit: None,
            author: "test".into(),
        };
        framewise::commands::import::import(&args, &|| Ok(())).map_err(|e| TestCaseError::fail(e.message))?;
        let file = hdf5::File::open(&output).unwrap();
        prop_assert_eq!(file.dataset("particles/trajectory/position/step").unwrap().size(), frames.len());
    }
}
