//! Which inputs, and how their results are called.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::domain::error::{Error, Result};

use super::{Assignment, imported};

/// A path on each line, and after a tab the name of its result. Empty lines and those that begin with # say nothing.
pub(super) fn read(path: &Path) -> Result<Vec<(PathBuf, Option<PathBuf>)>> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::usage(format!("--manifest {}: {e}", path.display())))?;
    let lines = text.lines().map(str::trim);
    let said = lines.filter(|line| !line.starts_with('#') && !line.is_empty());
    let entries: Vec<_> = said
        .map(|line| match line.split_once('\t') {
            Some((input, result)) => (input.trim_end().into(), Some(result.trim_start().into())),
            None => (line.into(), None),
        })
        .collect();
    if entries.is_empty() {
        return Err(Error::usage(format!(
            "--manifest {}: names no input; write a path on each line",
            path.display()
        )));
    }
    Ok(entries)
}

/// The name of each result, in `folder`: that of the input with the suffix `.h5`.
pub(super) fn assign(
    given: Vec<(PathBuf, Option<PathBuf>)>,
    folder: &Path,
) -> Result<Vec<Assignment>> {
    let mut taken: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    let mut all = Vec::with_capacity(given.len());
    for (input, name) in given {
        let result = if let Some(name) = name {
            let stays =
                |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
            if !name.components().all(stays) {
                return Err(Error::usage(format!(
                    "--manifest: result {} of {} is not in the folder of -o; give a name in it",
                    name.display(),
                    input.display()
                )));
            }
            folder.join(name)
        } else {
            let stem = input.file_stem().ok_or_else(|| {
                Error::usage(format!("{}: is not the name of a file", input.display()))
            })?;
            let mut name = stem.to_owned();
            name.push(".h5");
            folder.join(name)
        };
        if let Some(other) = taken.insert(result.clone(), input.clone()) {
            return Err(Error::usage(format!(
                "{} and {}: both results would be {}; name them in a --manifest, after a tab",
                other.display(),
                input.display(),
                result.display()
            )));
        }
        all.push(Assignment { input, result });
    }
    keep_imports_apart(&all, &taken)?;
    Ok(all)
}

/// Inputs of other formats are imported beside their results, where neither a result nor another import may be.
fn keep_imports_apart(all: &[Assignment], taken: &BTreeMap<PathBuf, PathBuf>) -> Result<()> {
    let mut imports: BTreeMap<PathBuf, &Path> = BTreeMap::new();
    for Assignment { input, result } in all {
        let import = imported::beside(result);
        let (result_of, import_of) = (taken.get(&import), imports.get(&import).copied());
        // Only then is it worth a look at the file.
        if let Some(other) = result_of.filter(|_| imported::is_needed(input)) {
            return Err(Error::usage(format!(
                "{}: is imported into {}, where the result of {} would be; name them in a --manifest, after a tab",
                input.display(),
                import.display(),
                other.display()
            )));
        }
        match import_of.filter(|other| imported::is_needed(other)) {
            Some(other) if imported::is_needed(input) => {
                return Err(Error::usage(format!(
                    "{} and {}: both would be imported into {}; name them in a --manifest, after a tab",
                    other.display(),
                    input.display(),
                    import.display()
                )));
            }
            Some(_) => {}
            None => drop(imports.insert(import, input)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_have_the_names_of_their_inputs_unless_a_manifest_gives_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        std::fs::write(&path, "# all\n  a/x y.xyz \n\nb/md.h5 \t other.h5\n").unwrap();
        let all = assign(read(&path).unwrap(), Path::new("out")).unwrap();
        let results: Vec<_> = all.iter().map(|one| one.result.to_str().unwrap()).collect();
        assert_eq!(results, ["out/x y.h5", "out/other.h5"]);
        let outside = vec![("a.h5".into(), Some("../b.h5".into()))];
        let error = assign(outside, Path::new("out")).unwrap_err();
        assert!(
            error
                .message
                .contains("../b.h5 of a.h5 is not in the folder"),
            "{error}"
        );
        let twice = vec![("a/md.h5".into(), None), ("b/md.xyz".into(), None)];
        let error = assign(twice, Path::new("out")).unwrap_err();
        assert!(
            error.message.contains("both results would be out/md.h5"),
            "{error}"
        );
        std::fs::write(&path, "# nothing\n").unwrap();
        assert!(read(&path).is_err());
    }
}
