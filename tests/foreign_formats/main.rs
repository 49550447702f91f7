//! Formats of other programs through chemfiles: cells, velocities, species from elsewhere, and what is said
//! without them.

#[cfg(feature = "chemfiles")]
mod names;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;

use framewise::adapters::legend::Legend;
use framewise::adapters::source::{Detail, FrameStream, SourceFrame};
use framewise::adapters::trajectory_files::{Hints, open};

fn hints(species: Option<&str>) -> Hints {
    Hints {
        topology: None,
        legend: Legend::new(species, None).unwrap(),
    }
}

fn read_all(path: &Path, hints: &Hints) -> framewise::domain::error::Result<Vec<SourceFrame>> {
    let mut stream: Box<dyn FrameStream> = open(path, hints)?;
    let mut frame = SourceFrame::default();
    let mut frames = Vec::new();
    while stream.read(&mut frame, Detail::Full)? {
        frames.push(frame.clone());
    }
    Ok(frames)
}

#[test]
fn files_that_are_not_for_import_are_told_so() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, expected) in [
        (
            "a.xyz.gz",
            &b"\x1f\x8b"[..],
            "is compressed; decompress it first",
        ),
        ("a.h5", b"\x89HDF\r\n\x1a\n", "is HDF5 already"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let error = read_all(&path, &hints(None)).unwrap_err();
        assert!(error.message.contains(expected), "{error}");
    }
    let error = read_all(&folder.path().join("absent.xyz"), &hints(None)).unwrap_err();
    assert!(
        error.message.contains("absent.xyz: no such file"),
        "{error}"
    );
    let unnamed = folder.path().join("HISTORY");
    fs::write(&unnamed, "1\n\nHe 0 0 0\n").unwrap();
    assert_eq!(read_all(&unnamed, &hints(None)).unwrap().len(), 1);
}

#[cfg(not(feature = "chemfiles"))]
#[test]
fn without_chemfiles_the_message_says_how_to_build_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pdb");
    fs::write(&path, "END\n").unwrap();
    let error = read_all(&path, &hints(None)).unwrap_err();
    assert!(error.message.contains("--features chemfiles"), "{error}");
}

#[cfg(feature = "chemfiles")]
mod with_chemfiles {
    use super::*;
    use chemfiles::{Atom, Frame, Trajectory, UnitCell};
    use support::folder::Folder;

    /// Three frames of water and argon in a triclinic cell, written by chemfiles itself.
    fn write(path: &Path) {
        let mut trajectory = Trajectory::open(path, 'w').unwrap();
        for k in 0..3_u32 {
            let mut frame = Frame::new();
            frame.set_cell(&UnitCell::triclinic(
                [10.0, 11.0, 12.0],
                [80.0, 95.0, 100.0],
            ));
            frame.add_velocities();
            for (n, symbol) in ["O", "H", "H", "Ar"].iter().enumerate() {
                let x = n as f64 + f64::from(k) * 0.25;
                frame.add_atom(&Atom::new(*symbol), [x, 2.0 * x, 0.5], [0.125, 0.0, -0.5]);
            }
            frame.set_step(100 * k as usize);
            trajectory.write(&frame).unwrap();
        }
    }

    /// Lengths and angles (degrees) of a cell given by rows.
    fn shape(cell: [[f64; 3]; 3]) -> [f64; 6] {
        use framewise::domain::cell::{dot, norm};
        let [a, b, c] = cell;
        let angle = |u, v| (dot(u, v) / norm(u) / norm(v)).acos().to_degrees();
        [
            norm(a),
            norm(b),
            norm(c),
            angle(b, c),
            angle(a, c),
            angle(a, b),
        ]
    }

    #[test]
    fn formats_keep_positions_cells_and_species() {
        let folder = tempfile::tempdir().unwrap();
        for (name, species, has_velocities, tolerance) in [
            ("a.pdb", None, false, 2e-3),
            ("a.nc", Some("O,H:2,Ar"), true, 1e-5),
            ("a.xtc", Some("O,H:2,Ar"), false, 2e-2),
            ("a.trr", Some("O,H:2,Ar"), true, 1e-5),
            ("a.dcd", Some("8,1,1,18"), false, 1e-5),
        ] {
            let path = folder.path().join(name);
            write(&path);
            let frames = read_all(&path, &hints(species)).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(frames.len(), 3, "{name}");
            for (k, frame) in frames.iter().enumerate() {
                assert_eq!(frame.species, [8, 1, 1, 18], "{name}");
                assert_eq!(frame.cell.periodic, [true; 3], "{name}");
                let expected = [10.0, 11.0, 12.0, 80.0, 95.0, 100.0];
                for (found, expected) in shape(frame.cell.vectors).iter().zip(expected) {
                    assert!(
                        (found - expected).abs() < 10.0 * tolerance,
                        "{name}: {:?}",
                        frame.cell
                    );
                }
                for (n, r) in frame.positions.iter().enumerate() {
                    let x = n as f64 + k as f64 * 0.25;
                    for (found, expected) in r.iter().zip([x, 2.0 * x, 0.5]) {
                        assert!(
                            (found - expected).abs() < tolerance,
                            "{name} frame {k}: {r:?}"
                        );
                    }
                }
                let velocity = frame.columns.iter().any(|c| c.name == "velocity");
                assert_eq!(velocity, has_velocities, "{name}");
            }
        }
    }

