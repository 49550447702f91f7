//! The folder of results: what its file system is, and what that means for locks, MPI-IO and syncs.

use crate::adapters::file_system::{self, Kind};

use super::facts::FolderFacts;
use super::finding::{Finding, good, note, wrong};
use super::survey::{Node, Survey, variable};

pub(super) fn findings(survey: &Survey) -> Vec<Finding> {
    let folder = &survey.here().folder;
    let mut findings = Vec::new();
    if let Some(why) = &folder.missing {
        let text = format!("{}: {why}", folder.shown);
        findings.push(wrong(
            "folder",
            text,
            "create it (mkdir -p), or name another",
        ));
    } else {
        findings.extend(of_folder(folder, &survey.here().mpi));
    }
    findings.extend(one_for_all(survey));
    findings
}

fn of_folder(folder: &FolderFacts, library: &str) -> Vec<Finding> {
    let kind = folder.kind();
    // As the kernel calls it: more exact where we have no name for it.
    let mut text = format!("{} is on {}", folder.shown, folder.kind);
    if let Some(stripes) = &folder.stripes {
        text += &format!(" ({stripes})");
    }
    let mut findings = vec![match kind.advice() {
        Some((text_of_kind, mend)) => note("file system", format!("{text}: {text_of_kind}"), mend),
        None => good("file system", text),
    }];
    findings.push(match &folder.unwritable {
        None => good("folder", format!("{} can be written", folder.shown)),
        Some(why) => wrong(
            "folder",
            format!("{} cannot be written: {why}", folder.shown),
            "name a folder of yours on a file system that is mounted for writing",
        ),
    });
    findings.push(locks(folder));
    findings.push(good(
        "sync",
        format!(
            "a commit syncs twice, results before status: it {}",
            kind.sync()
        ),
    ));
    let hints = kind.hints().into_iter();
    let hints = hints.map(|hint| format!("{}={} ({})", hint.key, hint.value, hint.why));
    findings.push(good(
        "MPI-IO hints",
        format!(
            "for {}: {}; --hint K=V wins; {}",
            kind.name(),
            hints.collect::<Vec<_>>().join(", "),
            file_system::heeded_by(library)
        ),
    ));
    findings
}

/// What HDF5 does with `HDF5_USE_FILE_LOCKING`.
fn locks(folder: &FolderFacts) -> Finding {
    let subject = "locks";
    let variable = variable("HDF5_USE_FILE_LOCKING").unwrap_or_else(|| "unset".into());
    let off = ["FALSE", "0", "BEST_EFFORT"];
    let ours = "framewise guards a result by RESULT.lock, which needs no locks of the file system";
    let kind = folder.kind();
    let mend = "unset HDF5_USE_FILE_LOCKING: framewise sets it to FALSE";
    if !off.contains(&variable.as_str()) {
        let text = format!(
            "HDF5_USE_FILE_LOCKING={variable}: HDF5 takes locks of its own, with which readers and a run block each other"
        );
        return if kind.is_shared() {
            let text = format!("{text}, and which fail where {} has none", kind.name());
            wrong(subject, text, mend)
        } else {
            note(subject, text, mend)
        };
    }
    if kind.is_shared() {
        let here = match (kind, locks_of_mount(&folder.options)) {
            (Kind::Lustre, "") => ", which this Lustre is mounted without".to_owned(),
            (_, "") => String::new(),
            (_, option) => format!(" (mounted with {option})"),
        };
        return good(
            subject,
            format!(
                "{ours}{here}; HDF5's own are off; give other programs that read results HDF5_USE_FILE_LOCKING=FALSE, too"
            ),
        );
    }
    good(subject, format!("{ours}; HDF5's own are off"))
}

/// What a mount says of locks (mount.lustre(8), nfs(5)).
fn locks_of_mount(options: &str) -> &str {
    let said = ["flock", "localflock", "nolock", "lock", "local_lock=all"];
    let mut options = options.split(',');
    options.find(|option| said.contains(option)).unwrap_or("")
}

/// Whether all nodes mean the same folder by its name.
fn one_for_all(survey: &Survey) -> Option<Finding> {
    if survey.nodes.len() < 2 {
        return None;
    }
    let subject = "one folder";
    let shown = &survey.here().folder.shown;
    let mend = "name a folder of a file system that all nodes share, such as /scratch";
    let state = |node: &Node| match (&node.facts.folder.missing, &node.blind) {
        (Some(why), _) | (None, Some(why)) => why.clone(),
        (None, None) => format!("seen, on {}", node.facts.folder.kind),
    };
    let lost = |node: &Node| node.blind.is_some() || node.facts.folder.missing.is_some();
    if survey.nodes.iter().any(lost) {
        let text = format!("{shown} is not the same folder on all nodes");
        return Some(wrong(subject, text, mend).on(survey.by_node(state)));
    }
    survey.probed.then(|| {
        let text = format!("all nodes see in {shown} what rank 0 puts there");
        let odd = |node: &Node| node.facts.folder.kind != survey.here().folder.kind;
        let unwritable = |node: &Node| node.facts.folder.unwritable.clone();
        if survey.nodes.iter().any(|node| unwritable(node).is_some()) {
            let text = format!("{text}, but not all may write");
            let each = survey.by_node(|node| unwritable(node).unwrap_or_else(|| "written".into()));
            return wrong(subject, text, "have it mounted for writing on all nodes").on(each);
        }
        let finding = good(subject, text);
        if survey.nodes.iter().any(odd) {
            return finding.on(survey.by_node(state));
        }
        finding
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::facts::RankFacts;
    use crate::commands::doctor::finding::Verdict;

    #[test]
    fn every_known_file_system_with_a_flaw_has_a_mend() {
        for (magic, verdict) in [
            (0x0bd0_0bd0, Verdict::Note),
            (0x6969, Verdict::Note),
            (0x0102_1994, Verdict::Note),
            (0x794c_7630, Verdict::Note),
            (0x4750_4653, Verdict::Good),
            (0xef53, Verdict::Good),
        ] {
            let folder = FolderFacts {
                magic,
                ..FolderFacts::default()
            };
            let found = of_folder(&folder, "Open MPI v4.1.4");
            assert_eq!(found[0].verdict, verdict, "{magic:#x}");
            assert_eq!(found[0].json()["mend"].is_null(), verdict == Verdict::Good);
        }
    }

    #[test]
    fn what_a_mount_says_of_locks_is_found() {
        assert_eq!(locks_of_mount("rw,flock,lazystatfs"), "flock");
        assert_eq!(locks_of_mount("rw,vers=3,nolock,hard"), "nolock");
        assert_eq!(locks_of_mount("rw,relatime"), "");
    }

    #[test]
    fn a_node_that_sees_another_folder_is_told() {
        let node = |blind: Option<&str>| Node {
            blind: blind.map(str::to_owned),
            ..Node::default()
        };
        let of = |second| {
            let mut survey = Survey::of(
                vec![RankFacts::default(); 2],
                vec![node(None), node(second)],
            );
            survey.probed = true;
            one_for_all(&survey).map(|finding| finding.verdict)
        };
        assert_eq!(of(None), Some(Verdict::Good));
        assert_eq!(of(Some("not seen")), Some(Verdict::Wrong));
    }
}
