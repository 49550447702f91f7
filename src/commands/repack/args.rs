//! What was typed after `framewise repack`.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use clap::ValueEnum;

use crate::adapters::hdf5::create::folder_of;
use crate::adapters::hdf5::repack::{Access, Codec, Wishes};
use crate::adapters::lock::path_of;
use crate::domain::error::{Error, Result};

/// A compressed, rechunked, verified copy of a result
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  framewise repack result.h5 -o small.h5
  mpiexec -n 8 framewise repack result.h5 -o small.h5 --gzip 6
  framewise repack result.h5 -o series.h5 --chunks atom --float32 forces,stress

The copy opens wherever the result does, without its input. It is read back and compared with the result, byte by byte and
frame by frame with the checksums, before it gets its name. It is a copy to keep and to send: a run goes on with the
result, not with the copy.")]
pub struct RepackArgs {
    /// Result of `framewise run` or `map`
    #[arg(value_name = "RESULT")]
    pub result: PathBuf,

    /// File to write
    #[arg(short, long, value_name = "SMALL.h5")]
    pub output: PathBuf,

    /// Compress with DEFLATE, level 0 to 9: every HDF5 library reads it [default: 4]
    #[arg(long, value_name = "LEVEL", group = "codec",
          value_parser = clap::value_parser!(u8).range(0..=9))]
    pub gzip: Option<u8>,

    /// Compress with Zstandard, level 1 to 22: needs a plug-in of HDF5, for readers too
    #[arg(long, value_name = "LEVEL", group = "codec",
          value_parser = clap::value_parser!(u8).range(1..=22))]
    pub zstd: Option<u8>,

    /// Compress with Blosc (LZ4), level 0 to 9: needs a plug-in of HDF5, for readers too
    #[arg(long, value_name = "LEVEL", group = "codec",
          value_parser = clap::value_parser!(u8).range(0..=9))]
    pub blosc: Option<u8>,

    /// Only rechunk
    #[arg(long, group = "codec")]
    pub uncompressed: bool,

    /// Do not bring bytes of the same significance together first
    #[arg(long)]
    pub no_shuffle: bool,

    /// Which access chunks are for: some frames with all their atoms, or some atoms through many frames
    #[arg(long, value_name = "WHICH", value_enum, default_value = "frame")]
    pub chunks: Chunks,

    /// Datasets to store in single precision, by name: forces, stress, position...
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub float32: Vec<String>,

    /// Replace the output if it exists
    #[arg(long)]
    pub overwrite: bool,
}

/// Which access chunks are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Chunks {
    /// Some frames, all of their atoms
    Frame,
    /// Some atoms, many frames
    Atom,
}

/// Compresses well, and as fast as disks write on a few ranks.
const LEVEL: u8 = 4;

impl RepackArgs {
    /// What it means.
    pub fn wishes(&self) -> Result<Wishes> {
        let codec = match (self.gzip, self.zstd, self.blosc) {
            _ if self.uncompressed => Codec::None,
            (_, Some(level), _) => Codec::Zstd(level),
            (_, _, Some(level)) => Codec::Blosc(level),
            (level, ..) => Codec::Gzip(level.unwrap_or(LEVEL)),
        };
        if !codec.is_available() {
            return Err(Error::failure(format!(
                "--{}: this HDF5 library has no such filter and finds no plug-in for it; install hdf5plugin's or set \
                 HDF5_PLUGIN_PATH to where it is, or take --gzip",
                codec.name()
            )));
        }
        Ok(Wishes {
            codec,
            shuffle: !self.no_shuffle && codec != Codec::None,
            access: match self.chunks {
                Chunks::Frame => Access::Frame,
                Chunks::Atom => Access::Atom,
            },
            single: self.float32.clone(),
        })
    }

    /// Whether the copy can be where it is wanted.
    pub fn check(&self) -> Result<()> {
        let shown = self.output.display();
        let folder = folder_of(&self.output);
        if !folder.is_dir() {
            return Err(Error::failure(format!(
                "{}: no such directory; create it or choose another -o",
                folder.display()
            )));
        }
        if path_of(&self.result).exists() {
            tracing::warn!(
                "{} is there: if a job is writing, wait for its end; the copy is compared all the same",
                path_of(&self.result).display()
            );
        }
        let Ok(there) = self.output.metadata() else {
            return Ok(());
        };
        let same = |m: std::fs::Metadata| (m.dev(), m.ino()) == (there.dev(), there.ino());
        if self.result.metadata().is_ok_and(same) {
            return Err(Error::usage(format!(
                "{shown}: output and result are the same file; choose another -o"
            )));
        }
        if there.is_dir() {
            return Err(Error::usage(format!(
                "{shown}: is a directory; give the name of a file with -o"
            )));
        }
        if !self.overwrite {
            return Err(Error::usage(format!(
                "{shown}: exists already; choose another -o, or --overwrite to replace it"
            )));
        }
        Ok(())
    }
}