    #[test]
    fn missing_species_are_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let (dcd, pdb) = (folder.path().join("a.dcd"), folder.path().join("a.pdb"));
        write(&dcd);
        write(&pdb);
        let error = read_all(&dcd, &hints(None)).unwrap_err();
        assert!(
            error
                .message
                .contains("frame 0: atom 0 has no chemical element")
                && error
                    .message
                    .contains("--topology FILE or --species Ar,Ar,...|Ar:4"),
            "{error}"
        );
        let error = read_all(&dcd, &hints(Some("Ar:3"))).unwrap_err();
        assert!(
            error.message.contains("4 atoms, but --species names 3"),
            "{error}"
        );
        // Names of the file, and lengths that have a unit.
        let named = folder.path().join("b.gro");
        let gro = "t\n    2\n    1WAT     OW    1   0.000   0.000   0.000\n    1WAT    HW1    2   0.100   0.000   0.000\n   1.0 1.0 1.0\n";
        fs::write(&named, gro).unwrap();
        let found = read_all(&named, &hints(Some("OW=O,HW1=H"))).unwrap();
        assert_eq!(found[0].species, [8, 1]);
        let nm = Hints {
            topology: None,
            legend: Legend::new(Some("OW=O,HW1=H"), Some("nm")).unwrap(),
        };
        let error = read_all(&named, &nm).unwrap_err();
        assert!(
            error.message.contains("--length-unit says \"nm\""),
            "{error}"
        );
        let with_topology = Hints {
            topology: Some(pdb),
            ..Hints::default()
        };
        assert_eq!(
            read_all(&dcd, &with_topology).unwrap()[2].species,
            [8, 1, 1, 18]
        );
    }

    #[test]
    fn a_damaged_file_is_an_error_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pdb");
        write(&path);
        let text = fs::read_to_string(&path).unwrap();
        let second = text
            .match_indices("ATOM")
            .nth(5)
            .or(text.match_indices("HETATM").nth(5));
        let (at, _) = second.unwrap();
        let mut bytes = text.into_bytes();
        bytes[at + 30..at + 38].copy_from_slice(b"  1.x00 ");
        fs::write(&path, bytes).unwrap();
        let message = read_all(&path, &hints(None))
            .map(|f| f.len())
            .unwrap_err()
            .message;
        assert!(
            message.contains("a.pdb: frame 1: ") && !message.contains('\n'),
            "{message}"
        );
    }

    /// As the format has it, and as `MDAnalysis` writes it: CRYST1 is there once.
    #[test]
    fn the_cell_of_a_pdb_file_is_that_of_all_its_models() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pdb");
        let model = |k: u32| {
            let x = f64::from(k);
            let atom = format!(
                "ATOM  {k:>5} {:<4} {:<3} A{k:>4}    {x:>8.3}{:>8.3}{:>8.3}{:>6.2}{:>6.2}{:>12}",
                "AR", "AR", 0.0, 0.0, 1.0, 0.0, "AR"
            );
            format!("MODEL     {k:4}\n{atom}\nENDMDL\n")
        };
        let cryst = |edge: &str| {
            format!("CRYST1{edge:>9}{edge:>9}{edge:>9}  90.00  90.00  90.00 P 1           1\n")
        };
        let models = |first: &str, third: &str| {
            let all = [cryst(first), model(1), model(2), third.to_owned(), model(3)];
            fs::write(&path, all.concat() + "END\n").unwrap();
            let frames = read_all(&path, &hints(None)).unwrap();
            let edge = |frame: &SourceFrame| {
                assert_eq!(frame.has_cell, frame.cell.periodic[0]);
                frame.has_cell.then(|| frame.cell.vectors[0][0])
            };
            frames.iter().map(edge).collect::<Vec<_>>()
        };
        assert_eq!(models("20.000", ""), [Some(20.0); 3]);
        let other = cryst("21.000");
        assert_eq!(
            models("20.000", &other),
            [Some(20.0), Some(20.0), Some(21.0)]
        );
        // The unit cube is how the format says that there is none.
        assert_eq!(models("1.000", ""), [None; 3]);
    }

    #[test]
    fn an_error_is_one_line() {
        let folder = Folder::new();
        write(&folder.path("a.xtc"));
        fs::write(folder.path("bad.xtc"), "no trajectory at all").unwrap();
        fs::write(folder.path("bad.pdb"), "ATOM  no atom at all\n").unwrap();
        fs::write(folder.path("a.none"), "nothing\n").unwrap();
        for (arguments, what) in [
            ("a.xtc --topology none.pdb", "none.pdb: no such file"),
            ("a.xtc --topology bad.pdb", "bad.pdb: "),
            ("bad.xtc", "bad.xtc: "),
            ("bad.pdb", "bad.pdb: frame 0: "),
            ("a.none", "a.none: "),
        ] {
            let command = format!("import {arguments} -o x.h5");
            let said = folder.alone(&command).expect(1).error(what);
            assert_eq!(said.stderr.trim_end().lines().count(), 1, "{said}");
        }
    }

    #[test]
    fn velocities_have_a_unit_where_the_format_has_one_and_lost_times_are_named() {
        let folder = Folder::new();
        for (name, lost) in [("a.trr", false), ("a.nc", true)] {
            write(&folder.path(name));
            let command = format!("import {name} -o x.h5 --overwrite --species O,H:2,Ar");
            let said = folder.alone(&command).expect(0);
            assert_eq!(
                said.stderr.contains("a.nc: times are not kept"),
                lost,
                "{said}"
            );
            let file = hdf5::File::open(folder.path("x.h5")).unwrap();
            let velocity = file.dataset("particles/trajectory/velocity/value").unwrap();
            let unit = velocity.attr("unit").unwrap();
            let unit = unit.read_scalar::<hdf5::types::VarLenUnicode>().unwrap();
            assert_eq!(unit.as_str(), "Angstrom ps-1", "{name}");
        }
    }

    /// Lines of a PDB file for atoms that have a name, a residue with its number, and an element, if any.
    pub(super) fn pdb(atoms: &[(&str, &str, u32, &str)]) -> String {
        let lines = atoms.iter().enumerate();
        let lines = lines.map(|(k, (name, residue, number, element))| {
            let x = k as f64;
            let atom = format!(
                "ATOM  {:>5} {name:<4} {residue:>3} A{number:>4}    {x:>8.3}{:>8.3}{:>8.3}{:>6.2}{:>6.2}{element:>12}",
                k + 1, 0.0, 0.0, 1.0, 0.0
            );
            format!("{}\n", atom.trim_end())
        });
        lines.collect::<String>() + "END\n"
    }

    /// The same as GRO.
    pub(super) fn gro(atoms: &[(&str, &str, u32, &str)]) -> String {
        let lines = atoms.iter().enumerate();
        let lines = lines.map(|(k, (name, residue, number, _))| {
            format!(
                "{number:>5}{residue:<5}{name:>5}{:>5}{:>8.3}{:>8.3}{:>8.3}\n",
                k + 1,
                k as f64,
                0.0,
                0.0
            )
        });
        let lines: String = lines.collect();
        format!("names\n{:>5}\n{lines}   3.0 4.0 5.0\n", atoms.len())
    }

    const MOL2: &str = "@<TRIPOS>MOLECULE
