//! Where things are in our files: one table of names for writers and readers.
//!
//! H5MD 1.1 (<https://www.nongnu.org/h5md/h5md.html>); F frames, A atoms, ΣA atoms of all frames.

/// H5MD root metadata: attribute `version`, groups `author`, `creator` and `modules/units`.
pub const H5MD: &str = "/h5md";
/// Per-atom data.
pub const PARTICLES: &str = "/particles/trajectory";
/// Group `position`: `value` (F,A,3) or (ΣA,3) f64 in Å, `step` (F) i64, `time` (F) f64.
pub const POSITION: &str = "/particles/trajectory/position";
/// Atomic numbers: group with `value` (F,A) or (ΣA) i32; the attribute [`FIXED`] says where all frames have the same. In
/// files of others, and in those that `import` makes, also a dataset (A).
pub const SPECIES: &str = "/particles/trajectory/species";
/// Box: attributes `dimension`, `boundary`; `edges`, a group with `value` (F,3,3) in Å, zeros where there is no cell, with
/// [`FIXED`] where all frames have the same; `periodic` (F,3) u8 where frames differ, and once more as `pbc/value`, where
/// `ZnH5MD` looks for it. In files of others, and in those that `import` makes, `edges` may be a dataset (3,3).
pub const BOX: &str = "/particles/trajectory/box";
/// Attribute (u8, 1) of a `value` with a row for each frame whose rows are all the same: `MDAnalysis` and `ZnH5MD` read no
/// cells and species but those with a row for each frame; who knows this attribute reads one row.
pub const FIXED: &str = "fixed";
/// The same frames as AMBER's netCDF trajectories have them, see `amber`.
pub const AMBER: &str = "/AMBER";
/// First atom of each frame in ragged sets, and the total: (F+1) i64.
pub const OFFSETS: &str = "/particles/trajectory/offsets";
/// Forces: group with `value` (F,A,3) or (ΣA,3) f64 in eV/Å.
pub const FORCES: &str = "/particles/trajectory/forces";
/// The same in kJ/mol/Å, where that was asked for: `MDAnalysis` reads forces by this name, and in no unit of eV.
pub const MOLAR_FORCES: &str = "/particles/trajectory/force";
/// Data of frames.
pub const OBSERVABLES: &str = "/observables/trajectory";
/// Energy: group with `value` (F) f64 in eV.
pub const ENERGY: &str = "/observables/trajectory/energy";
/// Stress: group with `value` (F,3,3) f64 in eV/Å³.
pub const STRESS: &str = "/observables/trajectory/stress";
/// Ours: what was run, and the state of each frame.
pub const FRAMEWISE: &str = "/parameters/framewise";
/// (F) i64, codes of `planning::status::Status`.
pub const STATUS: &str = "/parameters/framewise/status";
/// (F) u64, see `domain::checksum`.
pub const CHECKSUM: &str = "/parameters/framewise/checksum";
/// (F) f32, wall time of each evaluation.
pub const SECONDS: &str = "/parameters/framewise/seconds";
/// (F) text of [`MESSAGE_BYTES`]: why a frame failed.
pub const MESSAGE: &str = "/parameters/framewise/message";
/// Where several groups were computed as one job, S of them: `key` (S) text, `first_frame` (S) and `n_frames` (S) i64.
pub const SEGMENTS: &str = "/parameters/framewise/segments";
/// (256) text of 320 bytes: one JSON line per run, the newest overwriting the oldest.
pub const HISTORY: &str = "/parameters/framewise/history";

/// Bytes of one stored message; longer ones are cut.
pub const MESSAGE_BYTES: usize = 128;

/// Attributes of [`FRAMEWISE`], all text. The first five make the job: a run under another one is refused.
pub mod attribute {
    /// Name of the calculator.
    pub const CALCULATOR: &str = "calculator";
    /// Name of the kernel, where rows of an array were computed.
    pub const KERNEL: &str = "kernel";
    /// Where the results of a kernel are, as a JSON object, see `rows::stored`.
    pub const RESULTS: &str = "results";
    /// All its parameters as a JSON object, defaults included.
    pub const PARAMETERS: &str = "parameters";
    /// The name under which results are stored.
    pub const LEVEL_OF_THEORY: &str = "level_of_theory";
    /// XXH3-64 over the input's geometry, see `fingerprint`.
    pub const INPUT_FINGERPRINT: &str = "input_fingerprint";
    /// Group of the input.
    pub const KEY: &str = "key";
    /// Path of the input as given.
    pub const INPUT: &str = "input";
    /// Version of framewise that created the file.
    pub const FRAMEWISE_VERSION: &str = "framewise_version";
    /// Version of HDF5 that created the file.
    pub const HDF5_VERSION: &str = "hdf5_version";
    /// Library that computes, and its version, where the calculator is one.
    pub const LIBRARY: &str = "library";
    /// Parameters with which the job was begun and that change none of its results, as a JSON object.
    pub const SETTINGS: &str = "settings";
    /// Properties of atoms and frames that were carried over from the input, as typed.
    pub const CARRIED: &str = "carried";
    /// Unit in which the forces are stored once more.
    pub const FORCE_UNITS: &str = "h5md_force_units";
    /// MPI library that created the file.
    pub const MPI_VERSION: &str = "mpi_version";
}

/// Units as H5MD's units module writes them.
pub mod unit {
    /// Å.
    pub const LENGTH: &str = "Angstrom";
    /// eV.
    pub const ENERGY: &str = "eV";
    /// eV/Å.
    pub const FORCE: &str = "eV Angstrom-1";
    /// kJ/mol/Å.
    pub const MOLAR_FORCE: &str = "kJ mol-1 Angstrom-1";
    /// eV/Å³.
    pub const STRESS: &str = "eV Angstrom-3";
    /// ps.
    pub const TIME: &str = "ps";
}
