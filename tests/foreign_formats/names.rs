//! Names of atoms: elements only where they can be nothing else.

use std::fs;

use chemfiles::{Atom, Frame, Trajectory};
use framewise::adapters::source::{Detail, SourceFrame};
use framewise::adapters::trajectory_files::open;

use super::support::folder::Folder;
use super::with_chemfiles::{gro, pdb};
use super::{hints, read_all};

const AMINO: [(&str, &str, u32, &str); 7] = [
    ("N", "ALA", 1, ""),
    ("CA", "ALA", 1, ""),
    ("CB", "ALA", 1, ""),
    ("HG", "CYS", 2, ""),
    ("CD", "GLU", 3, ""),
    ("NE", "ARG", 4, ""),
    ("CA", "CA", 5, ""),
];

#[test]
fn names_of_atoms_are_no_elements_unless_that_is_certain() {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in [("a.pdb", pdb(&AMINO)), ("a.gro", gro(&AMINO))] {
        let path = folder.path().join(file);
        fs::write(&path, text).unwrap();
        let error = read_all(&path, &hints(None)).unwrap_err().message;
        assert!(
            error.contains(
                "frame 0: atom 1 has no chemical element (type \"CA\", name \"CA\", which may be Ca"
            ) && error.ends_with("--species CA=C,CB=C,HG=H,CD=C,NE=N"),
            "{error}"
        );
        // What is said already is in the advice too.
        let error = read_all(&path, &hints(Some("CA=C"))).unwrap_err().message;
        assert!(
            error.ends_with("--species CA=C,CB=C,HG=H,CD=C,NE=N"),
            "{error}"
        );
        // The ion in a residue of its own is no carbon, whatever the others are.
        let said = hints(Some("CA=C,CB=C,HG=H,CD=C,NE=N"));
        let frames = read_all(&path, &said).unwrap();
        assert_eq!(frames[0].species, [7, 6, 6, 1, 6, 7, 20], "{file}");
        let mut stream = open(&path, &said).unwrap();
        let _ = stream.read(&mut SourceFrame::default(), Detail::Full);
        let remarks = stream.remarks().join("\n");
        assert!(
            remarks.contains("atoms CA in residues of their own"),
            "{remarks}"
        );
    }
}

#[test]
fn ions_are_elements_and_columns_of_elements_are_believed() {
    let folder = tempfile::tempdir().unwrap();
    let ions = [
        ("NA", "NA", 1, ""),
        ("CL", "CL", 2, ""),
        ("K", "K", 3, ""),
        ("SOD", "SOD", 4, ""),
        ("ZN", "ZN2", 5, ""),
        ("Ca", "X", 6, ""),
        ("CL-", "ION", 7, ""),
    ];
    let elements = [
        ("N", "ALA", 1, "N"),
        ("CA", "ALA", 1, "C"),
        ("CA", "XYZ", 2, "CA"),
        ("CD", "CD", 3, "CD"),
        ("HG", "SER", 4, "H"),
    ];
    for (file, text, expected) in [
        ("a.pdb", pdb(&ions), &[11, 17, 19, 11, 30, 20, 17][..]),
        ("a.gro", gro(&ions), &[11, 17, 19, 11, 30, 20, 17]),
        ("b.pdb", pdb(&elements), &[7, 6, 20, 48, 1]),
    ] {
        let path = folder.path().join(file);
        fs::write(&path, text).unwrap();
        let frames = read_all(&path, &hints(None)).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert_eq!(frames[0].species, expected, "{file}");
    }
    // Where some lines have no element, those that have one keep theirs.
    let mixed = [
        ("CA", "ALA", 1, "C"),
        ("HG", "SER", 2, ""),
        ("CD", "CD", 3, ""),
    ];
    let path = folder.path().join("c.pdb");
    fs::write(&path, pdb(&mixed)).unwrap();
    let error = read_all(&path, &hints(None)).unwrap_err().message;
    assert!(error.ends_with("--species HG=H"), "{error}");
    let frames = read_all(&path, &hints(Some("HG=H"))).unwrap();
    assert_eq!(frames[0].species, [6, 1, 48]);
    // Numbers of residues begin again after 99999: two of a number are one for chemfiles.
    let path = folder.path().join("d.gro");
    let again = [
        ("CA", "CA", 1, ""),
        ("N", "ALA", 1, ""),
        ("CA", "ALA", 1, ""),
    ];
    fs::write(&path, gro(&again)).unwrap();
    assert!(read_all(&path, &hints(None)).is_err());
}

#[test]
fn names_of_a_topology_are_read_alike() {
    let folder = Folder::new();
    let mut trajectory = Trajectory::open(folder.path("a.xtc"), 'w').unwrap();
    let mut frame = Frame::new();
    for k in 0..AMINO.len() {
        frame.add_atom(&Atom::new("X"), [k as f64, 0.0, 0.0], None);
    }
    trajectory.write(&frame).unwrap();
    drop(trajectory);
    fs::write(folder.path("a.gro"), gro(&AMINO)).unwrap();
    let import = |more: &str| {
        folder.alone(&format!(
            "import a.xtc --topology a.gro -o x.h5 --overwrite {more}"
        ))
    };
    import("")
        .expect(1)
        .error("--species CA=C,CB=C,HG=H,CD=C,NE=N");
    import("--species CA=C,CB=C,HG=H,CD=C,NE=N").expect(0);
    import("--species C:7").expect(2).error("--topology too");
}
