//! Questions to a process and its answers, through its deaths.
//!
//! What is announced is sent in one request. Whoever has taken the process down then is not known: what was announced and
//! not answered is asked for once more, one by one, each of a new process where the last one has died.

use std::time::Duration;

use crate::domain::calculator::Failure;

use super::{Mishap, Request, Session, Setup};

/// A worker's side of the conversation.
#[derive(Debug)]
pub struct Correspondence<R> {
    setup: Setup,
    limit: Option<Duration>,
    session: Option<Session>,
    request: R,
    /// Answers to the request that have not been read.
    due: usize,
}

impl<R: Request> Correspondence<R> {
    /// With a process that is ready; one answer may take `limit`.
    pub fn new(setup: Setup, limit: Option<Duration>, session: Session) -> Self {
        Self {
            setup,
            limit,
            session: Some(session),
            request: R::default(),
            due: 0,
        }
    }

    /// Sends what `fill` puts into a request, if it is more than one question. One alone is sent when it is asked, and so
    /// is each of those that cannot be sent.
    pub fn announce(&mut self, fill: impl FnOnce(&mut R)) {
        if self.due > 0 {
            // Answers to questions that nobody asks any more.
            self.give_up();
        }
        self.request.clear();
        fill(&mut self.request);
        if self.request.count() > 1 && self.send().is_err() {
            self.give_up();
        }
    }

    /// The next answer to what was announced; otherwise that to what `fill` asks. `receive` reads it.
    pub fn ask(
        &mut self,
        fill: impl FnOnce(&mut R),
        mut receive: impl FnMut(&mut Session) -> Result<(), Mishap>,
    ) -> Result<(), Failure> {
        if self.due > 0 {
            match self.answer(&mut receive) {
                Ok(()) => return Ok(()),
                Err(Mishap::Failure(failure)) => return Err(failure),
                Err(Mishap::Process(_)) => self.give_up(),
            }
        }
        self.request.clear();
        fill(&mut self.request);
        let outcome = self.send().and_then(|()| self.answer(&mut receive));
        outcome.map_err(|mishap| match mishap {
            Mishap::Failure(failure) => failure,
            Mishap::Process(why) => {
                self.give_up();
                Failure::Failed(why)
            }
        })
    }

    /// Sends what is in the request, to a new process if need be. An answer to each question is due then.
    fn send(&mut self) -> Result<(), Mishap> {
        let count = self.request.count();
        let limit = self.limit.map(|limit| limit * count.max(1) as u32);
        let session = match &mut self.session {
            Some(session) => session,
            none => {
                let started = Session::start(&self.setup);
                none.insert(started.map_err(|why| Mishap::Failure(Failure::Unavailable(why)))?)
            }
        };
        session.send(&self.request, limit)?;
        self.due = count;
        Ok(())
    }

    fn answer(
        &mut self,
        receive: &mut impl FnMut(&mut Session) -> Result<(), Mishap>,
    ) -> Result<(), Mishap> {
        self.due -= 1;
        let missing = || Mishap::Process("the Python process is missing".into());
        self.session.as_mut().ok_or_else(missing).and_then(receive)
    }

    /// Ends the process, with all that it has started. The next question gets a new one.
    fn give_up(&mut self) {
        self.session = None;
        self.due = 0;
    }
}
