//! Which elements the atoms of a frame are: what `--species` says, else what the file says for certain.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use chemfiles::Frame;

use super::format::{self, Types};
use super::names::{self, Reading};
use crate::adapters::legend::Species;
use crate::adapters::trajectory_files::Hints;
use crate::domain::elements;

/// More names than this are not listed in an error.
const MOST_NAMES: usize = 256;

/// Takes the elements of atoms out of frames.
#[derive(Debug)]
pub struct Elements {
    said: Option<Species>,
    types: Types,
    has_topology: bool,
    /// Ions that are what their residues are, although `--species` has their names for something else.
    kept_ions: BTreeSet<(String, u8)>,
}

/// What the words of one atom come to.
#[derive(Clone, Copy)]
enum Found {
    Sure(u8),
    /// The ion that its residue says.
    Ion(u8),
    /// Nothing, or what may be this element.
    Open(Option<u8>),
}

impl Elements {
    /// For frames of a file whose atoms are those of the topology, where there is one.
    pub fn new(path: &Path, hints: &Hints) -> Self {
        Self {
            said: hints.legend.species.clone(),
            types: format::types(hints.topology.as_deref().unwrap_or(path)),
            has_topology: hints.topology.is_some(),
            kept_ions: BTreeSet::new(),
        }
    }

    /// Takes those of a frame; what is missing where they are not all known.
    pub fn take(&mut self, frame: &Frame, into: &mut Vec<u8>) -> Result<(), String> {
        let atoms = frame.size();
        into.clear();
        if let Some(Species::List(species)) = &self.said {
            if species.len() != atoms {
                return Err(format!(
                    "{atoms} atoms, but --species names {}; expected as many",
                    species.len()
                ));
            }
            into.extend_from_slice(species);
            return Ok(());
        }
        let mut ions = None;
        let mut open = Open::default();
        for (index, atom) in frame.iter_atoms().enumerate() {
            let (kind, name) = (atom.atomic_type(), atom.name());
            let said = self.said.as_ref();
            let said = said.and_then(|said| said.of(&kind).or_else(|| said.of(&name)));
            let own = if said.is_some() && self.types == Types::Elements {
                Found::Open(None)
            } else {
                let ion = || {
                    let ions = ions.get_or_insert_with(|| ions_of(frame));
                    ions.get(&index).copied()
                };
                self.own(&kind, &name, || atom.atomic_number(), ion)
            };
            match (own, said) {
                (Found::Ion(z), Some(said)) if said != z => {
                    self.kept_ions.insert((name, z));
                    into.push(z);
                }
                (_, Some(z)) | (Found::Sure(z) | Found::Ion(z), None) => into.push(z),
                (Found::Open(maybe), None) => open.add(index, kind, name, maybe),
            }
        }
        if open.names.is_empty() {
            return Ok(());
        }
        Err(self.missing(&open, atoms))
    }

    /// What the file says of an atom.
    fn own(
        &self,
        kind: &str,
        name: &str,
        number: impl FnOnce() -> u64,
        ion: impl FnOnce() -> Option<u8>,
    ) -> Found {
        let is_symbol = match self.types {
            Types::Elements => true,
            Types::ElementsOrNames => kind != name,
            Types::Names => false,
        };
        let symbol = elements::parse(kind).filter(|_| !is_number(kind));
        match symbol {
            Some(z) if is_symbol => return Found::Sure(z),
            // Of a type that is no symbol chemfiles knows what its configuration says.
            None => match u8::try_from(number()) {
                Ok(z) if z > 0 => return Found::Sure(z),
                _ => {}
            },
            Some(_) => {}
        }
        let mut maybe = None;
        let mut may_be_ion = None;
        for word in [kind, name] {
            match names::read(word) {
                Reading::Sure(z) => return Found::Sure(z),
                Reading::Ion(z) => may_be_ion = may_be_ion.or(Some(z)),
                Reading::Unsure(z) => maybe = maybe.or(Some(z)),
                Reading::Unknown => {}
            }
        }
        match may_be_ion {
            Some(z) if ion() == Some(z) => Found::Ion(z),
            may_be_ion => Found::Open(may_be_ion.or(maybe)),
        }
    }