wat
 3 2 0 0 0
SMALL
USER_CHARGES

@<TRIPOS>ATOM
      1 O1     0.0000   0.0000   0.1000 O.3     1  WAT        -0.8340
      2 H1     0.7570   0.0000  -0.4690 H       1  WAT         0.4170
      3 H2    -0.7570   0.0000  -0.4690 H       1  WAT         0.4170
@<TRIPOS>BOND
     1     1     2    1
     2     1     3    1
";

    #[test]
    fn charges_are_kept_and_texts_of_atoms_are_named() {
        let folder = Folder::new();
        fs::write(folder.path("m.mol2"), MOL2).unwrap();
        let said = folder.alone("import m.mol2 -o m.h5").expect(0);
        assert!(
            said.stderr
                .contains("that are no numbers are not kept: sybyl"),
            "{said}"
        );
        let file = hdf5::File::open(folder.path("m.h5")).unwrap();
        let group = file.group("particles/trajectory").unwrap();
        let charge = group.dataset("charge/value").unwrap();
        // chemfiles rounds numbers of texts to the last digit but one.
        let found = charge.read_raw::<f64>().unwrap();
        let off = found.iter().zip([-0.834, 0.417, 0.417]);
        assert!(off.into_iter().all(|(q, said)| (q - said).abs() < 1e-12));
        let unit = charge.attr("unit").unwrap();
        let unit = unit.read_scalar::<hdf5::types::VarLenUnicode>().unwrap();
        assert_eq!(unit.as_str(), "e");
        // Masses that chemfiles knows of the elements are not in the file.
        assert!(!group.link_exists("mass"));
        // Types of GAFF in small letters: `os` is an oxygen, not osmium.
        let gaff = MOL2.replace("O.3", "os ").replace(" H   ", " ho  ");
        fs::write(folder.path("g.mol2"), gaff).unwrap();
        let error = "which may be Os or the name of another atom";
        let said = folder.alone("import g.mol2 -o g.h5").expect(1).error(error);
        assert!(said.stderr.contains("--species os=O,ho=H"), "{said}");
    }

    /// Two altlocs, of which the first atom has none.
    #[test]
    fn what_only_some_atoms_have_is_named() {
        let folder = Folder::new();
        let text = pdb(&[("C", "LIG", 1, "C"), ("O", "LIG", 1, "O")]);
        let text = text.replace(" O    LIG", " O   ALIG");
        fs::write(folder.path("a.pdb"), text).unwrap();
        let said = folder.alone("import a.pdb -o a.h5").expect(0);
        assert!(said.stderr.contains("are not kept: altloc"), "{said}");
    }

    #[test]
    fn netcdf_has_three_endings() {
        let folder = tempfile::tempdir().unwrap();
        let written = folder.path().join("a.nc");
        write(&written);
        for name in ["a.ncdf", "a.nctraj"] {
            let path = folder.path().join(name);
            fs::copy(&written, &path).unwrap();
            let frames = read_all(&path, &hints(Some("O,H:2,Ar"))).unwrap();
            assert_eq!(frames.len(), 3, "{name}");
        }
    }

    #[test]
    fn right_angles_are_exact() {
        let folder = Folder::new();
        let cif = "data_x
_cell_length_a 4.0
_cell_length_b 5.0
_cell_length_c 6.0
_cell_angle_alpha 90
_cell_angle_beta 95
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Na1 Na 0.1 0.2 0.3
Cl1 Cl 0.6 0.7 0.8
";
        let (of_gro, of_cif) = (folder.path("a.gro"), folder.path("a.cif"));
        fs::write(&of_gro, gro(&[("C", "LIG", 1, "")])).unwrap();
        fs::write(&of_cif, cif).unwrap();
        let cell = read_all(&of_gro, &hints(None)).unwrap()[0].cell.vectors;
        assert_eq!(cell, [[30.0, 0.0, 0.0], [0.0, 40.0, 0.0], [0.0, 0.0, 50.0]]);
        let cell = read_all(&of_cif, &hints(None)).unwrap()[0].cell.vectors;
        assert_eq!((cell[0][1], cell[1][0], cell[2][1]), (0.0, 0.0, 0.0));
        assert!(cell[2][0] < -0.5);
        folder.alone("import a.gro -o a.h5").expect(0);
        folder.alone("export a.h5 -o a.dump").expect(0);
        let dump = fs::read_to_string(folder.path("a.dump")).unwrap();
        assert!(dump.contains("BOX BOUNDS pp pp pp"), "{dump}");
    }

    #[test]
    fn a_warning_of_a_kind_is_said_once_for_a_file() {
        let folder = Folder::new();
        let atoms = [("N", "ALA", 1, "N"), ("O", "GLU", 2, "O")];
        let model = pdb(&atoms);
        let two = format!("{0}{0}", model.replace("END\n", "ENDMDL\n")) + "END\n";
        fs::write(folder.path("a.pdb"), two).unwrap();
        let said = folder.alone("import a.pdb -o a.h5").expect(0);
        let lines: Vec<_> = said.stderr.lines().collect();
        let lines: Vec<_> = lines.iter().filter(|l| l.contains("chemfiles")).collect();
        assert_eq!(lines.len(), 1, "{said}");
        assert!(
            lines[0].contains("a.pdb: chemfiles: PDB reader: found unexpected")
                && lines[0].contains("more warnings of this kind)"),
            "{said}"
        );
    }

    #[test]
    fn titles_of_gro_files_say_step_and_time() {
        let folder = Folder::new();
        let path = folder.path("a.gro");
        let frame = |title: &str| gro(&[("C", "LIG", 1, "")]).replace("names", title);
        let titles = ["w t=   0.50000 step= 250", "w t=   1.50000 step= 750"];
        fs::write(&path, titles.map(frame).concat()).unwrap();
        let frames = read_all(&path, &hints(None)).unwrap();
        let found: Vec<_> = frames.iter().map(|f| (f.step, f.time)).collect();
        assert_eq!(found, [(Some(250), Some(0.5)), (Some(750), Some(1.5))]);
        // Velocities that are not in the file are not made up.
        assert!(frames[0].columns.is_empty());
        fs::write(&path, ["w", titles[1]].map(frame).concat()).unwrap();
        let said = folder.alone("import a.gro -o a.h5").expect(0);
        assert!(said.stderr.contains("not every title says one"), "{said}");
    }
}
