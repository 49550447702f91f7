//! The calculators of this build that this node has.

use super::finding::{Finding, good, note};
use super::survey::Survey;

pub(super) fn findings(survey: &Survey) -> Vec<Finding> {
    let engines = survey.here().engines.iter().map(|engine| {
        let subject = "calculator";
        match (engine.there, engine.text.as_str()) {
            (true, "") => good(subject, &engine.name),
            (true, with) => good(subject, format!("{} ({with})", engine.name)),
            (false, why) => note(
                subject,
                format!("{} is not available: {why}", engine.name),
                format!(
                    "framewise calculators {} tells what it needs; the others do without it",
                    engine.name
                ),
            ),
        }
    });
    engines.collect()
}