    /// The error for atoms whose element is not known.
    fn missing(&self, open: &Open, atoms: usize) -> String {
        let Open {
            index, kind, name, ..
        } = open;
        let maybe = open.maybe.map_or_else(String::new, |z| {
            let symbol = elements::symbol(z);
            format!(", which may be {symbol} or the name of another atom")
        });
        let mut pairs = Vec::new();
        if let Some(Species::Named(said)) = &self.said {
            let said = said.iter();
            pairs.extend(said.map(|(name, z)| format!("{name}={}", elements::symbol(*z))));
        }
        let words = open.names.iter().filter(|word| !word.is_empty());
        let guesses = words.map(|word| format!("{word}={}", names::guess(word)));
        let known = pairs.len();
        pairs.extend(guesses);
        let mut ways = Vec::new();
        if !self.has_topology && self.said.is_none() {
            ways.push(format!(
                "give --topology FILE or --species Ar,Ar,...|Ar:{atoms}"
            ));
        }
        if pairs.len() > known {
            ways.push(format!(
                "say what each name stands for (here by first letters): --species {}",
                pairs.join(",")
            ));
        }
        if ways.is_empty() {
            ways.push(format!("give --species Ar,Ar,...|Ar:{atoms}"));
        }
        if open.more > 0 {
            ways.push(format!("and of {} names more", open.more));
        }
        format!(
            "atom {index} has no chemical element (type {kind:?}, name {name:?}{maybe}); {}",
            ways.join(", or ")
        )
    }

    /// What was not done as `--species` says.
    pub fn kept_ions(&self) -> impl Iterator<Item = String> {
        self.kept_ions.iter().map(|(name, z)| {
            format!(
                "atoms {name} in residues of their own are ions and stay {}, whatever --species says of {name} elsewhere",
                elements::symbol(*z)
            )
        })
    }
}

/// The first atom whose element is open, and the names of all such.
#[derive(Default)]
struct Open {
    index: usize,
    kind: String,
    name: String,
    maybe: Option<u8>,
    names: Vec<String>,
    more: usize,
}

impl Open {
    fn add(&mut self, index: usize, kind: String, name: String, maybe: Option<u8>) {
        // Types are fewer than names.
        let word = if kind.is_empty() { &name } else { &kind };
        let is_new = !self.names.contains(word);
        let is_first = self.names.is_empty();
        if is_new && self.names.len() < MOST_NAMES {
            self.names.push(word.clone());
        } else {
            self.more += usize::from(is_new);
        }
        if is_first {
            (self.index, self.kind, self.name, self.maybe) = (index, kind, name, maybe);
        }
    }
}

/// The atoms that are ions by the name of their residue, with the element that it says.
///
/// A GRO file numbers residues up to 99999 and begins again, and chemfiles takes two of a number for one with the
/// name of the first: all atoms of a residue have to be that ion.
fn ions_of(frame: &Frame) -> HashMap<usize, u8> {
    let topology = frame.topology();
    let mut ions = HashMap::new();
    for residue in (0..topology.residues_count() as usize).filter_map(|i| topology.residue(i)) {
        let residue_name = residue.name();
        let of_residue = names::of_residue(&residue_name);
        if of_residue.is_none() && !names::is_any_ion(&residue_name) {
            continue;
        }
        let atoms = residue.atoms();
        let found: Option<Vec<_>> = atoms
            .iter()
            .map(|atom| match names::read(&frame.atom(*atom).name()) {
                Reading::Ion(z) | Reading::Sure(z) => {
                    (of_residue.is_none_or(|of| of == z)).then_some((*atom, z))
                }
                _ => None,
            })
            .collect();
        // Of a residue that may be any ion only that there is nothing else in it is evidence.
        let is_certain = of_residue.is_some() || atoms.len() == 1;
        ions.extend(found.filter(|_| is_certain).into_iter().flatten());
    }
    ions
}

/// A type such as `1`, which is no atomic number.
fn is_number(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}
