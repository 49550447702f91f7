//! Who computes what, agreed by all ranks: at the start, and whenever one of them runs dry before the others.

use crate::domain::error::{Error, Result};
use crate::engine::ports::{Stop, Verdict};
use crate::engine::together::on_first_rank;
use crate::planning::cost::{Experience, Sizes};
use crate::planning::deal::{Account, Deal};
use crate::planning::frame_set::FrameSet;
use crate::planning::plan::{Knowledge, Plan};

use super::Coordinator;

impl Coordinator<'_> {
    /// Deals out a plan of which nothing has begun. The same on every rank, so that there is nothing to exchange.
    pub(super) fn first_deal(&mut self, plan: Plan) {
        let mut accounts = vec![Account::default(); self.ranks.size()];
        // The one that is served first: the rest goes to the others in the order of the nodes.
        let first = (0..self.nodes.len()).min_by_key(|rank| (self.nodes[*rank], *rank));
        accounts[first.unwrap_or(0)].left = FrameSet::all(plan.len());
        let deal = Deal::new(&accounts, plan.weights(), &self.nodes);
        let share = deal.share(self.ranks.rank());
        self.desk.begin(plan, share);
    }

    /// The plan of a lease: rank 0 looks for the sizes of its frames, and all learn from what has been seen so far.
    pub(super) fn weigh(&mut self, frames: FrameSet) -> Result<Plan> {
        let desk = &mut self.desk;
        let assumed = desk.settings.assumed;
        let sizes = on_first_rank(self.ranks, || {
            let law = desk.experience.law().unwrap_or(assumed);
            desk.sizes_of(&frames, &law)
        })?;
        let sizes = sizes.filter(Sizes::is_whole);
        let told = sizes.map_or_else(Vec::new, |sizes| sizes.encode());
        let Some(sizes) = Sizes::decode(&self.ranks.exchange(&told)[0]) else {
            return Ok(Plan::even(frames));
        };
        let knowledge = Knowledge {
            sizes,
            experience: Experience::default(),
            assumed,
        };
        let mut plan = Plan::sized(frames, knowledge);
        plan.learn(&self.seen());
        Ok(plan)
    }

    /// What all ranks have seen. They must come to the same numbers, to the last bit: rank 0 adds up.
    fn seen(&mut self) -> Experience {
        let mut seen = self.desk.experience.clone();
        self.ranks.sum(seen.numbers());
        let told = match self.ranks.rank() {
            0 => self.ranks.exchange(&seen.encode()),
            _ => self.ranks.exchange(&[]),
        };
        Experience::decode(&told[0])
    }

    fn learn(&mut self) {
        if self.desk.plan.is_sized() {
            let seen = self.seen();
            self.desk.learn(&seen);
        }
    }

    /// Deals out again what no rank has begun, when one runs dry and others have enough.
    pub(super) fn deal_again(&mut self, verdict: &Verdict) -> Result<()> {
        let quiet = verdict.trouble.is_none() && verdict.stop == Stop::No && verdict.busy;
        let alone = self.ranks.size() == 1 || self.desk.careful || self.desk.stopping;
        if alone
            || !quiet
            || !verdict.horizon().wants_deal(self.ranks.size())
            || !self.patience.is_over()
        {
            return Ok(());
        }
        self.learn();
        let mine = self.desk.account();
        let accounts = self.ranks.exchange(&mine.encode());
        let accounts: Vec<_> = accounts.iter().map(|told| Account::decode(told)).collect();
        let all: u64 = accounts.iter().map(|account| account.left.len()).sum();
        let weights = self.desk.plan.weights();
        let share = Deal::new(&accounts, weights, &self.nodes).share(self.ranks.rank());
        let received = share.difference(&mine.left).len();
        let mut sums = [share.len() as f64, received as f64];
        self.ranks.sum(&mut sums);
        if sums[0] as u64 != all {
            // Ranks that compute differently would lose frames: better none of them goes on.
            return Err(self.end_with(Error::failure(format!(
                "the ranks do not agree on who computes what ({} of {all} frames dealt out): are the nodes of one kind? please \
                 report this; what was committed is safe",
                sums[0]
            ))));
        }
        self.patience.dealt(sums[1] as u64, self.ranks.size());
        self.desk.summary.received += received;
        self.desk.take(share);
        Ok(())
    }
}
