//! Hands things from the threads of a node to the one thread of a host language's event loop.
//! No producer ever waits for that loop, and the loop is woken once for many things.
//!
//! ```text
//!  any thread of the node                                              the event loop's thread
//!
//!  post(completion, request) ──┐   ┌─ Mailbox, one per node ─┐
//!  offer(node event) ──────────┼──▶│ lanes, parked flag      │── drain ──▶ Control(..), Ready(id)
//!                              │   │ owns: Arc<dyn Wake>     │                            │
//!                  Ready(id) ──┘   └────────────┬────────────┘                            │
//!                      ▲                        └─ wake ──▶ a descriptor of the loop      │
//!               ┌──────┴─ Ring, one per subscription ─┐                                   │
//!  push(event) ▶│ items, counters, parked flag        │◀────────────── take ──────────────┘
//!               │ owns: Arc<Mailbox>                  │
//!               └─────────────────────────────────────┘
//! ```
//!
//! A [`Ring`] owns a share of its [`Mailbox`]; the mailbox knows rings by their number only, so there is no cycle.
//! Both may outlive the core that fills them.
//!
//! # Park and wake
//!
//! Mailbox and ring have one consumer each, and park it in the same way. The mailbox wakes its consumer by [`Wake`],
//! a ring wakes its own by an [`Item::Ready`] in the mailbox.
//!
//! ```text
//! producer                                    consumer
//!   put the item into the queue                 take what is there; nothing:
//!   if parked.swap(false) { wake }              parked.swap(true)
//!                                               look again; something: parked.swap(false), take it
//!                                                           nothing:   Parked, wait to be woken
//! ```
//!
//! * Both sides always execute the swap. Two swaps of one flag have an order, and the later one reads the earlier: either
//!   the producer finds the flag set and wakes, or the consumer's second look finds the item. With a load on one side and
//!   a store on the other both can miss.
//! * A producer does not skip the swap because the queue held something before. That shortcut is right only while "was it
//!   empty" and the put are one step, and bridges that took it have lost wakes; the swap costs a few nanoseconds.
//!   A flush that finds the queue empty, in one step with nothing else, may skip it: what was put before has been taken.
//! * One arming gives one wake at most, whoever of many producers comes first, so a flood does not fill the descriptor.
//! * Once woken, the consumer owns the progress: no wake comes until an answer was [`Drained::Parked`] or [`Taken::Parked`].
//!   One that stops earlier has to come back by itself.
//! * Events come in bursts, and a wake for each would cost more than the event: the `Ready` of a ring waits in the mailbox
//!   until [`Mailbox::flush`], which the producer calls after the last push of its turn. What is posted or offered wakes
//!   at once, and takes along what waits for a flush.
//! * A wake can turn out to be for nothing, when the consumer's second look was faster. It then finds nothing and parks.
//!
//! Wakes happen and items are destroyed outside of the locks, so neither can deadlock.
//!
//! ```
//! use std::sync::Arc;
//! use depinmesh_mailbox::{Drained, Item, Limits, Mailbox, Overflow, Taken, Wake, ring};
//!
//! struct Descriptor;
//! impl Wake for Descriptor {
//!     fn wake(&self) {}
//! }
//!
//! let mailbox = Mailbox::<&str>::new(Arc::new(Descriptor), 1024);
//! let events = ring(&mailbox, 7, Limits { items: 1024, bytes: 8 << 20, overflow: Overflow::DropOldest });
//! let mut batch = Vec::new();
//! assert_eq!(events.take(256, &mut batch), Taken::Parked);
//!
//! events.push("hello", 5);
//! mailbox.flush();
//! mailbox.post("done");
//! assert_eq!(mailbox.drain(256), Drained::Items(vec![Item::Ready(7), Item::Control("done")]));
//! assert_eq!(events.take(256, &mut batch), Taken::Items);
//! assert_eq!(batch, ["hello"]);
//! ```

#![forbid(unsafe_code)]
#![deny(missing_docs, unreachable_pub)]

mod mailbox;
#[cfg(all(test, loom))]
mod models;
mod park;
mod ring;
mod sync;

pub use mailbox::{Drained, Item, Mailbox, Wake};
pub use ring::{Limits, Overflow, Pushed, Ring, RingStats, Taken, ring};
