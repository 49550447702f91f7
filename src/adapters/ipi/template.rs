//! Placeholders in commands and input files: `{socket}`, `{port}`, `{atoms}`...

use std::fmt::Write as _;

use crate::domain::elements::symbol;
use crate::domain::parameters::did_you_mean;

use super::room::Room;

/// What a client may want to know, by the name of the placeholder.
pub(super) const PLACEHOLDERS: [&str; 14] = [
    "socket",
    "socket_path",
    "host",
    "port",
    "workdir",
    "here",
    "species",
    "elements",
    "natoms",
    "xyz",
    "lammps_data",
    "atoms",
    "cell",
    "pbc",
];

/// Replaces `{name}` where `value` knows the name. What a shell or LAMMPS would read as a variable, `${name}`, stays,
/// and so do braces around anything else; `{{name}}` is `{name}`.
pub(super) fn fill<'a>(text: &str, mut value: impl FnMut(&str) -> Option<&'a str>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let (before, from) = rest.split_at(start);
        filled += before;
        let inside = &from[1..];
        let end = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let name = &inside[..end.unwrap_or(0)];
        let after = &inside[name.len()..];
        let placeholder = after.starts_with('}') && !name.is_empty() && !filled.ends_with('$');
        match Some(name).filter(|_| placeholder).and_then(&mut value) {
            Some(_) if filled.ends_with('{') && after.starts_with("}}") => {
                filled += name;
                filled.push('}');
                rest = &after[2..];
            }
            Some(value) => {
                filled += value;
                rest = &after[1..];
            }
            None => {
                filled.push('{');
                rest = inside;
            }
        }
    }
    filled + rest
}

/// Complains about a word in braces that looks like a placeholder and is none.
pub(super) fn check(text: &str) -> Result<(), String> {
    let mut unknown = None;
    fill(text, |name| {
        let known = PLACEHOLDERS.iter().find(|known| **known == name);
        if known.is_none() && name.starts_with(|c: char| c.is_ascii_lowercase()) {
            unknown.get_or_insert_with(|| name.to_owned());
        }
        known.copied()
    });
    let Some(name) = unknown else { return Ok(()) };
    Err(format!(
        "unknown placeholder {{{name}}}{}; known: {}",
        did_you_mean(&name, PLACEHOLDERS.iter().copied()),
        PLACEHOLDERS.map(|p| format!("{{{p}}}")).join(" ")
    ))
}

/// The elements of a frame, each once, by atomic number: what LAMMPS calls types 1, 2...
pub(super) fn elements(species: &[u8]) -> Vec<u8> {
    let mut elements = species.to_vec();
    elements.sort_unstable();
    elements.dedup();
    elements
}

/// Their symbols, separated by blanks.
pub(super) fn symbols(species: &[u8]) -> String {
    let symbols: Vec<_> = species.iter().map(|z| symbol(*z)).collect();
    symbols.join(" ")
}

/// One line `Symbol x y z` for each atom.
pub(super) fn atom_lines(species: &[u8], room: &Room) -> String {
    let rows = species.iter().zip(&room.positions);
    let lines: Vec<_> = rows
        .map(|(z, [x, y, c])| format!("{} {x:?} {y:?} {c:?}", symbol(*z)))
        .collect();
    lines.join("\n")
}

/// One line for each cell vector.
pub(super) fn cell_lines(room: &Room) -> String {
    let vectors = room.cell.vectors.iter();
    let lines: Vec<_> = vectors
        .map(|[x, y, z]| format!("{x:?} {y:?} {z:?}"))
        .collect();
    lines.join("\n")
}

/// A data file for LAMMPS, `atom_style atomic`. Its box is always triclinic, so that `fix ipi` can give it any shape.
pub(super) fn lammps_data(species: &[u8], room: &Room) -> String {
    let types = elements(species);
    let [[lx, _, _], [xy, ly, _], [xz, yz, lz]] = room.cell.vectors;
    let mut text = format!(
        "types: {}\n\n{} atoms\n{} atom types\n0.0 {lx:?} xlo xhi\n0.0 {ly:?} ylo yhi\n0.0 {lz:?} zlo zhi\n\
         {xy:?} {xz:?} {yz:?} xy xz yz\n\nMasses\n\n",
        symbols(&types),
        species.len(),
        types.len()
    );
    for (number, z) in (1..).zip(&types) {
        // Nothing moves by itself.
        let _ = writeln!(text, "{number} 1.0 # {}", symbol(*z));
    }
    text += "\nAtoms # atomic\n\n";
    for (i, (z, [x, y, c])) in species.iter().zip(&room.positions).enumerate() {
        let number = 1 + types.partition_point(|t| t < z);
        let _ = writeln!(text, "{} {number} {x:?} {y:?} {c:?}", i + 1);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> String {
        fill(text, |name| match name {
            "socket" => Some("fw"),
            "natoms" => Some("3"),
            _ => None,
        })
    }

    #[test]
    fn known_names_in_braces_are_replaced_and_nothing_else() {
        assert_eq!(filled("-a {socket} -n {natoms}"), "-a fw -n 3");
        assert_eq!(filled("{socket}{socket}"), "fwfw");
        let json = r#"{"a": {1: 2}, "b": {}} {other} { socket }"#;
        assert_eq!(filled(json), json);
        assert_eq!(
            filled("${socket} {{socket}} {{{socket}"),
            "${socket} {socket} {{fw"
        );
        assert_eq!(filled("{socket"), "{socket");
        assert_eq!(filled("{"), "{");
        assert_eq!(filled("Å{socket}Å"), "ÅfwÅ");
    }

    #[test]
    fn a_misspelt_placeholder_is_named() {
        assert_eq!(check("lmp {socket} {workdir} ${x} {\"a\": 1}"), Ok(()));
        let wrong = check("lmp {sockt}").unwrap_err();
        assert!(
            wrong.starts_with("unknown placeholder {sockt} (did you mean"),
            "{wrong}"
        );
    }
}
