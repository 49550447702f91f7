//! What energies, forces and stresses are called: `energy`, `REF_energy`, `dft_forces`...

use std::str::FromStr;

/// Names that the user gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    energy: Option<String>,
    forces: Option<String>,
    stress: Option<String>,
}

/// What a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Total energy.
    Energy,
    /// Forces.
    Forces,
    /// Stress.
    Stress,
}

impl What {
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Energy => &["energy"],
            Self::Forces => &["forces", "force"],
            Self::Stress => &["stress"],
        }
    }

    fn flag(self) -> &'static str {
        self.words()[0]
    }
}

impl FromStr for Names {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut names = Self::default();
        for item in text.split(',') {
            let (what, name) = item.split_once('=').unwrap_or(("", ""));
            let place = match what.trim() {
                "energy" => &mut names.energy,
                "forces" => &mut names.forces,
                "stress" => &mut names.stress,
                _ => {
                    return Err(format!(
                        "{item:?} is no name of a label; write energy=REF_energy,forces=REF_forces,stress=REF_stress"
                    ));
                }
            };
            *place = Some(name.trim().to_owned());
        }
        Ok(names)
    }
}

impl Names {
    /// The name the user gives.
    pub fn given(&self, what: What) -> Option<&str> {
        match what {
            What::Energy => self.energy.as_deref(),
            What::Forces => self.forces.as_deref(),
            What::Stress => self.stress.as_deref(),
        }
    }

    /// Which of the names that are there is meant: the one given, `energy` itself, or the only one that ends in
    /// `_energy`. None where there is none.
    ///
    /// # Errors
    /// The one given is not there, or several could be meant.
    pub fn choose(&self, what: What, there: &[String]) -> Result<Option<String>, String> {
        let list = |names: &[&String]| {
            let quoted: Vec<_> = names.iter().map(|n| format!("{n:?}")).collect();
            quoted.join(", ")
        };
        if let Some(name) = self.given(what) {
            if there.iter().any(|n| n == name) {
                return Ok(Some(name.to_owned()));
            }
            let known = match there {
                [] => "nothing that could be meant".to_owned(),
                _ => list(&there.iter().collect::<Vec<_>>()),
            };
            return Err(format!(
                "has no {} named {name:?}; it has {known}",
                what.flag()
            ));
        }
        for word in what.words() {
            if let Some(name) = there.iter().find(|n| n.eq_ignore_ascii_case(word)) {
                return Ok(Some(name.clone()));
            }
        }
        let ends = |name: &&String| {
            let name = name.to_ascii_lowercase();
            what.words()
                .iter()
                .any(|word| name.ends_with(&format!("_{word}")))
        };
        let candidates: Vec<_> = there.iter().filter(ends).collect();
        match candidates[..] {
            [] => Ok(None),
            [only] => Ok(Some(only.clone())),
            _ => Err(format!(
                "has several that could be meant by {0}: {1}; choose with --labels-a or --labels-b {0}=NAME",
                what.flag(),
                list(&candidates)
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn names_are_given_or_found() {
        let none = Names::default();
        let energy = |names: &[&str]| none.choose(What::Energy, &there(names)).unwrap();
        assert_eq!(energy(&["free_energy", "energy"]).unwrap(), "energy");
        assert_eq!(energy(&["Energy", "x"]).unwrap(), "Energy");
        assert_eq!(energy(&["REF_energy", "x"]).unwrap(), "REF_energy");
        assert_eq!(energy(&["x"]), None);
        let several = there(&["REF_energy", "MACE_energy"]);
        let error = none.choose(What::Energy, &several).unwrap_err();
        assert!(error.contains("\"REF_energy\", \"MACE_energy\"; choose with"));
        let force = none.choose(What::Forces, &there(&["dft_force"]));
        assert_eq!(force.unwrap().unwrap(), "dft_force");
        let given: Names = "energy=MACE_energy, forces=f".parse().unwrap();
        let found = given.choose(What::Energy, &several).unwrap();
        assert_eq!(found.unwrap(), "MACE_energy");
        let error = given.choose(What::Forces, &several).unwrap_err();
        assert!(error.starts_with("has no forces named \"f\"; it has"));
        assert!("energie=x".parse::<Names>().is_err() && "energy".parse::<Names>().is_err());
    }
}
