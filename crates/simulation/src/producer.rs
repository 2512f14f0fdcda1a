//! A task's writer on the simulated log: tickets become requests, one of them under way at a time, and requests and replies
//! get lost. The runtime hears of it from the turns, as from a writer's own thread.

use std::collections::VecDeque;
use std::sync::Arc;

use walspring_connect::fault::planted;
use walspring_connect::writer::{DurabilityListener, Ticket, WriteError};

use crate::log::{Kind, Log, Written};
use crate::random::Random;
use crate::server::Server;
use crate::world::Chances;

pub struct Producer {
    pub epoch: u64,
    pub listener: Arc<dyn DurabilityListener>,
    queue: VecDeque<(u64, Written)>,
    request: Option<Request>,
    /// The last ticket in the open transaction.
    open: Option<u64>,
    /// Written and not synced.
    unsynced: Option<u64>,
    /// Nothing more is coming for the moment.
    pub idle: bool,
    pub failed: Option<WriteError>,
    pub lost_requests: u64,
    pub lost_replies: u64,
}

/// On its way to the log.
#[derive(Debug, Clone)]
pub struct Request {
    epoch: u64,
    what: What,
    /// It came, and its reply was lost.
    came: bool,
}

#[derive(Debug, Clone)]
enum What {
    Produce(u64, Written),
    End(u64),
}

/// What the runtime hears.
#[derive(Debug)]
pub enum Heard {
    Durable(u64, bool),
    Failed(WriteError),
}

const AWAY: &str = "the reply did not come";

impl Producer {
    pub fn new(epoch: u64, listener: Arc<dyn DurabilityListener>) -> Producer {
        Producer {
            epoch,
            listener,
            queue: VecDeque::new(),
            request: None,
            open: None,
            unsynced: None,
            idle: false,
            failed: None,
            lost_requests: 0,
            lost_replies: 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.request.is_none() && self.open.is_none() && self.unsynced.is_none()
    }

    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// What the listener has to hear at once: only bugs have anything to say here.
    pub fn submit(&mut self, ticket: Ticket) -> Option<Heard> {
        let rows = ticket.batches.iter().flat_map(|batch| batch.bytes.chunks_exact(8));
        let rows = rows.map(|bytes| u64::from_be_bytes(bytes.try_into().unwrap_or_default())).collect();
        let written = Written { rows, offset: ticket.offset.and_then(|offset| offset.value) };
        self.queue.push_back((ticket.number, written));
        self.idle = false;
        planted("acknowledge_unwritten").then_some(Heard::Durable(ticket.number, true))
    }

    /// What is left of it when its process is gone.
    pub fn stray(self) -> Option<Request> {
        self.request
    }

    fn fail(&mut self, error: WriteError) -> Option<Heard> {
        self.failed = Some(error.clone());
        Some(Heard::Failed(error))
    }

    /// The next thing that happens to it.
    pub fn step(&mut self, log: &mut Log, server: &Server, random: &mut Random, chances: &Chances) -> Option<Heard> {
        if self.failed.is_some() {
            return None;
        }
        if log.kind == Kind::Embedded {
            return self.step_embedded(log, server, random, chances);
        }
        let Some(mut request) = self.request.take() else { return self.ask(log.kind, random) };
        let is_end = matches!(request.what, What::End(_));
        if chances.of(random, chances.lose_request) {
            self.lost_requests += 1;
            return self.not_answered(request, is_end, random);
        }
        if !request.arrive(log, server) {
            return self.fail(WriteError::Fenced("a newer producer".into()));
        }
        if chances.of(random, chances.lose_reply) {
            self.lost_replies += 1;
            request.came = true;
            return self.not_answered(request, is_end, random);
        }
        match (request.what, log.kind) {
            (What::End(ticket), _) => {
                self.open = None;
                Some(Heard::Durable(ticket, true))
            }
            (What::Produce(ticket, _), Kind::Transactions) => {
                self.open = Some(ticket);
                None
            }
            (What::Produce(ticket, _), _) => (!planted("durable_when_sent")).then_some(Heard::Durable(ticket, false)),
        }
    }

    /// What was produced is sent again under its number, or the producer gives up; the end of a transaction is never sent
    /// again.
    fn not_answered(&mut self, request: Request, is_end: bool, random: &mut Random) -> Option<Heard> {
        if is_end || random.below(4) == 0 {
            return self.fail(WriteError::Transient(AWAY.into()));
        }
        self.request = Some(request);
        None
    }

    fn ask(&mut self, kind: Kind, random: &mut Random) -> Option<Heard> {
        let request = |what| Some(Request { epoch: self.epoch, what, came: false });
        if let Some(ticket) = self.open
            && (random.below(4) == 0 || (self.idle && self.queue.is_empty()))
        {
            self.request = request(What::End(ticket));
            return None;
        }
        let (ticket, written) = self.queue.pop_front()?;
        self.request = request(What::Produce(ticket, written));
        (kind == Kind::AtLeastOnce && planted("durable_when_sent")).then_some(Heard::Durable(ticket, false))
    }

    fn step_embedded(
        &mut self,
        log: &mut Log,
        server: &Server,
        random: &mut Random,
        chances: &Chances,
    ) -> Option<Heard> {
        if let Some(ticket) = self.unsynced
            && (self.queue.is_empty() || random.below(3) == 0)
        {
            log.sync(server);
            self.unsynced = None;
            return (!planted("acknowledge_unwritten")).then_some(Heard::Durable(ticket, true));
        }
        let (ticket, written) = self.queue.pop_front()?;
        if chances.of(random, chances.lose_request) {
            // The disk is full.
            return self.fail(WriteError::Transient("no space left on device".into()));
        }
        log.unsynced.push(written);
        self.unsynced = Some(ticket);
        None
    }
}

impl Request {
    /// False: it was refused.
    pub fn arrive(&mut self, log: &mut Log, server: &Server) -> bool {
        if log.kind == Kind::AtLeastOnce {
            if let What::Produce(ticket, written) = &self.what {
                log.append(self.epoch, *ticket, written.rows.clone(), server);
            }
            return true;
        }
        if self.epoch != log.epoch {
            return false;
        }
        match &self.what {
            _ if self.came => {}
            What::Produce(_, written) => {
                log.open.rows.extend(&written.rows);
                if written.offset.is_some() {
                    log.open.offset.clone_from(&written.offset);
                }
            }
            What::End(_) => {
                if planted("commit_without_offset") {
                    log.open.offset = None;
                }
                log.commit(server);
            }
        }
        true
    }
}
