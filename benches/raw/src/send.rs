//! The sending side: as fast as the credit allows, or at the instants of a schedule.

use std::{num::NonZeroU64, time::Duration};

use futures::{FutureExt as _, StreamExt as _};
use libp2p::{
    Swarm,
    gossipsub::{self, IdentTopic, TopicHash},
    swarm::SwarmEvent,
};
use serde_json::{Map, json};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use crate::{
    Result,
    credit::Credit,
    envelope::Writer,
    line,
    options::Options,
    os,
    peer::{self, Behaviour, BehaviourEvent},
    usage::Usage,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const STALLED: Duration = Duration::from_secs(10);
/// Published without a look at the network in between.
const BATCH: u64 = 16;
/// How often a full window is looked at. At 20,000 events a second this is 20 events of a window of 512.
const LOOK: Duration = Duration::from_millis(1);

/// So many instants may wait while the network is busy; they keep their time, so nothing is left out of the figures.
const LATE: usize = 4096;

struct Sender {
    swarm: Swarm<Behaviour>,
    topic: TopicHash,
    writer: Writer,
    credit: Credit,
    /// What the credit file said when we began.
    before: u64,
    sent: u64,
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    let swarm = peer::swarm(options.transport)?;
    let writer = Writer::new(*swarm.local_peer_id(), options.size);
    let credit = Credit::open(&options.credit)?;
    let topic = IdentTopic::new(&options.topic).hash();
    let mut sender = Sender { swarm, topic, writer, credit, before: credit.received(), sent: 0 };
    sender.connect(options).await?;
    sender.as_fast_as_possible(options.warmup, options.window).await?;
    let begun = Usage::now();
    match options.rate {
        Some(rate) => sender.on_schedule(rate, options.seconds).await?,
        None => sender.as_fast_as_possible(options.warmup + options.count, options.window).await?,
    }
    let events = sender.sent - options.warmup;
    let mut result = Map::new();
    result.insert("event".to_owned(), "sent".into());
    result.insert("transport".to_owned(), options.transport.as_str().into());
    result.insert("size".to_owned(), options.size.into());
    result.insert("events".to_owned(), events.into());
    result.insert("missing".to_owned(), (sender.sent - sender.received()).into());
    match options.rate {
        Some(rate) => result.insert("rate".to_owned(), rate.get().into()),
        None => result.insert("window".to_owned(), options.window.into()),
    };
    Usage::now().write_since(&begun, events, &mut result);
    line(&result.into());
    peer::linger(&mut sender.swarm, options.linger).await;
    Ok(())
}

impl Sender {
    /// Dials and waits until the receiver is known to listen; earlier messages would go nowhere.
    async fn connect(&mut self, options: &Options) -> Result<()> {
        let address = options.address.clone().ok_or("--address is missing")?;
        let dialled = Instant::now();
        self.swarm.dial(address)?;
        let subscribed = async {
            loop {
                match self.swarm.select_next_some().await {
                    SwarmEvent::ConnectionEstablished { .. } => {
                        line(&json!({"event": "connected", "ms": dialled.elapsed().as_secs_f64() * 1e3}));
                    }
                    SwarmEvent::Behaviour(BehaviourEvent::Gossipsub(gossipsub::Event::Subscribed {
                        topic, ..
                    })) if topic == self.topic => return Ok(()),
                    SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
                    _ => {}
                }
            }
        };
        timeout(CONNECT_TIMEOUT, subscribed).await.map_err(|_| "the receiver has not subscribed")?
    }

    fn received(&self) -> u64 {
        self.credit.received().saturating_sub(self.before)
    }

    fn publish(&mut self, scheduled: u64) -> Result<()> {
        let event = self.writer.write(self.sent, scheduled)?;
        self.swarm.behaviour_mut().gossipsub.publish(self.topic.clone(), event)?;
        self.sent += 1;
        Ok(())
    }

    /// Sends until `total` messages are out and received, never more than `window` ahead of the receiver.
    async fn as_fast_as_possible(&mut self, total: u64, window: u64) -> Result<()> {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut progress, mut since) = (self.received(), Instant::now());
        loop {
            let received = self.received();
            if received >= total {
                return Ok(());
            }
            if received > progress {
                (progress, since) = (received, Instant::now());
            } else if since.elapsed() > STALLED {
                return Err(format!("{} of {} messages arrived", received, self.sent).into());
            }
            let ahead = self.sent.saturating_sub(received);
            let room = window.saturating_sub(ahead).min(total - self.sent).min(BATCH);
            if room == 0 {
                tokio::select! {
                    event = self.swarm.select_next_some() => self.check(event)?,
                    _ = look.tick() => {}
                }
                continue;
            }
            for _ in 0..room {
                self.publish(0)?;
            }
            while let Some(event) = self.swarm.select_next_some().now_or_never() {
                self.check(event)?;
            }
            // The connection's task may have been queued behind this one.
            tokio::task::yield_now().await;
        }
    }

    /// Sends at fixed instants, however far the receiver is, and waits for the rest to arrive.
    async fn on_schedule(&mut self, rate: NonZeroU64, length: Duration) -> Result<()> {
        let mut instants = schedule(rate, length);
        loop {
            tokio::select! {
                biased;
                instant = instants.recv() => match instant {
                    Some(instant) => self.publish(instant)?,
                    None => break,
                },
                event = self.swarm.select_next_some() => self.check(event)?,
            }
        }
        self.as_fast_as_possible(self.sent, 0).await
    }

    fn check(&self, event: SwarmEvent<BehaviourEvent>) -> Result<()> {
        match event {
            // A receiver that has everything ends, and we may hear of that before we look at the credit.
            SwarmEvent::ConnectionClosed { cause, .. } if self.received() < self.sent => {
                Err(format!("the connection ended: {cause:?}").into())
            }
            SwarmEvent::Behaviour(BehaviourEvent::Gossipsub(gossipsub::Event::SlowPeer {
                failed_messages, ..
            })) => Err(format!("messages were dropped: {failed_messages:?}").into()),
            _ => Ok(()),
        }
    }
}

/// Names each instant when it has come. A thread of its own: the timers of tokio are a millisecond wide.
fn schedule(rate: NonZeroU64, length: Duration) -> mpsc::Receiver<u64> {
    let (sender, receiver) = mpsc::channel(LATE);
    std::thread::spawn(move || {
        os::exact_timers();
        let start = os::monotonic_ns();
        let nanos = |number: u64| number * os::NANOS / rate;
        for instant in
            (0..).map(nanos).take_while(|after| u128::from(*after) < length.as_nanos()).map(|after| start + after)
        {
            os::sleep_until(instant);
            if sender.blocking_send(instant).is_err() {
                return;
            }
        }
    });
    receiver
}
