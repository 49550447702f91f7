//! Where a library is looked for.

use std::env::consts::ARCH;
use std::path::Path;

use super::ffi::Loaded;

/// A library and where it may be.
#[derive(Clone, Copy, Debug)]
pub struct Sought {
    /// What it is called in messages.
    pub what: &'static str,
    /// Names this variable is tried instead of all others: a path to the library.
    pub variable: &'static str,
    /// The folder of its installation that this variable names is tried instead of the system's, if it holds the library.
    pub prefix: Option<&'static str>,
    /// Its usual names, the best one first.
    pub names: &'static [&'static str],
}

impl Sought {
    /// The loaded library, or in one line why there is none.
    pub fn open(&self) -> Result<Loaded, String> {
        let variable = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let names = self.candidates(&variable, &Path::exists);
        Loaded::open(&names).map_err(|reason| {
            let said = [Some(self.variable), self.prefix].into_iter().flatten();
            let said = said.filter_map(|name| Some(format!("; {name} is {:?}", variable(name)?)));
            let from = said.collect::<String>();
            format!("{} cannot be loaded ({reason}{from})", self.what)
        })
    }

    fn candidates(
        &self,
        variable: &dyn Fn(&str) -> Option<String>,
        exists: &dyn Fn(&Path) -> bool,
    ) -> Vec<String> {
        if let Some(path) = variable(self.variable) {
            return vec![path];
        }
        if let Some(prefix) = self.prefix.and_then(variable) {
            let multiarch = format!("lib/{ARCH}-linux-gnu");
            let mut found = Vec::new();
            for folder in ["lib", "lib64", &multiarch] {
                let paths = self
                    .names
                    .iter()
                    .map(|name| Path::new(&prefix).join(folder).join(name));
                let there = paths.filter(|path| exists(path));
                found.extend(there.map(|path| path.to_string_lossy().into_owned()));
            }
            if !found.is_empty() {
                return found;
            }
        }
        self.names.iter().map(|name| (*name).to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Sought;

    const SOUGHT: Sought = Sought {
        what: "libx",
        variable: "X_LIBRARY",
        prefix: Some("X_DIR"),
        names: &["libx.so.0", "libx.so"],
    };

    fn candidates(set: &[(&str, &str)], there: &[&str]) -> Vec<String> {
        let variable = |name: &str| {
            let found = set.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        SOUGHT.candidates(&variable, &|path| {
            there
                .iter()
                .any(|t| path.ends_with(t.trim_start_matches('/')))
        })
    }

    #[test]
    fn the_file_then_the_prefix_then_the_system() {
        let usual = ["libx.so.0", "libx.so"];
        assert_eq!(candidates(&[], &[]), usual);
        let both = [("X_LIBRARY", "/a/libmine.so"), ("X_DIR", "/p")];
        assert_eq!(candidates(&both, &["/p/lib/libx.so"]), ["/a/libmine.so"]);
        let prefix = [("X_DIR", "/p")];
        assert_eq!(candidates(&prefix, &[]), usual);
        assert_eq!(
            candidates(&prefix, &["/p/lib64/libx.so.0", "/p/lib/libx.so"]),
            ["/p/lib/libx.so", "/p/lib64/libx.so.0"]
        );
        let multiarch = format!("/p/lib/{}-linux-gnu/libx.so.0", std::env::consts::ARCH);
        assert_eq!(candidates(&prefix, &[&multiarch])[0], multiarch);
    }
}
